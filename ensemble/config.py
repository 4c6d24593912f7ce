"""The configuration of a run: what its YAML files may say, see `stseg.config` for how."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ensemble.fusion.rules import FusionOptions
from ensemble.refinement.options import RefinementOptions
from ensemble.scheduling.limits import RunLimits
from mose import InputError
from mose.single import Box
from selection.calibration import Calibration, load_calibration
from selection.describe import SelectionSetup
from selection.policies import SelectionOptions, policy_names
from stseg.config import (
    build,
    member_values,
    option,
    override,
    read_yaml,
)

BUILT_IN_DATASET = "synthetic"


@dataclass(frozen=True)
class DataConfig:
    """Which videos."""

    dataset: str = option(
        BUILT_IN_DATASET,
        doc="Root folder of a data set, or `synthetic`: the built-in one. With `mask` or `boxes` "
        "one video: a movie file, or a folder of frames.",
    )
    mask: str | None = option(
        None, doc="Mask of the first frame of a single video, or a folder of its given masks."
    )
    boxes: tuple[Box, ...] = option(
        (),
        doc="Boxes on the first frame of a single video in place of a mask, each [x0, y0, x1, y1] "
        "in pixels, for members that can start from one; ids are 1, 2, ... in their order.",
    )
    board: str | None = option(
        None, doc="Board whose rules the data and the zip follow; nothing: as the data set shows."
    )
    split: str = option("test", doc="Split of the data set: train, valid or test.")
    annotations: tuple[str, ...] = option(
        (), doc="Folders of given masks, where they are not `Annotations`."
    )
    labels: str | None = option(
        None, doc="Folder of full labels to score with, or true where the data set has them."
    )
    corrections: str | None = option(
        None, doc="Folder of masks that correct objects on later frames, one folder per video."
    )
    earlier: str | None = option(
        None,
        doc="Folder of predictions of the one video, one folder per member, made without its "
        "newest corrections: members keep them up to the frame `since` and run over the rest.",
    )
    since: int = option(0, doc="Index of the first frame that `earlier` did not know.", least=0)
    videos: tuple[str, ...] = option((), doc="Names or shell patterns; empty: all.")
    synthetic: Mapping[str, Any] = option(dict, doc="Options of the built-in data set.")

    def __post_init__(self) -> None:
        if self.mask and self.boxes:
            raise InputError("a mask and boxes are given: give one of the two")
        if self.single and self.dataset == BUILT_IN_DATASET:
            raise InputError("a mask or boxes are given without a video: name it with --video")

    @property
    def single(self) -> bool:
        """Whether ``dataset`` is one video."""
        return bool(self.mask or self.boxes)


@dataclass(frozen=True)
class MemberConfig:
    """A member: an adapter with weights and options under a name."""

    name: str = option(doc="Name of the member, unique in the run.")
    adapter: str = option(
        doc="Which kind of model it is; `python -m adapters list` says which there are."
    )
    weights: str | None = option(
        None, doc="Path of a checkpoint or a name from configs/weights.yaml."
    )
    options: Mapping[str, Any] = option(dict, doc="The adapter's options.")
    prior: float = option(
        50.0,
        doc="Expected J&F in percent, from the literature or a labelled split.",
        above=0,
        below=100,
    )
    cost: float | None = option(
        None,
        doc="Milliseconds of a frame with one object on an A100, to compare members by before "
        "any is measured; nothing: what is usual of its adapter.",
        above=0,
    )
    num_cpus: float = option(1.0, doc="CPU cores of one worker.", least=0)
    num_gpus: float = option(
        1.0, doc="GPUs of one worker when the run's device is a GPU; fractions share one.", least=0
    )
    memory: int | None = option(
        None, doc="Bytes of memory of one worker that Ray reserves, or nothing.", least=0
    )
    max_workers: int | None = option(None, doc="Largest number of workers, or nothing.", least=1)
    transductive: bool = option(
        False,
        doc="The member was trained on frames of the videos that it runs over, without their "
        "labels; record and report say so, because some challenges forbid it.",
    )

    @classmethod
    def parse(cls, value: Any, where: str) -> MemberConfig:
        return member_config(value, where)


@dataclass(frozen=True)
class ExecutionConfig:
    """How the work is run."""

    executor: str = option(
        "ray",
        doc="How members run over videos: by ray, or inline, one after the other in this process.",
        choices=("ray", "inline"),
    )
    address: str | None = option(
        None, doc="Address of a Ray cluster; nothing: an embedded instance of its own."
    )
    device: str = option("cpu", doc="Where the members run: cpu, cuda or mps.")
    workers: int | None = option(
        None, doc="Workers at a time on the embedded instance, or nothing: one per core.", least=1
    )
    gpus: float | None = option(
        None,
        doc="GPUs to ask a growing cluster for in all, be they there yet or not; "
        "nothing: those that are there.",
        least=0,
    )
    fetch_weights: bool = option(
        False, doc="Download published checkpoints that a node does not have, once per node."
    )
    limits: RunLimits = option(RunLimits, doc="How often and how long is tried.")


@dataclass(frozen=True)
class OutputConfig:
    """What is written."""

    path: str | None = option(None, doc="Run folder, or nothing: runs/<data set>-<split>.")
    keep_soft: bool = option(
        False, doc="Keep the members' predictions after their video is finished."
    )
    overlap: bool = option(
        False,
        doc="Let objects overlap: beside the exclusive masks each object's own is kept, its "
        "probability against the background alone, fused, chosen and written by itself.",
    )
    submission: bool = option(True, doc="Write submission.zip.")
    report: bool = option(True, doc="Write the HTML report.")


@dataclass(frozen=True)
class RunConfig:
    """Everything on which a run depends."""

    data: DataConfig = option(DataConfig, doc="Which videos.")
    members: tuple[MemberConfig, ...] = option(
        (), doc="The models, each a mapping or the name of a file in `configs/members`."
    )
    fusion: FusionOptions = option(
        FusionOptions, doc="How the members' masks become a pseudo-label."
    )
    selection: SelectionOptions = option(
        SelectionOptions, doc="How the best candidate of a video is chosen."
    )
    refinement: RefinementOptions = option(
        RefinementOptions, doc="How members are corrected by each other."
    )
    execution: ExecutionConfig = option(ExecutionConfig, doc="How the work is run.")
    output: OutputConfig = option(OutputConfig, doc="What is written.")
    calibration: str | None = option(
        None,
        doc="Calibration of the members on a labelled split: a JSON file, or its name in "
        "`configs/priors`; it goes before the members' priors given here.",
    )

    def __post_init__(self) -> None:
        policy_names(self.selection.policy)
        names = [member.name for member in self.members]
        for name in names:
            if names.count(name) > 1:
                raise InputError(f"two members are called '{name}': give each a name of its own")
            if not name or name.startswith(".") or set(name) & set('/\\:"<>|?*\0'):
                raise InputError(
                    f"member name {name!r} cannot be a folder name: use letters, digits, - and _"
                )


def selection_setup(config: RunConfig) -> SelectionSetup:
    """What the selection needs to know of a configuration."""
    return SelectionSetup(
        config.fusion.rule, config.selection, calibration_of(config), config.calibration
    )


def calibration_of(config: RunConfig) -> Calibration | None:
    """The calibration that a configuration names, read."""
    return load_calibration(config.calibration) if config.calibration else None


def prior_of(member: MemberConfig, calibration: Calibration | None) -> float:
    """A member's expected J&F in (0, 1): as measured, or else as given."""
    measured = calibration.priors.get(member.name) if calibration else None
    return min(max(member.prior / 100 if measured is None else measured, 0.01), 0.99)


def family(member: str) -> str:
    """The name of the member that one of any round comes from: ``xmem`` of ``xmem@r2``."""
    return re.sub(r"@r\d+$", "", member)


RETIRED = ("agreement_iou", "absent_by", "gate_margin")
"""Options of the fusion that stored configurations of earlier runs may have: the quality of the
members has taken their place, and such a run is still read."""


def load_config(path: str | Path, overrides: Sequence[str] = ()) -> RunConfig:
    """Read a configuration file, its parents, and ``key.sub=value`` overrides.

    ``members`` is a list of mappings, or of names of files in ``configs/members``.
    """
    values = read_yaml(path)
    if isinstance(fusion := values.get("fusion"), dict):
        values["fusion"] = {k: v for k, v in fusion.items() if k not in RETIRED}
    for text in overrides:
        override(values, text)
    return build(RunConfig, values, str(path))


def member_config(value: Any, where: str) -> MemberConfig:
    """A member from what `stseg.config.member_values` takes."""
    if isinstance(value, MemberConfig):
        return value
    values, where = member_values(value, where)
    return build(MemberConfig, values, where)
