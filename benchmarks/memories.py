"""What the memories of SAM 2 are worth on a labelled data set, and how much they differ.

    python -m benchmarks.memories DATA --labels Labels [--weights demo-sam2] [--videos 12]

Every video is followed with every memory. Prints for each: J&F (DAVIS); J&F on reappearance
(mosev2); the share of object-frames on which the mask lies on another object rather than on its
own; how the masks differ from the window's, the mean of 1 - IoU over objects and frames; the mean
J&F of the better of the two by object; CPU time per frame, as a multiple of the window's. All but
the last in percent.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from statistics import fmean

import numpy as np

import adapters
from adapters.base import Segmenter
from adapters.sam2.options import MEMORIES
from mose import Video
from mose.dataset import Dataset, open_dataset
from selection.metrics.protocols.protocol import mean_scores
from selection.metrics.regions import Regions, iou
from selection.metrics.scorer import VideoScorer
from stseg.tables import format_table


@dataclass
class Tally:
    """What one memory did on all videos.

    objects    (video, object) -> J&F
    back       scores by the rule of mosev2
    swapped    for each object-frame with a true mask, whether the mask lies on another object
    apart      1 - IoU with the window's mask, for each object-frame
    seconds    of CPU time
    frames     that took them
    """

    objects: dict[tuple[str, int], float] = field(default_factory=dict)
    back: list[dict[str, float | None]] = field(default_factory=list)
    swapped: list[bool] = field(default_factory=list)
    apart: list[float] = field(default_factory=list)
    seconds: float = 0.0
    frames: int = 0


def masks(segmenter: Segmenter, video: Video) -> Iterator[np.ndarray]:
    for frame in segmenter.segment(video):
        yield frame.labels(video.height, video.width)


def is_swapped(prediction: Regions, truth: Regions, object_id: int) -> bool:
    """Whether the mask of an object covers more of another object than of its own."""
    plane = prediction.plane(object_id)
    own = plane.common(truth.plane(object_id)) if object_id in truth.areas else 0
    return any(
        plane.common(truth.plane(other)) > own for other in truth.areas if other != object_id
    )


def follow(
    tally: Tally, segmenter: Segmenter, data: Dataset, name: str, window: list[Regions]
) -> list[Regions]:
    """Score a video; returns its masks."""
    video = data.video(name)
    start = time.process_time()
    answers = [Regions(ids) for ids in masks(segmenter, video)]
    tally.seconds += time.process_time() - start
    tally.frames += len(answers)
    labels = data.label_masks(name, video)
    scorers = [VideoScorer(rule, video.object_ids) for rule in ("davis", "mosev2")]
    for index in range(1, len(video) - 1):
        label = labels(index)
        if label is None:
            continue
        truth = Regions(label)
        for scorer in scorers:
            scorer.add(answers[index], truth)
        for object_id in video.object_ids:
            if object_id in answers[index].areas and object_id in truth.areas:
                tally.swapped.append(is_swapped(answers[index], truth, object_id))
            if window:
                tally.apart.append(1 - iou(answers[index], window[index], object_id))
    for object_id, scores in scorers[0].scores().items():
        if scores is not None and scores["J&F"] is not None:
            tally.objects[name, object_id] = scores["J&F"]
    tally.back += [scores for scores in scorers[1].scores().values() if scores is not None]
    return answers


def rows(tallies: Mapping[str, Tally]) -> list[tuple[str, ...]]:
    window = tallies["window"]
    pace = window.seconds / window.frames
    table = []
    for memory, tally in tallies.items():
        back = mean_scores(tally.back).get("J&F_reappear")
        better = [max(score, window.objects[key]) for key, score in tally.objects.items()]
        numbers = [
            fmean(tally.objects.values()),
            back or 0.0,
            fmean(tally.swapped) if tally.swapped else 0.0,
            fmean(tally.apart) if tally.apart else 0.0,
            fmean(better),
        ]
        ratio = tally.seconds / tally.frames / pace
        table.append((memory, *(f"{100 * number:.1f}" for number in numbers), f"{ratio:.2f}"))
    return table


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("data")
    parser.add_argument("--split")
    parser.add_argument("--labels", default="Labels")
    parser.add_argument("--weights", default="demo-sam2")
    parser.add_argument("--options", type=json.loads, default={}, help="JSON, of the adapter")
    parser.add_argument("--videos", type=int, help="the first so many")
    arguments = parser.parse_args()
    data = open_dataset(arguments.data, arguments.split, labels=arguments.labels)
    tallies = {memory: Tally() for memory in MEMORIES}
    loaded = {
        memory: adapters.load("sam2", arguments.weights, memory=memory, **arguments.options)
        for memory in MEMORIES
    }
    for name in islice(data.videos, arguments.videos):
        window: list[Regions] = []
        for memory in MEMORIES:
            answers = follow(tallies[memory], loaded[memory], data, name, window)
            window = window or answers
    head = ("memory", "J&F", "reappear", "swapped", "apart", "better of two", "time")
    print(format_table(head, rows(tallies), left=1))


if __name__ == "__main__":
    main()
