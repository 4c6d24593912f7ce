"""The training part of SA-V, and SeCVOS: what becomes a data set of folders of masks."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from layouts import write_frames
from pycocotools import mask as coco

from finetune.clip_options import DataOptions
from finetune.data.sources import FolderClips
from mose import InputError
from mose.boards import board_named, chosen_board, sav_train, secvos
from mose.boards.opening import open_board_dataset
from selection.export.movie import write_movie
from selection.imports import __main__ as command

SIZE = (32, 48)
FRAMES = 9


def drawn() -> np.ndarray:
    """``(3, 2, H, W) bool``: two objects on every fourth frame, the second from the second on."""
    planes = np.zeros((3, 2, *SIZE), bool)
    for index in range(3):
        planes[index, 0, 4:24, 4 + index : 30] = True
        planes[index, 1, 8:16, 10:20] = index > 0
    return planes


def write(root: Path, name: str = "sav_000001", **changed: object) -> Path:
    folder = root / "sav_000"
    folder.mkdir(parents=True, exist_ok=True)
    pictures = np.random.default_rng(0).integers(0, 255, (FRAMES, *SIZE, 3), dtype=np.uint8)
    write_movie(folder / f"{name}.mp4", pictures, SIZE, 24)
    masks = [
        [
            {"size": list(SIZE), "counts": coco.encode(np.asfortranarray(p))["counts"].decode()}
            for p in frame.astype(np.uint8)
        ]
        for frame in drawn()
    ]
    content = {"video_height": 32.0, "video_width": 48.0, "masklet_id": [0, 1], "masklet": masks}
    (folder / f"{name}_manual.json").write_text(json.dumps(content | changed))
    return root


def test_movies_and_run_lengths_are_a_data_set(tmp_path):
    root = write(tmp_path / "SA-V")
    board, sentence = chosen_board(None, root)
    assert board is sav_train.BOARD
    assert "sav_000001_manual.json" in sentence
    dataset = open_board_dataset(board, root, tmp_path / "runs", "train")
    video = dataset.video("sav_000001").with_overlap()
    assert (len(video), video.object_ids) == (FRAMES, (1, 2))
    planes = drawn()
    assert np.array_equal(video.given(0).plane(1), planes[0, 0])
    assert np.array_equal(video.given(4).plane(2), planes[1, 1])
    assert board.wanted(dataset, "sav_000001") is None


def test_every_fourth_frame_is_trained_on(tmp_path):
    root = write(tmp_path / "SA-V")
    command.main([str(root), str(tmp_path / "out")])
    options = DataOptions(dataset=str(tmp_path / "out"), frames=3, size=32, crop=1)
    clips = FolderClips(options)
    labels = clips.dataset.label_masks("sav_000001", clips.dataset.video("sav_000001"))
    assert list(labels.paths) == [0, 4, 8]
    wanted = np.where(drawn()[1, 1], 2, drawn()[1, 0])
    assert np.array_equal(labels(4), wanted)
    clip = clips(np.random.default_rng(1))
    assert (len(clip.frames), set(np.unique(clip.labels))) == (3, {0, 1, 2})


@pytest.mark.parametrize(
    ("changed", "said"),
    [({"masklet": [[{"size": [1, 1], "counts": "1"}] * 2]}, "a mask is"),
     ({"masklet": [[]]}, "damaged"), ({"masklet_id": []}, "damaged"),
     ({"masklet": []}, "no object")],
)  # fmt: skip
def test_damaged_masks_are_one_sentence(tmp_path, changed, said):
    with pytest.raises(InputError, match=said):
        sav_train.lay_out(write(tmp_path / "SA-V", **changed), tmp_path / "out")


def test_masks_without_a_movie(tmp_path):
    root = write(tmp_path / "SA-V")
    (root / "sav_000" / "sav_000001.mp4").unlink()
    assert sav_train.shown_by(root) is None
    with pytest.raises(InputError, match=r"have no movie: sav_000001\.mp4 belongs beside"):
        sav_train.lay_out(root, tmp_path / "out")


def test_secvos_is_known_by_its_scenes(tmp_path):
    write_frames(tmp_path / "JPEGImages" / "v", ["00000"], SIZE)
    (tmp_path / "scene_info.json").write_text("{}")
    assert chosen_board(None, tmp_path)[0] is secvos.BOARD is board_named("secvos")
