"""Frames per second and peak memory of every member, in one table, within ten minutes on a GPU.

    python -m benchmarks.gpu [--members xmem sam2-large ...] [--output table.md]
    python -m benchmarks.gpu --device cpu --tiny

Each member of configs/members that is named is run over a drifting texture of 480 x 854 and
1080 x 1920 pixels with 1, 3 and 10 objects, in full precision and bf16; then, where time is left,
compiled, with 3 objects at 480 x 854. Beside SAM 2 and SAM 3 run the predictors of their own
packages, where these are installed. Counted is the time from pixels to ids at the video's size,
without the first frames; memory is the most that tensors take. A published checkpoint that is here
is used; otherwise random weights of the same sizes, which take the same time.

``--minutes`` bounds the whole. What does not fit, in memory or in time, is told below the table.
``--tiny`` takes the small networks that ship and small frames, to try the command itself.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

import adapters
from adapters.base import Segmenter, check_device
from adapters.sam2.config import OFFICIAL
from adapters.shared.testtime import autocast
from adapters.transformers.loading import load as load_transformers
from adapters.weights import store
from benchmarks.networks import REFERENCES, Drift, drift, seeded_weights
from benchmarks.sam2 import given_mask, write_clip, write_weights
from benchmarks.sam2 import theirs as sam2_package
from mose import InputError, Video
from mose.video import Prompts
from stseg.cli import EXIT_OK, print_line, print_status, run_command
from stseg.config import member_values
from stseg.files import write_text

MEMBERS = (
    *("xmem", "cutie", "livos", "tmo", "sam2-tiny", "sam2-large"),
    *("sam2-large-tree", "sam2-large-anchors", "sam3"),
)  # fmt: skip
TINY = ("demo-xmem", "demo-cutie", "demo-livos", "demo-tmo", "demo-sam2")
PACKAGES = {"sam2": "sam2", "transformers": "transformers"}
"""Adapter -> the package whose own predictor is run beside it."""

WARM_UP, FRAMES = 8, 8
"""Frames that fill a memory of seven, and frames that are timed."""

SEEDED = {"xmem": "xmem", "cutie": "cutie-base", "livos": "livos", "tmo": "tmo-rn101"}
"""Adapter -> the published network whose sizes random weights have."""


@dataclass(frozen=True)
class Setting:
    """One row of the table.

    member     name of its file in configs/members
    package    measure the package's own predictor in place of the adapter
    size       (height, width) of the video
    """

    member: str
    package: bool
    size: tuple[int, int]
    objects: int
    amp: str
    compiled: bool

    @property
    def name(self) -> str:
        return f"{self.member}, the package's own" if self.package else self.member

    def __str__(self) -> str:
        how = f"{self.precision}{', compiled' if self.compiled else ''}"
        return f"{self.name} at {self.video}, {self.objects} objects, {how}"

    @property
    def video(self) -> str:
        return f"{self.size[0]} x {self.size[1]}"

    @property
    def precision(self) -> str:
        return "fp32" if self.amp == "off" else self.amp


class Measured(NamedTuple):
    """Frames a second, and MiB of tensors at most; no number where it cannot be told."""

    speed: float
    memory: float | None


def settings(members: Sequence[str], sizes: Sequence[tuple[int, int]]) -> list[Setting]:
    """All rows, in the order in which they are measured: what takes compiling comes last."""
    plain = [
        Setting(member, package, size, objects, amp, False)
        for member, package in product(members, (False, True))
        for amp, size, objects in product(("off", "bf16"), sizes, (1, 3, 10))
        if not package or member in ("sam2-large", "sam3", "demo-sam2")
    ]
    compiled = [
        replace(row, compiled=True)
        for row in plain
        if row.objects == 3 and row.size == sizes[0] and not row.package
    ]
    return plain + compiled


class TimedClip:
    """Frames; notes when the first that counts is read. Answers would not do as a clock: some
    memories hold them back."""

    def __init__(self, frames: Drift, wait: Callable[[], None]):
        self._frames, self._wait = frames, wait
        self.started = 0.0

    def __len__(self) -> int:
        return len(self._frames)

    def __getitem__(self, index: int, /) -> np.ndarray:
        if index == WARM_UP and not self.started:
            self._wait()
            self.started = time.perf_counter()
        return self._frames[index]


class Bench:
    """Runs settings on a device; files are made in ``folder`` once."""

    def __init__(self, device: str, folder: Path, frames: int):
        self._device, self._folder, self._frames = device, folder, frames
        self._weights: dict[str, Path] = {}
        self._loaded: tuple[tuple[str, str, bool], Segmenter] | None = None

    def measure(self, row: Setting) -> Measured:
        """Run one. Raises `InputError` where it cannot be run, with the reason."""
        values, _ = member_values(row.member, "benchmarks.gpu")
        adapter, options = str(values["adapter"]), dict(values.get("options") or {})
        weights = self._weights_of(str(values["weights"]), adapter)
        ids = given_mask(*row.size, row.objects)
        key = (row.member, row.amp, row.compiled)
        if row.package or self._loaded is None or self._loaded[0] != key:
            self._loaded = None  # before another is loaded beside it
        self._forget()
        if row.package:
            answers = self._package(adapter, weights, row, ids)
        else:
            extra = {"amp": row.amp, "compile": row.compiled}
            if self._loaded is None:
                segmenter = adapters.load(adapter, weights, self._device, **options, **extra)
                self._loaded = key, segmenter
            answers = self._adapter(self._loaded[1], row, ids)
        start = 0.0
        for index, _ in enumerate(answers, 1):
            if index == WARM_UP and row.package:
                self._wait()
                start = time.perf_counter()
        self._wait()
        start = start or self._clip.started
        return Measured(self._frames / (time.perf_counter() - start), self._memory())

    def _adapter(self, segmenter: Segmenter, row: Setting, ids: np.ndarray) -> Iterator[np.ndarray]:
        self._clip = TimedClip(drift(WARM_UP + self._frames, *row.size, 1)[0], self._wait)
        for frame in segmenter.segment(Video("clip", self._clip, Prompts({0: ids}))):
            yield frame.labels(*row.size)

    def _weights_of(self, name: str, adapter: str) -> Path:
        if name not in self._weights:
            with contextlib.suppress(InputError):
                self._weights[name] = store.resolve(name)
                return self._weights[name]
            print_status(f"{name} is not here: random weights of its sizes")
            self._weights[name] = self._random(name, adapter)
        return self._weights[name]

    def _random(self, name: str, adapter: str) -> Path:
        path = self._folder / f"{name}.pt"
        if adapter == "sam2":
            return write_weights(OFFICIAL[name], path)
        if adapter == "transformers":
            package = _imported("transformers")
            model = package.Sam3TrackerVideoModel(package.Sam3TrackerVideoConfig())
            model.save_pretrained(self._folder / name)
            return self._folder / name / "model.safetensors"
        return seeded_weights(REFERENCES[SEEDED[adapter]][1], path)

    def _package(
        self, adapter: str, weights: Path, row: Setting, ids: np.ndarray
    ) -> Iterator[np.ndarray]:
        _imported(PACKAGES[adapter])
        folder = self._folder / f"clip-{row.size[0]}"
        if not folder.is_dir():
            write_clip(folder, WARM_UP + self._frames, *row.size)
        run = sam2_package if adapter == "sam2" else transformers_package
        answers = run(weights, folder, ids, self._device)
        next(answers)  # everything is loaded
        return self._in_precision(answers, row.amp)

    def _in_precision(self, answers: Iterator[np.ndarray], amp: str) -> Iterator[np.ndarray]:
        while True:
            with autocast(self._device, amp):
                answer = next(answers, None)
            if answer is None:
                return
            yield answer

    @property
    def _on_gpu(self) -> bool:
        return self._device.startswith("cuda")

    def _wait(self) -> None:
        if self._on_gpu:
            torch.cuda.synchronize(self._device)

    def _forget(self) -> None:
        if self._on_gpu:
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats(self._device)

    def _memory(self) -> float | None:
        """Of the device; what a CPU's process takes has no peak that can be reset."""
        return torch.cuda.max_memory_allocated(self._device) / 2**20 if self._on_gpu else None


def transformers_package(
    weights: Path, folder: Path, ids: np.ndarray, device: str
) -> Iterator[np.ndarray]:
    """Id masks of the package's own session, which holds the whole video; before the first, all is
    loaded."""
    from mose import open_video

    model = load_transformers(weights).to(device)
    module: Any = importlib.import_module(type(model).__module__)
    kind = getattr(module, type(model).__name__.replace("Model", "InferenceSession"))
    side, video = model.image_size, open_video(folder)
    resize: Callable[..., torch.Tensor] = torch.nn.functional.interpolate
    frames = [torch.from_numpy(video[index]).permute(2, 0, 1)[None] for index in range(len(video))]
    pixels = torch.cat([resize(frame.float() / 127.5 - 1, (side, side)) for frame in frames])
    session = kind(pixels.to(device), *ids.shape, inference_device=device, dtype=torch.float32)
    yield np.zeros(0)
    numbers = np.unique(ids[ids > 0]).tolist()
    for number in numbers:
        mask = torch.from_numpy(ids == number)[None, None].float()
        row = session.obj_id_to_idx(number)
        session.add_mask_inputs(row, 0, (resize(mask, (side, side)) >= 0.5).float().to(device))
    session.obj_with_new_inputs = numbers
    values = torch.tensor(numbers, dtype=torch.uint8, device=device)
    with torch.inference_mode():
        for answer in model.propagate_in_video_iterator(session, start_frame_idx=0):
            best, index = resize(answer.pred_masks.float(), ids.shape)[:, 0].max(dim=0)
            yield (values[index] * (best > 0)).cpu().numpy()


def _imported(package: str) -> Any:
    try:
        return importlib.import_module(package)
    except ImportError as error:
        raise InputError(f"package {package} is not installed ({error})") from None


def measure_all(
    rows: Sequence[Setting], bench: Bench, until: float
) -> tuple[dict[Setting, Measured], list[str]]:
    """What was measured, and a sentence for each row that was not.

    A row that does not fit into memory rules out those of the same kind with more objects.
    """
    measured: dict[Setting, Measured] = {}
    skipped: list[str] = []
    full: list[Setting] = []
    late = list(rows)
    for row in rows:
        if time.monotonic() > until:
            break
        late.remove(row)
        if any(replace(row, objects=one.objects) == one for one in full):
            skipped.append(f"{row}: fewer objects do not fit into memory")
            continue
        try:
            measured[row] = bench.measure(row)
        except torch.OutOfMemoryError:
            full.append(row)
            skipped.append(f"{row}: does not fit into memory")
        except InputError as error:
            skipped.append(f"{row}: {error}")
    skipped += [f"{row}: no time was left" for row in late]
    return measured, skipped


def table(measured: dict[Setting, Measured]) -> str:
    """Markdown: a row per setting."""
    lines = [
        "| member | video | objects | precision | compiled | frames per second | MiB |",
        "|---|---|---|---|---|---|---|",
    ]
    for row, (speed, memory) in measured.items():
        mib = "" if memory is None else f"{memory:.0f}"
        yes = "yes" if row.compiled else ""
        cells = (row.name, row.video, str(row.objects), row.precision, yes, f"{speed:.1f}", mib)
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--members", nargs="+", metavar="NAME", help=f"default {' '.join(MEMBERS)}")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--minutes", type=float, default=8.0)
    parser.add_argument("--tiny", action="store_true", help="small networks and frames")
    parser.add_argument("--output", type=Path, metavar="FILE", help="write the table there as well")
    args = parser.parse_args(arguments)
    until = time.monotonic() + 60 * args.minutes
    check_device(args.device)
    sizes = [(48, 64), (96, 128)] if args.tiny else [(480, 854), (1080, 1920)]
    members = args.members or (TINY if args.tiny else MEMBERS)
    with tempfile.TemporaryDirectory() as name:
        bench = Bench(args.device, Path(name), 2 if args.tiny else FRAMES)
        measured, skipped = measure_all(settings(members, sizes), bench, until)
    text = "\n".join([table(measured), "", *skipped])
    print_line(text)
    if args.output:
        write_text(args.output, text + "\n")
    return EXIT_OK


if __name__ == "__main__":
    run_command(main)
