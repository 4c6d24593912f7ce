"""What `evaluate` makes of the layouts of boards: kinds, ranges, objects by themselves."""

from __future__ import annotations

import json
from pathlib import Path

import board_layouts
import numpy as np
import pytest
from layouts import write_masks

from mose import InputError
from mose.boards import board_named
from selection.evaluate import EvaluationScope, evaluate
from selection.evaluate.command import main
from selection.evaluate.masks import find_masks
from selection.evaluate.unseen import unseen_objects
from selection.metrics import FrameScore, ScoredObject
from selection.metrics.protocols import visor, vots, ytvos
from selection.metrics.protocols.protocol import mean_kinds


def scope(board: str) -> EvaluationScope:
    return EvaluationScope(board=board_named(board))


def frame(value: float, there: bool = True) -> FrameScore:
    return FrameScore(value, value / 2, value / 2, there, True)


def test_g_of_youtube_vos_worked_by_hand():
    """Two seen objects and an unseen one, given on their first frame.

    Seen: J of 0.6 and 0.8 with F half of it, the first of 0.4 and 0.8 after its first frame:
    J_seen = 0.7, F_seen = 0.35. Unseen: J_unseen = 0.2, F_unseen = 0.1.
    G = (0.7 + 0.35 + 0.2 + 0.1) / 4 = 0.3375.
    """
    first = ytvos.conclude([frame(0, False), frame(1), frame(0.4), frame(0.8)])
    second = ytvos.conclude([frame(1), frame(0.8)])
    unseen = ytvos.conclude([frame(1), frame(0.2), frame(0.2, False)])
    objects = [ScoredObject(first), ScoredObject(second), ScoredObject(unseen, unseen=True)]
    scores = ytvos.combine(objects)
    expected = {"J_seen": 0.7, "F_seen": 0.35, "J_unseen": 0.2, "F_unseen": 0.1, "G": 0.3375}
    assert {name: scores[name] for name in expected} == pytest.approx(expected)
    assert ytvos.conclude([frame(0, False), frame(1)]) is None


def test_kinds_without_an_unseen_object():
    scores = mean_kinds([ScoredObject({"J": 0.5, "F": 0.3})], "JF")
    assert (scores["J"], scores["J_unseen"], scores["J&F"]) == (0.5, None, 0.4)


def test_visor_counts_unseen_kitchens_apart():
    objects = [ScoredObject({"J": 1.0, "F": 1.0, "J&F": 1.0}),
               ScoredObject({"J": 0.5, "F": 0.0, "J&F": 0.25}, unseen=True)]  # fmt: skip
    scores = visor.combine(objects)
    assert (scores["J"], scores["J_unseen"], scores["J&F_unseen"]) == (0.75, 0.5, 0.25)


def test_vots_takes_the_mean_of_videos():
    objects = [ScoredObject(dict.fromkeys(vots.SCORES, value), video=video)
               for video, value in (("a", 0.0), ("b", 1.0), ("b", 0.5))]  # fmt: skip
    assert vots.combine(objects)["Q"] == pytest.approx(0.375)


def test_lists_and_categories_tell_what_is_unseen(tmp_path):
    for board, expected in (("lvos", {("bb", 1), ("bb", 2)}), ("ytvos", {("bb", 2)}),
                            ("visor", {("bb", 1), ("bb", 2)})):  # fmt: skip
        laid = board_layouts.WRITERS[board](tmp_path / board)
        objects = {"aa": (1, 2), "bb": (1, 2)}
        assert unseen_objects(laid.truth, objects) == expected
    laid = board_layouts.mose(tmp_path / "mose")
    assert unseen_objects(laid.truth, {"aa": (1,)}) is None


def test_without_kinds_or_ranges_there_is_a_note(tmp_path):
    truth = board_layouts.mose(tmp_path).truth
    notes = evaluate(truth, truth, "lvos").notes
    assert any("tells which kinds" in note for note in notes)
    assert any("no meta file with the ranges of objects" in note for note in notes)


def test_a_range_of_the_meta_file_goes_before_the_labels(tmp_path):
    laid = board_layouts.lvos(tmp_path)
    path = laid.truth / "valid_meta.json"
    meta = json.loads(path.read_text())
    meta["videos"]["aa"]["objects"]["1"]["frame_range"] |= {"start": "21", "end": "41"}
    path.write_text(json.dumps(meta))
    masks = tmp_path / "pred"
    for video, length in board_layouts.VIDEOS.items():
        names = [f"{5 * n + 1:08d}" for n in range(length)]
        found = board_layouts.labels(video, names)
        found["00000006"] = np.zeros_like(found["00000006"])  # before the range
        write_masks(masks / video, found)
    videos = evaluate(masks, laid.root / "valid", None, scope("lvos")).videos
    assert videos["aa"][1]["J"] == 1.0
    assert videos["bb"][1]["J"] < 1.0


@pytest.fixture
def apart(tmp_path: Path) -> tuple[Path, Path]:
    """Labels with one folder per object that overlap, and the same as predictions."""
    truth = board_layouts.sav(tmp_path / "data").truth
    for video in board_layouts.VIDEOS:
        for object_id in (1, 2):
            masks = {
                f"{n:05d}": board_layouts.planes(video, n)[object_id].astype(np.uint8)
                for n in range(0, board_layouts.VIDEOS[video], 4)
            }
            write_masks(tmp_path / "pred" / video / f"{object_id - 1:03d}", masks)
    return tmp_path / "pred", truth


def test_objects_by_themselves_may_overlap(apart):
    for named in ((None, scope("sav")), ("sav",)):
        found = evaluate(*apart, *named)
        assert found.mean["J"] == 1.0
        assert set(found.videos["aa"]) == {1, 2}


def test_masks_of_ids_are_scored_against_labels_of_single_objects(apart, tmp_path):
    for video, length in board_layouts.VIDEOS.items():
        names = [f"{n:05d}" for n in range(length)]
        write_masks(tmp_path / "flat" / video, board_layouts.labels(video, names))
    found = evaluate(tmp_path / "flat", apart[1], None, scope("sav")).videos["aa"]
    assert found[1]["J"] < 1.0  # object 2 hides a part of it
    assert found[2]["J"] == 1.0


def test_an_object_without_masks_is_one_sentence(apart):
    for path in (apart[0] / "aa" / "001").glob("*"):
        path.unlink()
    with pytest.raises(InputError, match=r"video aa of .* has no masks of object 001"):
        evaluate(*apart, None, scope("sav"))


def test_one_video_alone_is_found_by_its_board(apart):
    only = {"aa": None}
    parts = find_masks(apart[1], None)
    assert set(parts) == set(board_layouts.VIDEOS)
    assert set(parts["aa"]) == {"000", "001"}
    assert only.keys() <= parts.keys()


def test_the_command_says_the_board_that_labels_show(apart, capsys):
    assert main([str(apart[0]), str(apart[1]), "--workers", "1"]) == 0
    out = capsys.readouterr().out.splitlines()
    assert out[0] == "board sav, by JPEGImages_24fps; --board names another one"
    assert main([str(apart[0]), str(apart[1]), "--workers", "1", "--protocol", "sav"]) == 0
    assert capsys.readouterr().out.startswith("video")
