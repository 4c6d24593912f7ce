"""How far a run is, read from its directory alone, while it runs or afterwards.

python -m ensemble.status runs/MOSE-valid
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from stseg.cli import EXIT_OK, CommandParser, print_line, run_command
from stseg.errors import InputError
from stseg.files import Json


@dataclass
class MemberStatus:
    """A member's pairs: to run at the start, done, given up; seconds and frames measured."""

    pairs: int = 0
    done: int = 0
    given_up: int = 0
    seconds: float = 0.0
    frames: int = 0
    stopped: str = ""


@dataclass
class Status:
    """The state of a run, from the events of its latest invocation.

    began, latest   wall clock of its plan and of its latest event, seconds since 1970
    ended           whether the invocation came to its end
    """

    members: dict[str, MemberStatus] = field(default_factory=dict)
    videos: int = 0
    finished: int = 0
    unfinished: int = 0
    workers: dict[int, str] = field(default_factory=dict)
    retries: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    began: float = 0.0
    latest: float = 0.0
    ended: bool = False

    @property
    def left(self) -> float | None:
        """Seconds left at the pace so far; None before anything is done."""
        total = sum(m.pairs for m in self.members.values()) + self.videos
        done = sum(m.done + m.given_up for m in self.members.values())
        done += self.finished + self.unfinished
        if not done:
            return None
        return (self.latest - self.began) / done * (total - done)

    def table(self) -> str:
        """For people."""
        from stseg.tables import format_table

        rows = []
        for name, m in self.members.items():
            rate = f"{m.seconds / m.frames:.3f}" if m.frames else ""
            rows.append([name, str(m.pairs), str(m.done), str(m.given_up), rate, m.stopped])
        lines = [
            f"{self.finished} of {self.videos} videos finished"
            + (f", {self.unfinished} given up" if self.unfinished else ""),
            format_table(["member", "pairs", "done", "given up", "s/frame", ""], rows),
        ]
        nodes = Counter(self.workers.values())
        if nodes and not self.ended:
            told = ", ".join(f"{node or 'here'}: {count}" for node, count in nodes.items())
            lines.append(f"workers on {len(nodes)} nodes: {told}")
        if self.retries:
            told = ", ".join(f"{kind} {count}" for kind, count in self.retries.items())
            lines.append(f"tried again: {told}")
        lines += [f"failed: {failure}" for failure in self.failures[-10:]]
        if self.ended:
            lines.append(f"ended after {self.latest - self.began:.0f} s")
        else:
            quiet = f"latest event {time.time() - self.latest:.0f} s ago"
            left = "" if self.left is None else f", about {self.left:.0f} s to go"
            lines.append(f"running for {self.latest - self.began:.0f} s{left}; {quiet}")
        return "\n".join(lines)


def read_status(root: str | Path) -> Status:
    """The state of the run in ``root``; `InputError` where it holds none."""
    path = Path(root) / "events.jsonl"
    try:
        with open(path, encoding="utf-8") as file:
            return replay(_events(file))
    except OSError as error:
        raise InputError(f"{root} is no run that has begun ({error.strerror}): name one") from None


def replay(events: Iterable[Json]) -> Status:
    """Make a `Status` of the events; a ``Plan`` event starts it anew."""
    status = Status()
    offset = 0.0
    frames: dict[str, int] = {}
    for event in events:
        kind = event["event"]
        if kind == "Plan":
            status = Status(began=event["wall"], videos=event["videos"])
            status.members = {n: MemberStatus(pairs=c) for n, c in event["pairs"].items()}
            offset = event["wall"] - event["time"]
            frames = event["frames"]
        status.latest = max(status.latest, event.get("time", 0.0) + offset)
        if kind == "End":
            status.ended = True
        elif kind == "Done" and event.get("member"):
            member = status.members.setdefault(event["member"], MemberStatus())
            member.done += 1
            member.seconds += event["seconds"]
            member.frames += frames.get(event["video"], 0)
        elif kind == "Done" and "video" in event:
            status.finished += 1
        elif kind == "GiveUp":
            status.failures.append(f"{event['video']}: {event['message']}")
            if event["member"]:
                status.members.setdefault(event["member"], MemberStatus()).given_up += 1
            else:
                status.unfinished += 1
        elif kind == "StopMember":
            status.members.setdefault(event["member"], MemberStatus()).stopped = event["message"]
        elif kind == "Retry":
            status.retries[event["category"]] += 1
        elif kind == "WorkerUp":
            status.workers[event["worker"]] = event.get("node", "")
        elif kind in ("WorkerLost", "Stop"):
            status.workers.pop(event["worker"], None)
    return status


def _events(lines: Iterable[str]) -> Iterable[Json]:
    """The complete lines; the last one may be cut off if the driver was killed."""
    for line in lines:
        try:
            event = json.loads(line)
        except ValueError:
            continue
        if isinstance(event, dict) and "event" in event:
            yield event


def main(argv: Sequence[str] | None = None) -> int:
    """The command line."""
    p = CommandParser(
        "ensemble.status",
        "Progress, rates, failures and nodes of a run, from its directory alone.",
    )
    p.add_argument("run", help="run folder")
    p.add_argument("--watch", type=float, metavar="SECONDS", help="again and again")
    a = p.parse_args(argv)
    while True:
        status = read_status(a.run)
        print_line(status.table())
        if not a.watch or status.ended:
            return EXIT_OK
        time.sleep(a.watch)


if __name__ == "__main__":
    run_command(main)
