"""Several workers against one, and gradient checkpointing against none: the same training."""

import csv
import errno
import os
import threading
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as multiprocessing
from small_recipes import SIZES, read_log, recipe, write_videos

from finetune import command, launch
from finetune.launch import TrainingJob, _check_resources, _failure_of, train_here
from finetune.models import torch_bytes
from finetune.recipe import TrainingRecipe, fingerprint
from finetune.trainer import Trainer
from mose import InputError
from stseg.config import build

STEPS = 2
SAM2 = {
    "image_size": 64, "embed_dim": 8, "stages": [1, 1, 2, 1], "global_blocks": [3],
    "windows": [8, 4, 4, 2], "d_model": 32, "memory_dim": 16, "attention_layers": 1,
    "feedforward": 32, "fuser_layers": 1,
}  # fmt: skip
LOSS = {
    "tmo": {"similarity": 0.0},
    "sam2": {"cross_entropy": 0.0, "focal": 20.0, "mask_iou": 1.0, "object_score": 1.0},
}


def together(network, **changes):
    """A training in which batch norms, padded objects and TMO's draws all matter."""
    values = {
        "batch": 2,
        "steps": STEPS,
        "save_every": STEPS,
        "threads": 1,
        "data": {"size": 64, "frames": 3, "objects": 3, "preset": "easy"},
        "optimiser": {"rate": 1e-3, "clip": 1, "ema": 0.5},
        "validation": {"every": 2, "count": 3, "frames": 3, "size": 64},
        "loss": LOSS.get(network, {"similarity": 0.1}),
        "sizes": (SIZES | {"sam2": SAM2})[network],
    }
    return build(TrainingRecipe, {"network": network} | values | changes, "a test")


def score(found, true):
    return float(np.mean([(f > 0) == (t > 0) for f, t in zip(found, true, strict=True)]))


def work(rank, folder, networks):
    os.environ["OMP_NUM_THREADS"] = "1"
    torch.set_num_threads(1)
    dist.init_process_group("gloo", f"file://{folder}/meet", rank=rank, world_size=2)
    for network in networks:
        train_here(TrainingJob(together(network), folder / f"two-{network}", False, score))
    dist.destroy_process_group()


def state(folder):
    return torch.load(folder / "state.pth", weights_only=True)


def validations(folder):
    with open(folder / "validation.csv", newline="") as file:
        return [float(row["J&F"]) for row in csv.DictReader(file)]


def assert_same_training(one, two):
    """To the order of floating-point sums: Adam divides by what may be tiny."""
    for ours, theirs in zip(read_log(one), read_log(two), strict=True):
        for name in ("loss", "norm"):
            assert float(theirs[name]) == pytest.approx(float(ours[name]), rel=2e-4)
    scores = [validations(folder) for folder in (one, two)]
    assert len(scores[0]) == 1
    assert scores[1] == pytest.approx(scores[0], abs=0.5)
    assert {path.name for path in one.iterdir()} == {path.name for path in two.iterdir()}
    for part in ("network", "average"):
        first, second = state(one)[part], state(two)[part]
        assert first.keys() == second.keys()
        for name, tensor in first.items():
            torch.testing.assert_close(second[name], tensor, rtol=1e-3, atol=1e-4, msg=name)


@pytest.mark.parametrize(
    "networks", [pytest.param((name,), marks=pytest.mark.slow) for name in ("xmem", "sam2")]
)
def test_two_workers_train_as_one(tmp_path, networks):
    """TMO, by Ray Train: below."""
    multiprocessing.spawn(work, (tmp_path, networks), nprocs=2)
    for network in networks:
        train_here(TrainingJob(together(network), tmp_path / network, False, score))
        assert_same_training(tmp_path / network, tmp_path / f"two-{network}")
        start = Trainer(together(network), tmp_path).network.state_dict()
        moved = [t - start[n] for n, t in state(tmp_path / network)["network"].items()]
        assert max(float(t.abs().max()) for t in moved) > 1e-3


@pytest.mark.slow
def test_ray_train_with_two_workers(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)  # a relative path means the same to every worker
    write_videos(tmp_path / "videos", ("a", "b"))
    videos = {"dataset": "videos", "size": 64, "frames": 3, "objects": 2, "frame_step": [1, 2]}
    config = tmp_path / "recipe.yaml"
    config.write_bytes(b"")
    values = together("tmo", data=videos)
    monkeypatch.setattr(command, "load_recipe", lambda path, overrides: values)
    monkeypatch.setattr(command, "load_stages", lambda path, overrides: ())
    assert command.main(["--config", str(config), "--output", str(tmp_path / "one")]) == 0
    values = together("tmo", data=videos, launch={"workers": 2})
    assert command.main(["--config", str(config), "--output", "two"]) == 0
    assert_same_training(tmp_path / "one", tmp_path / "two")
    assert "last.safetensors" in capsys.readouterr().out
    assert not (tmp_path / "two" / "ray").exists()
    assert not (tmp_path / "home").exists()


def test_what_a_worker_says_is_what_is_told(tmp_path):
    # Not above: the processes of other tests import this module, and this takes seconds.
    from ray.train import WorkerGroupError
    from ray.train.v2._internal.exceptions import UserExceptionWithTraceback

    def group(*failures):
        return WorkerGroupError("many lines", dict(enumerate(failures)))

    lost = ConnectionError("Connection closed by peer")
    own = UserExceptionWithTraceback(InputError("mask x.png is broken"), "many lines")
    assert str(_failure_of(group(lost, own), tmp_path)) == "mask x.png is broken"
    full = OSError(errno.ENOSPC, "No space left", "state.pth")
    assert _failure_of(group(RuntimeError("gloo: closed"), full), tmp_path) is full
    died = _failure_of(group(RuntimeError("killed\nby the kernel")), tmp_path)
    assert "a worker of the training ended (by the kernel)" in str(died)
    assert isinstance(died, InputError)


def test_steps_of_other_processes_are_reported_once_each(tmp_path, monkeypatch):
    monkeypatch.setattr(launch, "POLL_SECONDS", 0.01)
    log = tmp_path / "log.csv"
    log.write_text("step,loss\n1,3.0\n2,2.5\n")
    told = []

    reported = threading.Event()

    def report(step, note):
        told.append((step, note))
        reported.set()

    with launch.log_reported(tmp_path, report), open(log, "a") as file:
        file.write("3,2.0\n4,1.")
        file.flush()
        assert reported.wait(180)
        assert told == [(3, "loss 2.0000")]
        file.write("5\n5,1.25\n")
        file.flush()
    assert told[1:] == [(4, "loss 1.2500"), (5, "loss 1.2500")]


def test_a_training_goes_on_with_another_number_of_workers_but_no_other_rate():
    one = together("tmo")
    two = together("tmo", launch={"workers": 2}, tensorboard=True, workers=1)
    assert fingerprint(one) == fingerprint(two)
    assert fingerprint(one) != fingerprint(together("tmo", optimiser={"rate": 2e-3}))
    assert fingerprint(one) != fingerprint(together("tmo", unroll={"rgb_share": 0.4}))


def test_workers_that_find_no_room_are_refused():
    two = together("tmo", launch={"workers": 2, "cpus": 4})
    with pytest.raises(InputError, match="2 workers need 8 CPUs, but there are 6"):
        _check_resources({"CPU": 6.0}, two)
    _check_resources({"CPU": 8.0}, two)
    with pytest.raises(InputError, match="2 workers need 2 GPUs, but there are 0"):
        _check_resources({"CPU": 8.0}, replace(two, device="cuda"))


def test_workers_share_a_batch_evenly():
    with pytest.raises(InputError, match="shared evenly by 3 workers"):
        recipe(batch=4, launch={"workers": 3})
    with pytest.raises(InputError, match=r"leave launch\.workers"):
        recipe(batch=4, launch={"workers": 2, "mode": "inline"})


@pytest.mark.parametrize(
    "network",
    ["xmem", *(pytest.param(n, marks=pytest.mark.slow) for n in (*SIZES, "sam2") if n != "xmem")],
)
def test_checkpointing_changes_nothing_but_what_is_kept(network, tmp_path):
    for name, wanted in (("kept", False), ("again", True)):
        values = together(
            network, steps=2, unroll={"checkpointing": wanted}, validation={"every": 0}
        )
        Trainer(values, tmp_path / name).run()
    first, second = state(tmp_path / "kept"), state(tmp_path / "again")
    assert torch_bytes(first["network"]) == torch_bytes(second["network"])


def test_checkpointing_keeps_less(tmp_path):
    def kept(wanted):
        trainer = Trainer(together("xmem", unroll={"checkpointing": wanted}), tmp_path)
        clips = trainer.make_batches()(0)
        held = {}

        def hold(tensor):
            held[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
            return tensor

        from finetune.unroll.base import UnrollInputs
        from finetune.unroll.run import unroll

        with torch.autograd.graph.saved_tensors_hooks(hold, lambda tensor: tensor):
            found = unroll(
                trainer.recipe.network,
                trainer.network,
                UnrollInputs(clips, trainer.recipe.unroll, 0),
            )
        assert found.odds.requires_grad
        return sum(held.values())

    assert kept(True) < 0.7 * kept(False)
