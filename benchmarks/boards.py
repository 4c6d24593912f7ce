"""CPU time of selection.evaluate and of each board's evaluator on the same masks, at its own size.

    python -m benchmarks.boards --python REF --vot VOT --tools DAVIS LVOS SAV VOST VISOR

REF and VOT are the Pythons, and the tools the folders, of
``tests/fixtures/scores-boards/recipe_zips.py``. The masks are those of `benchmarks.evaluate`, three
objects, scaled; frames are empty files. Both run as processes with one worker, imports and reading
included; they must agree to 1e-6. Goal: at most a fifth of the reference's CPU time. A board's own
set has thousands of frames, on which starting costs nothing: what the frames themselves cost is
the difference to the first few of every video.
``--masks ROOT`` takes the masks of ``ROOT/gt/<video>`` and ``ROOT/pred/<video>`` as they are.
"""

from __future__ import annotations

import argparse
import json
import runpy
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from benchmarks.evaluate import cpu_seconds, make_masks
from mose.boards.vots import packed_name
from mose.masks import object_ids, read_mask, write_mask
from mose.readers.regions import run_lengths, trajectory_bytes

RECIPES = Path(__file__).parents[1] / "tests" / "fixtures" / "scores-boards"
SIZES = {"davis": (480, 854), "visor": (480, 854), "lvos": (720, 1280), "vost": (1080, 1920),
         "sav": (1080, 1920), "vots": (720, 1280)}  # fmt: skip
"""Board -> (height, width) of its usual frames."""

FEW = 8
"""Frames of a video by which the cost of starting is told."""

VOT = """
import json, sys
from contextlib import redirect_stdout
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import recipe_vots
with redirect_stdout(sys.stderr):
    found = recipe_vots.analysed(Path(sys.argv[2]))
print("RESULT" + json.dumps(found))
"""


@dataclass(frozen=True)
class Bench:
    """What is compared on one board: arguments of `selection.evaluate`, and the reference."""

    product: list[str]
    reference: list[str]


def root_of(folder: Path, side: str) -> Path:
    """The same video's folder on the side of the labels or of the predictions."""
    return folder.parent.parent / side / folder.name


def write_board(board: str, root: Path, videos: int, frames: int) -> dict[str, list[Path]]:
    """Masks of every video below ``root/made``, at the board's size."""
    make_masks(root / "made", "usual", videos, frames)
    height, width = SIZES[board]
    for path in (root / "made").rglob("*.png"):
        ids = cv2.resize(read_mask(path), (width, height), interpolation=cv2.INTER_NEAREST)
        write_mask(path, ids)
    return {side: sorted((root / "made" / side).iterdir()) for side in ("gt", "pred")}


def ids_of(folder: Path) -> tuple[int, ...]:
    """The objects of a video, by its first mask."""
    return object_ids(read_mask(min(folder.glob("*.png"))))


def lay_out(board: str, root: Path, made: dict[str, list[Path]]) -> None:
    """``root/data`` and ``root/zip`` as the board's evaluator wants them."""
    data, masks = root / "data", root / "zip"
    names = [folder.name for folder in made["gt"]]
    places = {"davis": "Annotations/480p", "visor": "Annotations/480p", "vost": "Annotations",
              "lvos": "valid/Annotations", "sav": "sav_val/Annotations_6fps"}  # fmt: skip
    for side, target in (("gt", data / places[board]), ("pred", masks)):
        if side == "pred" and board == "lvos":
            target = target / "Annotations"
        for folder in made[side]:
            for index, path in enumerate(sorted(folder.glob("*.png"))):
                stem = f"{5 * index + 1:08d}" if board == "lvos" else path.stem
                copies = [(target / folder.name / f"{stem}.png", None)]
                if board == "sav":
                    copies = [(target / folder.name / f"{i:03d}" / f"{stem}.png", i)
                              for i in ids_of(root_of(folder, "gt"))]  # fmt: skip
                ids = read_mask(path)
                for place, only in copies:
                    place.parent.mkdir(parents=True, exist_ok=True)
                    write_mask(place, ids if only is None else (ids == only).astype(np.uint8))
                if board in ("davis", "visor") and side == "gt":
                    image = data / "JPEGImages/480p" / folder.name / f"{stem}.jpg"
                    image.parent.mkdir(parents=True, exist_ok=True)
                    image.touch()
    for listed in ("ImageSets/2017/val.txt", "ImageSets/val.txt"):
        (data / listed).parent.mkdir(parents=True, exist_ok=True)
        (data / listed).write_text("\n".join(names))
    (data / "ImageSets" / "2022").mkdir()
    (data / "ImageSets" / "2022" / "val_unseen.txt").write_text(names[-1])
    if board == "lvos":
        meta: dict[str, dict[str, object]] = {"videos": {}}
        for folder in made["gt"]:
            count = len(list(folder.glob("*.png")))
            span = {"start": "1", "end": str(5 * count - 4), "frame_nums": str(count)}
            objects = {str(i): {"frame_range": span} for i in ids_of(folder)}
            meta["videos"][folder.name] = {"objects": objects}
        (data / "valid" / "valid_meta.json").write_text(json.dumps(meta))
        (data / "valid" / "unseen_videos.txt").write_text(names[-1])


def lay_out_vots(root: Path, made: dict[str, list[Path]]) -> None:
    """A workspace of the toolkit in ``root/data``; its results also in ``root/zip``."""
    recipe = (RECIPES / "recipe_vots.py").read_text()
    head = recipe[recipe.index("STACK = {") : recipe.index("\n\n\ndef masks")]
    stack: dict[str, object] = {}
    exec(head, stack)
    data = root / "data"
    data.mkdir()
    (data / "config.yaml").write_text("stack: stack.yaml\nregistry: ['.']\n")
    (data / "stack.yaml").write_text(json.dumps(stack["STACK"]))
    (data / "trackers.ini").write_text("[ours]\nlabel = ours\nprotocol = traxpython\ncommand = x\n")
    for truth, pred in zip(made["gt"], made["pred"], strict=True):
        sequence = data / "sequences" / truth.name
        (sequence / "color").mkdir(parents=True)
        (sequence / "sequence").write_text("fps=30\nchannels.color=color/%08d.jpg\n")
        true, ours = ([read_mask(p) for p in sorted(folder.glob("*.png"))]
                      for folder in (truth, pred))  # fmt: skip
        for index in range(len(true)):
            blank = np.zeros((*true[0].shape, 3), np.uint8)
            cv2.imwrite(str(sequence / "color" / f"{index + 1:08d}.jpg"), blank)
        for i in ids_of(truth):
            lines = ["0", *(region_line(ids == i) for ids in true[1:])]
            (sequence / f"groundtruth_{i}.txt").write_text("\n".join(lines))
            content = trajectory_bytes([None, *(ids == i for ids in ours[1:])])
            for place in (data / "results" / "ours", root / "zip"):
                path = place / packed_name(truth.name, str(i), len(ids_of(truth)))
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)
    (data / "sequences" / "list.txt").write_text("\n".join(f.name for f in made["gt"]))


def region_line(plane: np.ndarray) -> str:
    """A mask as a line of a region file."""
    left, top, width, height = cv2.boundingRect(plane.astype(np.uint8))
    runs = run_lengths(plane[top : top + height, left : left + width])
    return f"m{left},{top},{width},{height},{','.join(map(str, runs))}"


def bench_of(board: str, root: Path, options: argparse.Namespace) -> Bench:
    """The commands of both on a board that was laid out in ``root``."""
    data, masks, target = root / "data", root / "zip", root / "ours.json"
    truth = {"lvos": data / "valid", "sav": data / "sav_val"}.get(board, data)
    product = [sys.executable, "-m", "selection.evaluate", str(masks), str(truth), "--board", board]
    product += ["--json", str(target), "--workers", "1"]
    if board == "vots":
        return Bench(product, [options.vot, "-c", VOT, str(RECIPES), str(data)])
    tools = dict(zip(("davis", "lvos", "sav", "vost", "visor"), options.tools, strict=True))
    one = runpy.run_path(str(RECIPES / "recipe_zips.py"))["_ONE"]
    last = max(path.name for path in masks.iterdir())
    one = one.replace('["bb"]', f'["{last}"]')
    return Bench(product, [options.python, "-c", one, board, tools[board], str(data), str(masks)])


def difference(bench: Bench, target: Path) -> float:
    """Between any mean that both give."""
    out = subprocess.run(bench.reference, check=True, capture_output=True, text=True).stdout
    theirs = json.loads(out.rpartition("RESULT")[2])
    ours = json.loads(target.read_text())["mean"]
    return max(abs(ours[n] - v) for n, v in theirs.items() if v is not None and n in ours)


def laid_out(
    board: str, root: Path, made: dict[str, list[Path]], options: argparse.Namespace
) -> Bench:
    """The commands of both on these masks, laid out in ``root``."""
    root.mkdir(exist_ok=True)
    (lay_out_vots(root, made) if board == "vots" else lay_out(board, root, made))
    return bench_of(board, root, options)


def first_frames(made: dict[str, list[Path]], root: Path) -> dict[str, list[Path]]:
    """Links to the first masks of every video."""
    for side, folders in made.items():
        for folder in folders:
            target = root / side / folder.name
            target.mkdir(parents=True)
            for path in sorted(folder.glob("*.png"))[:FEW]:
                (target / path.name).symlink_to(path.resolve())
    return {side: sorted((root / side).iterdir()) for side in made}


def medians(bench: Bench, repeat: int) -> np.ndarray:
    """CPU seconds of `selection.evaluate` and of the reference."""
    pairs = [(cpu_seconds(bench.product), cpu_seconds(bench.reference)) for _ in range(repeat)]
    return np.median(pairs, axis=0)


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    p.add_argument("--python", required=True)
    p.add_argument("--vot", required=True)
    p.add_argument("--tools", nargs=5, required=True)
    p.add_argument("--masks", type=Path, metavar="ROOT")
    p.add_argument("--boards", nargs="+", choices=SIZES, default=list(SIZES))
    p.add_argument("--frames", type=int, default=30)
    p.add_argument("--repeat", type=int, default=3)
    options = p.parse_args()
    for board in options.boards:
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder)
            made = (
                {side: sorted((options.masks / side).iterdir()) for side in ("gt", "pred")}
                if options.masks
                else write_board(board, root, 2, options.frames)
            )
            few = first_frames(made, root / "few")
            bench = laid_out(board, root / "whole", made, options)
            whole = medians(bench, options.repeat)
            start = medians(laid_out(board, root / "start", few, options), options.repeat)
            apart = difference(bench, root / "whole" / "ours.json")
            counts = [len(list(folder.glob("*.png"))) for folder in made["gt"]]
            more = sum(counts) - FEW * len(counts)
            size = "" if options.masks else f" {SIZES[board][1]} x {SIZES[board][0]}"
            for what, (ours, theirs) in (
                (f"of {sum(counts)} frames", 1000 * whole / sum(counts)),
                ("without start", 1000 * (whole - start) / more),
            ):
                print(f"{board:6}{size}, {what}: {ours:7.1f} ms a frame, reference {theirs:7.1f}"
                      f" ms, {theirs / ours:5.1f} x, differs by {apart:.1e}",
                      flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
