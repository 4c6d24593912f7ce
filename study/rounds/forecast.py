"""What a round would cost: a few steps of every training, and what the members took before."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from ensemble.storage.predictions import read_manifest
from finetune.clip_options import SYNTHETIC
from finetune.estimate import estimate
from study.rounds.options import Lessons, check_members, recipe_for
from study.rounds.source import FinishedRun, open_finished
from study.rounds.stages import Order, Split


def forecast(order: Order) -> Iterator[str]:
    """Lines for people, of one round. A training is measured on synthetic clips of the same size;
    nothing of the round is written."""
    source = open_finished(order.source)
    members = check_members(order.config, order.members, source.config.members)
    split = Split.of(source, order.config)
    yield (
        f"{len(source.records)} videos: {len(split.trained)} to learn from,"
        f" {len(split.held_out)} held out"
    )
    for member in members:
        seconds, size = spent(source, member.name)
        recipe = recipe_for(order.config, member, Lessons(Path()), order.device)
        clips = replace(recipe.data, dataset=SYNTHETIC, labelled=None)
        options = order.config.rounds
        steps = options.video_steps * len(source.records) if order.per_video else recipe.steps
        times = "" if order.per_video else f", at most {len(options.rates)} times"
        yield f"{member.name}: trained on {order.device}{times}"
        yield estimate(replace(recipe, data=clips, steps=steps))
        yield (
            f"{member.name}@r1 over all videos: {seconds / 3600:.2f} h, as {member.name} took"
            f" in the run; {size / 2**30:.2f} GiB of predictions"
        )


def spent(source: FinishedRun, member: str) -> tuple[float, int]:
    """Seconds that a member took for the videos of a run, and bytes of its predictions."""
    seconds, size = 0.0, 0
    for video in source.records:
        manifest = read_manifest(source.run.prediction(member, video)) or {}
        seconds += manifest.get("seconds", 0.0)
        size += manifest.get("bytes", 0)
    return seconds, size
