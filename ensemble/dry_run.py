"""What ``--dry-run`` prints: the plan of a run, before anything is spent."""

from __future__ import annotations

import contextlib

from adapters.forecast import FOOTPRINTS, VideoShape, device_memory
from adapters.weights.catalogue import how_to_get, read_catalogue
from adapters.weights.store import missing, resolve
from ensemble.config import MemberConfig
from ensemble.execution.setup import member_speed
from ensemble.plan import Plan, calibration_notes
from mose import InputError
from mose.findings import lines as finding_lines
from stseg.cli import counted
from stseg.tables import format_table

HEADS = ["member", "adapter", "to run", "whole", "% of cost", "by", "GiB", "by"]
LEGEND = """\
% of cost: share of the time of all members, by the speeds of the published networks on {device}.
GiB: memory of {of} for one worker, on the video that takes most, beside its libraries.
by: measured by this project, published by the authors, stated by the configuration, estimated."""


def describe_plan(plan: Plan) -> str:
    """Videos, pairs, their share of the cost, the memory that members and finishing take."""
    units = sum(pair.units for pair in plan.pairs)
    members = plan.job.config.members
    device = plan.job.config.execution.device
    speeds = [member_speed(member, device) for member in members]
    costs = [
        sum(pair.units for pair in plan.pairs if pair.member == member.name) * speed.ms
        for member, speed in zip(members, speeds, strict=True)
    ]
    rows = [
        [
            member.name,
            member.adapter,
            str(sum(pair.member == member.name for pair in plan.pairs)),
            str(len(plan.whole[member.name])),
            f"{100 * cost / (sum(costs) or 1.0):.0f}",
            speed.basis,
            in_gibibytes(largest_memory(plan, member)),
            memory_basis(member.adapter),
        ]
        for member, cost, speed in zip(members, costs, speeds, strict=True)
    ]
    table = format_table(HEADS, rows)
    sizes = [(video.height * video.width, name) for name, video in plan.inputs.items()]
    largest = max(sizes, default=(0, ""))
    # Per member: ids, soft masks and scoring maps of one frame; nothing grows with length.
    finish = largest[0] * (len(members) + 1) * 12 / 2**20
    lines = [
        f"{counted(len(plan.videos), 'video')}: {len(plan.finished)} finished,"
        f" {len(plan.inputs) - len(plan.finished)} to do, {len(plan.broken)} unusable",
        f"{counted(len(plan.pairs), 'pair')} to run,"
        f" {units / 1e9:.2f} Gpx (frames x objects x pixels)",
        table,
        LEGEND.format(
            device="two cores" if device == "cpu" else "a GPU (A100)",
            of="the process" if device == "cpu" else "the device",
        ),
        f"memory of finishing a video: about {finish:.0f} MiB above the interpreter"
        f" (largest frame: {largest[1]})",
    ]
    lines += [f"unusable: {message}" for message in plan.broken.values()]
    lines += finding_lines(plan.notes)
    lines += calibration_notes(plan.job)
    lines += missing_weights(plan)
    return "\n".join(lines)


def largest_memory(plan: Plan, member: MemberConfig) -> int | None:
    """Bytes of the device that a member is expected to take on the video that takes most."""
    known = read_catalogue()
    size = known[member.weights].bytes if member.weights in known else None
    with contextlib.suppress(InputError, OSError):  # how to bring it here is said below
        size = resolve(member.weights).stat().st_size if member.weights else None
    forecasts = [
        device_memory(
            member.adapter,
            VideoShape(video.height, video.width, video.objects, video.frames),
            member.options,
            size,
        )
        for video in plan.inputs.values()
    ]
    return max((forecast for forecast in forecasts if forecast is not None), default=None)


def memory_basis(adapter: str) -> str:
    """What the forecast of memory rests on; empty where there is none."""
    return FOOTPRINTS[adapter].basis if adapter in FOOTPRINTS else ""


def in_gibibytes(size: int | None) -> str:
    """A number of bytes for the table."""
    return "?" if size is None else f"{size / 2**30:.1f}"


def missing_weights(plan: Plan) -> list[str]:
    """Which members lack published weights, and how to bring them here."""
    members = plan.job.config.members
    lacking = missing(dict.fromkeys(m.weights for m in members if m.weights))
    names = ", ".join(checkpoint.name for checkpoint in lacking)
    return [f"weights that are not here yet: {names}", *how_to_get(lacking)] if lacking else []
