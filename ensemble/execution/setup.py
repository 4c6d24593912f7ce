"""From a configuration to what the scheduler and the executors need of it."""

from __future__ import annotations

import math

from adapters.forecast import USUAL_MS, Speed, frame_cost
from ensemble.config import MemberConfig, RunConfig
from ensemble.execution.executor import Executor, make_executor
from ensemble.job import RunJob
from ensemble.scheduling.messages import MemberSpec, Shape


def specs_of(config: RunConfig) -> list[MemberSpec]:
    """The resources that the members' workers need."""
    on_gpu = config.execution.device != "cpu"
    return [
        MemberSpec(
            name=member.name,
            num_cpus=member.num_cpus,
            num_gpus=member.num_gpus if on_gpu else 0.0,
            memory=member.memory,
            max_workers=member.max_workers,
            seconds_per_unit=MemberSpec.seconds_per_unit * member_speed(member).ms / USUAL_MS,
        )
        for member in config.members
    ]


def member_speed(member: MemberConfig, device: str = "cuda") -> Speed:
    """What a frame of a member is expected to cost, to compare members by."""
    return frame_cost(member.adapter, member.options, device, member.cost)


def executor_of(config: RunConfig, job: RunJob) -> Executor:
    """The executor that a configuration asks for, for a job."""
    execution = config.execution
    if execution.executor != "ray":
        return make_executor(execution.executor, job)
    return make_executor(
        "ray", job, execution.address, num_cpus=execution.workers, wanted=wanted_room(config)
    )


def wanted_room(config: RunConfig) -> Shape | None:
    """The resources to ask a growing cluster for: ``execution.gpus``, and cores for a worker on
    each of them and for finishing videos. None if nothing is asked for."""
    gpus = config.execution.gpus
    if not gpus:
        return None
    per_gpu = max(m.num_cpus / m.num_gpus if m.num_gpus else m.num_cpus for m in config.members)
    memory = sum(member.memory or 0 for member in config.members) * math.ceil(gpus)
    return Shape(math.ceil(gpus * per_gpu) + math.ceil(gpus), gpus, memory)
