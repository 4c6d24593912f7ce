"""What a run tells of itself while it runs."""

import io
import json
import sys
import threading

import numpy as np

from adapters.base import FrameMasks
from adapters.expansion import Expansion
from ensemble.execution.run_log import LOOK_INTERVAL, RunLog
from ensemble.scheduling.messages import FINISH, Attempt, Done, LogEntry, Pair, Run, Shape, Start
from ensemble.storage.predictions import PredictionWriter, frames_so_far
from selection.run_paths import RunPaths


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_a_log_says_what_begins_and_counts_frames(tmp_path, capsys):
    log = RunLog(RunPaths(tmp_path), ["a", "b"], [Pair("a", "x", 1.0)], {"x": 7})
    log(LogEntry(Start(1, "a", Shape()), decided=0.0))
    log(LogEntry(Run(1, "a", "x", Attempt()), decided=1.0))
    said = capsys.readouterr().err
    assert "loading a into the first worker" in said
    assert "a begins with video x, 7 frames" in said
    log(LogEntry(Done(2.0, 1, 1.4, {}), member="a", video="x"))
    log(LogEntry(Done(3.0, 1, 0.7, {}), member=FINISH, video="x"))
    log.close()
    assert "14/14" in capsys.readouterr().err
    first, *_, last = map(json.loads, (tmp_path / "events.jsonl").read_text().splitlines())
    assert (first["event"], first["pairs"]) == ("Plan", {"a": 1, "b": 0})
    assert last["event"] == "End"


def frame(index):
    ones = np.ones(1, np.float32)
    ids = np.ones((4, 6), np.uint8)
    return FrameMasks(index, (1,), ones, ones, ids, Expansion("labels"))


class Awaited(Terminal):
    """A terminal that tells when it was shown some words."""

    def __init__(self, words):
        super().__init__()
        self.words, self.shown = words, threading.Event()

    def write(self, text):
        if self.words in text:
            self.shown.set()
        return super().write(text)


def test_frames_are_counted_while_the_same_process_runs_the_pair(tmp_path, monkeypatch):
    terminal = Awaited(" 1/14,")
    monkeypatch.setattr(sys, "stderr", terminal)
    run = RunPaths(tmp_path)
    log = RunLog(run, ["a"], [Pair("a", "x", 1.0)], {"x": 7})
    with log.refreshed(), PredictionWriter(run.prediction("a", "x"), 4, 6, "t-1") as writer:
        log(LogEntry(Run(1, "a", "x", Attempt(token="t-1")), decided=1.0))
        writer.add(frame(0))
        assert terminal.shown.wait(60)
    log.close()


def test_frames_of_a_pair_are_counted_while_it_runs(tmp_path, monkeypatch):
    terminal, clock = Terminal(), [1000.0]
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setattr("tqdm.std.time", lambda: clock[0])
    monkeypatch.setattr("time.monotonic", lambda: clock[0])
    run = RunPaths(tmp_path)
    log = RunLog(run, ["a"], [Pair("a", "x", 1.0)], {"x": 7})

    def shown_after(seconds):
        clock[0] += seconds
        terminal.truncate(terminal.seek(0))
        log.refresh()
        return terminal.getvalue()

    log(LogEntry(Run(1, "a", "x", Attempt(token="t-1")), decided=1.0))
    with PredictionWriter(run.prediction("a", "x"), 4, 6, "t-1") as writer:
        for index in range(3):
            writer.add(frame(index))
        assert " 3/14," in shown_after(LOOK_INTERVAL)
        writer.add(frame(3))
        assert shown_after(LOOK_INTERVAL / 2) == "", "it does not look all the time"
        assert " 4/14," in shown_after(LOOK_INTERVAL)
        writer.commit({"key": "k"})
    assert frames_so_far(run.prediction("a", "x"), "t-1") == 0
    assert sorted(path.name for path in run.prediction("a", "x").iterdir()) == [
        "frames.bin", "index.npy", "manifest.json",
    ]  # fmt: skip
    log(LogEntry(Done(2.0, 1, 1.4, {}), member="a", video="x"))
    log(LogEntry(Done(3.0, 1, 0.7, {}), member=FINISH, video="x"))
    log.close()
    assert " 14/14 " in terminal.getvalue()
