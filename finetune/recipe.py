"""The recipe of a training: typed, strict, with defaults. Nothing here imports torch."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace

from finetune.clip_options import SYNTHETIC, AugmentOptions, DataOptions, LabelledVideos
from finetune.trainable import network_names
from finetune.training_options import (
    LaunchOptions,
    LossOptions,
    OptimiserOptions,
    UnrollOptions,
)
from mose import InputError
from stseg.config import to_dict
from stseg.options import option

TRAINING = "training"


@dataclass(frozen=True)
class ValidationOptions(LabelledVideos):
    """The videos that decide which checkpoint is best."""

    every: int = option(
        0,
        doc="Steps from one validation to the next; one more follows at the end. 0: none.",
        least=0,
    )
    dataset: str = option(
        SYNTHETIC,
        doc="The root folder of a data set, `synthetic`, or `training`: other videos of the data"
        " set, split and labels of the clips.",
    )
    split: str = option("valid", doc="The split of the data set.")
    patience: int = option(
        0,
        doc="The number of validations in a row without a better score after which the training"
        " ends. 0: it goes on to its last step.",
        least=0,
    )
    first: int = option(0, doc="The number of the first synthetic video.", least=0)
    count: int = option(6, doc="The number of synthetic videos.", least=1)
    frames: int = option(16, doc="The number of frames of a synthetic video.", least=3)
    size: int = option(192, doc="The height and width of a synthetic video, in pixels.", least=32)
    objects: int = option(2, doc="The number of objects of a synthetic video.", least=1)
    options: Mapping[str, object] = option(
        dict, doc="Options of the adapter that runs the checkpoint."
    )


@dataclass(frozen=True)
class TrainingRecipe:
    """A training run."""

    network: str = option(
        doc="The network that is trained, by the name of its adapter.", choices=network_names
    )
    weights: str | None = option(
        None,
        doc="The checkpoint to start from: a path, a name from `configs/weights.yaml` or, in a"
        " recipe of stages, `recipe:stage`. Without one, the network starts from random weights of"
        " the sizes below.",
    )
    sizes: Mapping[str, object] = option(
        dict, doc="Fields of the configuration of a network that starts from random weights."
    )
    warm_start: str | None = option(
        None,
        doc="With `sizes`: the checkpoint of any model. Weights that have the same name and shape"
        " there start from it; models share encoders.",
    )
    encoders: str | None = option(
        None,
        doc="With `weights`: the checkpoint of any model, whose encoders of images and of masks"
        " replace those of the network.",
    )
    keys: str | None = option(
        None,
        doc="With `sizes` of a LiVOS: the checkpoint of a Cutie. The keys start as clusters of its"
        " keys.",
    )
    seed: int = option(0, doc="The seed of weights, clips and augmentation.", least=0)
    steps: int = option(1000, doc="The number of steps of the optimiser.", least=1)
    batch: int = option(4, doc="The number of clips in a batch.", least=1)
    accumulate: int = option(1, doc="The number of batches that make one step.", least=1)
    workers: int = option(
        0,
        doc="The number of processes that make clips; 0: clips are made between the steps.",
        least=0,
    )
    threads: int = option(
        0,
        doc="The number of threads of the trainer's own arithmetic on a CPU; 0: one for each core.",
        least=0,
    )
    device: str = option("cpu", doc="`cpu`, `cuda`, `cuda:1` and so on, or `mps`.")
    amp: bool = option(
        False,
        doc="Compute in bfloat16 where autocast sees fit. A CPU without instructions for it"
        " ignores this.",
    )
    save_every: int = option(
        100, doc="The number of steps from one checkpoint to the next.", least=1
    )
    output: str | None = option(
        None,
        doc="The folder of checkpoints and log. Without one: `runs/finetune/` and the name of the"
        " recipe.",
    )
    tensorboard: bool = option(False, doc="Write curves for TensorBoard beside `log.csv`.")
    data: DataOptions = option(DataOptions, doc="The clips.")
    augment: AugmentOptions = option(AugmentOptions, doc="The augmentation of the clips.")
    unroll: UnrollOptions = option(UnrollOptions, doc="How the network runs over a clip.")
    loss: LossOptions = option(LossOptions, doc="The losses.")
    optimiser: OptimiserOptions = option(OptimiserOptions, doc="The optimiser.")
    validation: ValidationOptions = option(ValidationOptions, doc="The validation.")
    launch: LaunchOptions = option(LaunchOptions, doc="Where the training runs.")

    @property
    def hold_out(self) -> ValidationOptions:
        """``validation``, with the data set that "training" stands for."""
        if self.validation.dataset != TRAINING:
            return self.validation
        data = self.data
        return replace(self.validation, dataset=data.dataset, split=data.split, labels=data.labels)

    def __post_init__(self) -> None:
        if (self.weights is None) == (not self.sizes):
            raise InputError(
                "a recipe starts from weights or from random weights of given sizes:"
                " give either 'weights' or 'sizes'"
            )
        if self.warm_start is not None and not self.sizes:
            raise InputError("warm_start goes with sizes: a recipe with weights starts from those")
        if self.encoders is not None and self.weights is None:
            raise InputError("encoders goes with weights: with sizes, warm_start gives them")
        if self.keys is not None and (self.network != "livos" or not self.sizes):
            raise InputError("keys goes with sizes of a LiVOS: other networks have their own start")
        if self.batch % self.launch.workers:
            raise InputError(
                f"a batch of {self.batch} clips cannot be shared evenly by {self.launch.workers}"
                " workers: change batch or launch.workers"
            )


def fingerprint(recipe: TrainingRecipe) -> str:
    """A hash of everything in a recipe on which the course of the training depends.

    Keys at their defaults do not count, so that options may be added later.
    """
    free = replace(
        recipe,
        workers=0,
        threads=0,
        save_every=1,
        output=None,
        tensorboard=False,
        launch=LaunchOptions(),
    )
    chosen = _beyond(to_dict(free), to_dict(TrainingRecipe(network=recipe.network, sizes={"": 0})))
    return hashlib.sha256(json.dumps(chosen, sort_keys=True).encode()).hexdigest()


def _beyond(values: Mapping[str, object], defaults: Mapping[str, object]) -> dict[str, object]:
    """What of nested values differs from the defaults."""
    changed: dict[str, object] = {}
    for name, value in values.items():
        default = defaults.get(name)
        if isinstance(value, Mapping) and isinstance(default, Mapping):
            value = _beyond(value, default)
            if value:
                changed[name] = value
        elif name not in defaults or value != default:
            changed[name] = value
    return changed
