"""Every protocol's own rules for the scores of an object."""

import pytest

from selection.metrics.frames import NOWHERE, FrameScore
from selection.metrics.protocols import (
    PROTOCOLS,
    REGISTRY,
    davis,
    lvos,
    mosev2,
    protocol_named,
    sav,
    visor,
    vos_benchmark,
    vost,
)
from selection.metrics.protocols.protocol import mean_frames, mean_scores, with_joint
from stseg.errors import InputError

MODULES = (davis, lvos, mosev2, sav, visor, vos_benchmark, vost)


def seen(j):
    return FrameScore(j, j, j, True, True)


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__.split(".")[-1])
def test_every_protocol_is_found_by_its_name(module):
    protocol = module.PROTOCOL
    assert protocol.name in PROTOCOLS
    assert REGISTRY[protocol.name] is protocol_named(protocol.name) is protocol
    perfect = protocol.conclude([seen(1.0)] * 4)
    assert {perfect[name] for name in ("J", "F") if name in perfect} == {1.0}


def test_an_unknown_protocol_is_named():
    with pytest.raises(InputError, match="did you mean 'davis'"):
        protocol_named("davsi")


def test_means_are_over_those_that_have_a_score():
    assert with_joint({"J": 0.4, "F": 0.8})["J&F"] == pytest.approx(0.6)
    assert with_joint({"J": 0.4, "F": None})["J&F"] is None
    means = mean_scores([{"J": 0.2, "F": None}, None, {"J": 0.6, "F": 0.5}])
    assert means == {"J": pytest.approx(0.4), "F": 0.5, "J&F": pytest.approx(0.45)}
    assert mean_scores([]) == {}
    assert mean_frames([]) is None


def test_frames_before_an_object_is_seen_count_for_davis_alone():
    series = [NOWHERE, NOWHERE, seen(0.5), seen(0.5)]
    assert davis.PROTOCOL.conclude(series)["J"] == 0.75
    assert vos_benchmark.PROTOCOL.conclude(series)["J"] == 0.5
    assert vos_benchmark.PROTOCOL.conclude([NOWHERE]) is None


def test_vost_tells_the_last_quarter_apart():
    scores = vost.PROTOCOL.conclude([seen(1.0)] * 6 + [seen(0.2)] * 2)
    assert scores == {"J": pytest.approx(0.8), "J_tr": pytest.approx(0.2)}
