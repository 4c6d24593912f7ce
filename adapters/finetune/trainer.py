"""The trainer: steps, checkpoints that resume exactly, a log.

The output folder holds::

    state.pth                    everything that the next step depends on
    log.csv                      a row per step
    validation.csv               a row per validation
    last.safetensors, last.pth   weights of the latest checkpoint, in official names
    best.safetensors, best.pth   of the best validation

Resuming needs ``state.pth`` alone. Batches are functions of (seed, number), so the steps
after a kill are the same, to the bit on the same machine, as they would have been.
"""

from __future__ import annotations

import csv
import fnmatch
import hashlib
import json
import math
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from adapters.finetune.clips import Batches, ClipBatch, in_order, open_clips
from adapters.finetune.models import make_network, torch_bytes, write_bytes, write_weights
from adapters.finetune.objective import total_loss
from adapters.finetune.recipe import Recipe
from adapters.finetune.training_options import OptimiserOptions
from adapters.finetune.unroll import unroll
from adapters.sam2.config import Sam2Config
from mose import InputError
from mose.config import to_dict

STATE = "state.pth"
Evaluate = Callable[[Path], float]
"""J&F in percent of the weights in a file."""
Report = Callable[[int, str], None]
"""Called after every step with its number, from 1, and a note."""


class Trainer:
    """Trains one network as a recipe says.

    evaluate   scores a checkpoint; None: no validation, and no best checkpoint
    """

    def __init__(self, recipe: Recipe, output: Path, evaluate: Evaluate | None = None):
        self.recipe, self.output, self.evaluate = recipe, output, evaluate
        self.network = make_network(recipe)
        groups = parameter_groups(self.network, recipe.optimiser)
        beta1, beta2 = recipe.optimiser.betas
        self.optimiser = torch.optim.AdamW(groups, lr=recipe.optimiser.rate, betas=(beta1, beta2))
        self.average: dict[str, Tensor] | None = None
        if recipe.optimiser.ema:
            self.average = {n: t.detach().clone() for n, t in self.network.state_dict().items()}
        self.step = 0
        self.best = -math.inf

    def resume(self) -> None:
        """Go on from the output folder's checkpoint; `InputError` without a fitting one."""
        path = self.output / STATE
        if not path.is_file():
            raise InputError(f"{self.output} holds no {STATE} to resume from: leave --resume out")
        try:
            state = torch.load(path, map_location=self.recipe.device, weights_only=True)
        except Exception as error:
            raise InputError(
                f"checkpoint {path} cannot be read ({str(error).splitlines()[0]}):"
                " remove the folder and start anew"
            ) from None
        if state["recipe"] != fingerprint(self.recipe):
            raise InputError(
                f"{path} was made by another recipe: give the same one, or another output"
            )
        self.network.load_state_dict(state["network"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.average = state["average"]
        self.step, self.best = state["step"], state["best"]

    def run(self, report: Report | None = None) -> None:
        """Train to the recipe's last step.

        Raises `InputError` for a clip that cannot be read and for a loss or gradient that is
        not finite, `OSError` for a full disk; the latest checkpoint stays as it was.
        """
        recipe = self.recipe
        self.output.mkdir(parents=True, exist_ok=True)
        log = Log(self.output / "log.csv", self.step)
        first, last = self.step * recipe.accumulate, recipe.steps * recipe.accumulate
        with closing(in_order(self.make_batches(), first, last, recipe.workers)) as batches:
            while self.step < recipe.steps:
                row = self._advance(batches)
                log.add(row)
                if report is not None:
                    report(self.step, f"loss {row['loss']:.4f}")
                ended = self.step == recipe.steps
                every = recipe.validation.every
                if self.evaluate and every and (self.step % every == 0 or ended):
                    self._validate(self.evaluate)
                if self.step % recipe.save_every == 0 or ended:
                    self.save()

    def weights(self) -> dict[str, Tensor]:
        """What is written and evaluated: the moving average where there is one."""
        return self.network.state_dict() if self.average is None else self.average

    def save(self) -> None:
        """Write the checkpoint of this step."""
        state = {
            "recipe": fingerprint(self.recipe),
            "step": self.step,
            "best": self.best,
            "network": self.network.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "average": self.average,
        }
        self._write(self.output / "last")
        write_bytes(self.output / STATE, torch_bytes(state))

    def _write(self, stem: Path) -> None:
        config = getattr(self.network, "config", None)
        config = config if isinstance(config, Sam2Config) else None
        write_weights(stem, self.recipe.network, self.weights(), config=config)

    def make_batches(self) -> Batches:
        """What makes the batches of this training."""
        recipe = self.recipe
        return Batches(
            open_clips(recipe.data),
            recipe.augment,
            recipe.data.objects,
            recipe.batch,
            recipe.seed,
            pictures=recipe.network == "tmo",
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
        limit = recipe.optimiser.clip or math.inf
        norm = float(nn.utils.clip_grad_norm_(self.network.parameters(), limit))
        if not (math.isfinite(sums["loss"]) and math.isfinite(norm)):
            raise InputError(
                f"the loss of step {self.step + 1} is {sums['loss']:g} and its gradient's norm"
                f" {norm:g}: nothing of it was kept, the last checkpoint in {self.output} is good;"
                " lower optimiser.rate or optimiser.clip and resume from its weights"
            )
        self.optimiser.step()
        if self.average is not None:
            follow(self.average, self.network.state_dict(), self._decay())
        self.step += 1
        seconds = time.monotonic() - started
        return {"step": self.step, **sums, "rate": rate, "norm": norm, "seconds": seconds}

    def _backward(self, clips: ClipBatch, number: int) -> dict[str, float]:
        recipe = self.recipe
        kind = recipe.device.split(":")[0]
        with torch.autocast(kind, torch.bfloat16, enabled=recipe.amp):
            found = unroll(self.network, clips, recipe.unroll, recipe.seed + number)
        with torch.autocast(kind, enabled=False):
            loss, terms = total_loss(found, recipe.loss, self.step / recipe.steps)
        (loss / recipe.accumulate).backward()
        return {name: value.item() for name, value in {"loss": loss, **terms}.items()}

    def _decay(self) -> float:
        # The first steps are far from where the average should end: let it run after them.
        return min(self.recipe.optimiser.ema, (1 + self.step) / (10 + self.step))

    def _validate(self, evaluate: Evaluate) -> None:
        stem = self.output / "candidate"
        self._write(stem)
        candidates = [stem.with_suffix(suffix) for suffix in (".safetensors", ".pth")]
        try:
            score = evaluate(candidates[0])
            log = Log(self.output / "validation.csv", self.step - 1)
            log.add({"step": self.step, "J&F": score})
            if score > self.best:
                self.best = score
                for path in candidates:
                    path.replace(path.with_stem("best"))
        finally:
            for path in candidates:
                path.unlink(missing_ok=True)


class Log:
    """A CSV file with a row per step; rows after ``step`` are from before a kill and go."""

    def __init__(self, path: Path, step: int):
        self.path = path
        self.rows = 0
        if path.exists():
            with open(path, newline="", encoding="utf-8") as file:
                head, *rows = list(csv.reader(file)) or [[]]
            kept = [row for row in rows if len(row) == len(head) and int(row[0]) <= step]
            self.rows = len(kept)
            lines = [",".join(row) for row in ([head, *kept] if kept else [])]
            write_bytes(path, "".join(f"{line}\n" for line in lines).encode())

    def add(self, row: dict[str, Any]) -> None:
        with open(self.path, "a", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            if not self.rows:
                writer.writerow(row)
            writer.writerow(row.values())
        self.rows += 1


def parameter_groups(network: nn.Module, options: OptimiserOptions) -> list[dict[str, Any]]:
    """Parameters by rate factor and weight decay; those with factor 0 need no gradient.

    Raises `InputError` for a pattern that no parameter's name matches.
    """
    used: set[str] = set()
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in network.named_parameters():
        pattern = next((p for p in options.rates if fnmatch.fnmatchcase(name, p)), None)
        factor = 1.0 if pattern is None else float(options.rates[pattern])
        if pattern is not None:
            used.add(pattern)
        parameter.requires_grad_(factor > 0)
        if factor > 0:
            decay = options.weight_decay if parameter.ndim > 1 else 0.0
            groups.setdefault((factor, decay), []).append(parameter)
    for pattern in options.rates:
        if pattern not in used:
            example = next(name for name, _ in network.named_parameters())
            raise InputError(
                f"optimiser.rates: no parameter is left for the pattern '{pattern}'"
                f" (names look like {example}): change or move it"
            )
    if not groups:
        raise InputError("optimiser.rates freezes every parameter: leave one to train")
    return [
        {"params": parameters, "factor": factor, "weight_decay": decay}
        for (factor, decay), parameters in groups.items()
    ]


def freeze_norms(network: nn.Module) -> None:
    """Batch norms use and keep the statistics that they have."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval()


@torch.no_grad()
def follow(average: dict[str, Tensor], state: dict[str, Tensor], decay: float) -> None:
    """Move an average towards a state, in place; what is no float is copied."""
    for name, value in state.items():
        if value.is_floating_point():
            average[name].lerp_(value, 1 - decay)
        else:
            average[name].copy_(value)


def fingerprint(recipe: Recipe) -> str:
    """A hash of all in a recipe that the course of the training depends on."""
    free = replace(recipe, workers=0, threads=0, save_every=1, output=None)
    return hashlib.sha256(json.dumps(to_dict(free), sort_keys=True).encode()).hexdigest()
