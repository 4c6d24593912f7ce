"""What the page of a video shows of one frame: the picture, and the ids of every layer."""

from __future__ import annotations

import threading
from contextlib import nullcontext
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from ensemble.fusion.frame_loop import with_given
from ensemble.storage.predictions import Prediction
from ensemble.storage.run_directory import RunDirectory
from mose import Video
from mose.masks import read_mask
from selection.evidence import PSEUDO_LABEL
from selection.record import SelectionRecord
from selection.report.stills import frame_path, shrink
from selection.selectors import Choice, compose
from stseg.errors import InputError
from stseg.failures import CorruptPrediction

QUALITY = 85
"""Of the JPEGs that are made here."""
REDUCED = {
    2: cv2.IMREAD_REDUCED_COLOR_2,
    4: cv2.IMREAD_REDUCED_COLOR_4,
    8: cv2.IMREAD_REDUCED_COLOR_8,
}
"""How a JPEG is decoded to a part of its size, with a part of the work."""


class LayerKind(StrEnum):
    """Where the masks of a layer come from."""

    SELECTED = "selected"
    CANDIDATE = "candidate"
    RUN = "run"
    """What the run itself had selected, before anybody changed it."""
    CONTINUED = "continued"
    """What members made of the corrections, to accept or to drop."""


@dataclass(frozen=True)
class Layer:
    """Masks that can be laid over the frames.

    number      names it in addresses
    there       tells that its masks are stored
    """

    number: int
    name: str
    kind: LayerKind
    there: bool = True


OWN, TRIAL = 1000, 1001
"""Numbers of the layers that are no candidates; the selected masks have 0, candidates 1 and on."""


@dataclass(frozen=True)
class Trial:
    """A continuation as it would be accepted: its video, and what would be selected of it."""

    shown: ShownVideo
    choice: Choice


@dataclass(frozen=True)
class ShownVideo:
    """A video that a page shows.

    run      is its run
    video    is opened with the corrections that are in force
    record   is the selection in force
    trial    is a continuation that waits for a verdict, None without
    """

    run: RunDirectory
    video: Video
    record: SelectionRecord
    images: Path
    trial: Trial | None = None

    @cached_property
    def layers(self) -> tuple[Layer, ...]:
        """Every layer, whether its masks are stored or not."""
        rows = [
            Layer(number, row.name, LayerKind.CANDIDATE, self._stored(row.name))
            for number, row in enumerate(self.record.candidates, 1)
        ]
        more = []
        if self.record.overridden:
            more.append(Layer(OWN, "as the run selected", LayerKind.RUN))
        if self.trial is not None:
            more.append(Layer(TRIAL, "continued", LayerKind.CONTINUED))
        return (Layer(0, "selected", LayerKind.SELECTED), *rows, *more)

    def _stored(self, candidate: str) -> bool:
        if candidate == PSEUDO_LABEL:
            return self.run.pseudo_labels(self.video.name).is_dir()
        return (self.run.prediction(candidate, self.video.name) / "manifest.json").is_file()

    @cached_property
    def _lock(self) -> threading.Lock:
        return threading.Lock()

    @cached_property
    def _predictions(self) -> dict[str, Prediction]:
        return {}

    def picture(self, index: int, height: int) -> bytes:
        """A frame as JPEG, ``height`` pixels high or as high as the video; as stored where that
        will do."""
        self._check(index)
        path = frame_path(self.images, self.video.frame_names[index])
        plain = is_plain_jpeg(path)
        if plain:
            stored = path.read_bytes()
            part = REDUCED.get(round(self.video.height / height))
            if height >= self.video.height:
                return stored
            if part and (frame := cv2.imdecode(np.frombuffer(stored, np.uint8), part)) is not None:
                return encode_jpeg(frame)
        height = min(max(height, 16), self.video.height)
        width = max(round(self.video.width * height / self.video.height), 1)
        # A movie has one place at which it is read; files are read side by side.
        with nullcontext() if plain else self._lock:
            frame = self.video.small(index, height, width)
        return encode_jpeg(frame[..., ::-1])

    def small(self, index: int, number: int, height: int) -> np.ndarray:
        """``(h, w) uint8`` ids of a layer at a height in pixels, or less where the video is lower.

        `InputError` where there is no such layer or frame.
        """
        self._check(index)
        layer = next((layer for layer in self.layers if layer.number == number), None)
        if layer is None or not layer.there:
            raise InputError(f"video {self.video.name} has no masks of layer {number}: reload")
        if layer.kind is LayerKind.CONTINUED and self.trial is not None:
            return self.trial.shown.preview(index, self.trial.choice, height)
        if layer.kind is LayerKind.CANDIDATE and layer.name != PSEUDO_LABEL:
            return self._reduced(self._member(layer.name, index), height)
        return read_mask(self._folder(layer) / self._file(index), size=self._size(height))

    def _size(self, height: int) -> tuple[int, int] | None:
        """(height, width) of a view that is lower than the video; None for others."""
        video = self.video
        if height >= video.height:
            return None
        return height, max(round(video.width * height / video.height), 1)

    def _reduced(self, ids: np.ndarray, height: int) -> np.ndarray:
        size = self._size(height)
        return ids if size is None else shrink(ids, size)

    def preview(self, index: int, choice: Choice, height: int) -> np.ndarray:
        """The masks that a choice would give a frame, at a height in pixels or less.

        They are made at that size where no mask is given on the frame: every step looks at one
        pixel at a time.
        """
        self._check(index)
        given = self.video.given(index) is not None
        used = set(choice.at(index).values())
        if len(used) != 1:
            used.add(PSEUDO_LABEL)  # decides where candidates overlap
        size = self.video.height if given else height
        by_name = {layer.name: layer.number for layer in self.layers}
        labels = {name: self.small(index, by_name[name], size) for name in sorted(used)}
        ids = compose(choice, index, labels)
        return self._reduced(with_given(ids, self.video, index) if given else ids, height)

    def _folder(self, layer: Layer) -> Path:
        name = self.video.name
        if layer.kind is LayerKind.RUN:
            return self.run.overridden_masks(name)
        return self.run.masks(name) if layer.number == 0 else self.run.pseudo_labels(name)

    def _member(self, name: str, index: int) -> np.ndarray:
        with self._lock:
            if name not in self._predictions:
                self._predictions[name] = Prediction(
                    self.run.current_prediction(name, self.video.name)
                )
            try:
                return self._predictions[name].ids(index)
            except CorruptPrediction as error:
                raise InputError(str(error)) from None

    def _file(self, index: int) -> str:
        return f"{self.video.frame_names[index]}.png"

    def _check(self, index: int) -> None:
        if not 0 <= index < len(self.video):
            raise InputError(f"video {self.video.name} has no frame {index}: it has"
                             f" {len(self.video)}")  # fmt: skip


def encode_jpeg(frame: np.ndarray) -> bytes:
    """``(H, W, 3) uint8`` BGR as JPEG."""
    done, data = cv2.imencode(".jpg", frame, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    assert done
    return data.tobytes()


def is_plain_jpeg(path: Path) -> bool:
    """Whether a browser shows a file as it is meant: a JPEG in colour or grey."""
    try:
        with Image.open(path) as image:
            return image.format == "JPEG" and image.mode in ("RGB", "L")
    except (OSError, Image.DecompressionBombError):
        return False


def numbers(text: str) -> list[int]:
    """ "0,3,5" as numbers; `InputError` for anything else."""
    parts = text.split(",")
    if not all(part.isascii() and part.isdecimal() and len(part) < 6 for part in parts):
        raise InputError("numbers are expected, with commas between them: reload the page")
    return [int(part) for part in parts]
