"""How trainings end that cannot go on: one sentence, exit code 2, the last checkpoint kept."""

import errno
import os
import re
import sys

import pytest
import torch
from small_recipes import SIZES, read_log, recipe, write_videos

from finetune import command, progress, trainer
from finetune.failures import explain_failure, is_out_of_memory
from finetune.trainer import Trainer
from mose import InputError
from stseg.cli import run_command


def ended(monkeypatch, capsys, values, output, *more):
    """The sentence and the exit code of a training's command."""
    monkeypatch.setattr(command, "load_recipe", lambda path, overrides: values)
    monkeypatch.setattr(command, "load_stages", lambda path, overrides: ())
    line = ["--config", "none", "--output", str(output), *more]
    with pytest.raises(SystemExit) as end:
        run_command(lambda _: command.main(line))
    told = capsys.readouterr().err.strip().splitlines()
    assert "Traceback" not in "".join(told)
    return told[-1], end.value.code


def goes_on(values, output, step):
    """The checkpoint that is there is whole, of that step, and can be gone on from."""
    again = Trainer(values, output)
    again.resume()
    assert again.step == step
    again.run()
    assert [int(row["step"]) for row in read_log(output)] == list(range(1, values.steps + 1))
    assert not [path.name for path in output.iterdir() if path.name.endswith(".partial")]


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
        RuntimeError("[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: can't allocate"
                     " memory: you tried to allocate 1 bytes. Error code 12"),
        MemoryError(),
    ],
)  # fmt: skip
def test_out_of_memory(error, monkeypatch, capsys, tmp_path):
    values = recipe(steps=3, save_every=1)
    plain = trainer.unroll

    def fail(name, network, inputs):
        if inputs.seed == 2:
            raise error
        return plain(name, network, inputs)

    monkeypatch.setattr(trainer, "unroll", fail)
    sentence, code = ended(monkeypatch, capsys, values, tmp_path)
    assert code == 2
    assert sentence.startswith("error: out of memory on this machine: try unroll.checkpointing")
    assert "batch (1" in sentence
    assert "--resume goes on from it" in sentence
    monkeypatch.undo()
    goes_on(values, tmp_path, 2)


def test_what_pytorch_says_when_memory_runs_out_is_understood(tmp_path):
    with pytest.raises(RuntimeError) as caught:
        torch.empty(1 << 60, dtype=torch.uint8)
    assert is_out_of_memory(caught.value)
    assert explain_failure(RuntimeError("shapes differ"), recipe(), tmp_path) is None


def test_a_full_disk(monkeypatch, capsys, tmp_path):
    values = recipe(steps=3, save_every=1)
    plain, calls = os.fsync, []

    def full(descriptor):
        calls.append(descriptor)
        if len(calls) > 4:  # in the middle of the second checkpoint's three files
            raise OSError(errno.ENOSPC, "No space left on device")
        plain(descriptor)

    monkeypatch.setattr(os, "fsync", full)
    sentence, code = ended(monkeypatch, capsys, values, tmp_path)
    assert code == 2
    assert re.match(r"error: no space is left on the disk of .*last\.pth", sentence)
    monkeypatch.undo()
    goes_on(values, tmp_path, 1)


@pytest.mark.parametrize("workers", [0, pytest.param(1, marks=pytest.mark.soak)])
def test_a_bad_clip(workers, monkeypatch, capsys, tmp_path):
    root = write_videos(tmp_path / "data", ("good", "bad"))
    values = recipe(
        steps=40, save_every=1, workers=workers,
        data={"dataset": str(root), "size": 64, "frames": 3, "objects": 1, "frame_step": [1, 1]},
    )  # fmt: skip
    for frame in (root / "JPEGImages" / "bad").iterdir():
        frame.write_bytes(frame.read_bytes()[:700])
    sentence, code = ended(monkeypatch, capsys, values, tmp_path / "out")
    assert code == 2
    assert re.match(r"error: .*bad/0000\d\.jpg", sentence)


def test_a_mask_of_another_size(monkeypatch, capsys, tmp_path):
    root = write_videos(tmp_path / "data", ("a",))
    other = write_videos(tmp_path / "other", ("a",))
    import cv2

    for path in (root / "Annotations" / "a").iterdir():
        mask = cv2.imread(str(other / "Annotations" / "a" / path.name), cv2.IMREAD_UNCHANGED)
        cv2.imwrite(str(path), mask[:-8])
    values = recipe(steps=2, data={"dataset": str(root), "size": 64, "frames": 3})
    sentence, code = ended(monkeypatch, capsys, values, tmp_path / "out")
    assert code == 2
    assert "Annotations/a" in sentence


def test_a_killed_process_that_makes_clips(monkeypatch, capsys, tmp_path):
    values = recipe(steps=30, save_every=1, workers=1)

    def kill(step, note):
        import psutil

        for child in psutil.Process().children():
            if "spawn_main" in " ".join(child.cmdline()):
                child.kill()

    monkeypatch.setattr(
        progress.TrainingProgress, "__call__", lambda self, step, note: kill(step, note)
    )
    sentence, code = ended(monkeypatch, capsys, values, tmp_path)
    assert code == 2
    assert "a process that makes clips was killed" in sentence
    assert (tmp_path / "state.pth").exists()


def test_a_loss_that_is_not_finite(monkeypatch, capsys, tmp_path):
    values = recipe(steps=9, save_every=2, optimiser={"rate": 1e30, "clip": 0})
    sentence, code = ended(monkeypatch, capsys, values, tmp_path)
    assert code == 2
    assert re.match(r"error: the loss of step \d is (nan|inf)", sentence)


def test_a_training_is_not_overwritten_and_needs_a_checkpoint_to_resume(
    monkeypatch, capsys, tmp_path
):
    values = recipe(steps=1)
    sentence, code = ended(monkeypatch, capsys, values, tmp_path, "--resume")
    assert (code, "holds no state.pth" in sentence) == (2, True)
    Trainer(values, tmp_path).run()
    sentence, code = ended(monkeypatch, capsys, values, tmp_path)
    assert (code, "add --resume" in sentence) == (2, True)
    (tmp_path / "state.pth").write_bytes(b"half a checkpoint")
    sentence, code = ended(monkeypatch, capsys, values, tmp_path, "--resume")
    assert (code, "cannot be read" in sentence) == (2, True)


def test_a_device_that_is_not_there(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    for more in ([], ["--dry-run"]):
        sentence, code = ended(monkeypatch, capsys, recipe(device="cuda"), tmp_path, *more)
        assert (code, sentence) == (
            2,
            "error: device 'cuda' is not there: use --set device=cpu or another GPU machine",
        )


def test_progress_tells_when_a_long_training_ends(monkeypatch, capsys):
    now = [1e9]
    monkeypatch.setattr(progress.time, "time", lambda: now[0])
    monkeypatch.setattr(progress.time, "strftime", lambda form, at: f"{form} {at}")
    monkeypatch.setattr(progress.time, "localtime", lambda seconds: seconds - 1e9)
    shown = progress.TrainingProgress(1000)
    told = []
    for step in (401, 402, 403):
        shown(step, "loss 1")
        told.append(shown._end(step, now[0]))
        now[0] += 60
    assert told == ["", ", ends %a %H:%M 35940.0", ", ends %a %H:%M 35940.0"]
    assert shown._end(999, now[0]) == ""
    shown.close()
    assert "training 3/600" in capsys.readouterr().err


def test_tensorboard_has_the_curves_of_the_log(tmp_path):
    from tensorboard_events import scalars

    Trainer(recipe(steps=3, save_every=1, tensorboard=True), tmp_path).run()
    again = Trainer(recipe(steps=3, save_every=1, tensorboard=True), tmp_path)
    again.resume()
    again.run()
    curves = scalars(tmp_path / "tensorboard")
    log = [float(row["loss"]) for row in read_log(tmp_path)]
    assert curves["training/loss"] == pytest.approx(log, rel=1e-6)
    assert len(curves["training/rate"]) == 3


def test_tensorboard_without_its_package(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    with pytest.raises(InputError, match=r"needs the package tensorboardX: pip install"):
        Trainer(recipe(steps=1, tensorboard=True, sizes=SIZES["xmem"]), tmp_path).run()
