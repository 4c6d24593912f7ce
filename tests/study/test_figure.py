"""The comparison figure."""

import numpy as np
import pytest
from PIL import Image
from simulated import MEMBERS, make_run

from adapters.base import FrameMasks
from ensemble.config import load_config
from ensemble.finishing.video import FinishingContext, finish_video
from ensemble.plan import open_data
from ensemble.storage.predictions import Prediction, PredictionWriter
from ensemble.storage.run_directory import RunDirectory
from mose.masks import read_mask
from stseg.errors import InputError
from study.figure import GAP, TITLE, draw, main
from study.layers import figure_layers


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A finished video, whose pseudo-label needs trust: the strongest member loses an object."""
    root = make_run(tmp_path_factory.mktemp("figure"), videos=1, frames=4)
    forget_object(root / "predictions/strong/v00", 1)
    config = load_config(root / "config.yaml")
    folders = RunDirectory(root)
    folders.evidence_path("v00").parent.mkdir(parents=True)
    context = FinishingContext(config, open_data(config, root), folders)
    finish_video(context, "v00", tuple(MEMBERS), "key")
    return root


def forget_object(folder, object_id):
    """Rewrite a prediction without one of its objects."""
    stored = list(Prediction(folder))
    with PredictionWriter(folder, 48, 48) as writer:
        for frame in stored:
            native = frame.native.copy()
            native[frame.object_ids.index(object_id)] = 0
            writer.add(FrameMasks(frame.index, frame.object_ids, frame.presence,
                                  frame.confidence, native, frame.expansion))  # fmt: skip
        writer.commit({"key": "made up"})


def test_has_a_panel_per_member_and_fusion(run, tmp_path):
    path = tmp_path / "figure.png"
    assert main([str(run), "v00", "00002", "--panel", "48", "--output", str(path)]) == 0
    # frame, three members, box average, maximum, pseudo-label, selected: eight in 3 x 3
    assert Image.open(path).size == (3 * (48 + GAP) + GAP, 3 * (48 + TITLE + GAP) + GAP)


def test_layers_are_the_members_and_the_fusions(run):
    frame, layers = figure_layers(run, "v00", "2", rules=("vote",))
    assert list(layers) == [
        "strong", "middle", "weak", "box average", "maximum", "vote", "pseudo-label",
        "selected",
    ]  # fmt: skip
    assert all(ids.shape == frame.shape[:2] for ids in layers.values())
    one = layers["box average"] == 1
    rows, columns = np.flatnonzero(one.any(axis=1)), np.flatnonzero(one.any(axis=0))
    assert one[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].mean() > 0.9


def test_the_pseudo_label_is_the_one_that_was_written(run):
    for index in range(4):
        _, layers = figure_layers(run, "v00", str(index), rules=("pgmr", "average"))
        for title, folder in (("pseudo-label", "pseudo-labels"), ("selected", "masks")):
            written = read_mask(run / folder / f"v00/{index:05d}.png", binary=False)
            np.testing.assert_array_equal(layers[title], written)
        # the run's own rule, fused anew, is the same: both come from one loop
        np.testing.assert_array_equal(layers["pgmr"], layers["pseudo-label"])


def test_other_rules_trust_members_as_the_run_does(run):
    """The member of the best prior has lost object 1: it has no say in any weighted rule."""
    _, layers = figure_layers(run, "v00", "2", rules=("average",))
    assert not (layers["strong"] == 1).any()
    assert (layers["average"] == 1).any()


def test_colours_are_where_the_masks_are():
    frame = np.zeros((40, 60, 3), np.uint8)
    ids = np.zeros((40, 60), np.uint8)
    ids[10:20, 20:40] = 1
    picture = draw(frame, {"m": ids}, panel=60)
    panel = picture[GAP + TITLE :, GAP + 60 + GAP :][:40, :60]
    assert (panel.any(axis=2) == (ids > 0)).all()


def test_what_is_not_there_is_said(run, tmp_path):
    with pytest.raises(InputError, match="no frame 9"):
        figure_layers(run, "v00", "9")
    with pytest.raises(InputError, match="unknown video"):
        figure_layers(run, "w", "0")
    with pytest.raises(InputError, match="no run folder"):
        figure_layers(tmp_path, "v00", "0")
