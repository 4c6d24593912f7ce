"""Real data: fine-tuning from a checkpoint on a folder of videos, with a hold-out; augmentation."""

import csv
import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from small_recipes import FRAMES, read_log, recipe, write_videos

from finetune import command
from finetune.clip_options import AugmentOptions, DataOptions
from finetune.data.batches import BatchMaker
from finetune.data.compose import TrainingClip, occlude_object, paste_object
from finetune.data.sources import FolderClips, MixedClips, SyntheticClips, open_clips
from finetune.holdout import evaluator, labelled_videos, video_score
from finetune.models import make_network, official_state, write_weights
from finetune.recipe import ValidationOptions
from finetune.stage_runs import is_trained
from finetune.trainer import Trainer
from mose import InputError
from mose.masks import read_mask, write_mask
from mose.plus.__main__ import main as plus
from stseg.options import build


@pytest.fixture(scope="module")
def davis(tmp_path_factory):
    return write_videos(tmp_path_factory.mktemp("davis"), ("bear", "bus", "surf"), binary=True)


@pytest.fixture(scope="module")
def start(tmp_path_factory):
    stem = tmp_path_factory.mktemp("start") / "xmem"
    write_weights(stem, "xmem", make_network(recipe("xmem", seed=9)).state_dict())
    return stem.with_suffix(".safetensors")


def tuning(dataset, start, **changes):
    values = {
        "sizes": {},
        "weights": str(start),
        "batch": 2,
        "steps": 4,
        "save_every": 2,
        "threads": 1,
        "data": {
            "dataset": str(dataset), "exclude": ["bear"], "size": 64, "frames": 3,
            "objects": 2, "frame_step": [1, 2],
        },
        "optimiser": {"rate": 1e-3, "freeze_norms": True},
        "validation": {
            "every": 2, "dataset": "training", "videos": ["bear"],
            "options": {"short_side": 64},
        },
    }  # fmt: skip
    return recipe("xmem", **(values | changes))


def test_fine_tuning_from_a_checkpoint_keeps_best_and_last(
    davis, start, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(command, "load_recipe", lambda path, overrides: tuning(davis, start))
    monkeypatch.setattr(command, "load_stages", lambda path, overrides: ())
    assert command.main(["--config", "none", "--output", str(tmp_path)]) == 0
    with open(tmp_path / "validation.csv", newline="") as file:
        rows = [(int(r["step"]), float(r["J&F"])) for r in csv.DictReader(file)]
    assert [step for step, _ in rows] == [2, 4]
    best = max(score for _, score in rows)
    assert f"best J&F on the hold-out {best:.1f}" in capsys.readouterr().out
    names = {path.name for path in tmp_path.iterdir()}
    assert {"best.pth", "best.safetensors", "last.pth", "last.safetensors"} <= names
    assert not any(name.startswith("candidate") for name in names)
    score = evaluator(tuning(davis, start), video_score)
    assert score(tmp_path / "best.safetensors") == pytest.approx(best)
    assert score(tmp_path / "last.safetensors") == pytest.approx(rows[-1][1])
    before, after = load_file(start), load_file(tmp_path / "last.safetensors")
    assert before.keys() == after.keys()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed
    assert not any("running_" in name for name in changed)


def test_a_hold_out_that_is_not_there_is_told_before_the_training(davis, start, tmp_path):
    for changed in ({"dataset": "nowhere"}, {"dataset": "training", "videos": ["x*"]}):
        values = tuning(davis, start, validation={"every": 2, **changed})
        with pytest.raises(InputError, match=r"does not exist|is left by the patterns"):
            command.train(values, tmp_path / "out", resume=False)
    assert not (tmp_path / "out").exists()


def test_the_hold_out_is_prompted_once_and_scored_as_davis_does(davis):
    options = ValidationOptions(every=1, dataset=str(davis), videos=("b*",))
    names = []
    for video, truth in labelled_videos(options):
        names.append(video.name)
        assert list(video.prompts) == [0]
        assert len(truth) == FRAMES
        assert set(np.unique(truth[0])) == {0, 1}
        assert video_score(truth[1:-1], truth[1:-1]) == 1
    assert names == ["bear", "bus"]
    synthetic = list(
        labelled_videos(ValidationOptions(every=1, count=2, frames=4, size=64, objects=1))
    )
    assert len(synthetic) == 2
    assert not np.array_equal(synthetic[0][0][0], synthetic[1][0][0])
    later = ValidationOptions(every=1, first=1, count=1, frames=4, size=64, objects=1)
    ((video, truth),) = labelled_videos(later)
    assert video.name == synthetic[1][0].name
    assert np.array_equal(truth, synthetic[1][1])


def test_clips_of_a_folder_are_stretches_of_its_videos(davis):
    options = DataOptions(str(davis), size=64, frames=3, objects=1, crop=1.0)
    source = FolderClips(options)
    assert source.videos == ("bear", "bus", "surf")
    for seed in range(4):
        clip = source(np.random.default_rng(seed))
        assert clip.frames.shape == (3, 64, 64, 3)
        assert set(np.unique(clip.labels)) == {0, 1}
        assert (clip.weights == 1).all()
        again = source(np.random.default_rng(seed))
        assert np.array_equal(clip.frames, again.frames)
        assert np.array_equal(clip.labels, again.labels)


def test_clips_use_labelled_frames_only(tmp_path):
    root = write_videos(tmp_path, ("a",), skip=(1, 3, 4, 5))
    two = DataOptions(str(root), size=64, frames=2, objects=2)
    FolderClips(two)(np.random.default_rng(0))
    with pytest.raises(InputError, match="no clip of 3 labelled frames"):
        FolderClips(DataOptions(str(root), size=64, frames=3, objects=2))(np.random.default_rng(0))


class Sometimes:
    """A source whose clips have a visible object now and then, or never."""

    def __init__(self, share):
        self.share = share

    def __call__(self, rng):
        side = 20 if rng.random() < self.share else 3
        return square(8, 8, (250, 0, 0), 5, side)


def test_every_clip_has_an_object_to_follow():
    make = BatchMaker(Sometimes(0.2), AugmentOptions(), 2, 12, seed=1)
    batch = make(0)
    assert batch.valid[:, 0].all()
    assert (batch.masks[:, 0, 0].sum((-2, -1)) == 400).all()
    with pytest.raises(InputError, match="no clip whose first frame shows 16 pixels"):
        BatchMaker(Sometimes(0), AugmentOptions(), 2, 1, seed=1)(0)


def test_what_is_to_be_ignored_reaches_a_batch(start, tmp_path):
    root = write_videos(tmp_path / "void", ("a",))
    for path in (root / "Annotations/a").iterdir():
        ids = read_mask(path)
        ids[:, :20] = 255
        write_mask(path, ids)
    source = open_clips(tuning(root, start).data)
    batch = BatchMaker(source, AugmentOptions(), 2, 4, seed=1)(0)
    assert batch.ignore is not None
    assert batch.ignore.any()
    assert not (batch.masks.amax(2).bool() & batch.ignore).any()
    plain = write_videos(tmp_path / "plain", ("a",))
    clean = BatchMaker(open_clips(tuning(plain, start).data), AugmentOptions(), 2, 4, seed=1)(0)
    assert clean.ignore is None


def test_weights_of_masks_reach_a_batch_and_go_with_what_is_pasted(davis, tmp_path):
    frames = [f"{t:05d}" for t in range(FRAMES)]
    weights = {"bear": {t: {"1": 0.25} for t in frames}, "bus": {t: {"1": 0.5} for t in frames}}
    (tmp_path / "weights.json").write_text(json.dumps(weights))
    options = DataOptions(
        str(davis), size=64, frames=3, objects=2, crop=1.0, weights=str(tmp_path / "weights.json")
    )
    batch = BatchMaker(open_clips(options), AugmentOptions(), 2, 12, seed=1)(0)
    assert batch.weights.shape == (12, 3, 2)
    assert set(batch.weights[:, :, 0].unique().tolist()) == {0.25, 0.5, 1.0}
    assert (batch.weights[:, :, 1] == 1).all()
    pasting = BatchMaker(open_clips(options), AugmentOptions(paste=1.0), 2, 12, seed=1)(0)
    brought = set(pasting.weights[:, :, 1].unique().tolist()) - {1.0}
    assert brought
    assert brought <= {0.25, 0.5}
    plain = BatchMaker(open_clips(replace(options, weights=None)), AugmentOptions(), 2, 2, seed=1)
    assert plain(0).weights is None


def test_a_share_of_the_clips_is_of_labelled_videos(davis, tmp_path):
    other = write_videos(tmp_path, ("bear", "cat"))
    options = DataOptions(
        str(davis), size=64, frames=3, exclude=("bear",), labelled=str(other), labelled_share=0.5
    )
    mixed = open_clips(options)
    assert isinstance(mixed, MixedClips)
    assert mixed.usual.videos == ("bus", "surf")
    assert mixed.other.videos == ("cat",)
    told = [
        MixedClips(lambda rng: "usual", lambda rng: "other", 0.25)(np.random.default_rng(seed))
        for seed in range(400)
    ]
    assert 0.18 < told.count("other") / 400 < 0.32


def test_a_video_with_small_objects_is_drawn_as_often_as_others(tmp_path):
    root = write_videos(tmp_path, ("a", "b"))
    for path in (root / "Annotations/a").iterdir():
        ids = np.zeros_like(read_mask(path))
        ids[:16, :16] = 1
        write_mask(path, ids)
    (tmp_path / "weights.json").write_text(
        json.dumps({"a": {f"{t:05d}": {"1": 0.5} for t in range(FRAMES)}})
    )
    weights = str(tmp_path / "weights.json")
    source = FolderClips(DataOptions(str(root), size=32, frames=2, objects=1, weights=weights))
    of_a = [source(np.random.default_rng(n)).weights.min() == 0.5 for n in range(200)]
    assert 0.42 < np.mean(of_a) < 0.58


def test_a_training_without_patience_left_ends_and_is_whole(davis, start, tmp_path):
    values = tuning(davis, start, steps=40)
    validation = replace(values.validation, every=1, patience=2)
    values = replace(values, validation=validation)
    scores = iter([50.0, 60.0, 40.0, 30.0])
    trainer = Trainer(values, tmp_path, lambda path: next(scores))
    assert not is_trained(values, tmp_path)
    trainer.run()
    assert (trainer.step, trainer.best) == (4, 60.0)
    assert is_trained(values, tmp_path)


def test_mose_plus_is_a_training_set(davis, start, tmp_path):
    config = tmp_path / "plus.yaml"
    config.write_text("{min_frames: 4, least_score: 0}")
    made = tmp_path / "plus"
    command_line = ["build", "--davis", str(davis), "--output", str(made), "--config", str(config)]
    assert plus(command_line) == 0
    source = open_clips(tuning(made, start).data)
    assert source.videos == ("davis_bear", "davis_bus", "davis_surf")
    command.train(tuning(made, start, validation={}), tmp_path / "out", resume=False)
    rows = read_log(tmp_path / "out")
    assert len(rows) == 4
    assert all(np.isfinite(float(row["loss"])) for row in rows)


def square(top, left, colour, value, side=16):
    frames = np.full((3, 64, 64, 3), 20, np.uint8)
    labels = np.zeros((3, 64, 64), np.uint8)
    for t in range(3):
        window = (t, slice(top, top + side), slice(left + 4 * t, left + 4 * t + side))
        frames[window], labels[window] = colour, value
    return TrainingClip.sure(frames, labels)


def test_pasted_objects_bring_their_masks_or_take_those_below():
    clip = square(4, 4, (250, 0, 0), 5)
    other = square(30, 30, (0, 250, 0), 9)
    seen = set()
    for seed in range(40):
        pasted = paste_object(clip, other, np.random.default_rng(seed))
        frames, labels = pasted.frames, pasted.labels
        green = (frames[..., 1] > 200) & (frames[..., 0] < 60)
        red = (frames[..., 0] > 200) & (frames[..., 1] < 60)
        new = set(np.unique(labels)) - {0, 5}
        assert new <= {1}
        seen.add(bool(new))
        assert not (labels[green] == 5).any()
        assert (labels[red] == 5).all()
        if new:
            assert (labels[green] == 1).all()
        assert np.count_nonzero(labels[0] == 5) >= 0.25 * 16 * 16
    assert seen == {True, False}


def test_occluders_spare_the_first_frame_and_cross_an_object():
    clip = square(24, 20, (250, 0, 0), 5)
    hidden = 0
    for seed in range(20):
        texture = np.full((64, 64, 3), 99, np.uint8)
        occluded = occlude_object(clip, texture, np.random.default_rng(seed))
        frames, labels = occluded.frames, occluded.labels
        assert np.array_equal(frames[0], clip.frames[0])
        assert np.array_equal(labels[0], clip.labels[0])
        assert not (labels[(frames == 99).all(-1)] == 5).any()
        hidden += np.count_nonzero(labels == 5) < np.count_nonzero(clip.labels == 5)
    assert hidden >= 18


def test_enlarged_clips_are_drawn_at_half_the_size():
    plain = DataOptions(size=64, frames=2, objects=2, preset="easy")
    drawn = {
        share: SyntheticClips(replace(plain, enlarge=share))(np.random.default_rng(2))
        for share in (0.0, 1.0)
    }
    labels = drawn[1.0].labels
    assert drawn[1.0].frames.shape == drawn[0.0].frames.shape == (2, 64, 64, 3)
    assert np.array_equal(labels[:, ::2, ::2].repeat(2, 1).repeat(2, 2), labels)
    assert labels[0].any()
    sharpness = {
        share: np.abs(np.diff(clip.frames.astype(float), axis=2)).mean()
        for share, clip in drawn.items()
    }
    assert sharpness[1.0] < sharpness[0.0]
    with pytest.raises(InputError, match="enlarge in recipe is 2"):
        build(DataOptions, {"enlarge": 2}, "recipe")


def test_every_augmentation_is_a_function_of_seed_and_number():
    options = DataOptions(size=64, frames=3, objects=2, preset="easy")
    strong = AugmentOptions(0.5, 20, 10, 0.2, 0.1, 0.2, 0.2, 0.2, 0.1, 0.2, 1.0, 7, 1.0, 1.0)
    plain = BatchMaker(open_clips(options), AugmentOptions(), 2, 1, seed=3)
    make = BatchMaker(open_clips(options), strong, 2, 4, seed=3)
    before = torch.random.get_rng_state()
    whole = make(5)
    assert torch.equal(before, torch.random.get_rng_state())
    halves = [BatchMaker(open_clips(options), strong, 2, 2, 3, first=first)(5) for first in (0, 2)]
    assert torch.equal(whole.frames, torch.cat([half.frames for half in halves]))
    assert torch.equal(whole.masks, torch.cat([half.masks for half in halves]))
    assert not torch.equal(whole.frames[:1], plain(5).frames)
    assert set(whole.masks.unique().tolist()) == {0.0, 1.0}
    assert whole.frames.min() >= 0
    assert whole.frames.max() <= 1


def test_motion_blur_runs_along_one_direction_through_a_clip():
    frames = torch.zeros(3, 3, 64, 64)
    frames[:, :, 32, 32] = 1
    labels = torch.zeros(3, 64, 64, dtype=torch.uint8)
    from finetune.data.augment import augment

    options = AugmentOptions(motion_blur=1.0, blur_length=9)
    blurred, _ = augment(frames, labels, options, np.random.default_rng(1))
    assert torch.equal(blurred[0], blurred[2])
    rows, columns = torch.nonzero(blurred[0, 0] > 0.02, as_tuple=True)
    spread = np.linalg.eigvalsh(np.cov(torch.stack([rows, columns]).float().numpy()))
    assert spread[1] > 4 * spread[0]
    assert float(blurred[0, 0].sum()) == pytest.approx(1, abs=0.05)


def test_absent_kornia_is_one_sentence(monkeypatch):
    from finetune.data import augment

    monkeypatch.setitem(__import__("sys").modules, "kornia.augmentation", None)
    with pytest.raises(InputError, match=r"pip install 'stseg\[train\]'"):
        augment.steps(AugmentOptions(flip=0.123))


def test_official_names_are_written(start):
    network = make_network(recipe("xmem", seed=9))
    assert load_file(start).keys() == official_state("xmem", network.state_dict()).keys()
