"""The masks that are written of a selection."""

import numpy as np
import pytest
import yaml
from small_runs import MEMBERS, arguments, make_video

from ensemble import run as command
from ensemble.finishing.video import selected_frame, write_selected
from ensemble.storage.predictions import Prediction
from ensemble.storage.run_directory import RunDirectory
from mose.dataset import open_dataset
from mose.masks import read_mask
from selection.evidence import PSEUDO_LABEL
from selection.reasons import Ground, Reason
from selection.selectors import Choice
from selection.spans import Span, whole

FRAMES = 6


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A run over a video whose object 9 is given on its frame 2, and the video."""
    root = tmp_path_factory.mktemp("finished")
    make_video(root / "data", "late", FRAMES, late=True)
    (root / "c.yaml").write_text(
        yaml.safe_dump({"members": MEMBERS, "output": {"keep_soft": True}})
    )
    assert command.main(arguments(root / "data", root / "c.yaml", root / "run")) == 0
    return RunDirectory(root / "run"), open_dataset(root / "data", "test").video("late")


PSEUDO = whole(PSEUDO_LABEL, FRAMES)
HOLD = whole("hold", FRAMES)
MIXED = (Span(0, 4, PSEUDO_LABEL), Span(4, FRAMES, "hold"))


@pytest.mark.parametrize(
    ("plan", "absent", "copied"),
    [
        ({3: PSEUDO, 9: PSEUDO}, {}, range(FRAMES)),
        ({3: PSEUDO, 9: PSEUDO}, {3: ((3, 5),)}, (0, 1, 2, 5)),
        ({3: MIXED, 9: PSEUDO}, {}, range(4)),
        ({3: HOLD, 9: HOLD}, {}, ()),
    ],
)
def test_masks_are_the_selected_ones_and_files_of_the_pseudo_label_where_it_is_all(
    finished, plan, absent, copied
):
    run, video = finished
    choice = Choice(PSEUDO_LABEL, {}, 0.0, Reason(Ground.PRIOR), plan, absent)
    predictions = {name: Prediction(run.prediction(name, video.name)) for name in ("flow", "hold")}
    assert write_selected(run, video, choice, predictions, lambda: None, None) is None
    for index, stem in enumerate(video.frame_names):
        path = run.masks(video.name) / f"{stem}.png"
        expected = selected_frame(run, video, choice, predictions, index)
        np.testing.assert_array_equal(read_mask(path), expected)
        if index in copied:
            pseudo = run.pseudo_labels(video.name) / f"{stem}.png"
            assert path.read_bytes() == pseudo.read_bytes()
