"""Mutations of a small valid data set: what other tools, systems and accidents make of one."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from mose.masks import write_mask

HEIGHT, WIDTH, FRAMES = 32, 40, 4
Mutation = Callable[[Path, np.random.Generator], None]


def write_clean(root: Path) -> None:
    """One video of lossless frames, a mask on its first frame and one on a later one."""
    frames, masks = root / "JPEGImages/a", root / "Annotations/a"
    frames.mkdir(parents=True)
    masks.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for index in range(FRAMES):
        image = rng.integers(0, 255, (HEIGHT, WIDTH, 3), dtype=np.uint8)
        Image.fromarray(image).save(frames / f"{index:05d}.png")
    ids = np.zeros((HEIGHT, WIDTH), np.uint8)
    ids[4:14, 4:16], ids[16:28, 20:34] = 1, 3
    write_mask(masks / "00000.png", ids)
    later = np.zeros_like(ids)
    later[3:15, 22:36] = 7
    write_mask(masks / "00002.png", later)


def pick(root: Path, kind: str, rng: np.random.Generator) -> Path:
    """One of the numbered files that are still there."""
    files = (path for path in (root / kind / "a").iterdir() if path.is_file())
    paths = sorted(path for path in files if path.stem.removeprefix("frame_").isdigit())
    return paths[int(rng.integers(len(paths)))]


def either(root: Path, rng: np.random.Generator) -> Path:
    return pick(root, ("JPEGImages", "Annotations")[int(rng.integers(2))], rng)


def repad(root: Path, rng: np.random.Generator) -> None:
    width = int(rng.integers(1, 9))
    kind = ("JPEGImages", "Annotations")[int(rng.integers(2))]
    for path in sorted((root / kind / "a").iterdir()):
        if path.stem.isdigit():
            path.rename(path.with_name(f"{int(path.stem):0{width}d}{path.suffix}"))


def prefix(root: Path, rng: np.random.Generator) -> None:
    for path in sorted((root / "JPEGImages/a").iterdir()):
        if path.stem.isdigit():
            path.rename(path.with_name(f"frame_{path.name}"))


def upper_suffix(root: Path, rng: np.random.Generator) -> None:
    path = either(root, rng)
    path.rename(path.with_suffix(path.suffix.upper()))


def wrong_suffix(root: Path, rng: np.random.Generator) -> None:
    path = either(root, rng)
    path.rename(path.with_suffix((".jpg", ".bmp", ".webp", ".tif")[int(rng.integers(4))]))


def foreign_suffix(root: Path, rng: np.random.Generator) -> None:
    path = either(root, rng)
    path.rename(path.with_suffix((".heic", ".gif", ".txt", "")[int(rng.integers(4))]))


def truncate(root: Path, rng: np.random.Generator) -> None:
    path = either(root, rng)
    data = path.read_bytes()
    path.write_bytes(data[: int(rng.integers(0, max(len(data) - 12, 1)))])


def garble(root: Path, rng: np.random.Generator) -> None:
    """One bit of a PNG is another."""
    path = pick(root, "Annotations", rng)
    data = bytearray(path.read_bytes())
    if data.startswith(b"\x89PNG"):  # other formats have no checksum to tell by
        data[int(rng.integers(len(data)))] ^= 1 << int(rng.integers(8))
    path.write_bytes(bytes(data))


def leftovers(root: Path, rng: np.random.Generator) -> None:
    names = (".DS_Store", "._00000.png", "Thumbs.db", "desktop.ini", ".hidden.png")
    for kind in ("JPEGImages", "Annotations"):
        (root / kind / "a" / names[int(rng.integers(len(names)))]).write_bytes(b"x")
        (root / kind / ("@eaDir", "__MACOSX")[int(rng.integers(2))]).mkdir(exist_ok=True)


def stray_file(root: Path, rng: np.random.Generator) -> None:
    (root / "JPEGImages/a" / ("notes.txt", "readme.md")[int(rng.integers(2))]).write_text("x")


def odd_name(root: Path, rng: np.random.Generator) -> None:
    path = either(root, rng)
    path.rename(path.with_name(f"copy of {path.name}"))


def same_number(root: Path, rng: np.random.Generator) -> None:
    path = either(root, rng)
    path.with_name(f"0{path.name}").write_bytes(path.read_bytes())


def relink(root: Path, rng: np.random.Generator) -> None:
    path = either(root, rng)
    target = root / "store" / path.parent.parent.name
    target.mkdir(parents=True, exist_ok=True)
    os.replace(path, target / path.name)
    path.symlink_to(target / path.name)


def dangle(root: Path, rng: np.random.Generator) -> None:
    path = either(root, rng)
    path.unlink()
    path.symlink_to("../../.git/annex/objects/nowhere")


def tag_and_turn(root: Path, rng: np.random.Generator) -> None:
    """Stored turned, with the tag that turns it back."""
    path = pick(root, "JPEGImages", rng)
    backwards = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}
    value = int(rng.integers(2, 9))
    exif = Image.Exif()
    exif[0x0112] = value
    try:
        with Image.open(path) as image:
            if image.getexif().get(0x0112, 1) != 1:
                return
            turned = image.convert("RGB").transpose(Image.Transpose(backwards[value]))
    except OSError:
        return
    kind = ("PNG", "WEBP")[int(rng.integers(2))]
    turned.save(path, kind, exif=exif, **({"lossless": True} if kind == "WEBP" else {}))


def resave(root: Path, rng: np.random.Generator) -> None:
    """Lossless, by another tool's habits."""
    path = either(root, rng)
    try:
        with Image.open(path) as image:
            if image.getexif().get(0x0112, 1) != 1:
                return
            image.load()
            how = (("PNG", {"optimize": True}), ("BMP", {}), ("TIFF", {}))[int(rng.integers(3))]
            image.copy().save(path, how[0], **how[1])
    except OSError:
        return


def change_mode(root: Path, rng: np.random.Generator) -> None:
    """A mask in another mode: grey with the ids, or in colours, one bit, or 16."""
    path = pick(root, "Annotations", rng)
    try:
        with Image.open(path) as image:
            ids, colours = np.array(image), image.convert("RGB")
    except OSError:
        return
    if ids.ndim != 2 or ids.dtype != np.uint8:
        return
    images = (
        Image.fromarray(ids), colours, Image.fromarray(ids > 0),
        Image.fromarray(ids.astype(np.uint16)), colours.convert("P", palette=Image.Palette.WEB),
        colours.quantize(8),
    )  # fmt: skip
    images[int(rng.integers(len(images)))].save(path, "PNG")


def as_jpeg(root: Path, rng: np.random.Generator) -> None:
    path = pick(root, "Annotations", rng)
    try:
        with Image.open(path) as image:
            image.convert("L").save(path, "JPEG")
    except OSError:
        return


def smooth(root: Path, rng: np.random.Generator) -> None:
    path = pick(root, "Annotations", rng)
    try:
        with Image.open(path) as image:
            grey = Image.fromarray(((np.array(image) > 0) * 255).astype(np.uint8))
    except OSError:
        return
    if grey.mode == "L":
        grey.resize((20, 16)).resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC).save(path, "PNG")


def resize(root: Path, rng: np.random.Generator) -> None:
    path = either(root, rng)
    try:
        with Image.open(path) as image:
            image.resize((WIDTH + 2, HEIGHT), Image.Resampling.NEAREST).save(path, "PNG")
    except OSError:
        return


def one_deeper(root: Path, rng: np.random.Generator) -> None:
    folder = root / ("JPEGImages/a", "Annotations/a")[int(rng.integers(2))]
    inner = folder / ("more", "1")[int(rng.integers(2))]
    inner.mkdir(exist_ok=True)
    for path in sorted(folder.iterdir()):
        if path.is_file() or path.is_symlink():
            path.rename(inner / path.name)


MUTATIONS: tuple[Mutation, ...] = (
    repad, prefix, upper_suffix, wrong_suffix, foreign_suffix, truncate, garble, leftovers,
    stray_file, odd_name, same_number, relink, dangle, tag_and_turn, resave, change_mode, as_jpeg,
    smooth, resize, one_deeper,
)  # fmt: skip
