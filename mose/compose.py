"""Multi-object composites of real clips: objects cut out by their masks, moving over others.

    python -m mose.compose DATASET OUT --labels Annotations --videos 20 --objects 3

From clips with a mask on every frame it makes videos in which several real objects move over
another real clip, hide each other, leave the frame and come back, with exact labels: crowds
and disappearance for measuring trackers, where the clips themselves have one object each.

    DATASET/JPEGImages/<video>/00000.jpg        OUT/JPEGImages/c00000/00000.jpg
    DATASET/Annotations/<video>/00000.png  ->   OUT/Annotations/c00000/00000.png  first frame
                                                OUT/Labels/c00000/00000.png       every frame
                                                OUT/compose.json                  what it is made of
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from mose.dataset import Dataset, open_dataset
from mose.labels import LabelMasks
from mose.masks import object_ids, write_mask
from mose.video import Video
from stseg.cli import EXIT_OK, CommandParser, counted, print_line, run_command
from stseg.errors import InputError
from stseg.files import appearing_in, write_json
from stseg.progress import progress

MIN_AREA = 0.004
"""A pasted object covers at least this share of the first frame, or the draw is repeated."""
DRAWS = 50
JPEG_QUALITY = 95


@dataclass(frozen=True)
class Paste:
    """One object that moves over the background clip.

    video, object_id   where it is cut out
    start              its clip's first frame used; at the end it runs backwards
    scale              of its size
    path               (t, y, x) way points of its centre, t in frames, y and x as shares of
                       the frame; straight in between, smoothed; outside [0, 1] it is gone
    """

    video: str
    object_id: int
    start: int
    scale: float
    path: tuple[tuple[float, float, float], ...]


@dataclass(frozen=True)
class Recipe:
    """A composite: the background clip, whose own object keeps id 1, and the objects that are
    pasted over it, back to front; the n-th pasted object has id n + 2."""

    background: str
    start: int
    frames: int
    pastes: tuple[Paste, ...]


def draw_recipe(dataset: Dataset, rng: np.random.Generator, objects: int, frames: int) -> Recipe:
    """Draw a composite with ``objects`` pasted objects."""
    names = rng.permutation(dataset.videos)[: objects + 1]
    if len(names) < objects + 1:
        raise InputError(
            f"data set {dataset.root} has {counted(len(dataset.videos), 'video')},"
            f" {counted(objects, 'pasted object')} need {objects + 1}: ask for fewer --objects"
        )
    pastes = []
    for n, name in enumerate(names[1:]):
        labels = _labels(dataset, str(name), dataset.video(str(name)))(0)
        assert labels is not None
        ids = object_ids(labels)
        if not ids:
            raise InputError(f"video {name} has no object on its first frame: leave it out")
        chosen = int(rng.choice(ids))
        share = (labels == chosen).mean()
        scale = float(np.clip(np.sqrt(rng.uniform(0.02, 0.08) / max(share, 1e-4)), 0.25, 1.5))
        leaves = rng.random() < 0.5
        path = []
        for t in np.linspace(0, frames - 1, 5):
            inside = 0 < t < frames - 1 and leaves and 0.3 < t / frames < 0.7
            y, x = rng.uniform(0.2, 0.8), rng.uniform(0.15, 0.85)
            if inside:
                x = float(rng.choice((-0.45, 1.45)))
            if t == 0:
                x = (n + 0.5 + rng.uniform(-0.2, 0.2)) / objects
            path.append((float(t), float(y), float(x)))
        start = int(rng.integers(0, 10))
        pastes.append(Paste(str(name), chosen, start, scale, tuple(path)))
    return Recipe(str(names[0]), 0, frames, tuple(pastes))


def render(dataset: Dataset, recipe: Recipe) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Frames ``(H, W, 3) uint8`` and labels ``(H, W) uint8`` of a composite."""
    background = _Clip(dataset, recipe.background)
    clips = [_Clip(dataset, paste.video) for paste in recipe.pastes]
    for t in range(recipe.frames):
        image, labels = background.frame(recipe.start + t)
        image, labels = image.copy(), (labels > 0).astype(np.uint8)
        for n, (paste, clip) in enumerate(zip(recipe.pastes, clips, strict=True)):
            _paste(image, labels, n + 2, paste, clip, t)
        yield image, labels


def _paste(
    image: np.ndarray, labels: np.ndarray, object_id: int, paste: Paste, clip: _Clip, t: int
) -> None:
    """Put one object over the frame, in place."""
    source, ids = clip.frame(paste.start + t)
    mask = (ids == paste.object_id).astype(np.uint8)
    left, top, width, height = cv2.boundingRect(mask)
    if width == 0:
        return
    times, ys, xs = np.asarray(paste.path).T

    # A cosine between the way points, so that motion starts and stops softly.
    def at(values: np.ndarray) -> float:
        k = min(int(np.searchsorted(times, t, side="right")) - 1, len(times) - 2)
        share = (t - times[k]) / max(times[k + 1] - times[k], 1e-6)
        return float(values[k] + (values[k + 1] - values[k]) * (1 - np.cos(np.pi * share)) / 2)

    frame_height, frame_width = labels.shape
    shift = np.array(
        [
            [paste.scale, 0, at(xs) * frame_width - paste.scale * (left + width / 2)],
            [0, paste.scale, at(ys) * frame_height - paste.scale * (top + height / 2)],
        ]
    )
    soft = cv2.GaussianBlur(mask.astype(np.float32), (0, 0), 0.8)
    size = (frame_width, frame_height)
    alpha = cv2.warpAffine(soft, shift, size, flags=cv2.INTER_LINEAR)
    moved = cv2.warpAffine(source, shift, size, flags=cv2.INTER_LINEAR)
    image[:] = np.rint(image + alpha[..., None] * (moved.astype(np.float32) - image))
    labels[alpha > 0.5] = object_id


class _Clip:
    """A labelled clip that plays forwards and backwards without end; it holds one frame in
    memory."""

    def __init__(self, dataset: Dataset, name: str):
        self.video: Video = dataset.video(name)
        self._labels = _labels(dataset, name, self.video)
        self._kept: tuple[int, np.ndarray, np.ndarray] | None = None

    def frame(self, t: int) -> tuple[np.ndarray, np.ndarray]:
        length = len(self.video)
        turn = t % max(2 * length - 2, 1)
        index = turn if turn < length else 2 * length - 2 - turn
        if self._kept is None or self._kept[0] != index:
            self._kept = (index, self.video[index], self._labels.read(self._labels.paths[index]))
        return self._kept[1], self._kept[2]


def _labels(dataset: Dataset, name: str, video: Video) -> LabelMasks:
    labels = dataset.label_masks(name, video)
    labels.check_complete("every frame of a clip needs a mask")
    return labels


def write_composites(
    dataset: Dataset, out: str | Path, videos: int, objects: int, frames: int, seed: int
) -> list[Recipe]:
    """Write ``videos`` composites in MOSE layout; complete videos that exist are kept."""
    out = Path(out)
    if out.exists() and not (out / "compose.json").exists() and any(out.iterdir()):
        raise InputError(f"folder {out} holds something else: choose an empty one")
    out.mkdir(parents=True, exist_ok=True)
    recipes = []
    for index in progress(range(videos), videos, "composites"):
        recipe = _visible_recipe(dataset, np.random.default_rng([seed, index]), objects, frames)
        recipes.append(recipe)
        name = f"c{index:05d}"
        if not (out / "JPEGImages" / name).is_dir():
            _write_video(dataset, recipe, out, name)
    described = {f"c{i:05d}": asdict(recipe) for i, recipe in enumerate(recipes)}
    write_json(out / "compose.json", {"seed": seed, "videos": described})
    return recipes


def _visible_recipe(
    dataset: Dataset, rng: np.random.Generator, objects: int, frames: int
) -> Recipe:
    """A recipe whose objects are all large enough on the first frame."""
    for _ in range(DRAWS):
        recipe = draw_recipe(dataset, rng, objects, frames)
        _, labels = next(render(dataset, recipe))
        shares = [(labels == n + 1).mean() for n in range(objects + 1)]
        if min(shares) >= MIN_AREA:
            return recipe
    raise InputError(
        f"no composite of {objects} objects shows all of them on its first frame in {DRAWS}"
        " draws: ask for fewer --objects or another --seed"
    )


def _write_video(dataset: Dataset, recipe: Recipe, out: Path, name: str) -> None:
    # Frames last: a video is whole when its frames are there.
    with appearing_in(out, ("Labels", "Annotations", "JPEGImages"), name) as partial:
        for index, (image, labels) in enumerate(render(dataset, recipe)):
            path = partial / "JPEGImages" / f"{index:05d}.jpg"
            Image.fromarray(image).save(path, quality=JPEG_QUALITY)
            write_mask(partial / "Labels" / f"{index:05d}.png", labels)
            if index == 0:
                write_mask(partial / "Annotations" / "00000.png", labels)


def main(argv: Sequence[str] | None = None) -> int:
    """The command line."""
    p = CommandParser("mose.compose", __doc__
    )  # fmt: skip
    p.add_argument("dataset", help="data set with a mask on every frame")
    p.add_argument("out", help="folder to write")
    p.add_argument("--split", help="of the data set")
    p.add_argument("--labels", default="Annotations", help="folder of its masks (%(default)s)")
    p.add_argument("--videos", type=int, default=20)
    p.add_argument("--objects", type=int, default=3, help="pasted objects per video (%(default)s)")
    p.add_argument("--frames", type=int, default=40)
    p.add_argument("--seed", type=int, default=0)
    a = p.parse_args(argv)
    for name in ("videos", "objects", "frames"):
        if getattr(a, name) < 1:
            raise InputError(f"--{name} is {getattr(a, name)}, expected at least 1")
    dataset = open_dataset(a.dataset, a.split, labels=a.labels)
    write_composites(dataset, a.out, a.videos, a.objects, a.frames, a.seed)
    print_line(f"{a.videos} composites of {a.objects + 1} objects in {a.out}")
    return EXIT_OK


if __name__ == "__main__":
    run_command(main)
