"""The comparison figure."""

import numpy as np
import pytest
from PIL import Image
from simulated import make_run

from stseg.errors import InputError
from study.figure import GAP, TITLE, draw, main
from study.layers import figure_layers


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return make_run(tmp_path_factory.mktemp("figure"), videos=1, frames=4)


def test_has_a_panel_per_member_and_fusion(run, tmp_path):
    path = tmp_path / "figure.png"
    assert main([str(run), "v00", "00002", "--panel", "48", "--output", str(path)]) == 0
    # frame, three members, box average, maximum, pseudo-label: seven panels in 3 x 3
    assert Image.open(path).size == (3 * (48 + GAP) + GAP, 3 * (48 + TITLE + GAP) + GAP)


def test_layers_are_the_members_and_the_fusions(run):
    frame, layers = figure_layers(run, "v00", "2", rules=("vote",))
    assert list(layers) == [
        "strong", "middle", "weak", "box average", "maximum", "vote", "pseudo-label",
    ]  # fmt: skip
    assert all(ids.shape == frame.shape[:2] for ids in layers.values())
    one = layers["box average"] == 1
    rows, columns = np.flatnonzero(one.any(axis=1)), np.flatnonzero(one.any(axis=0))
    assert one[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].mean() > 0.9


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
