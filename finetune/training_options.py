"""The options of a recipe for unrolling, losses and the optimiser. Nothing here imports torch."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from finetune.clip_options import SHARE
from mose import InputError
from stseg.options import Limits, option

SCHEDULES = ("cosine", "step")
MODES = ("auto", "inline", "ray")

WEIGHT = Limits(least=0)


@dataclass(frozen=True)
class UnrollOptions:
    """How a network is run over a clip."""

    mem_every: int = option(
        1,
        doc="Frames from one frame that is remembered to the next (XMem, Cutie). LiVOS remembers"
        " every frame.",
        least=1,
    )
    deep_update: float = option(
        1.0,
        doc="The share of the frames after the first on which the mask encoder updates the sensory"
        " memory (XMem, Cutie, LiVOS). At inference it does so on the frames that are remembered:"
        " give the share that they will have. The published networks were trained with 0.2.",
        limits=SHARE,
    )
    checkpointing: bool = option(
        False,
        doc="Keep less for the backward pass and compute it again. This takes less memory and 1.3"
        " to 1.5 times as long; the result is the same.",
    )
    forget: float = option(
        0.0,
        doc="The share of the frames before which the sensory memory (XMem, Cutie, LiVOS) and the"
        " masks of the frame before (Cutie, LiVOS) are lost, so that the network must read its"
        " memory.",
        limits=SHARE,
    )
    rgb_share: float = option(
        0.5,
        doc="The share of the clips in which TMO sees the frame in place of the picture of its"
        " flow.",
        limits=SHARE,
    )
    video_frames: int = option(
        0,
        doc="The length of the video of which SAM 2 takes a clip to be a part. SAM 2 measures the"
        " age of object pointers by it. 0: the length of the clip.",
        least=0,
    )


@dataclass(frozen=True)
class LossOptions:
    """The weights of the losses in their sum, see `finetune.losses`; 0 turns a loss off."""

    cross_entropy: float = option(
        1.0, doc="The weight of cross-entropy over background and objects.", limits=WEIGHT
    )
    hardest: float = option(
        0.15,
        doc="The share of the pixels that cross-entropy counts in the end; they are the hardest.",
        above=0,
        most=1,
    )
    hardening: tuple[float, float] = option(
        (0.15, 0.5),
        doc="The share of the pixels that count falls from 1 to `hardest` between these two shares"
        " of the training.",
        limits=SHARE,
    )
    dice: float = option(1.0, doc="The weight of Dice on every object's mask.", limits=WEIGHT)
    absent: float = option(
        1.0,
        doc="The share of its weight that Dice has on frames without the object.",
        limits=WEIGHT,
    )
    focal: float = option(
        0.0, doc="The weight of focal loss on every object's mask.", limits=WEIGHT
    )
    mask_iou: float = option(
        0.0,
        doc="The weight of the error of the IoU that a network predicts for its masks.",
        limits=WEIGHT,
    )
    object_score: float = option(
        0.0,
        doc="The weight of the error of the score that tells whether an object is visible.",
        limits=WEIGHT,
    )
    similarity: float = option(
        0.0,
        doc="The weight of the distance between an object's features in the first frame and later.",
        limits=WEIGHT,
    )
    auxiliary: float = option(
        0.0,
        doc="The weight of cross-entropy and Dice of the auxiliary heads at stride 16, each"
        " computed as for the masks.",
        limits=WEIGHT,
    )
    matching: float = option(
        0.0,
        doc="The weight of cross-entropy and Dice of the masks that matching alone gives: the true"
        " masks of the remembered frames, read from memory at stride 16. It teaches keys directly"
        " what a network that starts from nothing learns late otherwise.",
        limits=WEIGHT,
    )
    spread: float = option(
        0.0,
        doc="The weight of how unevenly LiVOS uses the channels of its keys. A channel that"
        " nothing uses stays unused, and things that share one cannot be told apart.",
        limits=WEIGHT,
    )

    def __post_init__(self) -> None:
        if self.hardening[0] > self.hardening[1]:
            raise InputError(f"loss.hardening is {self.hardening}, expected two rising shares")


@dataclass(frozen=True)
class OptimiserOptions:
    """AdamW and its schedule."""

    rate: float = option(1e-4, doc="The largest learning rate.", above=0)
    weight_decay: float = option(
        0.01,
        doc="The weight decay of matrices and convolutions; biases and norms have none.",
        least=0,
    )
    betas: tuple[float, float] = option(
        (0.9, 0.999), doc="The two decay rates of AdamW.", least=0, below=1
    )
    clip: float = option(1.0, doc="The largest norm of the gradient; 0: no limit.", least=0)
    schedule: str = option(
        "cosine",
        doc="How the rate falls: along a cosine, or to a tenth at every milestone.",
        choices=SCHEDULES,
    )
    warm_up: int = option(0, doc="The number of steps over which the rate rises.", least=0)
    final: float = option(
        0.01, doc="The rate at the end of a cosine, as a share of `rate`.", limits=SHARE
    )
    milestones: tuple[float, ...] = option(
        (0.8,), doc="When the rate falls to a tenth, as shares of the training.", limits=SHARE
    )
    rates: Mapping[str, float] = option(
        dict,
        doc="Factors of the rate by patterns of parameter names. The first pattern that matches"
        " counts; a factor of 0 freezes the parameters.",
        least=0,
    )
    freeze_norms: bool = option(
        False, doc="Keep the statistics of batch norms, as for fine-tuning."
    )
    ema: float = option(
        0.0, doc="The decay of the moving average of the weights; 0: none.", least=0, below=1
    )

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
    """Where a training runs."""

    mode: str = option(
        "auto",
        doc="In this process, with Ray Train, or with Ray Train where there are several workers or"
        " a cluster.",
        choices=MODES,
    )
    workers: int = option(
        1,
        doc="The number of processes that share every batch. With `device: cuda`, each has a GPU"
        " of its own.",
        least=1,
    )
    cpus: int = option(1, doc="The number of cores of each worker.", least=1)
    address: str | None = option(
        None, doc="The `host:port` of a Ray cluster to join. Without one: this machine alone."
    )

    def __post_init__(self) -> None:
        if self.mode == "inline" and (self.workers > 1 or self.address):
            raise InputError(
                "launch.mode=inline trains in one process here: leave launch.workers and"
                " launch.address out, or choose launch.mode=ray"
            )

    @property
    def on_ray(self) -> bool:
        return self.mode == "ray" or self.workers > 1 or self.address is not None
