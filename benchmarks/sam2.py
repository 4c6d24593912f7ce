"""SAM 2's adapter beside the package's own predictor: speed on one clip, memory over length.

    python -m benchmarks.sam2 speed [--network sam2.1-hiera-tiny] [--size 256] [--objects 1 3]
    python -m benchmarks.sam2 memory [--frames 150 1500]

Both have the same random weights and read the same folder of JPEG frames.

``speed`` runs them in one process, one frame of each in turn, from the file to the id mask at
the video's size; frames before memory is full are not counted. Prints medians of seconds of CPU
time (of all threads; on a GPU, of the clock) per frame: ours, the package's without its loading,
and with the share of a frame in it (it loads all frames before it starts).

``memory`` runs each, on a small network, in a process of its own per length, and prints peak
resident memory. Goal: ours within 1.1 x from 150 to 1,500 frames.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import io
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

import adapters
from adapters.sam2.config import OFFICIAL, Sam2Config
from adapters.sam2.model import build, load
from adapters.sam2.package import sam2_module
from benchmarks.memory import peak
from mose import Video, open_video
from mose.video import Prompts

WARM_UP = 8
"""Frames until memory holds as many feature maps as it will."""

LITTLE = Sam2Config(
    image_size=128,
    embed_dim=8,
    stages=(1, 1, 2, 1),
    global_blocks=(3,),
    d_model=64,
    memory_dim=64,
    attention_layers=1,
    feedforward=64,
    fuser_layers=1,
)


def write_weights(config: Sam2Config, path: Path) -> Path:
    """Random weights under which objects are always there."""
    torch.manual_seed(0)
    model: Any = build(config)
    torch.nn.init.constant_(model.sam_mask_decoder.pred_obj_score_head.layers[-1].bias, 9.0)
    torch.save({"model": model.state_dict(), "config": dataclasses.asdict(config)}, path)
    return path


def write_clip(folder: Path, frames: int, height: int, width: int) -> None:
    """JPEGs of drifting texture."""
    folder.mkdir()
    coarse = np.random.default_rng(3).integers(0, 256, (height // 8, width // 8, 3), dtype=np.uint8)
    picture = np.array(Image.fromarray(coarse).resize((width, height)))
    for index in range(frames):
        moved = np.roll(picture, (index, 2 * index), (0, 1))
        Image.fromarray(moved).save(folder / f"{index:05d}.jpg", quality=90)


def given_mask(height: int, width: int, objects: int) -> np.ndarray:
    """Ids ``(H, W) uint8`` of squares side by side."""
    ids = np.zeros((height, width), np.uint8)
    step = width // objects
    for index in range(objects):
        left = index * step + step // 4
        ids[height // 4 : height // 2, left : left + step // 2] = index + 1
    return ids


def ours(weights: Path, folder: Path, ids: np.ndarray, device: str) -> Iterator[np.ndarray]:
    """Id masks of the adapter."""
    frames = open_video(folder)
    video = Video("clip", frames, Prompts({0: ids}), frames.frame_names)
    for frame in adapters.load("sam2", weights=weights, device=device).segment(video):
        yield frame.labels(*ids.shape)


def theirs(weights: Path, folder: Path, ids: np.ndarray, device: str) -> Iterator[np.ndarray]:
    """Id masks of the package's ``SAM2VideoPredictor`` without post-processing.

    Before the first, everything is loaded.
    """
    model: Any = load(weights)[0].to(device)
    model.__class__ = sam2_module("sam2_video_predictor").SAM2VideoPredictor
    model.fill_hole_area, model.non_overlap_masks = 0, False
    model.clear_non_cond_mem_around_input = model.add_all_frames_to_correct_as_cond = False
    with contextlib.redirect_stderr(io.StringIO()):  # progress bars
        state = model.init_state(str(folder))
        yield np.zeros(0)
        for object_id in np.unique(ids[ids > 0]).tolist():
            model.add_new_mask(state, 0, object_id, ids == object_id)
        for _, object_ids, logits in model.propagate_in_video(state):
            best, index = logits[:, 0].max(dim=0)
            values = torch.tensor(object_ids, dtype=torch.uint8, device=device)
            yield (values[index] * (best > 0)).cpu().numpy()


def timed(call: Callable[[], Any], clock: Callable[[], float]) -> tuple[Any, float]:
    start = clock()
    result = call()
    return result, clock() - start


def speed(arguments: argparse.Namespace) -> None:
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    clock = time.process_time if arguments.device == "cpu" else time.perf_counter
    config = dataclasses.replace(OFFICIAL[arguments.network], image_size=arguments.size)
    height, width = arguments.clip
    frames = WARM_UP + arguments.frames
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        weights = write_weights(config, root / "sam2.pt")
        write_clip(root / "clip", frames, height, width)
        print(f"{arguments.network} at {config.image_size}, {height} x {width}, ms a frame")
        for objects in arguments.objects:
            given = weights, root / "clip", given_mask(height, width, objects), arguments.device
            mine, other = ours(*given), theirs(*given)
            loading = timed(lambda run=other: next(run), clock)[1] / frames
            spent: list[tuple[float, float]] = []
            equal = []
            for index in range(frames):
                steps = [mine, other] if index % 2 else [other, mine]
                answers = {run: timed(lambda run=run: next(run), clock) for run in steps}
                equal.append(np.mean(answers[mine][0] == answers[other][0]))
                if index >= WARM_UP:
                    spent.append((answers[mine][1], answers[other][1]))
            a, b = (1e3 * statistics.median(side) for side in zip(*spent, strict=True))
            whole = b + 1e3 * loading
            print(
                f"{objects} objects: ours {a:.0f}, package {b:.0f} ({b / a:.2f} x),"
                f" with loading {whole:.0f} ({whole / a:.2f} x); equal ids {min(equal):.4%}"
            )


def follow(
    run: Callable[..., Iterator[np.ndarray]], weights: Path, folder: Path, side: int
) -> None:
    torch.set_num_threads(1)
    for _ in run(weights, folder, given_mask(side, side, 2), "cpu"):
        pass


def memory(arguments: argparse.Namespace) -> None:
    side = LITTLE.image_size
    rows: dict[str, list[float]] = {"ours": [], "package": []}
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        weights = write_weights(LITTLE, root / "sam2.pt")
        for frames in arguments.frames:
            write_clip(root / f"clip-{frames}", frames, side, side)
            for title, run in (("ours", ours), ("package", theirs)):
                rows[title].append(peak(follow, run, weights, root / f"clip-{frames}", side))
    print(f"peak MiB at {arguments.frames} frames, 2 objects, working size {side}")
    for title, values in rows.items():
        figures = "  ".join(f"{value:8.1f}" for value in values)
        print(f"{title:8}  {figures}   ratio {values[-1] / values[0]:.3f}")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    kinds = parser.add_subparsers(dest="what", required=True)
    fast = kinds.add_parser("speed")
    fast.add_argument("--network", choices=OFFICIAL, default="sam2.1-hiera-tiny")
    fast.add_argument("--size", type=int, default=256, metavar="PIXELS")
    fast.add_argument("--clip", type=int, nargs=2, default=(480, 854), metavar="PIXELS")
    fast.add_argument("--objects", type=int, nargs="+", default=[1, 3])
    fast.add_argument("--frames", type=int, default=12)
    fast.add_argument("--threads", type=int, default=1, help="of torch; 0: its own choice")
    fast.add_argument("--device", default="cpu")
    fast.set_defaults(run=speed)
    long = kinds.add_parser("memory")
    long.add_argument("--frames", type=int, nargs="+", default=[150, 1500])
    long.set_defaults(run=memory)
    arguments = parser.parse_args()
    arguments.run(arguments)


if __name__ == "__main__":
    main()
