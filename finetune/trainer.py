"""The trainer: steps, checkpoints that resume exactly, a log.

The output folder holds::

    state.pth                    everything that the next step depends on
    log.csv                      a row per step
    validation.csv               a row per validation
    tensorboard/                 the same as curves, where the recipe asks for them
    last.safetensors, last.pth   weights of the latest checkpoint, in official names
    best.safetensors, best.pth   of the best validation

Resuming needs ``state.pth`` alone. BatchMaker are functions of (seed, number), so the steps
after a kill are the same, to the bit on the same machine, as they would have been.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import TypedDict

import torch
from torch import Tensor, nn

from adapters.weights.store import resolve
from finetune.data.batches import BatchMaker, ClipBatch, ordered_batches
from finetune.data.sources import open_clips
from finetune.failures import STATE, TrainingDiverged, describe_weights, explain_failure
from finetune.log import LOG, SCORE, VALIDATION, StepLog, TensorBoardLog
from finetune.models import (
    Locate,
    make_network,
    stored_config,
    torch_bytes,
    write_weights,
)
from finetune.objective import total_loss
from finetune.optimiser import freeze_norms, parameter_groups, update_average
from finetune.recipe import TrainingRecipe, fingerprint
from finetune.trainable import trainable
from finetune.unroll.base import UnrollInputs
from finetune.unroll.run import unroll
from finetune.workers import WorkerGroup, shared_norms
from mose import InputError
from stseg.files import write_bytes

Evaluate = Callable[[Path], float]
"""J&F in percent of the weights in a file."""
Report = Callable[[int, str], None]
"""Called after every step with its number, from 1, and a note."""


@contextmanager
def configured_processor(recipe: TrainingRecipe) -> Iterator[None]:
    """Inside the block this process computes as the recipe says: with its threads, and without
    subnormal numbers.

    Softmax over a memory, and its gradient, are full of numbers below 1e-38, on which a
    processor is up to fifty times slower than on others; to the result they are zeros.

    On a GPU cuDNN's attention is off: with the masks of object queries its gradients are NaN
    (Cutie and LiVOS; PyTorch 2.11, H200), while the other kernels' are right.
    """
    before = torch.get_num_threads()
    cudnn = torch.backends.cuda.cudnn_sdp_enabled()
    torch.backends.cuda.enable_cudnn_sdp(False)
    torch.set_flush_denormal(True)
    if recipe.threads:
        torch.set_num_threads(recipe.threads)
    try:
        yield
    finally:
        torch.set_flush_denormal(False)
        torch.set_num_threads(before)
        torch.backends.cuda.enable_cudnn_sdp(cudnn)


BFLOAT16 = ("_is_amx_tile_supported", "_is_avx512_bf16_supported")
"""Functions of ``torch.cpu`` that tell whether a processor has instructions for bfloat16."""


def mixed_precision(recipe: TrainingRecipe) -> bool:
    """Whether a training computes in bfloat16 where autocast sees fit, as ``amp`` asks.

    It does not on a CPU without instructions for bfloat16, which would take several times as long.
    """
    if not recipe.amp or not recipe.device.startswith("cpu"):
        return recipe.amp
    return any(getattr(torch.cpu, name, bool)() for name in BFLOAT16)


class TrainingState(TypedDict):
    """What ``state.pth`` holds: everything on which the next step depends.

    recipe   its fingerprint
    best     J&F of the best validation so far
    worse    validations since then
    """

    recipe: str
    step: int
    best: float
    worse: int
    network: dict[str, Tensor]
    optimiser: dict[str, object]
    average: dict[str, Tensor] | None


def read_state(output: Path, recipe: TrainingRecipe) -> TrainingState:
    """The checkpoint from which a training goes on; `InputError` without a fitting one."""
    path = output / STATE
    if not path.is_file():
        raise InputError(f"{output} holds no {STATE} to resume from: leave --resume out")
    try:
        state: TrainingState = torch.load(path, map_location=recipe.device, weights_only=True)
    except Exception as error:
        raise InputError(
            f"checkpoint {path} cannot be read ({str(error).splitlines()[0]}):"
            " remove the folder and start anew"
        ) from None
    if state["recipe"] != fingerprint(recipe):
        raise InputError(f"{path} was made by another recipe: give the same one, or another output")
    return state


def has_ended(recipe: TrainingRecipe, step: int, worse: int) -> bool:
    """Whether a training is over: at its last step, or after so many validations in a row without
    a better score as the recipe has patience for."""
    return step == recipe.steps or 0 < recipe.validation.patience <= worse


class Trainer:
    """Trains one network as a recipe says.

    evaluate   scores a checkpoint, the same for all workers; None: no validation, and no best
               checkpoint
    group      the workers that share every batch; all take the same steps, rank 0 writes
    locate     finds what the recipe starts from
    """

    def __init__(
        self,
        recipe: TrainingRecipe,
        output: Path,
        evaluate: Evaluate | None = None,
        group: WorkerGroup | None = None,
        locate: Locate = resolve,
    ):
        self.recipe, self.output, self.evaluate = recipe, output, evaluate
        self.group = group or WorkerGroup()
        self.mixed = mixed_precision(recipe)
        self.network = make_network(recipe, locate)
        if self.group.size > 1:
            shared_norms(self.network)
        groups = parameter_groups(self.network, recipe.optimiser)
        beta1, beta2 = recipe.optimiser.betas
        self.optimiser = torch.optim.AdamW(
            map(dict, groups), lr=recipe.optimiser.rate, betas=(beta1, beta2)
        )
        self.average: dict[str, Tensor] | None = None
        if recipe.optimiser.ema:
            self.average = {n: t.detach().clone() for n, t in self.network.state_dict().items()}
        self.step = 0
        self.best, self.worse = -math.inf, 0

    def resume(self) -> None:
        """Go on from the output folder's checkpoint; `InputError` without a fitting one."""
        state = read_state(self.output, self.recipe)
        self.network.load_state_dict(state["network"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.average = state["average"]
        self.step, self.best, self.worse = state["step"], state["best"], state.get("worse", 0)

    def run(self, report: Report | None = None) -> None:
        """Train to the recipe's last step, or to the end of its patience.

        Raises `InputError` for a clip that cannot be read, a loss or gradient that is not
        finite and memory that ran out, `OSError` for a full disk; the latest checkpoint stays
        as it was.
        """
        try:
            self._run(report)
        except (RuntimeError, MemoryError) as error:
            sentence = explain_failure(error, self.recipe, self.output)
            if sentence is None:
                raise
            raise InputError(sentence) from None

    def _run(self, report: Report | None) -> None:
        recipe = self.recipe
        self.output.mkdir(parents=True, exist_ok=True)
        first, last = self.step * recipe.accumulate, recipe.steps * recipe.accumulate
        batches = ordered_batches(self.make_batches(), first, last, recipe.workers)
        with ExitStack() as stack:
            stack.enter_context(closing(batches))
            log = StepLog(self.output / LOG, self.step) if self.group.rank == 0 else None
            events = None
            if recipe.tensorboard and log is not None:
                events = stack.enter_context(closing(TensorBoardLog(self.output, self.step)))
            while not self.ended:
                row = self._advance(batches)
                if log is not None:
                    log.add(row)
                if events is not None:
                    events.add("training", row)
                if report is not None:
                    report(self.step, f"loss {row['loss']:.4f}")
                every = recipe.validation.every
                if self.evaluate and every and (self.step % every == 0 or self.ended):
                    scored = self._validate(self.evaluate)
                    if events is not None:
                        events.add("validation", scored)
                if self.step % recipe.save_every == 0 or self.ended:
                    self.save()

    @property
    def ended(self) -> bool:
        return has_ended(self.recipe, self.step, self.worse)

    def weights(self) -> dict[str, Tensor]:
        """The weights to write and evaluate: the moving average if there is one."""
        return self.network.state_dict() if self.average is None else self.average

    def save(self) -> None:
        """Write the checkpoint of this step; among several workers only the first one writes."""
        if self.group.rank:
            return
        state: TrainingState = {
            "recipe": fingerprint(self.recipe),
            "step": self.step,
            "best": self.best,
            "worse": self.worse,
            "network": self.network.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "average": self.average,
        }
        self._write(self.output / "last")
        write_bytes(self.output / STATE, torch_bytes(state), sync=True)

    def _write(self, stem: Path) -> None:
        write_weights(stem, self.recipe.network, self.weights(), note=stored_config(self.network))

    def make_batches(self) -> BatchMaker:
        """The maker of this training's batches."""
        recipe = self.recipe
        ours = self.group.share(recipe.batch)
        return BatchMaker(
            open_clips(recipe.data),
            recipe.augment,
            recipe.data.objects,
            len(ours),
            recipe.seed,
            pictures=trainable(recipe.network).pictures,
            first=ours.start,
        )

    def _advance(self, batches: Iterator[ClipBatch]) -> dict[str, float]:
        """One step of the optimiser; the row of the log."""
        recipe, started = self.recipe, time.monotonic()
        rate = recipe.optimiser.rate_at(self.step, recipe.steps)
        for group in self.optimiser.param_groups:
            group["lr"] = rate * group["factor"]
        self.network.train()
        if recipe.optimiser.freeze_norms:
            freeze_norms(self.network)
        self.optimiser.zero_grad(set_to_none=True)
        sums: dict[str, float] = {}
        for part in range(recipe.accumulate):
            clips = next(batches).to(recipe.device)
            number = self.step * recipe.accumulate + part
            for name, value in self._backward(clips, number).items():
                sums[name] = sums.get(name, 0.0) + value / recipe.accumulate
        self.group.average_gradients(self.network.parameters())
        sums = self.group.average(sums, recipe.device)
        limit = recipe.optimiser.clip or math.inf
        norm = float(nn.utils.clip_grad_norm_(self.network.parameters(), limit))
        if not (math.isfinite(sums["loss"]) and math.isfinite(norm)):
            # The same step would come of --resume: another recipe must go on.
            raise TrainingDiverged(
                f"the loss of step {self.step + 1} is {sums['loss']:g} and its gradient's norm"
                f" {norm:g}: nothing of it was kept; lower optimiser.rate or optimiser.clip and"
                f" start from {describe_weights(self.output)}, with another --output"
            )
        self.optimiser.step()
        if self.average is not None:
            update_average(self.average, self.network.state_dict(), self._decay())
        self.step += 1
        seconds = time.monotonic() - started
        return {"step": self.step, **sums, "rate": rate, "norm": norm, "seconds": seconds}

    def _backward(self, clips: ClipBatch, number: int) -> dict[str, float]:
        recipe = self.recipe
        kind = recipe.device.split(":")[0]
        with torch.autocast(kind, torch.bfloat16, enabled=self.mixed):
            matching = recipe.loss.matching > 0
            inputs = UnrollInputs(clips, recipe.unroll, recipe.seed + number, matching)
            predictions = unroll(recipe.network, self.network, inputs)
        with torch.autocast(kind, enabled=False):
            ignore = None if clips.ignore is None else clips.ignore[:, 1:]
            loss, terms = total_loss(predictions, recipe.loss, self.step / recipe.steps, ignore)
        (loss / recipe.accumulate).backward()
        return {name: value.item() for name, value in {"loss": loss, **terms}.items()}

    def _decay(self) -> float:
        # The first steps are far from where the average should end: let it run after them.
        return min(self.recipe.optimiser.ema, (1 + self.step) / (10 + self.step))

    def _validate(self, evaluate: Evaluate) -> dict[str, float]:
        """Score the weights, all workers together; the first one writes and removes."""
        stem = self.output / "candidate"
        candidates = [stem.with_suffix(suffix) for suffix in (".safetensors", ".pth")]
        ours = candidates if self.group.rank == 0 else []
        try:
            if ours:
                self._write(stem)
            self.group.wait(self.recipe.device)
            score = evaluate(candidates[0])
            row = {"step": self.step, SCORE: score}
            if ours:
                StepLog(self.output / VALIDATION, self.step - 1).add(row)
            self.worse += 1
            if score > self.best:
                self.best, self.worse = score, 0
                for path in ours:
                    path.replace(path.with_stem("best"))
            return row
        finally:
            for path in ours:
                path.unlink(missing_ok=True)
