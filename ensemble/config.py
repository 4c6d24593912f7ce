"""The configuration of a run: what its YAML files may say, see `stseg.config` for how."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ensemble.fusion.rules import RULES, FusionOptions
from ensemble.scheduling.limits import RunLimits
from mose import InputError
from selection.calibration import Calibration, load_calibration
from selection.describe import SelectionSetup
from selection.policies import SelectionOptions, policy_names
from selection.selectors import GRANULARITIES
from stseg.config import CONFIG_FOLDER, assign, assignment, build, one_of, read_yaml, to_dict
from stseg.errors import unknown

BUILT_IN_DATASET = "synthetic"


@dataclass(frozen=True)
class DataConfig:
    """Which videos.

    dataset       root folder of a data set, or ``synthetic``: the built-in one
    split         train, valid or test
    annotations   folders of given masks, where they are not ``Annotations``
    labels        folder of full labels to score with, or true where the data set has them
    videos        names or shell patterns; empty: all
    synthetic     options of the built-in data set
    """

    dataset: str = BUILT_IN_DATASET
    split: str = "test"
    annotations: tuple[str, ...] = ()
    labels: str | None = None
    videos: tuple[str, ...] = ()
    synthetic: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class MemberConfig:
    """One member: an adapter with weights and options under a name.

    name          unique in the run
    adapter       see ``python -m adapters list``
    weights       path of a checkpoint or a name from configs/weights.yaml
    options       the adapter's options
    prior         expected J&F in percent, from the literature or a labelled split
    num_cpus      CPU cores of one worker
    num_gpus      GPUs of one worker when the run's device is a GPU; fractions share one
    memory        bytes of memory of one worker that Ray reserves, or nothing
    max_workers   at most so many workers, or nothing
    """

    name: str
    adapter: str
    weights: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    prior: float = 50.0
    num_cpus: float = 1.0
    num_gpus: float = 1.0
    memory: int | None = None
    max_workers: int | None = None

    @classmethod
    def parse(cls, value: Any, where: str) -> MemberConfig:
        return member_config(value, where)


@dataclass(frozen=True)
class ExecutionConfig:
    """How the work is run.

    executor   ray, or inline: one pair after the other in this process
    address    of a Ray cluster; nothing: an embedded instance of its own
    device     cpu, cuda or mps: where the members run
    workers    workers at a time on the embedded instance, or nothing: one per core
    gpus       of a cluster that grows: GPUs to ask for in all, be they there yet or not;
               nothing: those that are there
    fetch_weights   download published checkpoints that a node does not have, once per node
    limits     how often and how long is tried
    """

    executor: str = "ray"
    address: str | None = None
    device: str = "cpu"
    workers: int | None = None
    gpus: float | None = None
    fetch_weights: bool = False
    limits: RunLimits = field(default_factory=RunLimits)


@dataclass(frozen=True)
class OutputConfig:
    """What is written.

    path         run folder, or nothing: runs/<data set>-<split>
    keep_soft    keep the members' predictions after their video is finished
    submission   write submission.zip
    report       write the HTML report
    """

    path: str | None = None
    keep_soft: bool = False
    submission: bool = True
    report: bool = True


@dataclass(frozen=True)
class RunConfig:
    """Everything that a run depends on.

    calibration   of the members on a labelled split: a JSON file, or its name in
                  ``configs/priors``; it goes before the members' priors given here
    """

    data: DataConfig = field(default_factory=DataConfig)
    members: tuple[MemberConfig, ...] = ()
    fusion: FusionOptions = field(default_factory=FusionOptions)
    selection: SelectionOptions = field(default_factory=SelectionOptions)
    execution: ExecutionConfig = field(default_factory=ExecutionConfig)
    output: OutputConfig = field(default_factory=OutputConfig)
    calibration: str | None = None

    def __post_init__(self) -> None:
        one_of("fusion.rule", self.fusion.rule, RULES)
        policies = policy_names(self.selection.policy)
        if "recommender" in policies and self.calibration is None:
            raise InputError(
                "selection.policy recommender needs a calibration that was fitted on labels: set"
                " calibration, or make one with python -m selection.calibrate"
            )
        one_of("selection.granularity", self.selection.granularity, GRANULARITIES)
        one_of("execution.executor", self.execution.executor, ("ray", "inline"))
        names = [member.name for member in self.members]
        for name in names:
            if names.count(name) > 1:
                raise InputError(f"two members are called '{name}': give each a name of its own")
            if not name or name.startswith(".") or set(name) & set('/\\:"<>|?*\0'):
                raise InputError(
                    f"member name {name!r} cannot be a folder name: use letters, digits, - and _"
                )
        for member in self.members:
            if not 0 < member.prior < 100:
                raise InputError(
                    f"prior {member.prior} of member '{member.name}' is no J&F in percent:"
                    " give a number between 0 and 100"
                )


def selection_setup(config: RunConfig) -> SelectionSetup:
    """What the selection has to know of a configuration."""
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


def load_config(path: str | Path, overrides: Sequence[str] = ()) -> RunConfig:
    """Read a configuration file, its parents, and ``key.sub=value`` overrides.

    ``members`` is a list of mappings, or of names of files in ``configs/members``.
    """
    values = read_yaml(path)
    for override in overrides:
        _override(values, override)
    return build(RunConfig, values, str(path))


def member_config(value: Any, where: str) -> MemberConfig:
    """A member from a mapping, or from the name of a file in ``configs/members``.

    A mapping with ``extends: <name of such a file>`` changes what it says of that member; of
    ``options`` those that it names.
    """
    if isinstance(value, MemberConfig):
        return value
    if isinstance(value, str) or (isinstance(value, dict) and "extends" in value):
        changes = {"extends": value} if isinstance(value, str) else dict(value)
        name = changes.pop("extends")
        path = CONFIG_FOLDER / "members" / f"{name}.yaml"
        if not path.is_file():
            known = [p.stem for p in (CONFIG_FOLDER / "members").glob("*.yaml")]
            raise unknown("member", str(name), known, f" in {where}")
        base = read_yaml(path)
        if isinstance(options := changes.get("options", {}), dict):
            changes["options"] = {**(base.get("options") or {}), **options}
        value, where = {"name": name, **base, **changes}, f"{where}, member {name}"
    return build(MemberConfig, value, where)


def _override(values: dict[str, Any], text: str) -> None:
    """Apply ``a.b=c``; ``members.<name>.<key>`` reaches into the member of that name."""
    parts, _ = assignment(text)
    if parts[0] != "members" or len(parts) < 3:
        assign(values, text)
        return
    members = [to_dict(member_config(m, "--set")) for m in values.get("members") or ()]
    values["members"] = members
    named = {m["name"]: m for m in members}
    if parts[1] not in named:
        raise unknown("member", parts[1], named, f" in --set {text}")
    assign({"members": named}, text)
