"""Every mistake that has a name is made on purpose, and must be named."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import pytest
import torch

from adapters.base import FrameMasks, Segmenter
from adapters.doctor import clip, members, models, stages
from adapters.doctor.diagnosis import diagnose_reading, diagnose_run
from adapters.doctor.members import Member, check_options, check_precision, check_weights
from adapters.doctor.mistakes import Check, CheckResult, Mistake
from adapters.weights import store
from adapters.weights.catalogue import Checkpoint
from mose import Video

pytestmark = pytest.mark.usefixtures("one_thread")


class Workshop(NamedTuple):
    """What a mistake is made with."""

    folder: Path
    video: Video
    patch: pytest.MonkeyPatch

    def reading(self, video: Video) -> list[Check]:
        return diagnose_reading(stages.read(video), stages.golden().reading, with_flow=True)

    def run(self, video: Video | None = None, adapter: str = "xmem") -> list[Check]:
        return self.judge(models.load(adapter, self.folder), video, adapter)

    def judge(
        self, model: Segmenter, video: Video | None = None, adapter: str = "xmem"
    ) -> list[Check]:
        seen = stages.run(model, video or self.video)
        return diagnose_run(adapter, seen, stages.golden().runs[adapter])


@pytest.fixture(scope="module")
def video(tmp_path_factory) -> Video:
    return clip.write(tmp_path_factory.mktemp("clip"))


@pytest.fixture
def workshop(tmp_path, video, monkeypatch) -> Workshop:
    return Workshop(tmp_path, video, monkeypatch)


class Frames:
    """Frames of a video in another order, each through a function."""

    def __init__(self, video: Video, order: Sequence[int], change: Callable | None = None):
        self._video, self._order, self._change = video, order, change

    def __len__(self) -> int:
        return len(self._order)

    def __getitem__(self, index: int) -> np.ndarray:
        frame = self._video[self._order[index]]
        return np.ascontiguousarray(self._change(frame) if self._change else frame)


def backwards(frame: np.ndarray) -> np.ndarray:
    return frame[..., ::-1]


class Changed(Segmenter):
    """A model whose answers go through a function."""

    name, needs_weights = "changed", False

    def __init__(self, model: Segmenter, change: Callable[[Iterator[FrameMasks]], Iterator]):
        self._model, self._change = model, change

    def segment(self, video: Video) -> Iterator[FrameMasks]:
        return self._change(self._model.segment(video))


def wrong_checkpoint(workshop: Workshop) -> Iterator[list[Check]]:
    path = workshop.folder / "XMem.pth"
    shutil.copy(store.PRETRAINED / "demo-xmem.safetensors", path.with_suffix(".safetensors"))
    path = path.with_suffix(".safetensors")
    entry = Checkpoint("xmem", "xmem", path.name, "MIT", sha256="0" * 64)
    other = replace(entry, name="xmem-s012", sha256=store.Pin.of(path, "").sha256)
    known = {"xmem": entry, "xmem-s012": other}
    workshop.patch.setattr(members, "read_catalogue", lambda: known)
    member = Member.of({"extends": "xmem", "weights": str(path)}, "here")
    yield [check_weights(member)]
    workshop.patch.undo()
    small = workshop.folder / "cutie.safetensors"  # no published hash: its shapes tell
    shutil.copy(store.PRETRAINED / "demo-cutie.safetensors", small)
    yield [check_weights(Member.of({"extends": "cutie", "weights": str(small)}, "here"))]
    yield [check_weights(Member.of({"extends": "xmem", "weights": str(small)}, "here"))]


def bgr(workshop: Workshop) -> Iterator[list[Check]]:
    video = workshop.video.over(Frames(workshop.video, range(clip.FRAMES), backwards))
    yield workshop.reading(video)
    yield workshop.run(video)


def normalisation(workshop: Workshop) -> Iterator[list[Check]]:
    for mean, deviation in (((0.5,) * 3, (0.5,) * 3), ((0.0,) * 3, (1 / 255,) * 3)):
        workshop.patch.setattr("adapters.networks.ops.IMAGENET_MEAN", mean)
        workshop.patch.setattr("adapters.networks.ops.IMAGENET_STD", deviation)
        yield workshop.run()


def working_size(workshop: Workshop) -> Iterator[list[Check]]:
    options = {**models.OPTIONS, "xmem": {"size": 128}}
    workshop.patch.setattr(models, "OPTIONS", options)
    yield workshop.run()
    yield [check_options(Member.of({"extends": "cutie", "options": {"size": 480}}, "here"))]


def old_gpu(workshop: Workshop) -> Iterator[list[Check]]:
    for amp, capability in (("bf16", (7, 5)), ("fp16", (6, 1))):
        workshop.patch.setattr(torch.cuda, "get_device_capability", lambda _, has=capability: has)
        member = Member.of({"extends": "sam2-large", "options": {"amp": amp}}, "here")
        yield [check_precision(member, "cuda")]


def smooth_masks(workshop: Workshop) -> Iterator[list[Check]]:
    # As a data set that was made smaller and larger again.
    mask = cv2.resize(workshop.video.prompts[0], None, fx=0.5, fy=0.5)
    smooth = cv2.resize(mask, (clip.WIDTH, clip.HEIGHT))
    frames = np.stack([workshop.video[index] for index in range(clip.FRAMES)])
    yield workshop.reading(Video.from_arrays(frames, {0: smooth}))
    from adapters.networks.ops import resize

    workshop.patch.setattr("adapters.xmem.segmenter.resize", lambda x, size, *_: resize(x, size))
    yield workshop.run()


def positions(workshop: Workshop) -> Iterator[list[Check]]:
    def renumbered(answers: Iterator[FrameMasks]) -> Iterator[FrameMasks]:
        for frame in answers:
            yield replace(frame, object_ids=tuple(range(1, len(frame.object_ids) + 1)))

    yield workshop.judge(Changed(models.load("xmem", workshop.folder), renumbered))
    mask = np.searchsorted([0, *clip.IDS], workshop.video.prompts[0]).astype(np.uint8)
    frames = np.stack([workshop.video[index] for index in range(clip.FRAMES)])
    yield workshop.reading(Video.from_arrays(frames, {0: mask}))


def flow_colours(workshop: Workshop) -> Iterator[list[Check]]:
    def grey(flow: np.ndarray) -> np.ndarray:
        length = np.hypot(flow[..., 0], flow[..., 1])
        return np.repeat((length * 255 / max(length.max(), 1))[..., None], 3, -1).astype(np.uint8)

    def raw(flow: np.ndarray) -> np.ndarray:
        planes = np.concatenate([flow, np.zeros_like(flow[..., :1])], axis=-1)
        return (planes * 8 + 128).clip(0, 255).astype(np.uint8)

    for picture in (grey, raw):
        workshop.patch.setattr("adapters.tmo.segmenter.flow_picture", picture)
        yield workshop.run(adapter="tmo")
    workshop.patch.setattr(stages, "flow_picture", grey)
    yield workshop.reading(workshop.video)


def skipped_frame(workshop: Workshop) -> Iterator[list[Check]]:
    def late(answers: Iterator[FrameMasks]) -> Iterator[FrameMasks]:
        next(answers)
        yield from answers

    yield workshop.judge(Changed(models.load("xmem", workshop.folder), late))
    last = clip.FRAMES - 1
    shifted = workshop.video.over(Frames(workshop.video, [*range(1, clip.FRAMES), last]))
    yield workshop.reading(shifted)
    yield workshop.run(shifted)


def text_order(workshop: Workshop) -> Iterator[list[Check]]:
    names = sorted(range(clip.FRAMES), key=lambda index: str(clip.FIRST + index))
    video = workshop.video.over(Frames(workshop.video, names))
    yield workshop.reading(video)
    yield workshop.run(video)


MADE: dict[Mistake, Callable[[Workshop], Iterator[list[Check]]]] = {
    Mistake.WRONG_CHECKPOINT: wrong_checkpoint,
    Mistake.BGR: bgr,
    Mistake.NORMALISATION: normalisation,
    Mistake.WORKING_SIZE: working_size,
    Mistake.OLD_GPU: old_gpu,
    Mistake.SMOOTH_MASKS: smooth_masks,
    Mistake.POSITIONS: positions,
    Mistake.FLOW: flow_colours,
    Mistake.SKIPPED_FRAME: skipped_frame,
    Mistake.TEXT_ORDER: text_order,
}


@pytest.mark.parametrize("mistake", Mistake)
def test_is_named(workshop, mistake):
    for checks in MADE[mistake](workshop):
        named = [check for check in checks if check.mistake]
        assert {check.mistake for check in named} == {mistake}
        assert all(check.verdict is not CheckResult.OK for check in named)
