"""The run directory: which parts of a run are complete, and how a run begins. `RunPaths` says where
it lies."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from ensemble.storage.predictions import FRAMES, read_manifest
from mose import InputError
from mose.layout import canonical_split
from selection.record import SelectionRecord, read_record
from selection.run_paths import FOLDERS, RunPaths
from stseg.files import Json, count_files, read_json, write_json, write_text
from stseg.text import load_yaml


@dataclass(frozen=True)
class RunDirectory(RunPaths):
    """A run folder: where everything lies, and which parts are complete; holds no state."""

    def record(self, video: str) -> SelectionRecord | None:
        """The selection record of a video, or None where there is none that can be read."""
        try:
            return read_record(self.record_path(video))
        except InputError:
            return None

    def finished(self, video: str, key: str) -> SelectionRecord | None:
        """The selection record of a video that is complete and was made under ``key``."""
        record = self.record(video)
        if record is None or record.provenance.key != key:
            return None
        folders = (self.masks(video), self.pseudo_labels(video))
        whole = all(count_files(folder) == record.frames for folder in folders)
        return record if whole else None

    def whole_pair(self, member: str, video: str, key: str) -> Json | None:
        """The manifest of a prediction that is complete and was made under ``key``."""
        manifest = read_manifest(self.prediction(member, video))
        return manifest if manifest and manifest.get("key") == key else None

    def current_prediction(self, member: str, video: str, rounds: int | None = None) -> Path:
        """The prediction that the last round of refinement left of a member, or else its first.

        rounds   of how many rounds; None: of all
        """
        for number in reversed(self.refined_in(video)):
            refined = self.refined_prediction(member, video, number)
            if (rounds is None or number <= rounds) and read_manifest(refined):
                return refined
        return self.prediction(member, video)

    def refined_in(self, video: str) -> list[int]:
        """The rounds of refinement that left something of a video, ascending."""
        folder = self.refinement(video)
        names = os.listdir(folder) if folder.is_dir() else []
        return sorted(int(name) for name in names if name.isdigit())

    def prediction_stamp(self, member: str, video: str) -> tuple[int, ...]:
        """Size and modification time of a prediction's frames, which change when it does. `OSError`
        if there is none."""
        return _stamp(self.prediction_file(member, video, FRAMES))

    def current_stamp(self, member: str, video: str) -> tuple[int, ...]:
        """`prediction_stamp` of the `current_prediction`."""
        return _stamp(self.current_prediction(member, video) / FRAMES)

    def finished_stamp(self, video: str) -> tuple[int, ...]:
        """Changes with anything of a finished video: its record, or the number of its masks.
        `OSError` if there is none."""
        record, masks, pseudo_labels = (os.stat(path) for path in self.finished_files(video))
        return (
            record.st_size,
            record.st_mtime_ns,
            masks.st_mtime_ns,
            pseudo_labels.st_mtime_ns,
        )


def _stamp(path: str | Path) -> tuple[int, ...]:
    status = os.stat(path)
    return status.st_size, status.st_mtime_ns


def existing_run(root: str | Path) -> RunDirectory:
    """The run in ``root``; `InputError` where there is none."""
    run = RunDirectory(Path(root))
    if not run.config.is_file():
        raise InputError(f"{root} is no run folder (no {run.config.name}): give one")
    return run


def open_run(root: str | Path, config: Json, images: Path, overwrite: bool) -> RunDirectory:
    """Create a run directory, or continue the one that exists.

    Raises `InputError` where ``root`` holds something that is no run, or a run over another
    data set or split; with ``overwrite`` an existing run is removed first. ``images`` is the folder
    of the frames, which the report and the exports read later.
    """
    root = Path(root)
    if root.exists() and not root.is_dir():
        raise InputError(f"output {root} is a file: choose a folder")
    run = RunDirectory(root)
    mark = run.config
    if root.is_dir() and any(root.iterdir()):
        if not mark.is_file():
            raise InputError(
                f"output folder {root} holds other things than a run: choose an empty or new one"
            )
        if overwrite:
            shutil.rmtree(root)
        else:
            before = (load_yaml(mark) or {}).get("data", {})
            now = config["data"]
            for key in ("dataset", "split"):
                if not _same_data(key, before.get(key), now.get(key), run, images):
                    raise InputError(
                        f"output folder {root} belongs to a run over {key} '{before.get(key)}',"
                        f" not '{now.get(key)}': choose another --output; --overwrite would remove"
                        f" its {_finished_count(run)} finished videos"
                    )
    for name in FOLDERS:
        (root / name).mkdir(parents=True, exist_ok=True)
    write_text(mark, yaml.safe_dump(dict(config), sort_keys=False))
    write_json(run.environment, {**environment(), "images": str(images)})
    return run


def _same_data(key: str, before: Any, now: Any, run: RunDirectory, images: Path) -> bool:
    """Whether two spellings mean the same data set or split: another path to the same folder, or
    the frames that the run's record names, are the same data set."""
    if before == now:
        return True
    if key == "split":
        return canonical_split(str(before)) == canonical_split(str(now))
    if os.path.realpath(str(before)) == os.path.realpath(str(now)):
        return True
    stored = (read_json(run.environment) or {}).get("images")
    return isinstance(stored, str) and os.path.realpath(stored) == os.path.realpath(images)


def _finished_count(run: RunDirectory) -> int:
    return count_files(run.all_masks)


def environment() -> Json:
    """Versions of the software on which the numbers depend."""
    versions = {}
    for name in ("stseg", "numpy", "opencv-python-headless", "torch", "sam2", "ray", "pillow"):
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpu_count": os.cpu_count(),
        "versions": versions,
    }
