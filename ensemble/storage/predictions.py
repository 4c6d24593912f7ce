"""A prediction on disk: one member's output on one video.

A prediction is a folder that appears when it is complete or not at all (it is written under a
temporary name and renamed)::

    predictions/<member>/<video>/
      manifest.json     who made it from what: member, weights hash, options, fingerprint, ...
      index.npy         (frames, 2) int64: end offset and CRC-32 of each frame's record
      frames.bin        the records, one after the other

A record holds the ids at the video's size exactly as the adapter gave them, cropped to their
box, and the soft masks in the adapter's native form, each object cropped to where it matters
and quantised to 8 bits, so that fusion can weigh members where their ids differ. Records are
read one at a time; a damaged one raises `CorruptPrediction` and never becomes a mask.
"""

from __future__ import annotations

import io
import json
import os
import shutil
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import blosc2
import numpy as np

from adapters.base import FrameMasks
from adapters.expansion import Expansion
from stseg.failures import CorruptPrediction
from stseg.files import Json, partial_path, put_in_place

FORMAT = 1
FRAMES = "frames.bin"
COUNT = "count"
"""One byte per frame, while a prediction is written: how far it is, for whoever looks."""
LOGIT_LIMIT = 32.0
"""Logits are stored between -32 and 32, as 8 bits of their inverse hyperbolic sine: steps of
0.03 around 0, where masks end, and of 3 % far from it."""
SOFT_FLOOR = 0.004
"""An object's soft mask is cropped to where its probability is above this (one 8-bit step)."""
_HEADER = struct.Struct("<III")


@dataclass(frozen=True)
class StoredFrame(FrameMasks):
    """A `FrameMasks` read back: ``ids`` are the adapter's own, ``native`` is quantised."""

    ids: np.ndarray = field(default_factory=lambda: np.zeros((1, 1), np.uint8))

    def labels(self, height: int, width: int) -> np.ndarray:
        """``(height, width) uint8`` ids; exactly the adapter's at the size they were stored for."""
        if self.ids.shape == (height, width):
            return self.ids
        return super().labels(height, width)


class PredictionWriter:
    """Writes one prediction, frame by frame; `commit` makes it appear.

    Use as a context manager: leaving it without `commit` removes what was written.
    """

    def __init__(self, folder: str | Path, height: int, width: int, token: str = "0"):
        self.folder = Path(folder)
        self.size = (height, width)
        self.frames = 0
        self._partial = partial_path(self.folder, token)
        shutil.rmtree(self._partial, ignore_errors=True)
        self._partial.mkdir(parents=True)
        self._file = open(self._partial / FRAMES, "wb")  # noqa: SIM115
        self._count = open(self._partial / COUNT, "wb", buffering=0)  # noqa: SIM115
        self._index: list[tuple[int, int]] = []

    def __enter__(self) -> PredictionWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        self._count.close()
        shutil.rmtree(self._partial, ignore_errors=True)

    def add(self, frame: FrameMasks) -> None:
        """Append the next frame."""
        if frame.index != self.frames:
            raise RuntimeError(f"frame {frame.index} came where {self.frames} was expected")
        record = encode(frame, frame.labels(*self.size))
        self._file.write(record)
        self._index.append((self._file.tell(), zlib.crc32(record)))
        self.frames += 1
        self._count.write(b".")

    def commit(self, manifest: Json) -> int:
        """Write the manifest, flush to disk and rename into place; returns the size in bytes."""
        self._file.flush()
        os.fsync(self._file.fileno())
        size = self._file.tell()
        self._file.close()
        self._count.close()
        (self._partial / COUNT).unlink()
        # Through memory: on a full disk numpy's own writing to files raises a nameless error.
        index = io.BytesIO()
        np.save(index, np.asarray(self._index, np.int64).reshape(-1, 2))
        (self._partial / "index.npy").write_bytes(index.getvalue())
        whole = {
            "format": FORMAT,
            **manifest,
            "frames": self.frames,
            "height": self.size[0],
            "width": self.size[1],
            "bytes": size,
        }
        (self._partial / "manifest.json").write_text(json.dumps(whole, indent=1))
        put_in_place(self._partial, self.folder)
        return size


def frames_so_far(folder: Path, token: str) -> int:
    """How many frames the attempt with this token has written; 0 once its prediction is whole."""
    try:
        return (partial_path(folder, token) / COUNT).stat().st_size
    except OSError:
        return 0


class Prediction:
    """A stored prediction, read by frame: ``prediction[t]`` is a `StoredFrame`."""

    def __init__(self, folder: str | Path):
        self.folder = Path(folder)
        manifest = read_manifest(folder)
        if manifest is None:
            raise CorruptPrediction(self.folder, "is not whole")
        self.manifest = manifest
        self.size = (int(manifest["height"]), int(manifest["width"]))
        try:
            self._index = np.load(self.folder / "index.npy", allow_pickle=False)
            self._file = open(self.folder / FRAMES, "rb")  # noqa: SIM115
        except (OSError, ValueError) as error:
            raise CorruptPrediction(self.folder, f"cannot be read ({error})") from None
        if self._index.shape != (manifest["frames"], 2):
            raise CorruptPrediction(self.folder, f"has an index of {len(self._index)} frames")

    def __len__(self) -> int:
        return len(self._index)

    def __getitem__(self, index: int) -> StoredFrame:
        return decode(self._record(index), index, self.size)

    def ids(self, index: int) -> np.ndarray:
        """``(height, width) uint8`` ids of a frame alone, at the size they were stored for: a part
        of the work of reading its soft masks too."""
        return decode_ids(self._record(index), self.size)

    def _record(self, index: int) -> bytes:
        if not 0 <= index < len(self):
            raise IndexError(index)
        start = int(self._index[index - 1, 0]) if index else 0
        end, checksum = (int(v) for v in self._index[index])
        self._file.seek(start)
        record = self._file.read(end - start)
        if len(record) != end - start or zlib.crc32(record) != checksum:
            raise CorruptPrediction(self.folder, f"is damaged at frame {index}")
        return record

    def __iter__(self) -> Iterator[StoredFrame]:
        return (self[index] for index in range(len(self)))

    def close(self) -> None:
        self._file.close()


def read_manifest(folder: str | Path) -> Json | None:
    """The manifest of a complete prediction in ``folder``, or None if there is none."""
    folder = Path(folder)
    try:
        manifest = json.loads((folder / "manifest.json").read_text())
        whole = (folder / FRAMES).stat().st_size == manifest["bytes"]
    except (OSError, ValueError, KeyError):
        return None
    return manifest if whole and manifest.get("format") == FORMAT else None


def encode(frame: FrameMasks, ids: np.ndarray) -> bytes:
    """One frame as bytes: a JSON header, the packed ids, the packed soft masks.

    ids   ``(height, width) uint8``: the frame's labels at the video's size
    """
    box = _box(ids > 0)
    header: Json = {
        "ids": list(frame.object_ids),
        "presence": [round(float(p), 6) for p in frame.presence],
        "confidence": [round(float(c), 6) for c in frame.confidence],
        "rule": frame.expansion.rule,
        "padded": frame.expansion.padded,
        "window": frame.expansion.window,
        "native": frame.native.shape,
        "box": box,
    }
    hard = _pack(ids[box[0] : box[1], box[2] : box[3]])
    soft = b""
    if frame.expansion.rule != "labels":
        levels = quantise(frame.native, frame.expansion.rule)
        floor = _floor_level(frame.expansion.rule)
        boxes = [_box(plane > floor) for plane in levels]
        header["boxes"] = boxes
        crops = [
            plane[b[0] : b[1], b[2] : b[3]].reshape(-1)
            for plane, b in zip(levels, boxes, strict=True)
        ]
        soft = _pack(np.concatenate([*crops, np.zeros(0, np.uint8)]))
    head = json.dumps(header, separators=(",", ":")).encode()
    return _HEADER.pack(len(head), len(hard), len(soft)) + head + hard + soft


def decode(record: bytes, index: int, size: tuple[int, int]) -> StoredFrame:
    """The frame in ``record``; ``size`` is the (height, width) of its ids."""
    head_size, hard_size, soft_size = _HEADER.unpack_from(record)
    start = _HEADER.size + head_size + hard_size
    header = json.loads(record[_HEADER.size : _HEADER.size + head_size])
    ids = decode_ids(record, size)
    rule = header["rule"]
    if rule == "labels":
        native = ids
    else:
        values = _unpack(record[start : start + soft_size])
        levels = np.zeros(header["native"], np.uint8)
        at = 0
        for plane, (y0, y1, x0, x1) in zip(levels, header["boxes"], strict=True):
            count = (y1 - y0) * (x1 - x0)
            plane[y0:y1, x0:x1] = values[at : at + count].reshape(y1 - y0, x1 - x0)
            at += count
        native = dequantise(levels, rule)
    expansion = Expansion(
        rule,
        tuple(header["padded"]) if header["padded"] else None,
        tuple(header["window"]) if header["window"] else None,
    )
    return StoredFrame(
        index=index,
        object_ids=tuple(header["ids"]),
        presence=np.asarray(header["presence"], np.float32),
        confidence=np.asarray(header["confidence"], np.float32),
        native=native,
        expansion=expansion,
        ids=ids,
    )


def decode_ids(record: bytes, size: tuple[int, int]) -> np.ndarray:
    """``size uint8``: the ids in ``record`` alone."""
    head_size, hard_size, _ = _HEADER.unpack_from(record)
    start = _HEADER.size + head_size
    y0, y1, x0, x1 = json.loads(record[_HEADER.size : start])["box"]
    ids = np.zeros(size, np.uint8)
    ids[y0:y1, x0:x1] = _unpack(record[start : start + hard_size]).reshape(y1 - y0, x1 - x0)
    return ids


def quantise(native: np.ndarray, rule: str) -> np.ndarray:
    """8-bit levels of a native map: probabilities in steps of 1/255, logits companded."""
    if rule == "probability":
        return np.rint(native.clip(0, 1) * 255).astype(np.uint8)
    companded = np.arcsinh(native.clip(-LOGIT_LIMIT, LOGIT_LIMIT))
    return (np.rint(companded * (127 / np.arcsinh(LOGIT_LIMIT))) + 128).astype(np.uint8)


def dequantise(levels: np.ndarray, rule: str) -> np.ndarray:
    """The inverse of `quantise`, ``float32``."""
    return _LEVELS["probability" if rule == "probability" else "logits"][levels]


_LEVELS = {
    "probability": (np.arange(256) / 255).astype(np.float32),
    "logits": np.sinh((np.arange(256) - 128) * (np.arcsinh(LOGIT_LIMIT) / 127)).astype(np.float32),
}


def _floor_level(rule: str) -> int:
    if rule == "probability":
        return int(SOFT_FLOOR * 255)
    logit = float(np.log(SOFT_FLOOR / (1 - SOFT_FLOOR)))
    return int(quantise(np.array([logit]), rule)[0])


def _box(mask: np.ndarray) -> tuple[int, int, int, int]:
    """(top, bottom, left, right), half open; all zero for an empty mask."""
    rows = np.flatnonzero(mask.any(axis=1))
    if not len(rows):
        return 0, 0, 0, 0
    columns = np.flatnonzero(mask[rows[0] : rows[-1] + 1].any(axis=0))
    return int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1


def _pack(values: np.ndarray) -> bytes:
    if not values.size:
        return b""
    return blosc2.compress(
        np.ascontiguousarray(values),
        typesize=1,
        clevel=1,
        filter=blosc2.Filter.NOFILTER,
        codec=blosc2.Codec.ZSTD,
    )


def _unpack(data: bytes) -> np.ndarray:
    if not data:
        return np.zeros(0, np.uint8)
    return np.frombuffer(blosc2.decompress(data), np.uint8)
