"""The options of a recipe for unrolling, losses and the optimiser. Nothing here imports torch."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from mose import InputError
from stseg.config import one_of

SCHEDULES = ("cosine", "step")
MODES = ("auto", "inline", "ray")


@dataclass(frozen=True)
class UnrollOptions:
    """How clips are unrolled.

    mem_every       is the distance in frames between remembered frames (XMem, Cutie); LiVOS
                    remembers all
    deep_update     is the share of the frames after the first on which the mask encoder updates the
                    sensory memory (XMem, Cutie, LiVOS). At inference it does so on remembered
                    frames: train a network with as large a share, or with a small one, as the
                    published networks were (0.2)
    checkpointing   keeps less for the backward pass and computes it again: less memory, 1.3 to 1.5
                    times the time, the same result
    forget          is the share of the frames before which the sensory memory (XMem, Cutie, LiVOS)
                    and the masks of the frame before (Cutie, LiVOS) are lost, so that the network
                    must read its memory
    rgb_share       is the share of the clips in which TMO sees the frame in place of its flow
                    picture
    video_frames    is the length of the video of which SAM 2 takes a clip to be a part, by which it
                    measures the age of object pointers; 0: the clip's own
    """

    mem_every: int = 1
    deep_update: float = 1.0
    checkpointing: bool = False
    forget: float = 0.0
    rgb_share: float = 0.5
    video_frames: int = 0

    def __post_init__(self) -> None:
        for name in ("deep_update", "forget", "rgb_share"):
            if not 0 <= getattr(self, name) <= 1:
                raise InputError(
                    f"unroll.{name} is {getattr(self, name)}, expected a share in [0, 1]"
                )


@dataclass(frozen=True)
class LossOptions:
    """Weights of the losses in the total, see `finetune.losses`; 0 is off.

    cross_entropy   weighs cross-entropy over background and objects
    hardest         is the share of the pixels that cross-entropy counts in the end, see
                    ``hardening``
    hardening       gives the (start, end), as shares of the schedule, between which that share
                    falls from 1
    dice, focal     weigh these losses of every object's mask
    absent          is the share of its weight that Dice, wherever it is used, has on frames without
                    the object
    mask_iou        weighs the error of the IoU that a network predicts for its masks
    object_score    weighs the error of the score that tells whether an object is visible
    similarity      weighs how far an object's features in the first frame and later are apart
    auxiliary       weighs cross-entropy and Dice of heads at stride 16, each like the main one
    matching        weighs cross-entropy and Dice of the masks that matching alone would give: the
                    true masks of remembered frames, read at stride 16. It teaches keys directly
                    what a network from nothing learns late otherwise
    spread          weighs how unevenly LiVOS uses the channels of its keys: a channel that nothing
                    uses stays unused, and things that share one cannot be told apart
    """

    cross_entropy: float = 1.0
    hardest: float = 0.15
    hardening: tuple[float, ...] = (0.15, 0.5)
    dice: float = 1.0
    absent: float = 1.0
    focal: float = 0.0
    mask_iou: float = 0.0
    object_score: float = 0.0
    similarity: float = 0.0
    auxiliary: float = 0.0
    matching: float = 0.0
    spread: float = 0.0

    def __post_init__(self) -> None:
        for option in fields(self):
            if option.name != "hardening" and getattr(self, option.name) < 0:
                raise InputError(f"loss.{option.name} is negative: expected 0 or more")
        if not 0 < self.hardest <= 1:
            raise InputError(f"loss.hardest is {self.hardest}, expected a share in (0, 1]")
        if len(self.hardening) != 2 or not 0 <= self.hardening[0] <= self.hardening[1] <= 1:
            raise InputError(
                f"loss.hardening is {self.hardening}, expected two rising shares in [0, 1]"
            )


@dataclass(frozen=True)
class OptimiserOptions:
    """AdamW and its schedule.

    rate           is the largest learning rate
    weight_decay   applies to matrices and convolutions; biases, norms and embeddings have none
    betas          are those of AdamW
    clip           is the largest norm of the gradient; 0: no limit
    schedule       is cosine, or step: a tenth at every milestone
    warm_up        is the number of steps of linear rise
    final          is the share of ``rate`` at the end of a cosine
    milestones     are shares of the schedule
    rates          maps patterns of parameter names to factors; the first match counts, and 0
                   freezes
    freeze_norms   keeps the statistics of batch norms (fine-tuning)
    ema            is the decay of the moving average of the weights; 0: none
    """

    rate: float = 1e-4
    weight_decay: float = 0.01
    betas: tuple[float, ...] = (0.9, 0.999)
    clip: float = 1.0
    schedule: str = "cosine"
    warm_up: int = 0
    final: float = 0.01
    milestones: tuple[float, ...] = (0.8,)
    rates: Mapping[str, Any] = field(default_factory=dict)
    freeze_norms: bool = False
    ema: float = 0.0

    def __post_init__(self) -> None:
        one_of("optimiser.schedule", self.schedule, SCHEDULES)
        if not 0 <= self.ema < 1:
            raise InputError(f"optimiser.ema is {self.ema}, expected a decay in [0, 1)")
        if len(self.betas) != 2:
            raise InputError(f"optimiser.betas is {self.betas}, expected two numbers")
        if self.rate <= 0 or self.warm_up < 0 or self.clip < 0:
            raise InputError("optimiser.rate must be positive, warm_up and clip 0 or more")
        for pattern, factor in self.rates.items():
            if isinstance(factor, bool) or not isinstance(factor, (int, float)) or factor < 0:
                raise InputError(f"optimiser.rates: {pattern} is {factor!r}, expected a factor")

    def rate_at(self, step: int, steps: int) -> float:
        """The rate of step 0 .. ``steps`` - 1."""
        if step < self.warm_up:
            return self.rate * (step + 1) / (self.warm_up + 1)
        if self.schedule == "step":
            return self.rate * 0.1 ** sum(step >= share * steps for share in self.milestones)
        done = (step - self.warm_up) / max(steps - self.warm_up, 1)
        return self.rate * (self.final + (1 - self.final) * (1 + math.cos(math.pi * done)) / 2)


@dataclass(frozen=True)
class LaunchOptions:
    """Where a training runs.

    mode      is inline: in this process; ray: with Ray Train; or auto: with Ray Train for several
              workers or on a cluster
    workers   is the number of processes that share every batch; each has a GPU of its own with
              device cuda
    cpus      is the number of cores of each
    address   is the ``host:port`` of a Ray cluster to join; nothing: this machine alone
    """

    mode: str = "auto"
    workers: int = 1
    cpus: int = 1
    address: str | None = None

    def __post_init__(self) -> None:
        one_of("launch.mode", self.mode, MODES)
        for name in ("workers", "cpus"):
            if getattr(self, name) < 1:
                raise InputError(f"launch.{name} is {getattr(self, name)}, expected at least 1")
        if self.mode == "inline" and (self.workers > 1 or self.address):
            raise InputError(
                "launch.mode=inline trains in one process here: leave launch.workers and"
                " launch.address out, or choose launch.mode=ray"
            )

    @property
    def on_ray(self) -> bool:
        return self.mode == "ray" or self.workers > 1 or self.address is not None
