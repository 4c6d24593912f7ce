"""From what was seen of the clip to the name of the mistake.

A tolerance lies between what sound installations differ by and what the smallest mistake changes.
The first was measured over 1 and 2 threads, full precision and bf16; the second on the injected
mistakes of tests/adapters/doctor.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from adapters.doctor import clip
from adapters.doctor.mistakes import Check, Mistake, fine, wrong
from adapters.doctor.stages import ModelRun, PictureSummary, Reading

Pictures = Sequence[PictureSummary]

LEVELS = 1.0
"""Of a frame's mean, in 255: decoders of JPEG differ by up to 0.3, frames of the clip by 8."""

PIXELS = 0.02
"""Of a network's normalised pixels: means differ by less than 0.001 on sound installations, by
0.007 in bf16; one frame is 0.06 brighter than the next where the deviation is one half."""

FLOW = 0.25
"""The same of flow pictures, whose flow each version of OpenCV rounds anew; without the colours
they are off by 0.5 and more."""

BETWEEN = 0.001
"""Of the pixels of one object's given mask: none lies between in and out of it where the nearest
pixel is taken; its edge does, 0.003 and more, where pixels are mixed."""

ANSWERS = 0.1
"""Of the deviation of a frame's native map: bf16 and another device change less, other weights
or another input more."""

NORMALISATIONS = {
    "ImageNet's mean and deviation": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "a mean and deviation of one half": ((0.5,) * 3, (0.5,) * 3),
    "none, pixels in [0, 1]": ((0.0,) * 3, (1.0,) * 3),
    "none, pixels in [0, 255]": ((0.0,) * 3, (1 / 255,) * 3),
    "ImageNet's, of pixels in [0, 255]": (
        (0.485 / 255, 0.456 / 255, 0.406 / 255),
        (0.229 / 255, 0.224 / 255, 0.225 / 255),
    ),
}
"""Ways to make a network's input of pixels in [0, 1], as they are found in the wild."""


def diagnose_reading(seen: Reading, golden: Reading, with_flow: bool) -> list[Check]:
    """The first stage: frames, the given mask and, for TMO, the picture of a flow."""
    checks = [_frames(seen.frames, golden.frames), _given(seen, golden)]
    if with_flow:
        subject = "flow picture"
        if _apart([seen.flow], [golden.flow]) > LEVELS:
            told = f"its mean is {_told(seen.flow.mean)} in place of {_told(golden.flow.mean)}"
            checks.append(wrong(subject, told, Mistake.FLOW))
        else:
            checks.append(fine(subject, f"the colour wheel, mean {_told(seen.flow.mean)}"))
    return checks


def _frames(seen: Pictures, golden: Pictures) -> Check:
    subject = "frames"
    if mistake := _out_of_order(seen, golden, LEVELS):
        return wrong(subject, f"{len(seen)} of {len(golden)} frames, read as they are", mistake)
    size = seen[0].height, seen[0].width
    if size != (golden[0].height, golden[0].width):
        told = f"{size[0]} x {size[1]} in place of {golden[0].height} x {golden[0].width}"
        return wrong(subject, told, Mistake.WORKING_SIZE)
    first = seen[0].mean
    if _apart(seen, golden) <= LEVELS:
        return fine(subject, f"{len(seen)} of {size[0]} x {size[1]}, mean colour {_told(first)}")
    told = f"the first has mean colour {_told(first)} in place of {_told(golden[0].mean)}"
    backwards = [_reversed(colours) for colours in seen]
    return wrong(subject, told, Mistake.BGR if _apart(backwards, golden) <= LEVELS else None)


def _given(seen: Reading, golden: Reading) -> Check:
    subject = "given mask"
    if (seen.ids, seen.pixels) == (golden.ids, golden.pixels):
        return fine(subject, f"ids {_listed(seen.ids)}, {_listed(seen.pixels)} pixels")
    told = f"ids {_listed(seen.ids)} in place of {_listed(golden.ids)}"
    if seen.ids == tuple(range(1, len(golden.ids) + 1)):
        return wrong(subject, told, Mistake.POSITIONS)
    mixed = set(seen.ids) > set(golden.ids)
    return wrong(subject, told, Mistake.SMOOTH_MASKS if mixed else None)


def diagnose_run(adapter: str, seen: ModelRun, golden: ModelRun) -> list[Check]:
    """The stages of one adapter: what its network sees, and what it answers."""
    return [
        _input(f"input of {adapter}", seen.images, golden.images, adapter),
        _planes(f"given masks of {adapter}", seen, golden),
        _answers(f"answers of {adapter}", seen, golden),
    ]


def _input(subject: str, seen: Pictures, golden: Pictures, adapter: str) -> Check:
    first = golden[0]
    if not seen:
        return wrong(subject, "no convolution has seen an image of three channels")
    if (seen[0].height, seen[0].width) != (first.height, first.width):
        told = f"{seen[0].height} x {seen[0].width} in place of {first.height} x {first.width}"
        return wrong(subject, told, Mistake.WORKING_SIZE)
    if adapter == "tmo":  # a frame and its flow in turn
        motion, golden_motion = seen[1::2], golden[1::2]
        seen, golden = seen[::2], golden[::2]
        if _apart(seen, golden) <= PIXELS and _apart(motion, golden_motion) > FLOW:
            told = f"mean {_told(motion[-1].mean)} in place of {_told(golden_motion[-1].mean)}"
            return wrong(subject, f"the motion input has {told}", Mistake.FLOW)
    if _apart(seen, golden) <= PIXELS:
        told = f"mean {_told(seen[0].mean)}, deviation {_told(seen[0].deviation)}"
        return fine(subject, f"{first.height} x {first.width}, {told}")
    if mistake := _out_of_order(seen, golden, PIXELS):
        return wrong(subject, "the network sees the frames so", mistake)
    return _colours(subject, seen[0], first)


def _colours(subject: str, seen: PictureSummary, golden: PictureSummary) -> Check:
    """Which order of channels and which normalisation make the input that was seen."""
    told = f"mean {_told(seen.mean)} in place of {_told(golden.mean)}"
    right = _normalisation(golden.mean, clip.LEVELS)
    for levels, order in ((clip.LEVELS, "RGB"), (clip.LEVELS[::-1], "BGR")):
        name = _normalisation(seen.mean, levels)
        if name and name != right:
            mistake = f"{told}: {order}, normalised by {name}, not by {right}"
            return wrong(subject, mistake, Mistake.NORMALISATION)
        if name and order == "BGR":
            return wrong(subject, told, Mistake.BGR)
    return wrong(subject, told)


def _normalisation(mean: Sequence[float], levels: Sequence[float]) -> str:
    """The name of the one that makes such a mean of the clip's first frame, or nothing."""
    apart = {}
    for name, (middle, deviation) in NORMALISATIONS.items():
        expected = (np.asarray(levels) / 255 - middle) / deviation
        scale = 1 / np.asarray(deviation) * LOOSE
        apart[name] = float(np.max(np.abs(expected - mean) / scale))
    name = min(apart, key=lambda name: apart[name])
    return name if apart[name] <= 1 else ""


LOOSE = 4 / 255
"""How far a frame's mean may be from the levels that the clip is drawn with: discs and waves."""


def _planes(subject: str, seen: ModelRun, golden: ModelRun) -> Check:
    if seen.between is None or golden.between is None:
        return fine(subject, "no convolution sees them")
    told = f"{seen.between:.1%} of their pixels are neither in nor out"
    if seen.between > golden.between + BETWEEN:
        return wrong(subject, told, Mistake.SMOOTH_MASKS)
    return fine(subject, told)


def _answers(subject: str, seen: ModelRun, golden: ModelRun) -> Check:
    indices = [answer.index for answer in seen.answers]
    wanted = [answer.index for answer in golden.answers]
    if indices != wanted:
        skipped = len(indices) == len(wanted) - 1 or indices[:1] == [1]
        told = f"frames {_listed(indices)} in place of {_listed(wanted)}"
        return wrong(subject, told, Mistake.SKIPPED_FRAME if skipped else None)
    ids, given = seen.answers[0].ids, golden.answers[0].ids
    if ids != given:
        positions = set(ids) <= set(range(len(given) + 1))
        told = f"objects {_listed(ids)} in place of {_listed(given)}"
        return wrong(subject, told, Mistake.POSITIONS if positions else None)
    off = max(
        max(abs(a.mean - b.mean), abs(a.deviation - b.deviation)) / b.deviation
        for a, b in zip(seen.answers, golden.answers, strict=True)
    )
    told = f"logits are off by {off:.3f} of their deviation at most"
    return fine(subject, told) if off <= ANSWERS else wrong(subject, told)


def _out_of_order(seen: Pictures, golden: Pictures, tolerance: float) -> Mistake | None:
    """Whether frames were left out or came in another order."""
    in_text_order = [golden[place] for place in clip.text_order()] if len(golden) > 1 else []
    for mistake, expected in (
        (Mistake.TEXT_ORDER, in_text_order),
        (Mistake.SKIPPED_FRAME, golden[1:]),
        (Mistake.SKIPPED_FRAME, [*golden[1:], golden[-1]]),
    ):
        if len(seen) == len(expected) and _apart(seen, expected) <= tolerance:
            return mistake
    return None


def _apart(seen: Pictures, golden: Pictures) -> float:
    """The largest difference of a mean or a deviation; infinite where there are more or fewer."""
    if len(seen) != len(golden):
        return float("inf")
    return max(
        float(np.max(np.abs(np.subtract(a, b))))
        for one, other in zip(seen, golden, strict=True)
        for a, b in ((one.mean, other.mean), (one.deviation, other.deviation))
    )


def _reversed(colours: PictureSummary) -> PictureSummary:
    return PictureSummary(
        colours.height, colours.width, colours.mean[::-1], colours.deviation[::-1]
    )


def _told(values: Sequence[float]) -> str:
    return "(" + ", ".join(f"{value:.2f}" for value in values) + ")"


def _listed(values: Sequence[int]) -> str:
    return ", ".join(map(str, values)) or "none"
