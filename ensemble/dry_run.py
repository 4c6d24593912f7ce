"""What ``--dry-run`` prints: the plan of a run, before anything is spent."""

from __future__ import annotations

from adapters.weights.store import how_to_get, missing
from ensemble.plan import Plan, calibration_notes
from mose.findings import lines as finding_lines
from stseg.tables import format_table


def describe_plan(plan: Plan) -> str:
    """Videos, pairs, their share of the cost, the memory that finishing takes."""
    rows = []
    units = sum(pair.units for pair in plan.pairs)
    for member in plan.job.config.members:
        mine = [pair for pair in plan.pairs if pair.member == member.name]
        whole = len(plan.whole[member.name])
        share = sum(pair.units for pair in mine) / units if units else 0.0
        rows.append([member.name, member.adapter, str(len(mine)), str(whole), f"{100 * share:.0f}"])
    table = format_table(["member", "adapter", "to run", "whole", "% of cost"], rows)
    sizes = [(found.height * found.width, name) for name, found in plan.inputs.items()]
    largest = max(sizes, default=(0, ""))
    members = len(plan.job.config.members)
    # Per member: ids, soft masks and scoring maps of one frame; nothing grows with length.
    finish = largest[0] * (members + 1) * 12 / 2**20
    lines = [
        f"{len(plan.videos)} videos: {len(plan.finished)} finished,"
        f" {len(plan.inputs) - len(plan.finished)} to do, {len(plan.broken)} unusable",
        f"{len(plan.pairs)} pairs to run, {units / 1e9:.2f} Gpx (frames x objects x pixels)",
        table,
        f"memory of finishing a video: about {finish:.0f} MiB above the interpreter"
        f" (largest frame: {largest[1]})",
    ]
    lines += [f"unusable: {message}" for message in plan.broken.values()]
    lines += finding_lines(plan.notes)
    lines += calibration_notes(plan.job)
    lines += missing_weights(plan)
    return "\n".join(lines)


def missing_weights(plan: Plan) -> list[str]:
    """Which members lack published weights, and how to bring them here."""
    members = plan.job.config.members
    lacking = missing(dict.fromkeys(m.weights for m in members if m.weights))
    names = ", ".join(checkpoint.name for checkpoint in lacking)
    return [f"weights that are not here yet: {names}", *how_to_get(lacking)] if lacking else []
