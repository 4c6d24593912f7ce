"""What a synthetic data set is made of, from which each of its clips follows."""

from __future__ import annotations

import dataclasses
import json
import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np

from mose.synthetic.clip import ClipRequest
from mose.synthetic.config import PRESETS, SyntheticConfig, resolve
from stseg.errors import InputError, unknown

GENERATOR = 1
"""Version of the generator: a folder made by another version is not continued."""

SPLITS = ("train", "valid", "test")


@dataclass(frozen=True)
class SyntheticPlan:
    """What a data set is made of; written beside it as ``synthetic.json``.

    frames, objects   (low, high), drawn per video
    height, width     of every frame, in pixels
    labels            whether the folder ``Labels`` is written (outside train)

    Raises `InputError` for numbers out of range, and where the frames are too small for the
    objects.
    """

    split: str = "test"
    seed: int = 0
    frames: tuple[int, int] = (24, 48)
    objects: tuple[int, int] = (1, 4)
    height: int = 192
    width: int = 192
    config: SyntheticConfig = PRESETS["default"]
    labels: bool = True
    generator: int = GENERATOR

    def __post_init__(self) -> None:
        if self.split not in SPLITS:
            raise unknown("split", self.split, SPLITS)
        for name in ("frames", "objects"):
            low, high = getattr(self, name)
            if not 1 <= low <= high:
                raise InputError(f"{name} are {low} to {high}, expected rising numbers from 1")
        for objects in self.objects:
            for frames in self.frames:
                ClipRequest(self.seed, frames, self.height, self.width, objects, self.config)

    @classmethod
    def of(cls, config: SyntheticConfig | str | None = None, **options: Any) -> SyntheticPlan:
        """A plan from its fields and single knobs of `SyntheticConfig`, by name.

        config    a `SyntheticConfig` or the name of a preset ("easy", "default", "hard")

        ``frames`` and ``objects`` may be one number for all videos.
        """
        names = {field.name for field in dataclasses.fields(cls)}
        fields = {name: value for name, value in options.items() if name in names}
        knobs = {name: value for name, value in options.items() if name not in names}
        for name in ("frames", "objects"):
            if isinstance(fields.get(name), int):
                fields[name] = (fields[name], fields[name])
            elif name in fields:
                fields[name] = tuple(fields[name])
        return cls(config=resolve(config, knobs), **fields)

    def clip(self, index: int) -> ClipRequest:
        """The clip of a video; a stream of random numbers of its own for each."""
        sequence = np.random.SeedSequence(
            self.seed, spawn_key=(zlib.crc32(self.split.encode()), index)
        )
        rng = np.random.Generator(np.random.PCG64(sequence))
        return ClipRequest(
            seed=int(rng.integers(2**62)),
            frames=int(rng.integers(self.frames[0], self.frames[1] + 1)),
            objects=int(rng.integers(self.objects[0], self.objects[1] + 1)),
            height=self.height,
            width=self.width,
            config=self.config,
        )

    def json(self) -> str:
        return json.dumps(dataclasses.asdict(self), indent=2) + "\n"
