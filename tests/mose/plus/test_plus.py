"""MOSE+: every documented source layout with its usual defects; masks come out as they went in."""

import csv
import json
import shutil
import subprocess
import sys
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from pycocotools import mask as coco

from mose import InputError
from mose.masks import read_mask, write_mask
from mose.plus.__main__ import main
from mose.plus.choose import MeasuredClip, PlusConfig, choose
from mose.plus.measures import Measures, measure
from mose.plus.rle import decode
from mose.plus.sources import read_source

HEIGHT, WIDTH, FRAMES = 40, 64, 10


def picture(seed, t):
    rng = np.random.default_rng(seed)
    base = rng.integers(0, 255, (5, 8, 3), dtype=np.uint8)
    return np.roll(np.kron(base, np.ones((8, 8, 1), np.uint8)), 2 * t, axis=1)


def mask_of(seed, n, t):
    """Object n on frame t: a box that moves; object 2 is away on frames 4 to 6."""
    mask = np.zeros((HEIGHT, WIDTH), bool)
    if n == 2 and 4 <= t <= 6:
        return mask
    top, left = 4 + 12 * n, (3 + 2 * t + 5 * seed) % 40
    mask[top : top + 8, left : left + 10 + n] = True
    return mask


def write_frames(folder, seed, frames=FRAMES, mode="RGB", skip=()):
    folder.mkdir(parents=True, exist_ok=True)
    for t in range(frames):
        if t not in skip:
            Image.fromarray(picture(seed, t)).convert(mode).save(folder / f"{t:05d}.jpg")


def rle(mask, kind="compressed"):
    coded = coco.encode(np.asfortranarray(mask.astype(np.uint8)))
    if kind == "compressed":
        return {"size": coded["size"], "counts": coded["counts"].decode()}
    flat = mask.T.reshape(-1).astype(int)
    changes = np.flatnonzero(np.diff(flat)) + 1
    edges = [0, *changes.tolist(), len(flat)]
    counts = [0] * int(flat[0]) + np.diff(edges).tolist()
    return {"size": list(mask.shape), "counts": counts}


def make_png(root, names=("a", "b c"), flat=False, pictures=0):
    base = root if flat else root / "train"
    for seed, name in enumerate(names):
        write_frames(base / "JPEGImages" / name, seed + pictures)
        (base / "Annotations" / name).mkdir(parents=True)
        for t in range(FRAMES):
            ids = np.zeros((HEIGHT, WIDTH), np.uint8)
            for n, object_id in enumerate((3, 200, 7)):
                ids[mask_of(seed, n, t)] = object_id
            write_mask(base / "Annotations" / name / f"{t:05d}.png", ids)


def make_vis(
    root, kind="compressed", names=("v1", "v2"), change=None, json_name="train.json", pictures=10
):
    videos, annotations = [], []
    for number, name in enumerate(names):
        write_frames(root / "train/JPEGImages" / name, pictures + number)
        videos.append(
            {
                "id": number + 1,
                "width": WIDTH,
                "height": HEIGHT,
                "length": FRAMES,
                "file_names": [f"{name}/{t:05d}.jpg" for t in range(FRAMES)],
            }
        )
        for n in range(3):
            masks = [mask_of(number, n, t) for t in range(FRAMES)]
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "video_id": number + 1,
                    "category_id": 1,
                    "segmentations": [rle(m, kind) if m.any() else None for m in masks],
                }
            )
    content = {"videos": videos, "annotations": annotations, "categories": []}
    if change:
        change(content)
    root.mkdir(parents=True, exist_ok=True)
    (root / json_name).write_text(json.dumps(content))


def make_burst(root):
    write_frames(root / "frames/train/YFCC100M/some clip", 30)
    frames = []
    for t in range(FRAMES):
        entry = {}
        for n, track in enumerate(("11", "2", "5")):
            if (mask := mask_of(1, n, t)).any():
                entry[track] = {"rle": rle(mask)["counts"], "is_gt": True}
        frames.append(entry)
    stems = [f"{t:05d}.jpg" for t in range(2 * FRAMES)]
    sequence = {
        "id": 1, "dataset": "YFCC100M", "seq_name": "some clip", "width": WIDTH,
        "height": HEIGHT, "fps": 1, "annotated_image_paths": stems[:FRAMES],
        "all_image_paths": stems,
        "neg_category_ids": [4], "not_exhaustive_category_ids": [],
        "track_category_ids": {"11": 1, "2": 1, "5": 2}, "segmentations": frames,
    }  # fmt: skip
    path = root / "annotations/train/train.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({"sequences": [sequence], "split": "train"}))


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "plus.yaml"
    path.write_text("least_score: 0.0\nmin_frames: 3\nduplicates: 1\nlongest_side: 0\n")
    return path


def build(config, out, *more):
    return main(["build", "--output", str(out), "--config", str(config), "--processes", "1",
                 *map(str, more)])  # fmt: skip


def rows(out):
    with open(out / "clips.csv", newline="") as file:
        return {row["source"] + "/" + row["name"]: row for row in csv.DictReader(file)}


def expected(seed, t, order=(0, 1, 2)):
    ids = np.zeros((HEIGHT, WIDTH), np.uint8)
    for number, n in enumerate(order, start=1):
        ids[mask_of(seed, n, t)] = number
    return ids


def test_all_sources_come_out_pixel_equal(tmp_path, config, capsys):
    make_png(tmp_path / "mose")
    make_png(tmp_path / "davis", names=("walk",), flat=True, pictures=40)
    make_vis(tmp_path / "ytvis")
    make_vis(tmp_path / "ovis", "plain", ("o1",), None, "annotations_train.json", 50)
    make_burst(tmp_path / "burst")
    out = tmp_path / "out"
    sources = ("mose", "davis", "ovis", "burst")
    given_ = [part for s in sources for part in (f"--{s}", tmp_path / s)]
    assert build(config, out, *given_, "--youtube-vis", tmp_path / "ytvis") == 0
    printed = capsys.readouterr().out
    assert "CC BY-NC-SA" in printed
    names = (out / "moseplus.txt").read_text().split("\n")[:-1]
    assert names == sorted(
        ["burst_YFCC100M_some_clip", "davis_walk", "mose_a", "mose_b_c", "ovis_o1",
         "youtube-vis_v1", "youtube-vis_v2"]
    )  # fmt: skip
    for name, seed, order in (
        ("mose_a", 0, (0, 2, 1)),  # ids 3, 200, 7 become 1, 3, 2
        ("mose_b_c", 1, (0, 2, 1)),
        ("davis_walk", 0, (0, 2, 1)),
        ("youtube-vis_v2", 1, (0, 1, 2)),
        ("ovis_o1", 0, (0, 1, 2)),
        ("burst_YFCC100M_some_clip", 1, (1, 2, 0)),  # tracks 2, 5, 11
    ):
        for t in range(FRAMES):
            ids = read_mask(out / "Annotations" / name / f"{t:05d}.png")
            np.testing.assert_array_equal(ids, expected(seed, t, order), err_msg=f"{name} {t}")
        assert len(list((out / "JPEGImages" / name).iterdir())) == FRAMES
    assert "10 frames without annotation dropped" in rows(out)["burst/YFCC100M/some clip"]["notes"]
    assert (out / "JPEGImages/mose_a/00003.jpg").samefile(
        tmp_path / "mose/train/JPEGImages/a/00003.jpg"
    )
    assert main(["report", str(out)]) == 0
    assert (out / "report.html").stat().st_size < 300_000


def test_resizing_keeps_ids_and_aspect(tmp_path, config):
    make_png(tmp_path / "mose", names=("a",))
    config.write_text("longest_side: 32\nmin_frames: 3\n")
    build(config, tmp_path / "out", "--mose", tmp_path / "mose")
    ids = read_mask(tmp_path / "out/Annotations/mose_a/00000.png")
    assert ids.shape == (20, 32)
    assert set(np.unique(ids)) == {0, 1, 2, 3}
    with Image.open(tmp_path / "out/JPEGImages/mose_a/00000.jpg") as image:
        assert image.size == (32, 20)


def strings_and_swaps(content):
    for annotation in content["annotations"]:
        for entry in annotation["segmentations"]:
            if entry:
                entry["size"] = [str(entry["size"][1]), str(entry["size"][0])]
    for video in content["videos"]:
        video["height"], video["width"] = str(video["width"]), str(video["height"])


def empties(content):
    for annotation in content["annotations"]:
        annotation["segmentations"] = [
            entry or [{"size": [HEIGHT, WIDTH], "counts": ""}, None, []][t % 3]
            for t, entry in enumerate(annotation["segmentations"])
        ]


@pytest.mark.parametrize("change", [strings_and_swaps, empties])
def test_usual_defects_do_not_change_the_masks(tmp_path, config, change):
    make_vis(tmp_path / "v", change=change)
    assert build(config, tmp_path / "out", "--youtube-vis", tmp_path / "v") == 0
    for t in range(FRAMES):
        ids = read_mask(tmp_path / f"out/Annotations/youtube-vis_v1/{t:05d}.png")
        np.testing.assert_array_equal(ids, expected(0, t))


def test_polygons_overlaps_and_too_many_objects(tmp_path, config):
    def change(content):
        first = content["annotations"][0]
        first["segmentations"][0] = [[4, 4, 20, 4, 20, 12, 4, 12]]
        big = np.zeros((HEIGHT, WIDTH), bool)
        big[2:30, 2:50] = True
        content["annotations"][1]["segmentations"] = [rle(big)] * FRAMES
        dot = np.zeros((HEIGHT, WIDTH), bool)
        for n in range(300):
            dot[:] = False
            dot[35:37, n % 60 : n % 60 + 2] = True
            content["annotations"].append(
                {"id": 100 + n, "video_id": 1, "category_id": 1,
                 "segmentations": [rle(dot)] + [None] * (FRAMES - 1)}
            )  # fmt: skip

    make_vis(tmp_path / "v", change=change, names=("v1",))
    assert build(config, tmp_path / "out", "--youtube-vis", tmp_path / "v") == 0
    row = rows(tmp_path / "out")["youtube-vis/v1"]
    assert "49 of 303 objects dropped" in row["notes"]
    ids = read_mask(tmp_path / "out/Annotations/youtube-vis_v1/00000.png")
    assert ids.max() <= 254
    first = ids[4:12, 4:20]  # the polygon, smaller than the box around it, is in front
    assert len(np.unique(first[1:-1, 1:-1])) == 1
    assert first[2, 2] != ids[25, 45] != 0


def test_clips_are_cut_where_frames_or_masks_are_missing(tmp_path, config):
    make_vis(tmp_path / "v", names=("v1",))
    (tmp_path / "v/train/JPEGImages/v1/00006.jpg").unlink()
    make_png(tmp_path / "m", names=("a",))
    (tmp_path / "m/train/Annotations/a/00002.png").unlink()
    out = tmp_path / "out"
    assert build(config, out, "--youtube-vis", tmp_path / "v", "--mose", tmp_path / "m") == 0
    assert len(list((out / "JPEGImages/youtube-vis_v1").iterdir())) == 6
    assert len(list((out / "JPEGImages/mose_a").iterdir())) == 7
    np.testing.assert_array_equal(
        read_mask(out / "Annotations/mose_a/00000.png"), expected(0, 3, (0, 2, 1))
    )
    assert "cut to frames 0..5 of 10" in rows(out)["youtube-vis/v1"]["notes"]


def test_masks_without_a_frame_are_noted(tmp_path, config):
    make_png(tmp_path / "m", names=("a",))
    masks = tmp_path / "m/train/Annotations/a"
    shutil.copy(masks / "00000.png", masks / "00099.png")
    assert build(config, tmp_path / "out", "--mose", tmp_path / "m") == 0
    notes = rows(tmp_path / "out")["mose/a"]["notes"]
    assert "1 mask without a frame" in notes
    assert "a/00099.png: not used" in notes


def bad_rle(content):
    content["annotations"][0]["segmentations"][3]["counts"] = "oops"


def bad_size(content):
    content["annotations"][0]["segmentations"][3]["size"] = [7, 9]


@pytest.mark.parametrize("change", [bad_rle, bad_size])
def test_broken_clip_is_skipped_listed_and_fails_the_command(tmp_path, config, change):
    make_vis(tmp_path / "v", change=change)
    out = tmp_path / "out"
    assert build(config, out, "--youtube-vis", tmp_path / "v") == 1
    assert (out / "moseplus.txt").read_text() == "youtube-vis_v2\n"
    assert "youtube-vis/v1" in (out / "broken.csv").read_text()


def test_odd_image_modes(tmp_path, config):
    make_png(tmp_path / "m", names=("grey", "rgb mask"))
    write_frames(tmp_path / "m/train/JPEGImages/grey", 0, mode="L")
    bad = tmp_path / "m/train/Annotations/rgb mask/00003.png"
    Image.open(bad).convert("RGB").save(bad)
    out = tmp_path / "out"
    assert build(config, out, "--mose", tmp_path / "m") == 1
    assert "RGB" in (out / "broken.csv").read_text()
    assert (out / "moseplus.txt").read_text() == "mose_grey\n"


def test_evaluation_videos_are_refused(tmp_path, config):
    make_png(tmp_path / "m", names=("a", "b"))
    make_png(tmp_path / "d", names=("a",), flat=True)
    guard = tmp_path / "valid.txt"
    guard.write_text("# MOSE valid\n\nmose/a\n")
    out = tmp_path / "out"
    sources = ("--mose", tmp_path / "m", "--davis", tmp_path / "d", "--exclude", guard)
    assert build(config, out, *sources) == 0
    kept = (out / "moseplus.txt").read_text().split()
    assert "mose_a" not in kept
    assert "evaluation" in rows(out)["mose/a"]["reason"]


def test_near_duplicates_budgets_and_short_clips(tmp_path, config):
    make_png(tmp_path / "m", names=("a", "b"))
    make_png(tmp_path / "d", names=("copy", "x", "y", "z"), flat=True)
    # "copy" has the pictures of MOSE's "a": seed 0
    for t in range(3, FRAMES):
        for kind, suffix in (("JPEGImages", "jpg"), ("Annotations", "png")):
            (tmp_path / f"d/{kind}/z/{t:05d}.{suffix}").unlink()
    config.write_text(
        "least_score: 0.0\nmin_frames: 4\nlongest_side: 0\nduplicates: 3\nbudgets: {davis: 1}\n"
    )
    out = tmp_path / "out"
    build(config, out, "--mose", tmp_path / "m", "--davis", tmp_path / "d")
    told = rows(out)
    reasons = " | ".join(row["reason"] for row in told.values())
    assert "near duplicate" in reasons
    assert "budget of 1 clips" in reasons
    assert "3 frames, fewer than 4" in told["davis/z"]["reason"]
    assert sum(row["kept"] == "1" for row in told.values() if row["source"] == "davis") <= 1


def test_build_is_repeatable_and_continues_after_a_kill(tmp_path, config):
    make_png(tmp_path / "m", names=[f"v{n}" for n in range(12)])
    calm, out = tmp_path / "calm", tmp_path / "out"
    build(config, calm, "--mose", tmp_path / "m")
    command = [sys.executable, "-m", "mose.plus", "build", "--mose", str(tmp_path / "m"),
               "--output", str(out), "--config", str(config), "--processes", "1"]  # fmt: skip
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while process.poll() is None and not list(out.glob("JPEGImages/*")):
        time.sleep(0.002)
    process.kill()
    process.wait()
    build(config, out, "--mose", tmp_path / "m")

    def contents(root):
        return {
            p.relative_to(root): p.read_bytes()
            for p in root.rglob("*")
            if p.is_file() and ".measures" not in p.parts
        }

    assert contents(out) == contents(calm)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--mose", "nowhere"], "nowhere"),
        ([], "no source"),
        (["--burst", "."], "sequences"),
        (["--mose", "m", "--exclude", "gone.txt"], "gone.txt"),
    ],
)
def test_bad_input(tmp_path, config, monkeypatch, arguments, words):
    make_png(tmp_path / "m", names=("a",))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=words):
        build(config, tmp_path / "out", *arguments)


def test_foreign_output_and_unknown_keys(tmp_path, config):
    make_png(tmp_path / "m", names=("a",))
    (tmp_path / "full").mkdir()
    (tmp_path / "full/x").touch()
    with pytest.raises(InputError, match="other things"):
        build(config, tmp_path / "full", "--mose", tmp_path / "m")
    config.write_text("wieghts: {}\n")
    with pytest.raises(InputError, match="weights"):
        build(config, tmp_path / "out", "--mose", tmp_path / "m")


def test_measures_tell_what_they_say(tmp_path):
    make_vis(tmp_path / "v", names=("v1",))
    (clip,) = read_source("youtube-vis", tmp_path / "v")
    told = measure(clip)
    assert told.objects == 3
    assert told.reappearance == pytest.approx(2 / 3, abs=1e-4)  # one object leaves and returns
    assert told.crowding == pytest.approx(2.7)
    assert told.occlusion > 0
    assert 0 < told.similarity <= 1


@given(
    values=st.lists(st.lists(st.floats(0, 1), min_size=7, max_size=7), min_size=1, max_size=12),
    seed=st.integers(0, 5),
)
@settings(max_examples=40, deadline=None)
def test_choice_is_deterministic_and_ranks_in_the_unit_interval(values, seed):
    clips = [
        MeasuredClip("davis", str(i), Measures(20, 1, *v, fingerprint=f"{1 << (8 * i):048x}"))
        for i, v in enumerate(values)
    ]
    config = PlusConfig(seed=seed, duplicates=1)
    decisions = choose(clips, config)
    assert decisions == choose(clips, config)
    assert all(0 <= d.score <= 1 for d in decisions)
    assert all(d.kept == (d.score >= config.least_score) for d in decisions)


@given(seed=st.integers(0, 10_000), kind=st.sampled_from(["compressed", "plain"]))
@settings(max_examples=50, deadline=None)
def test_run_lengths_decode_to_the_mask(seed, kind):
    rng = np.random.default_rng(seed)
    mask = rng.random((rng.integers(1, 40), rng.integers(1, 40))) < rng.random()
    decoded = decode(rle(mask, kind), *mask.shape)
    np.testing.assert_array_equal(decoded, mask)
