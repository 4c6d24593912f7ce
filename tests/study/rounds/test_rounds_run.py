"""A round from a run to its verdict, with a tiny network, and what it does when asked again."""

import json
import shutil

import numpy as np
import pytest
import yaml
from small_recipes import SIZES, write_videos

from ensemble import rounds
from ensemble.config import load_config
from ensemble.job import TRANSDUCTIVE
from ensemble.run import main as run_main
from finetune import command as training
from finetune.command import train
from finetune.recipe import TrainingRecipe
from mose.masks import VOID, read_mask
from selection.record import read_record
from stseg.errors import InputError
from stseg.options import build
from study.rounds import forecast, stages
from study.rounds.command import main
from study.rounds.options import RoundsOptions
from study.rounds.source import held_out_videos, open_finished
from study.rounds.training_set import training_frames, write_training_set
from study.rounds.verdict import Difference

pytestmark = pytest.mark.usefixtures("one_thread")

VIDEOS = ("a", "b", "c", "d", "e", "f")
TINY = ("recipe.data.size=32", "recipe.data.frames=3", "recipe.batch=1", "recipe.steps=2",
        "recipe.workers=0", "recipe.threads=1", "rounds.quality=0.3")  # fmt: skip


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run over six videos of a tiny XMem, of flow and of hold; labels are there."""
    root = tmp_path_factory.mktemp("rounds")
    write_videos(root / "data", VIDEOS)
    values = {
        "network": "xmem", "sizes": SIZES["xmem"], "batch": 1, "steps": 1, "threads": 1,
        "data": {"size": 32, "frames": 3, "preset": "easy"},
    }  # fmt: skip
    train(build(TrainingRecipe, values, "a test"), root / "start", resume=False)
    config = {
        "data": {"dataset": str(root / "data"), "labels": "Annotations"},
        "members": [
            {"name": "flow", "adapter": "flow", "prior": 60, "options": {"preset": "ultrafast"}},
            {"name": "hold", "adapter": "hold", "prior": 55},
            {"name": "tiny", "adapter": "xmem", "prior": 58,
             "weights": str(root / "start/last.safetensors"),
             "options": {"short_side": 48, "mem_every": 1, "deep_update_every": 1}},
        ],
        "execution": {"executor": "inline"},
        "output": {"submission": False},
    }  # fmt: skip
    (root / "run.yaml").write_text(yaml.safe_dump(config))
    arguments = ["--config", str(root / "run.yaml"), "--keep-soft", "--output", str(root / "run")]
    assert run_main(arguments) == 0
    return root / "run"


def ask(run, output, *more):
    changes = [part for text in TINY for part in ("--set", text)]
    return main(["--run", str(run), "--members", "tiny", "--output", str(output), *changes, *more])


@pytest.fixture(scope="module")
def after(run):
    """What a round leaves; its training is interrupted once."""
    output = run.with_name("out")
    stop = pytest.MonkeyPatch()

    def interrupted(job):
        raise KeyboardInterrupt

    stop.setattr(training, "train_shown", interrupted)
    assert ask(run, output) == 130
    stop.undo()
    assert not (output / "r1/run").exists()
    assert ask(run, output) == 0
    return output


def test_the_new_member_joins_the_old_ones(run, after):
    config = load_config(after / "r1/run/config.yaml")
    assert [member.name for member in config.members] == ["flow", "hold", "tiny", "tiny@r1"]
    assert config.members[-1].prior == pytest.approx(58)
    for video in VIDEOS:
        record = read_record(after / f"r1/run/selection/{video}.json")
        assert record.candidate("tiny@r1") is not None
        assert record.provenance.notes == {"tiny@r1": (TRANSDUCTIVE,)}
        assert TRANSDUCTIVE in (after / f"r1/run/report/{video}.html").read_text()
    told = "<b>Transductive:</b> tiny@r1 learnt"
    assert told in (after / "r1/run/report/index.html").read_text()
    assert "Transductive" not in (run / "report/index.html").read_text()


def test_old_members_do_not_run_again(run, after):
    for member in ("flow", "tiny"):
        before, kept = (
            root / f"predictions/{member}/a/manifest.json" for root in (run, after / "r1/run")
        )
        assert before.read_text() == kept.read_text()
        assert before.stat().st_ino == kept.stat().st_ino


def test_held_out_videos_are_judged_and_never_trained_on(after):
    verdict = json.loads((after / "r1/verdict.json").read_text())
    learnt = {path.name for path in (after / "r1/training/Annotations").iterdir()}
    frames = {path.name for path in (after / "r1/training/JPEGImages").iterdir()}
    assert learnt == frames == set(VIDEOS) - set(verdict["videos"])
    assert len(verdict["videos"]) == 3
    of = [one["of"] for one in verdict["differences"]]
    assert of == ["quality of tiny@r1", "J&F of the chosen masks"]


def test_the_same_command_again_does_nothing_twice(run, after, monkeypatch, capsys):
    def never(*_, **__):
        raise AssertionError("it was done again")

    for name in ("write_training_set", "run_pipeline", "train_member"):
        monkeypatch.setattr(stages, name, never)
    assert ask(run, after) == 0
    assert "round 1 " in capsys.readouterr().out


def test_other_settings_want_another_folder(run, after):
    with pytest.raises(InputError, match=r"other settings \(key\)"):
        ask(run, after, "--set", "rounds.seed=1")
    with pytest.raises(InputError, match="not an empty folder"):
        ask(run, run)


def test_a_trained_member_is_not_trained_again(run, after, tmp_path, monkeypatch, capsys):
    shutil.copytree(after, tmp_path / "out", symlinks=True)
    (tmp_path / "out/r1/verdict.json").unlink()

    def never(job):
        raise AssertionError("it was trained again")

    monkeypatch.setattr(training, "train_shown", never)
    with pytest.raises(InputError, match="another recipe"):  # the training set lies elsewhere
        ask(run, tmp_path / "out")
    (after / "r1/verdict.json").rename(tmp_path / "verdict.json")
    assert ask(run, after) == 0
    assert "round 1, tiny: trained" in capsys.readouterr().out
    assert (after / "r1/verdict.json").read_text() == (tmp_path / "verdict.json").read_text()


def test_a_second_round_goes_on_from_an_adopted_first_one(run, tmp_path, monkeypatch, capsys):
    better = [Difference("quality", 1.0, 0.5, 1.5)]
    worse = [Difference("quality", -1.0, -1.5, -0.5)]
    verdicts = iter([better, worse])
    monkeypatch.setattr(stages, "judge_round", lambda *_: tuple(next(verdicts)))
    output = tmp_path / "out"
    assert ask(run, output, "--rounds", "3") == 0
    told = capsys.readouterr().out
    assert f"the masks to use: {output / 'r1/run/masks'}" in told
    assert not (output / "r3").exists()
    members = load_config(output / "r2/run/config.yaml").members
    assert [m.name for m in members] == ["flow", "hold", "tiny", "tiny@r1", "tiny@r2"]
    first, second = (json.loads((output / f"r{n}/verdict.json").read_text()) for n in (1, 2))
    assert first["videos"] == second["videos"]


def test_a_dry_run_says_what_it_costs_and_writes_nothing(run, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(forecast, "estimate", lambda recipe: f"{recipe.steps} steps")
    assert ask(run, tmp_path / "out", "--dry-run") == 0
    told = capsys.readouterr().out
    assert "6 videos: 3 to learn from, 3 held out" in told
    assert "2 steps" in told
    assert "GiB of predictions" in told
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("member", "sentence"),
    [("hold", "hold without weights"), ("tinny", "unknown"), ("flow", "cannot be adapted")],
)
def test_members_that_cannot_learn(run, tmp_path, member, sentence):
    with pytest.raises(InputError, match=sentence):
        main(["--run", str(run), "--members", member, "--output", str(tmp_path / "out")])


def test_a_run_without_predictions_is_refused(run, tmp_path):
    shutil.copytree(run, tmp_path / "run")
    shutil.rmtree(tmp_path / "run/predictions/flow/b")
    with pytest.raises(InputError, match="--keep-soft"):
        ask(tmp_path / "run", tmp_path / "out")


def test_labels_keep_given_masks_and_ignore_what_is_unsure(run):
    source = open_finished(run)
    strict = RoundsOptions(quality=0.99)
    every = RoundsOptions(quality=0.0)
    frames = {frame.name: frame for frame in training_frames(source, "a", every)}
    assert len(frames) == 6
    given = read_mask(run.with_name("data") / "Annotations/a/00000.png")
    assert np.array_equal(frames["00000"].labels, given)
    for frame in frames.values():
        chosen = read_mask(run / f"masks/a/{frame.name}.png", binary=False)
        known = frame.labels != VOID
        assert np.array_equal(frame.labels[known], chosen[known])
        assert known.mean() > 0.5
    assert [frame.name for frame in training_frames(source, "a", strict)] == ["00000"]


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
