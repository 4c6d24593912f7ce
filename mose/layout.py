"""The layouts of data sets: where a split has its videos, given masks and labels.

Layouts, all with one folder per video and files named by frame number::

    MOSE v1, v2          root/{train,valid,test}/JPEGImages/<video>/00000.jpg
    YouTube-VOS          root/{train,valid,test}/Annotations/<video>/00000.png
                         (v2: meta_<split>.json, YouTube-VOS: meta.json beside them)
    one split            root/JPEGImages/<video>/00000.jpg
                         root/Annotations/<video>/00000.png
    SA-V                 root/sav_val/JPEGImages_24fps/<video>/00000.jpg
                         root/sav_val/Annotations_6fps/<video>/000/00000.png
    movies               <video>.mp4 (.mov, .avi, .webm) in place of the folder <video> of frames
    DAVIS 2016, 2017     root/JPEGImages/{480p,Full-Resolution}/<video>/00000.jpg
                         root/Annotations/{480p,Full-Resolution}/<video>/00000.png
                         root/ImageSets/2017/{train,val,test-dev}.txt
"""

from __future__ import annotations

from pathlib import Path

from mose.readers.folder import leftover
from stseg.errors import InputError, unknown

IMAGES, ANNOTATIONS, LISTS = "JPEGImages", "Annotations", "ImageSets"

RATES = {"JPEGImages": "JPEGImages_24fps", "Annotations": "Annotations_6fps"}
"""Folder -> SA-V's name for it."""

SPLITS = {
    "train": ("train", "sav_train"),
    "valid": ("valid", "val", "sav_val"),
    "test": ("test", "test-dev", "sav_test"),
}
"""Split -> the names under which data sets have it, the likeliest first."""

RESOLUTIONS = ("480p", "Full-Resolution", "1080p")
"""DAVIS's folders between ``JPEGImages`` and the videos, the usual one first."""

LAYOUT_HINT = (
    f"expected {IMAGES}/<video>/00000.jpg in it, or folders train, valid, test that hold such"
)


def split_folders(root: str | Path) -> tuple[str, ...]:
    """Names of the root's folders that hold ``JPEGImages``; none where it is itself a split."""
    try:
        return tuple(
            sorted(
                p.name
                for p in Path(root).iterdir()
                if not leftover(p.name) and below(p, IMAGES).is_dir()
            )
        )
    except OSError:
        return ()


def is_dataset(root: str | Path) -> bool:
    """Whether a folder holds ``JPEGImages``, itself or in a split's folder."""
    return below(Path(root), IMAGES).is_dir() or bool(split_folders(root))


def below(root: Path, name: str) -> Path:
    """A folder of a data set, or that of SA-V which holds the same."""
    usual, rated = root / name, root / RATES.get(name, name)
    return rated if rated.is_dir() and not usual.is_dir() else usual


def find_split(root: Path, split: str | None) -> tuple[Path, str, Path | None]:
    """The folder that holds the split's ``JPEGImages``, its name, the list of its videos."""
    if not root.is_dir():
        raise InputError(f"data set folder {root} does not exist: give the root of a data set")
    folders, lists = split_folders(root), _split_lists(root)
    flat = below(root, IMAGES).is_dir()
    own = canonical_split(root.resolve().name)
    if split is None:
        if flat:
            return root, own if own in SPLITS else "all", None
        if len(folders) == 1:
            return root / folders[0], canonical_split(folders[0]), None
        if folders:
            raise InputError(f"data set {root} has several splits: choose {', '.join(folders)}")
        raise InputError(f"folder {root} holds no data set: {LAYOUT_HINT}")
    split = canonical_split(split)
    names = SPLITS.get(split, (split,))
    for name in names:
        if name in folders:
            return root / name, split, None
    for name in names:
        if name in lists:
            return root, split, lists[name]
    if not flat and not folders:
        raise InputError(f"folder {root} holds no data set: {LAYOUT_HINT}")
    if flat and not lists and split in SPLITS:
        if own in SPLITS and own != split:
            raise InputError(
                f"folder {root} is the split '{own}', not '{split}': ask for '{own}' or give"
                " another folder"
            )
        return root, split, None
    raise unknown("split", split, (*folders, *lists) or SPLITS, f" of data set {root}")


def canonical_split(split: str) -> str:
    """``valid`` for ``val`` and the like; other names as they are."""
    for name in SPLITS:
        if split.lower() in (name, "val" if name == "valid" else name):
            return name
    return next((s for s, names in SPLITS.items() if split.startswith("sav_") and split in names),
                split)  # fmt: skip


def dataset_name(root: Path) -> str:
    """What people call the data set at a root or at the folder of a split."""
    root = root.resolve()
    return root.parent.name if canonical_split(root.name) in SPLITS else root.name


def _split_lists(root: Path) -> dict[str, Path]:
    """``ImageSets``: "2017/val" -> file, and "val" -> the newest year's."""
    folder = root / LISTS
    lists: dict[str, Path] = {}
    for path in [*sorted(folder.glob("*.txt")), *sorted(folder.glob("*/*.txt"), reverse=True)]:
        lists.setdefault(path.stem, path)
        lists[path.relative_to(folder).with_suffix("").as_posix()] = path
    return lists


def masks_folder(root: Path, name: Path, resolution: str, kind: str) -> Path:
    """A folder of masks: relative to the split, else to the current folder, or absolute."""
    places = [root / name] if name.is_absolute() else [below(root, str(name)), name]
    for place in places:
        if place.is_dir():
            inner = place / resolution
            return inner if inner.is_dir() else place
    raise InputError(
        f"folder {places[0]} of {kind} does not exist: expected <video>/00000.png in it;"
        " name the right folder"
    )
