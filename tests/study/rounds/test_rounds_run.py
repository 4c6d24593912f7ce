"""A round from a run to its verdict, with a tiny network, and what it does when asked again."""

import errno
import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
import yaml
from small_recipes import SIZES, recipe, write_videos

from ensemble import rounds
from ensemble.config import load_config
from ensemble.job import TRANSDUCTIVE
from ensemble.run import main as run_main
from finetune.failures import TrainingDiverged
from finetune.models import make_network, write_weights
from mose.masks import VOID, read_mask
from selection.record import read_record
from stseg.cli import run_command
from stseg.errors import InputError
from study.rounds import forecast, per_video, stages, training_set
from study.rounds.command import main
from study.rounds.guard_set import write_guard_set
from study.rounds.options import RoundsOptions
from study.rounds.source import held_out_videos, open_finished
from study.rounds.training_set import judged_frames, weights_of, write_training_set
from study.rounds.verdict import Difference

pytestmark = pytest.mark.usefixtures("one_thread")

VIDEOS = ("a", "b", "c", "d", "e", "f")
TINY = ("recipe.data.size=32", "recipe.data.frames=2", "recipe.batch=1", "recipe.steps=2",
        "recipe.workers=0", "recipe.threads=1", "recipe.save_every=1", "rounds.quality=0.3",
        "rounds.video_steps=1", "rounds.rates=1")  # fmt: skip


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run over six videos of a tiny XMem and of hold; labels are there."""
    root = tmp_path_factory.mktemp("rounds")
    write_videos(root / "data", VIDEOS)
    write_weights(
        root / "start", "xmem", make_network(recipe("xmem", sizes=SIZES["xmem"])).state_dict()
    )
    config = {
        "data": {"dataset": str(root / "data"), "labels": "Annotations"},
        "members": [
            {"name": "hold", "adapter": "hold", "prior": 55},
            {"name": "tiny", "adapter": "xmem", "prior": 58,
             "weights": str(root / "start.safetensors"),
             "options": {"short_side": 48, "mem_every": 1, "deep_update_every": 1}},
        ],
        "execution": {"executor": "inline"},
        "output": {"submission": False},
    }  # fmt: skip
    (root / "run.yaml").write_text(yaml.safe_dump(config))
    arguments = ["--config", str(root / "run.yaml"), "--keep-soft", "--output", str(root / "run")]
    assert run_main(arguments) == 0
    return root / "run"


def line(run, output, *more):
    changes = [part for text in TINY for part in ("--set", text)]
    return ["--run", str(run), "--members", "tiny", "--output", str(output), *changes, *more]


def ask(run, output, *more):
    return main(line(run, output, *more))


@pytest.fixture(scope="module")
def after(run):
    """What a round leaves."""
    output = run.with_name("out")
    assert ask(run, output) == 0
    return output


@pytest.mark.slow
def test_the_new_member_joins_the_old_ones(run, after):
    config = load_config(after / "r1/run/config.yaml")
    assert [member.name for member in config.members] == ["hold", "tiny", "tiny@r1"]
    assert config.members[-1].prior == pytest.approx(58)
    for video in VIDEOS:
        record = read_record(after / f"r1/run/selection/{video}.json")
        assert record.candidate("tiny@r1") is not None
        assert record.provenance.notes["tiny@r1"][0] == TRANSDUCTIVE
        assert TRANSDUCTIVE in (after / f"r1/run/report/{video}.html").read_text()
    told = "<b>Transductive:</b> tiny@r1 learnt"
    assert told in (after / "r1/run/report/index.html").read_text()
    assert "Transductive" not in (run / "report/index.html").read_text()


@pytest.mark.slow
def test_old_members_do_not_run_again(run, after):
    before, kept = (root / "predictions/tiny/a/manifest.json" for root in (run, after / "r1/run"))
    assert before.read_text() == kept.read_text()
    assert before.stat().st_ino == kept.stat().st_ino


@pytest.mark.slow
def test_held_out_videos_are_judged_and_never_trained_on(after):
    verdict = json.loads((after / "r1/verdict.json").read_text())
    learnt = {path.name for path in (after / "r1/training/Annotations").iterdir()}
    frames = {path.name for path in (after / "r1/training/JPEGImages").iterdir()}
    assert learnt == frames == set(VIDEOS) - set(verdict["videos"])
    assert len(verdict["videos"]) == 3
    guard = after / "r1/guard/tiny/Labels"
    assert {path.name for path in guard.iterdir()} == set(verdict["videos"])
    told = {one["of"]: one for one in verdict["differences"]}
    drift = "agreement of tiny@r1 with tiny where that was sure"
    assert list(told) == [
        "quality of tiny@r1", "way back of tiny@r1", drift, "J&F of the chosen masks"
    ]  # fmt: skip
    assert [one for one in told if not told[one]["decides"]] == [drift]


@pytest.mark.slow
def test_the_same_command_again_does_nothing_twice(run, after, monkeypatch, capsys):
    def never(*_, **__):
        raise AssertionError("it was done again")

    for name in ("write_training_set", "run_pipeline", "learn"):
        monkeypatch.setattr(stages, name, never)
    assert ask(run, after) == 0
    assert "round 1 " in capsys.readouterr().out


@pytest.mark.slow
def test_other_settings_want_another_folder(run, after):
    with pytest.raises(InputError, match=r"other settings \(key\)"):
        ask(run, after, "--set", "rounds.seed=1")
    with pytest.raises(InputError, match=r"other settings \(per_video\)"):
        ask(run, after, "--per-video")
    with pytest.raises(InputError, match="not an empty folder"):
        ask(run, run)


KILLED = """
import os, signal, sys
from finetune.trainer import Trainer
from study.rounds import learning, stages, training_set
from study.rounds.command import main

MOMENTS = [
    (training_set, "write_mask"), (stages, "write_guard_set"), (Trainer, "save"),
    (learning, "train_once"), (stages, "keep_predictions"), (stages, "judge_round"),
]
for place, name in MOMENTS:
    child = os.fork()
    if child == 0:
        work = getattr(place, name)

        def killed(*arguments, **options):
            work(*arguments, **options)
            os.kill(os.getpid(), signal.SIGKILL)

        setattr(place, name, killed)
        os._exit(main(sys.argv[1:]))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL, name
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.slow
def test_killed_after_every_stage_it_comes_to_the_same_end(run, after, tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", KILLED, *line(run, tmp_path / "out")],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    for part in ("verdict.json", "training/weights.json", "weights/tiny/ladder.json"):
        ours, theirs = (root / "r1" / part for root in (tmp_path / "out", after))
        assert ours.read_text() == theirs.read_text()
    masks = sorted((after / "r1/run/masks").rglob("*.png"))
    assert len(masks) == 36
    for path in masks:
        ours = tmp_path / "out/r1/run/masks" / path.relative_to(after / "r1/run/masks")
        assert ours.read_bytes() == path.read_bytes()
    assert not list((tmp_path / "out/r1").glob(".*"))


@pytest.fixture
def quick(monkeypatch, run):
    """Rounds without their costly stages: trainings change nothing, and the run is that before."""
    finished = open_finished(run)
    monkeypatch.setattr(stages, "learn", lambda *_: run.with_name("start.safetensors"))
    monkeypatch.setattr(stages, "adapt_per_video", lambda *_: None)
    monkeypatch.setattr(stages, "run_beside", lambda *_: finished)
    return finished


@pytest.mark.slow
def test_a_second_round_goes_on_from_an_adopted_first_one(
    quick, run, tmp_path, monkeypatch, capsys
):
    better = (Difference("quality", 1.0, 0.5, 1.5),)
    worse = (Difference("quality", -1.0, -1.5, -0.5),)
    verdicts, sources = iter([better, worse]), []
    opened = stages.open_finished
    monkeypatch.setattr(stages, "judge_round", lambda *_: next(verdicts))
    monkeypatch.setattr(stages, "open_finished", lambda root: sources.append(root) or opened(run))
    output = tmp_path / "out"
    assert ask(run, output, "--rounds", "3") == 0
    assert f"the masks to use: {output / 'r1/run/masks'}" in capsys.readouterr().out
    assert sources == [run, output / "r1/run"]
    assert not (output / "r3").exists()
    first, second = (json.loads((output / f"r{n}/verdict.json").read_text()) for n in (1, 2))
    assert first["videos"] == second["videos"]


@pytest.mark.slow
def test_one_video_at_a_time(run, tmp_path, monkeypatch, capsys):
    """Masks of all videos, no weights; a diverged training and a video that is unsure run as
    before."""
    trained = []

    def train(job):
        (video,) = job.recipe.data.videos
        trained.append((video, job.recipe.steps, job.recipe.validation.every))
        if video == "b":
            raise TrainingDiverged("the loss of step 1 is nan")
        job.output.mkdir(parents=True)
        shutil.copy(run.with_name("start.safetensors"), job.output / "last.safetensors")

    monkeypatch.setattr("finetune.command.train_shown", train)
    sure = training_set.judged_frames

    def unsure_c(source, name, options):
        return iter(()) if name == "c" else sure(source, name, options)

    monkeypatch.setattr(training_set, "judged_frames", unsure_c)
    output = tmp_path / "out"
    assert ask(run, output, "--per-video", "--set", "rounds.held_out=0.4") == 0
    assert sorted(trained) == [(video, 1, 0) for video in VIDEOS if video != "c"]
    masks = output / "r1/masks/tiny"
    assert sorted(path.name for path in masks.iterdir()) == list(VIDEOS)
    told = capsys.readouterr().out
    assert "video b: the loss of step 1 is nan; it runs as it was" in told
    assert "too little of video c is sure" in told
    new = load_config(output / "r1/run/config.yaml").members[-1]
    assert (new.name, new.adapter, new.weights) == ("tiny@r1", "folder", None)
    record = read_record(output / "r1/run/selection/a.json")
    # Nothing was learnt, so the masks are those of the member as it was.
    old, again = (record.candidate(name).truth_by_object for name in ("tiny", "tiny@r1"))
    assert old == again
    assert record.provenance.notes == {
        "tiny": ("one witness with tiny@r1: related, or wrong together",),
        "tiny@r1": (TRANSDUCTIVE, "one witness with tiny: related, or wrong together"),
    }
    monkeypatch.setattr(per_video, "write_masks", lambda *_: pytest.fail("it ran again"))
    (output / "r1/verdict.json").unlink()
    assert ask(run, output, "--per-video", "--set", "rounds.held_out=0.4") == 0


def test_a_dry_run_says_what_it_costs_and_writes_nothing(run, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(forecast, "estimate", lambda recipe: f"{recipe.steps} steps")
    assert ask(run, tmp_path / "out", "--dry-run") == 0
    assert ask(run, tmp_path / "out", "--dry-run", "--per-video") == 0
    told = capsys.readouterr().out
    assert "6 videos: 3 to learn from, 3 held out" in told
    assert "2 steps" in told
    assert "6 steps" in told
    assert "GiB of predictions" in told
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("member", "sentence"), [("hold", "hold without weights"), ("tinny", "unknown")]
)
def test_members_that_cannot_learn(run, tmp_path, member, sentence):
    with pytest.raises(InputError, match=sentence):
        main(["--run", str(run), "--members", member, "--output", str(tmp_path / "out")])


def test_labels_that_are_not_there_are_told_before_anything_is_done(run, tmp_path):
    with pytest.raises(InputError, match="nowhere"):
        ask(run, tmp_path / "out", "--labelled", str(tmp_path / "nowhere"))
    assert not (tmp_path / "out").exists()


def test_a_run_without_predictions_is_refused(run, tmp_path):
    shutil.copytree(run, tmp_path / "run")
    shutil.rmtree(tmp_path / "run/predictions/hold/b")
    with pytest.raises(InputError, match="--keep-soft"):
        ask(tmp_path / "run", tmp_path / "out")


@pytest.mark.slow
def test_a_full_disk_is_a_sentence_and_nothing_is_lost(run, after, tmp_path, monkeypatch, capsys):
    output = tmp_path / "out"

    def full(path, ids):
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    with monkeypatch.context() as patched:
        patched.setattr(training_set, "write_mask", full)
        with pytest.raises(SystemExit) as ended:
            run_command(lambda _: ask(run, output))
        assert ended.value.code == 2
        assert "no space is left on the disk" in capsys.readouterr().err
        assert not list((output / "r1").iterdir())
    source = open_finished(run)
    write_training_set(source, VIDEOS[:3], RoundsOptions(quality=0.3), output / "r1/training")
    assert (output / "r1/training/weights.json").is_file()


def test_a_second_command_at_the_same_time_is_refused(quick, run, tmp_path, monkeypatch):
    def meanwhile(*_):
        with pytest.raises(InputError, match="another command is at work"):
            ask(run, tmp_path / "out")

    monkeypatch.setattr(stages, "judge_round", lambda *_: meanwhile() or ())
    assert ask(run, tmp_path / "out") == 0


def test_labels_keep_given_masks_and_ignore_what_is_unsure(run):
    source = open_finished(run)
    frames = {f.name: f for f in judged_frames(source, "a", RoundsOptions(quality=0.0))}
    assert len(frames) == 6
    given = read_mask(run.with_name("data") / "Annotations/a/00000.png")
    assert np.array_equal(frames["00000"].labels, given)
    assert set(frames["00000"].weights.values()) == {1.0}
    for frame in frames.values():
        chosen = read_mask(run / f"masks/a/{frame.name}.png", binary=False)
        known = frame.labels != VOID
        assert np.array_equal(frame.labels[known], chosen[known])
        assert known.any()
    strict = list(judged_frames(source, "a", RoundsOptions(quality=0.99)))
    assert [frame.sure for frame in strict] == [True, False, False, False, False, False]
    assert (strict[3].labels == VOID).all()


def test_weights_rise_from_the_least_quality():
    expected = {1: 0.6, 2: 0.7, 3: 0.85, 4: 1.0}
    weights = weights_of(expected, RoundsOptions(quality=0.7))
    assert weights == pytest.approx({1: 0, 2: 0, 3: 0.5, 4: 1})
    plain = weights_of(expected, RoundsOptions(quality=0.7, weighted=False))
    assert plain == {1: 0, 2: 1, 3: 1, 4: 1}


def test_an_empty_mask_is_an_absent_object_only_if_most_say_so(run, monkeypatch):
    """hold always has the object; where the chosen mask is empty beside it, nothing is learnt."""
    source, options = open_finished(run), RoundsOptions(quality=0.3)
    judged = training_set.read_mask

    def without_first(path, binary=None):
        ids = judged(path, binary=binary)
        return np.where(ids == 1, 0, ids).astype(np.uint8)

    monkeypatch.setattr(training_set, "read_mask", without_first)
    frames = list(judged_frames(source, "a", RoundsOptions(quality=0.6)))
    assert all(frame.weights[1] == 0 for frame in frames[1:])
    assert all(
        (frame.labels[regions] == VOID).all()
        for frame, regions in zip(frames[1:], held(source, "a"), strict=False)
        if frame.sure
    )
    assert any(
        w > 0 for frame in judged_frames(source, "a", options) for w in frame.weights.values()
    )


def held(source, video):
    """Where hold has object 1 on the frames after the first."""
    with source.opened(video, ("hold",)) as members:
        prediction = members.predictions[0]
        return [prediction[t].labels(*prediction.size) == 1 for t in range(1, len(prediction))]


def test_a_guard_set_is_what_the_others_say(run, tmp_path):
    source = open_finished(run)
    write_guard_set(source, ("a",), "tiny@r1", tmp_path / "guard")
    labels = sorted((tmp_path / "guard/Labels/a").iterdir())
    assert len(labels) == 6
    with source.opened("a", ("hold",)) as members:
        (hold,) = members.predictions
        for index, path in enumerate(labels):
            assert np.array_equal(read_mask(path), hold[index].labels(*hold.size))
    (given,) = (tmp_path / "guard/Annotations/a").iterdir()
    data = run.with_name("data") / "Annotations/a/00000.png"
    assert np.array_equal(read_mask(given), read_mask(data))


def test_a_set_without_a_sure_mask_is_a_sentence(run, tmp_path):
    source = open_finished(run)
    with pytest.raises(InputError, match=r"lower rounds\.quality"):
        write_training_set(source, ("a", "b"), RoundsOptions(quality=0.99), tmp_path / "set")
    assert not list(tmp_path.iterdir())


def test_few_videos_are_too_few():
    names = [f"v{n}" for n in range(20)]
    held = held_out_videos(names, 0.2, seed=3)
    assert len(held) == 4
    assert held == held_out_videos(names[::-1], 0.2, seed=3)
    assert held != held_out_videos(names, 0.2, seed=4)
    with pytest.raises(InputError, match="too few"):
        held_out_videos(names[:5], 0.2, seed=0)


def test_the_public_command_is_that_of_the_study():
    assert rounds.main is main
