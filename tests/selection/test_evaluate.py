"""``python -m selection.evaluate`` and `selection.evaluate.evaluate`."""

from __future__ import annotations

import json
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mose.masks import read_mask, write_mask
from selection.evaluate import EvaluationScope
from selection.evaluate.command import evaluate, main
from stseg.errors import InputError

FIXTURE = Path(__file__).parents[1] / "fixtures" / "scores-synthetic"
SMALL = ("pair", "single")


@pytest.fixture
def masks(tmp_path) -> Path:
    """A folder with two small videos: ``pred/<video>`` and ``gt/<video>``."""
    for side in ("pred", "gt"):
        for video in SMALL:
            shutil.copytree(FIXTURE / side / video, tmp_path / side / video)
    return tmp_path


def score(folder: Path, protocol: str = "davis", workers: int = 1, **scope):
    scope = EvaluationScope(**scope)
    return evaluate(folder / "pred", folder / "gt", protocol, scope, workers=workers)


def write_video(folder: Path, masks: list[np.ndarray]) -> None:
    folder.mkdir(parents=True)
    for index, mask in enumerate(masks):
        write_mask(folder / f"{index:05d}.png", mask)


def square(object_id: int, left: int = 4) -> np.ndarray:
    mask = np.zeros((24, 40), np.uint8)
    mask[6:18, left : left + 12] = object_id
    return mask


# ---- results --------------------------------------------------------------------------------


def test_the_mean_is_over_objects_not_videos(masks):
    result = score(masks)
    scores = [scores["J"] for objects in result.videos.values() for scores in objects.values()]
    assert len(scores) == 3
    assert result.mean["J"] == pytest.approx(np.mean(scores))
    assert result.mean["J&F"] == pytest.approx((result.mean["J"] + result.mean["F"]) / 2)
    assert result.video_mean("pair")["J"] == pytest.approx(np.mean(scores[:2]))


def test_mosev2_reports_its_scores_in_the_order_of_its_scorer(masks):
    names = list(score(masks, "mosev2").json()["mean"])
    assert names[:7] == [
        "J&F_adaptive",
        "J",
        "F_adaptive",
        "J&F_disappear",
        "J&F_reappear",
        "F",
        "J&F",
    ]


def test_several_processes_score_the_same(masks):
    alone, together = score(masks, "mosev2"), score(masks, "mosev2", workers=2)
    assert together.json() == alone.json()
    assert list(together.videos) == list(SMALL)


def test_a_zip_scores_as_its_folder_with_any_number_of_processes(masks):
    archive = masks / "results.zip"
    with zipfile.ZipFile(archive, "w") as target:
        for path in sorted((masks / "pred").rglob("*.png")):
            target.write(path, path.relative_to(masks / "pred").as_posix())
    folder = score(masks)
    for workers in (1, 2):
        assert evaluate(archive, masks / "gt", workers=workers).json() == folder.json()


def test_the_root_of_a_data_set_will_do(masks):
    root = masks / "data"
    (root / "JPEGImages").mkdir(parents=True)
    for below in ("Annotations", "Annotations/480p"):
        shutil.rmtree(root / "Annotations", ignore_errors=True)
        shutil.copytree(masks / "gt", root / below)
        assert evaluate(masks / "pred", root).json() == score(masks).json()


def test_binary_masks_are_masks_of_object_1(tmp_path):
    truth = [square(1), np.zeros((24, 40), np.uint8), square(1, 5), square(1, 9)]
    ids = [square(1, 6)] * 4
    write_video(tmp_path / "gt" / "v", truth)
    write_video(tmp_path / "pred" / "v", ids)
    expected = score(tmp_path).json()
    for side, frames in (("gt", truth), ("pred", ids)):
        for index, mask in enumerate(frames):
            Image.fromarray(mask * np.uint8(255)).save(tmp_path / side / "v" / f"{index:05d}.png")
        assert score(tmp_path).json() == expected


def test_void_in_masks_of_ids_is_no_object(tmp_path):
    void = square(1)
    void[:3] = 255
    write_video(tmp_path / "gt" / "v", [square(1), void, np.where(void == 255, void, 0), square(1)])
    write_video(tmp_path / "pred" / "v", [square(1), square(1), 0 * square(1), square(1)])
    assert score(tmp_path).json()["videos"] == {"v": {"1": {"J": 1, "F": 1, "J&F": 1}}}


def test_an_object_of_the_first_mask_only_counts(tmp_path):
    first = square(1)
    first[0, 0] = 2
    write_video(tmp_path / "gt" / "v", [first, square(1), square(1), square(1)])
    write_video(tmp_path / "pred" / "v", [first, first, square(1), square(1)])
    assert score(tmp_path).videos["v"][2]["J"] == 0.5
    assert score(tmp_path, "mosev2").videos["v"][2]["J"] == 0.75
    assert 2 not in score(tmp_path, "vos-benchmark").videos["v"]
    assert score(tmp_path, "vos-benchmark", all_frames=True).videos["v"][2]["J"] == 0.75


def test_short_videos(tmp_path):
    for video, length in (("one", 1), ("two", 2), ("three", 3)):
        for side in ("gt", "pred"):
            write_video(tmp_path / side / video, [square(1)] * length)
    result = score(tmp_path)
    assert [result.videos[v][1] for v in ("one", "two")] == [None, None]
    assert result.mean["J"] == 1
    assert sum("first and the last" in note for note in result.notes) == 2
    assert score(tmp_path, "vos-benchmark").videos["two"] == {}
    zero = score(tmp_path, "mosev2")
    assert zero.videos["two"][1]["F_adaptive"] == 0
    assert zero.mean["J"] == pytest.approx(1 / 3)


# ---- meta files -----------------------------------------------------------------------------


def write_meta(path: Path, **videos) -> Path:
    path.write_text(json.dumps({"videos": videos}))
    return path


def test_a_meta_file_names_the_objects(masks):
    meta = write_meta(
        masks / "my.json", pair={"objects": ["6", "9"], "length": 22}, single={"objects": ["1"]}
    )
    for protocol in ("davis", "mosev2"):
        result = score(masks, protocol, meta=meta)
        assert list(result.videos["pair"]) == [6, 9]
        assert result.videos["pair"][9]["J"] == 1
    assert score(masks, "vos-benchmark", meta=meta).videos["pair"][9] is None


def test_a_meta_file_beside_the_labels_is_found_and_mentioned(masks):
    write_meta(masks / "meta.json", pair={"objects": {"6": {}}}, single={"objects": ["1"]})
    result = score(masks)
    assert list(result.videos["pair"]) == [6]
    assert any("meta.json" in note for note in result.notes)
    write_meta(masks / "meta.json", other={"objects": ["6"]})
    assert list(score(masks).videos["pair"]) == [1, 6]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{}", "damaged"),
        ("[]", "damaged"),
        ('{"videos": {"pair": {"objects": ["a"]}}}', "damaged"),
        ('{"videos": {"pair": {"objects": ["1"], "length": 21}}}', "21 frames"),
        ('{"videos": {"single": {"objects": ["1"]}}}', "video pair"),
    ],
)
def test_bad_meta_files(masks, content, message):
    meta = masks / "bad.json"
    meta.write_text(content)
    with pytest.raises(InputError, match=message) as caught:
        score(masks, "mosev2", meta=meta)
    assert "bad.json" in str(caught.value)


# ---- what servers refuse or forgive ---------------------------------------------------------


def test_a_missing_video_is_refused_or_zero_or_left_out(masks):
    shutil.rmtree(masks / "pred" / "single")
    for protocol in ("davis", "vos-benchmark"):
        with pytest.raises(InputError, match="video single"):
            score(masks, protocol)
    zero = score(masks, "mosev2")
    assert zero.videos["single"][1]["J"] == 0
    assert any("scores it zero" in note for note in zero.notes)
    assert list(score(masks, "mosev2", partial=True).videos) == ["pair"]
    assert list(score(masks, partial=True).videos) == ["pair"]


def test_a_video_without_labels_is_refused_by_vos_benchmark_only(masks):
    shutil.rmtree(masks / "gt" / "single")
    assert list(score(masks).videos) == ["pair"]
    with pytest.raises(InputError, match="video single"):
        score(masks, "vos-benchmark")
    assert list(score(masks, "vos-benchmark", partial=True).videos) == ["pair"]


def test_a_missing_frame_is_refused(masks):
    (masks / "pred" / "pair" / "00007.png").unlink()
    for protocol in ("davis", "vos-benchmark"):
        with pytest.raises(InputError, match=r"pair/00007\.png is missing"):
            score(masks, protocol)


def test_the_first_and_last_frame_need_not_be_there(masks):
    expected = score(masks).json()
    for name in ("00000.png", "00021.png"):
        (masks / "pred" / "pair" / name).unlink()
    assert score(masks).json() == expected


def test_a_missing_first_frame_shifts_the_window_of_mosev2(masks):
    before = score(masks, "mosev2").videos["pair"][1]["J"]
    (masks / "pred" / "pair" / "00000.png").unlink()
    shifted = score(masks, "mosev2")
    assert shifted.videos["pair"][1]["J"] != before
    assert any("00002.png to 00021.png" in note for note in shifted.notes)
    (masks / "pred" / "pair" / "00001.png").unlink()
    with pytest.raises(InputError, match="22 true masks"):
        score(masks, "mosev2")


def test_names_that_are_not_numbers(masks):
    for side in ("gt", "pred"):
        (masks / side / "pair" / "00005.png").rename(masks / side / "pair" / "00005x.png")
    assert score(masks).videos["pair"]
    with pytest.raises(InputError, match="00005x"):
        score(masks, "mosev2")


def test_a_mask_of_another_size(masks):
    path = masks / "pred" / "single" / "00003.png"
    write_mask(path, read_mask(path)[:-1])
    for workers in (1, 2):
        with pytest.raises(InputError, match=r"single/00003\.png is 96 x 131.*97 x 131"):
            score(masks, workers=workers)


@pytest.mark.parametrize("mode", ["RGB", "1"])
def test_masks_that_do_not_hold_ids(masks, mode):
    path = masks / "pred" / "single" / "00003.png"
    Image.open(path).convert(mode).save(path)
    for workers in (1, 2):
        with pytest.raises(InputError, match=rf"00003\.png has mode {mode}"):
            score(masks, workers=workers)


def test_a_cut_off_mask(masks):
    path = masks / "pred" / "single" / "00003.png"
    path.write_bytes(path.read_bytes()[:60])
    with pytest.raises(InputError, match=r"00003\.png cannot be decoded"):
        score(masks)


def test_ids_that_the_labels_do_not_have_are_mentioned(masks):
    path = masks / "pred" / "single" / "00003.png"
    ids = read_mask(path)
    ids[0, 0] = 9
    write_mask(path, ids)
    result = score(masks)
    assert list(result.videos["single"]) == [1]
    assert any("id 9" in note for note in result.notes)


def test_0_and_255_for_several_objects_is_mentioned(tmp_path):
    both = [square(1) + square(2, 20)] * 4
    write_video(tmp_path / "gt" / "v", both)
    write_video(tmp_path / "gt" / "one", [square(1)] * 4)
    for name, true in (("v", both), ("one", [square(1)] * 4)):
        write_video(
            tmp_path / "pred" / name, [np.where(ids > 0, 255, 0).astype(np.uint8) for ids in true]
        )
    (note,) = score(tmp_path).notes
    assert note.startswith("video v: its masks hold 0 and 255 alone")
    assert "the true objects are 1, 2" in note


def test_masks_that_are_numbered_otherwise_are_mentioned(tmp_path):
    write_video(tmp_path / "gt" / "v", [square(1)] * 5)
    write_video(tmp_path / "pred" / "v", [square(1)] * 6)
    assert not score(tmp_path).notes
    (tmp_path / "pred" / "v" / "00000.png").unlink()
    (note,) = score(tmp_path).notes
    assert "mask 00005.png has no true one, and 00000.png is missing" in note


def test_a_folder_around_the_videos_is_forgiven_and_mentioned(masks):
    expected = score(masks).json()
    (masks / "pred").rename(masks / "inner")
    (masks / "pred").mkdir()
    (masks / "inner").rename(masks / "pred" / "results")
    for protocol, notes in (("davis", 1), ("mosev2", 0)):
        result = score(masks, protocol)
        assert len(result.notes) == notes
    assert score(masks).json() == expected


def test_nothing_to_compare(masks, tmp_path):
    (tmp_path / "empty").mkdir()
    for prediction, truth, message in (
        ("empty", "gt", "empty holds no masks"),
        ("pred", "empty", "empty holds no masks"),
        ("pred", "nowhere", "nowhere does not exist"),
        ("pred/pair", "gt", "holds no"),
    ):
        with pytest.raises(InputError, match=message):
            evaluate(masks / prediction, masks / truth)
    write_video(tmp_path / "other" / "x", [square(1)] * 3)
    with pytest.raises(InputError, match="holds no video of"):
        evaluate(tmp_path / "other", masks / "gt")


def test_labels_of_the_first_frame_only(masks):
    for video in SMALL:
        for path in sorted((masks / "gt" / video).glob("*.png"))[1:]:
            path.unlink()
    with pytest.raises(InputError, match="labels of all frames"):
        score(masks)


def test_all_frames_is_for_vos_benchmark(masks):
    with pytest.raises(InputError, match="vos-benchmark"):
        score(masks, all_frames=True)


# ---- the command ----------------------------------------------------------------------------


def run(folder: Path, *arguments: str) -> int:
    return main([str(folder / "pred"), str(folder / "gt"), "--workers", "1", *arguments])


def test_the_command_prints_a_table_and_writes_files(masks, capsys):
    written = masks / "scores.json", masks / "scores.csv"
    assert run(masks, "--json", str(written[0]), "--csv", str(written[1])) == 0
    result = score(masks)
    assert json.loads(written[0].read_text()) == json.loads(json.dumps(result.json()))
    out = capsys.readouterr().out.splitlines()
    assert out[0].split() == ["video", "object", "J&F", "J", "F"]
    last = next(line for line in out if line.startswith("all videos"))
    assert last.split()[3:] == [f"{100 * result.mean[name]:.1f}" for name in ("J&F", "J", "F")]
    assert not list(masks.glob(".*"))


def test_the_csv_has_the_layout_of_vos_benchmark(masks):
    lines = score(masks, "vos-benchmark").csv().splitlines()
    assert lines[0] == "sequence    ,obj,  J&F,    J,    F"
    assert lines[1] == "Global score,   , 28.6, 40.9, 16.3"
    assert lines[2] == "pair        ,001, 25.4, 40.6, 10.2"
    assert len(lines) == 5


def test_the_csv_of_mosev2_has_further_columns(masks):
    header, _, first, *_ = score(masks, "mosev2").csv().splitlines()
    named = dict(zip(header.replace(" ", "").split(","), first.split(","), strict=True))
    assert named["obj"] == "001"
    assert float(named["J&F_disappear"]) == pytest.approx(25.0, abs=0.05)


def test_a_protocol_that_does_not_exist(masks):
    with pytest.raises(InputError, match="did you mean 'mosev2'"):
        score(masks, "mose2")
