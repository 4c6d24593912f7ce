"""Boards: what shows them, and what is said of a zip that a server would not take."""

from __future__ import annotations

import dataclasses
import json
import shutil
import zipfile
from pathlib import Path

import board_layouts
import numpy as np
import pytest
from layouts import write_masks

from mose import InputError
from mose.boards import (
    board_named,
    chosen_board,
    davis,
    lvos,
    mosev2,
    sav,
    visor,
    vost,
    vots,
    ytvos,
)
from mose.boards import mose as mose_v1
from mose.boards.board import MaskForm
from mose.boards.checks import prefix_of
from mose.boards.opening import open_board_dataset
from mose.boards.packing import MaskFolders, pack
from mose.check import check_dataset, check_results, main
from mose.dataset import open_dataset

SHOWN = (mosev2, davis, lvos, sav, ytvos, vost, visor)


@pytest.fixture
def laid(tmp_path):
    def make(board: str) -> board_layouts.Laid:
        return board_layouts.WRITERS[board](tmp_path / board)

    return make


def packed(laid: board_layouts.Laid, board: str, folder: Path) -> Path:
    """The zip of a board with its own labels, where they are exclusive, as masks."""
    dataset = open_board_dataset(board_named(board), laid.root, folder, laid.split)
    for video in dataset.videos:
        opened = dataset.video(video)
        masks = {name: np.zeros((opened.height, opened.width), np.uint8)
                 for name in opened.frame_names}  # fmt: skip
        masks[opened.frame_names[0]] = opened.prompts[0]
        write_masks(folder / "masks" / video, masks)
    folders = MaskFolders(folder / "masks", folder / "objects")
    pack(board_named(board), folders, folder / "s.zip", None, dataset)
    return folder / "s.zip"


def without(path: Path, *names: str, move: str = "") -> Path:
    """A zip without some entries, and with the others below another folder."""
    target = path.with_name("other.zip")
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(target, "w") as sink:
        for name in source.namelist():
            if not name.startswith(names or ("\0",)):
                sink.writestr(move + name, source.read(name))
    return target


def rules(report) -> set[str]:
    return {finding.rule for finding in report.findings if finding.severity != "note"}


def only(report, rule: str) -> str:
    [sentence] = {finding.sentence for finding in report.findings if finding.rule == rule}
    return sentence


def test_a_data_set_shows_its_board(laid):
    for module in SHOWN:
        name = module.BOARD.name
        board, sentence = chosen_board(None, laid(name).root)
        assert board is module.BOARD
        assert sentence.startswith(f"board {name}, by ")
    assert chosen_board(None, laid("vots").root)[0].name == "vots"
    board, sentence = chosen_board(None, laid("mose").root)
    assert board is mose_v1.BOARD
    assert "nothing in the data set" in sentence


def test_a_named_board_goes_before_the_one_that_is_shown(laid):
    board, sentence = chosen_board("davis", laid("lvos").root)
    assert board is davis.BOARD
    assert sentence == "board davis, though valid_meta.json is a sign of lvos"


def test_a_wrong_board_is_one_sentence(laid):
    with pytest.raises(InputError, match=r"is no data set of board davis: .* is of sav"):
        chosen_board("davis", laid("sav").root)
    with pytest.raises(InputError, match="did you mean 'mose'"):
        chosen_board("mosé", laid("mose").root)


@pytest.mark.parametrize("board", ["lvos", "ytvos"])
def test_a_missing_meta_file_is_one_sentence(laid, board):
    root = laid(board).root
    for path in root.rglob("*meta.json"):
        path.unlink()
    with pytest.raises(InputError, match=r"has no .*meta\.json, which .* goes by"):
        chosen_board(board, root)


def test_a_sequence_whose_name_looks_like_a_comment_is_listed(laid):
    data = laid("vots")
    (data.root / "aa").rename(data.root / "#aa")
    (data.root / "list.txt").write_text("# sequences\n#aa\nbb\n")
    assert vots.shown_by(data.root)
    assert list(vots.sequences(data.root)) == ["#aa", "bb"]


def test_an_object_of_vots_without_a_region(laid, tmp_path):
    data = laid("vots")
    path = min(data.root.glob("*/groundtruth_*.txt"))
    path.write_text("0\n0\n")
    with pytest.raises(InputError, match=r"has no first mask: .* holds no region"):
        vots.lay_out(data.root, tmp_path / "out")


def test_half_a_tree_is_one_sentence(laid, tmp_path):
    half = laid("visor")
    shutil.rmtree(half.root / "JPEGImages" / "480p" / "bb")
    with pytest.raises(InputError, match="video bb of the split's list"):
        open_board_dataset(visor.BOARD, half.root, tmp_path, half.split)
    half = laid("vots")
    (half.root / "bb" / "sequence").unlink()
    with pytest.raises(InputError, match=r"sequence bb of .* is not whole"):
        open_board_dataset(vots.BOARD, half.root, tmp_path, half.split)


def test_an_object_without_a_first_mask_is_one_sentence(laid):
    data = laid("ytvos")
    (data.root / "valid_all_frames" / "Annotations" / "aa" / "00005.png").unlink()
    report = check_dataset(open_dataset(data.root, "valid_all_frames"), 1)
    assert "lists object 2 of video aa, but no given mask holds it" in only(report, "no-first-mask")


def test_the_size_limit_of_a_server_is_one_sentence(laid, tmp_path):
    archive = packed(laid("lvos"), "lvos", tmp_path)
    small = dataclasses.replace(lvos.BOARD, size_limit=100)
    sentence = only(check_results(archive, None, 1, small), "size-limit")
    assert "the LVOS server takes at most" in sentence


def test_where_videos_lie_in_the_zip(laid, tmp_path):
    data = laid("lvos")
    archive = packed(data, "lvos", tmp_path)
    dataset = open_dataset(data.root, data.split)
    assert check_results(archive, dataset, 1, lvos.BOARD).accepted
    plain = tmp_path / "plain.zip"
    with zipfile.ZipFile(archive) as source, zipfile.ZipFile(plain, "w") as sink:
        for name in source.namelist():
            sink.writestr(name.removeprefix("Annotations/"), source.read(name))
    sentence = only(check_results(plain, dataset, 1, lvos.BOARD), "board-folder")
    assert "looks for them in 'Annotations/'" in sentence
    alone = without(archive, "Annotations/bb/")
    assert "of a single one" in only(check_results(alone, dataset, 1, lvos.BOARD), "single-video")
    # elsewhere such a folder is one too many
    assert "wrapping-folder" in rules(check_results(archive, dataset, 1))


def test_only_the_wanted_frames_are_packed_and_missed(laid, tmp_path):
    data = laid("ytvos")
    archive = packed(data, "ytvos", tmp_path)
    with zipfile.ZipFile(archive) as source:
        assert source.namelist()[:3] == [f"Annotations/aa/{n:05d}.png" for n in (0, 5, 10)]
    dataset = open_dataset(data.root, data.split)
    assert check_results(archive, dataset, 1, ytvos.BOARD).accepted
    less = without(archive, "Annotations/aa/00005.png")
    assert "aa/00005.png" in only(check_results(less, dataset, 1, ytvos.BOARD), "missing-frame")


def test_masks_of_single_objects(laid, tmp_path):
    data = laid("sav")
    archive = packed(data, "sav", tmp_path)
    dataset = open_dataset(data.root, data.split)
    assert check_results(archive, dataset, 1, sav.BOARD).accepted
    with zipfile.ZipFile(archive) as source:
        names = source.namelist()
    assert names[:5] == [*(f"aa/000/{n:05d}.png" for n in (0, 4, 8, 12)), "aa/001/00000.png"]
    report = check_results(without(archive, "aa/001/"), dataset, 1, sav.BOARD)
    assert "has no folder aa/001 of an object" in only(report, "objects")
    report = check_results(tmp_path / "masks", dataset, 1, sav.BOARD)
    found = [finding.sentence for finding in report.findings if finding.rule == "objects"]
    assert "looks for one binary mask per object" in found[0]


def test_region_files(laid, tmp_path, capsys):
    data = laid("vots")
    archive = packed(data, "vots", tmp_path)
    with zipfile.ZipFile(archive) as source:
        assert source.namelist()[:2] == [f"baseline/aa/aa_{n}_001.bin" for n in ("body", "hand")]
        long = source.read("baseline/aa/aa_body_001.bin")
    where = ["--dataset", str(data.root)]
    assert main([str(archive), *where]) == 0
    assert main([str(without(archive, "baseline/aa/aa_hand")), *where]) == 1
    assert "has no file baseline/aa/aa_hand_001.bin" in capsys.readouterr().out
    other = without(archive, "baseline/bb/bb_hand")
    with zipfile.ZipFile(other, "a") as sink:
        sink.writestr("baseline/bb/bb_hand_001.bin", long)
    assert main([str(other), *where]) == 1
    assert "holds 13 regions, but video bb has 11 frames" in capsys.readouterr().out
    with pytest.raises(InputError, match="give --dataset"):
        check_results(archive, None, 1, vots.BOARD)


def test_masks_that_were_kept_apart_are_packed_as_they_are(laid, tmp_path):
    data = laid("sav")
    whole = np.ones(board_layouts.SIZE, np.uint8)
    write_masks(tmp_path / "objects" / "aa" / "001", {"00004": whole})
    write_masks(tmp_path / "objects" / "aa" / "002", {"00004": whole})
    archive = packed(data, "sav", tmp_path)
    with zipfile.ZipFile(archive) as source:
        assert source.read("aa/000/00004.png") == source.read("aa/001/00004.png")


def test_the_folders_around_videos_of_single_objects():
    names = ["out/aa/000/00000.png", "out/bb/000/00000.png"]
    assert prefix_of(MaskForm.PER_OBJECT, names, ()) == "out/"
    assert prefix_of(MaskForm.PER_OBJECT, ["aa/000/0.png", "aa/001/0.png"], ["aa"]) == ""


def test_the_command_says_the_board_first(laid, capsys):
    data = laid("lvos")
    assert main([str(data.root)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "board lvos, by valid_meta.json; --board names another one"
    assert main([str(data.root), "--board", "lvos", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["accepted"]
