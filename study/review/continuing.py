"""Members run over a video again from its corrections, in a process of their own.

A continuation is a run folder of one video in ``continued/<video>/<n>``, made by the main command.
It is offered beside what is there, and its files take the place of the others when it is accepted.

It begins at the first frame whose correction the members have not seen, where their masks before
that can be kept; or with the video, and is then what the main command makes of these corrections.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path

import yaml

from ensemble.config import RunConfig
from ensemble.status import read_status
from ensemble.storage.predictions import read_manifest
from ensemble.storage.run_directory import RunDirectory
from selection.record import read_record
from selection.spans import ObjectSpans, differing
from stseg.config import to_dict
from stseg.errors import InputError
from stseg.files import Json, read_json, write_json, write_text
from study.apply_edit import OpenRun
from study.apply_override import Override, check_wish, chosen
from study.drawings import fill_corrections
from study.edits import Edit, EditKind, VideoState, now


class ContinuationStage(StrEnum):
    """How far a continuation is."""

    NONE = "none"
    RUNNING = "running"
    READY = "ready"
    FAILED = "failed"


@dataclass(frozen=True)
class ContinuationProgress:
    """What a page shows of a continuation; ``done`` of ``total`` members have run."""

    stage: ContinuationStage
    number: int = 0
    done: int = 0
    total: int = 0
    left: float | None = None
    trouble: str = ""

    def json(self) -> Json:
        """For the page."""
        return {**self.__dict__, "stage": self.stage.value}


@dataclass
class Continuations:
    """The continuations of a run that this process has started.

    executor   runs their members, None: as the run's
    """

    opened: OpenRun
    executor: str | None = None
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def numbers(self, video: str) -> list[int]:
        """All that there are, also those in place."""
        folder = self.opened.run.continuation(video, 0).parent
        paths = folder.iterdir() if folder.is_dir() else ()
        return sorted(int(path.stem) for path in paths if path.suffix == ".yaml")

    def waiting(self, video: str) -> int:
        """The one that waits for its end or a verdict; 0 without."""
        numbers = self.numbers(video)
        logged = self.opened.log().get(video, ())
        taken = {line["state"]["base"] for line in logged}
        return numbers[-1] if numbers and numbers[-1] not in taken else 0

    def folder(self, video: str, number: int) -> RunDirectory:
        return RunDirectory(self.opened.run.continuation(video, number))

    def trial(self, video: str) -> RunDirectory | None:
        """The folder of the one that is ready for a verdict."""
        progress = self.progress(video)
        return (
            self.folder(video, progress.number)
            if progress.stage is ContinuationStage.READY
            else None
        )

    def start(self, video: str, state: VideoState, whole: bool = False) -> None:
        """Begin; `InputError` where one waits already, or nothing is corrected.

        whole   run the members over the video from its first frame
        """
        if not state.corrections:
            raise InputError(f"video {video} has no corrections to continue from: draw one")
        if self.waiting(video):
            raise InputError(f"video {video} is continued already: accept or drop that first")
        since = None if whole else self.since(video, state)
        number = max(self.numbers(video), default=0) + 1
        run = self.folder(video, number)
        given = self._beside(video, number, "corrections")
        (given / video).mkdir(parents=True)
        fill_corrections(given / video, self.opened.run.drawn(video), state.corrections)
        write_json(self._beside(video, number, "known.json"), state.json())
        config = trial_config(self.opened.config, video, given, run.root)
        if since is not None:
            earlier = self._beside(video, number, "earlier")
            self._keep_earlier(video, earlier)
            kept = replace(config.data, earlier=str(earlier.resolve()), since=since)
            config = replace(config, data=kept)
        if self.executor:
            execution = replace(config.execution, executor=self.executor)
            config = replace(config, execution=execution)
        path = run.root.with_name(f"{number}.yaml")
        write_text(path, yaml.safe_dump(to_dict(config), sort_keys=False))
        command = [sys.executable, "-m", "ensemble.run", "--config", str(path)]
        with open(run.root.with_name(f"{number}.log"), "wb") as log:
            self.processes[video] = subprocess.Popen(
                command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True
            )

    def since(self, video: str, state: VideoState) -> int | None:
        """The first frame whose correction is new to the members whose masks are in force.

        None where they have to run over the whole video: nothing is new, or a correction that
        they have followed is not there any more.
        """
        if state.base:
            stored = read_json(self._beside(video, state.base, "known.json"))
            if stored is None:
                return None
            known = VideoState.parse(stored, self.opened.record(video).frames).corrections
        else:
            known = self.opened.own_state(video).corrections
        names = {name: t for t, name in enumerate(self.opened.video(video).frame_names)}
        changed = {
            name
            for name in {*known, *state.corrections}
            if known.get(name) != state.corrections.get(name)
        }
        first = min(changed, key=names.__getitem__, default="")
        return names[first] if first in state.corrections else None

    def _keep_earlier(self, video: str, folder: Path) -> None:
        """The members' predictions in force, as they are now, by hard links."""
        for member in self.opened.config.members:
            stored = self.opened.run.current_prediction(member.name, video)
            if read_manifest(stored) is not None:
                shutil.copytree(stored, folder / member.name, copy_function=os.link)

    def _beside(self, video: str, number: int, what: str) -> Path:
        """What belongs to a continuation, and does not lie in its folder."""
        return self.folder(video, number).root.with_name(f"{number}-{what}")

    def progress(self, video: str) -> ContinuationProgress:
        """How far the one that waits is."""
        number = self.waiting(video)
        if not number:
            return ContinuationProgress(ContinuationStage.NONE)
        run, process = self.folder(video, number), self.processes.get(video)
        done, total, left = members_done(run.root)
        if process is not None and process.poll() is None:
            return ContinuationProgress(ContinuationStage.RUNNING, number, done, total, left)
        whole = run.summary.is_file() and run.record_path(video).is_file()
        if whole:
            return ContinuationProgress(ContinuationStage.READY, number, total, total)
        return ContinuationProgress(
            ContinuationStage.FAILED, number, done, total, None, self._trouble(video, number)
        )

    def _trouble(self, video: str, number: int) -> str:
        path = self.folder(video, number).root.with_name(f"{number}.log")
        text = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
        lines = [line for line in text.splitlines() if line.strip()]
        return lines[-1] if lines else "it was broken off: drop it and start again"

    def drop(self, video: str) -> None:
        """Stop the one that waits, and remove it."""
        number = self.waiting(video)
        self._stop(video)
        if not number:
            return
        root = self.folder(video, number).root
        shutil.rmtree(root, ignore_errors=True)
        for what in ("corrections", "earlier"):
            shutil.rmtree(self._beside(video, number, what), ignore_errors=True)
        self._beside(video, number, "known.json").unlink(missing_ok=True)
        for suffix in (".log", ".yaml"):
            root.with_name(f"{number}{suffix}").unlink(missing_ok=True)

    def _stop(self, video: str) -> None:
        process = self.processes.pop(video, None)
        if process is None or process.poll() is not None:
            return
        process.send_signal(signal.SIGINT)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def close(self) -> None:
        """Stop all that run; what they made so far is picked up by nobody."""
        for video in list(self.processes):
            self._stop(video)

    def accepted(self, video: str, present: VideoState, by: str) -> Edit:
        """The edit that puts the one that is ready in place; `InputError` if none is.

        What somebody has chosen stays chosen, and is taken from the new masks.
        """
        trial = self.trial(video)
        if trial is None:
            raise InputError(f"there is no continuation of video {video} to accept")
        record, before = read_record(trial.record_path(video)), self._plan(video, present.base)
        state = VideoState.of(record)
        for object_id, spans in present.plan.items():
            for start, stop, candidate in differing(before[object_id], spans):
                wish = Override(video, candidate, object_id, (start, stop))
                check_wish(record, wish)
                state = chosen(state, wish, record.frames)
        state = replace(state, corrections=present.corrections, base=int(trial.root.name))
        return Edit(now(), by, video, EditKind.CONTINUE, None, None, None, state)

    def _plan(self, video: str, base: int) -> ObjectSpans:
        """What the run, or a continuation that is in place, had selected by itself."""
        if not base:
            return self.opened.own_state(video).plan
        return read_record(self.folder(video, base).record_path(video)).plan


def trial_config(config: RunConfig, video: str, corrections: Path, root: Path) -> RunConfig:
    """The run's configuration for one video with its corrections, everything kept."""
    data = replace(config.data, videos=(video,), corrections=str(corrections.resolve()))
    output = replace(config.output, path=str(root), keep_soft=True, submission=False)
    return replace(config, data=data, output=output)


def members_done(root: Path) -> tuple[int, int, float | None]:
    """Members that have run, all of them, and the seconds left; zeros before it has begun."""
    try:
        status = read_status(root)
    except InputError:
        return 0, 0, None
    members = status.members.values()
    return sum(m.done + m.given_up for m in members), sum(m.pairs for m in members), status.left
