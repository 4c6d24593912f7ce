"""Where a training runs: in this process, or on workers of Ray Train.

The one module of the package that imports Ray, and only when a recipe wants it.
"""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from adapters.weights.store import resolve
from finetune.failures import check_recipe_device, describe_checkpoint
from finetune.holdout import VideoScore
from finetune.recipe import TrainingRecipe
from mose import InputError

Report = Callable[[int, str], None]
Cluster = Callable[[TrainingRecipe], AbstractContextManager[None]]
"""Starts or joins the Ray that a recipe asks for."""

POLL_SECONDS = 1.0
"""Seconds between two looks at the log of a training in other processes."""
WORKER_TIMEOUT = 4 * 3600
"""Seconds that workers wait for each other, because videos of a hold-out differ in length."""


@dataclass(frozen=True)
class TrainingJob:
    """What a worker of Ray Train needs to know.

    resume   goes on from the output folder's checkpoint
    score    J&F of a video of the hold-out
    locate   finds what the recipe starts from
    """

    recipe: TrainingRecipe
    output: Path
    resume: bool
    score: VideoScore
    locate: Callable[[str], Path] = resolve


@dataclass(frozen=True)
class RayWork:
    """A job, and the folder of the command, against which paths of its recipe are relative."""

    job: TrainingJob
    folder: str


def train_here(job: TrainingJob, report: Report | None = None) -> None:
    """Train in this process, alone or as one of the workers of a process group.

    Raises `InputError` and `OSError` as `finetune.trainer.Trainer.run` does.
    """
    from finetune.holdout import evaluator
    from finetune.trainer import Trainer, configured_processor
    from finetune.workers import current_group

    recipe, group = job.recipe, current_group()
    check_recipe_device(recipe)
    with configured_processor(recipe):
        evaluate = evaluator(recipe, job.score, group) if recipe.validation.every else None
        trainer = Trainer(recipe, job.output, evaluate, group, job.locate)
        if job.resume:
            trainer.resume()
        trainer.run(report)


def train_on_ray(job: TrainingJob, cluster: Cluster, report: Report | None = None) -> None:
    """Train on the recipe's number of Ray Train workers.

    The output folder must be the same for all of them: on several machines, a shared one.
    Raises `InputError` for an error that a worker reports in a sentence, for a worker that died,
    and if the cluster has no room for the workers.
    """
    try:
        import ray.train
        from ray.train.torch import TorchConfig, TorchTrainer
    except ImportError as error:
        raise InputError(
            f"Ray Train cannot be imported ({str(error).splitlines()[0]}): pip install"
            " 'stseg[train]', or train with launch.mode=inline"
        ) from None
    launch = job.recipe.launch
    gpu = job.recipe.device.startswith("cuda")
    output = job.output.resolve()
    output.mkdir(parents=True, exist_ok=True)
    with cluster(job.recipe), log_reported(output, report):
        _check_resources(ray.cluster_resources(), job.recipe)
        trainer = TorchTrainer(
            _work,
            train_loop_config={"work": RayWork(replace(job, output=output), os.getcwd())},
            torch_config=TorchConfig(backend="nccl" if gpu else "gloo", timeout_s=WORKER_TIMEOUT),
            scaling_config=ray.train.ScalingConfig(
                num_workers=launch.workers,
                use_gpu=gpu,
                resources_per_worker={"CPU": launch.cpus, **({"GPU": 1} if gpu else {})},
            ),
            run_config=ray.train.RunConfig(
                name="ray",
                storage_path=str(output),
                # The trainer's own checkpoints are what a training goes on from.
                failure_config=ray.train.FailureConfig(max_failures=0),
            ),
        )
        try:
            _run_in_thread(trainer.fit)
        except ray.train.TrainingFailedError as error:
            raise _failure_of(error, output) from None
        finally:
            _remove_ray_files(output / "ray")


def _work(config: dict[str, RayWork]) -> None:
    """The work of every Ray Train worker."""
    import ray.train.torch
    import torch

    # Relative paths of the recipe are those of the command.
    os.chdir(config["work"].folder)
    job = config["work"].job
    if not job.recipe.threads:
        torch.set_num_threads(job.recipe.launch.cpus)
    device = ray.train.torch.get_device()
    if job.recipe.device.startswith("cuda"):
        job = replace(job, recipe=replace(job.recipe, device=str(device)))
    train_here(job)


def _run_in_thread(fit: Callable[[], Any]) -> None:
    """Run code in a thread that would otherwise catch Ctrl-C and end the process with exit code
    1."""
    errors: list[BaseException] = []

    def run() -> None:
        try:
            fit()
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    while thread.is_alive():
        thread.join(POLL_SECONDS)
    if errors:
        raise errors[0]


def _check_resources(resources: dict[str, float], recipe: TrainingRecipe) -> None:
    """Raise `InputError` if the cluster lacks resources: Ray itself would wait for ever without a
    word."""
    launch = recipe.launch
    wanted = {"CPU": float(launch.workers * launch.cpus)}
    if recipe.device.startswith("cuda"):
        wanted["GPU"] = float(launch.workers)
    for kind, amount in wanted.items():
        if resources.get(kind, 0.0) < amount:
            raise InputError(
                f"{launch.workers} workers need {amount:g} {kind}s, but there are"
                f" {resources.get(kind, 0.0):g}: lower launch.workers or launch.cpus"
            )


def _failure_of(error: Any, output: Path) -> Exception:
    """The message of the worker that failed first and not because of another one."""
    failures = list(getattr(error, "worker_failures", {}).values())
    causes = [getattr(failure, "_base_exc", failure) for failure in failures]
    for cause in causes:
        if isinstance(cause, (InputError, OSError)) and not isinstance(cause, ConnectionError):
            return cause
    lines = str(causes[0] if causes else error).strip().splitlines()
    line = lines[-1] if lines else type(error).__name__
    # Of a worker that died, Ray tells at length how workers may die.
    reason = line.split("exit detail: ")[-1].split(" Some common causes")[0]
    return InputError(f"a worker of the training ended ({reason}); {describe_checkpoint(output)}")


@contextmanager
def log_reported(output: Path, report: Report | None) -> Iterator[None]:
    """Report the steps that other processes write to the log, until the block ends."""
    from finetune.log import LOG, last_row

    if report is None:
        yield
        return
    ended = threading.Event()
    before = last_row(output / LOG)

    def poll() -> None:
        known = before
        while True:
            over = ended.wait(POLL_SECONDS)
            row = last_row(output / LOG)
            if row is not None and row != known:
                now, past = int(row["step"]), int(known["step"]) if known else 0
                # On a resume the log may go back to before the last row.
                for step in range(min(past, now - 1) + 1, now + 1):
                    report(step, f"loss {float(row['loss']):.4f}")
                known = row
            if over:
                return

    thread = threading.Thread(target=poll, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _remove_ray_files(folder: Path) -> None:
    """Remove files that Ray Train leaves behind and nothing reads."""
    shutil.rmtree(folder, ignore_errors=True)
