"""What a check found: one sentence each, many of a kind as one line."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass

from stseg.cli import counted
from stseg.errors import one_line
from stseg.files import Json

REJECTED, ZEROED, NOTE = "rejected", "zeroed", "note"
SEVERITIES = (REJECTED, ZEROED, NOTE)
"""A server would refuse the whole submission, or a run the video; a server would score it wrongly,
or as zero, without a message; something that one should know."""

RULES = {
    "wrapping-folder": (REJECTED, "folders wrap the videos"),
    "board-folder": (REJECTED, "videos do not lie in the folder that the server looks in"),
    "single-video": (REJECTED, "videos are alone in the zip"),
    "size-limit": (REJECTED, "zips are larger than the server takes"),
    "objects": (REJECTED, "masks are not one per object"),
    "regions": (REJECTED, "region files are missing or damaged"),
    "duplicate-entry": (REJECTED, "entries are there twice"),
    "file-name": (REJECTED, "files have names that a scorer cannot use"),
    "missing-frame": (REJECTED, "videos miss frames"),
    "unknown-frame": (REJECTED, "videos have masks without a frame"),
    "undecodable": (REJECTED, "files cannot be decoded"),
    "size": (REJECTED, "masks have another size than their frames"),
    "video": (REJECTED, "videos cannot be used"),
    "frame-size": (REJECTED, "frames have another size than the first of their video"),
    "dangling": (REJECTED, "files are links to nothing"),
    "number": (REJECTED, "files have no number that tells their place"),
    "same-number": (REJECTED, "files have a number twice"),
    "unread-kind": (REJECTED, "files are of a kind that is not read"),
    "no-ids": (ZEROED, "masks hold no object ids"),
    "missing-video": (ZEROED, "videos are missing"),
    "mode": (ZEROED, "masks are not palette or 8-bit grey PNGs"),
    "object-id": (ZEROED, "masks hold ids that are not given"),
    "first-mask": (ZEROED, "videos change the first mask"),
    "no-first-mask": (ZEROED, "objects have no first mask"),
    "unknown-video": (NOTE, "videos are not in the data set"),
    "stray-file": (NOTE, "files are not used"),
    "late-first-mask": (NOTE, "videos have no mask for their first frame"),
    "void": (NOTE, "masks hold void pixels (255)"),
    "no-background": (NOTE, "videos have a first mask without background"),
    "meaning": (NOTE, "videos have masks of 0 and 255 alone"),
    "list-case": (NOTE, "entries of a list are written in other cases"),
    "labels": (NOTE, "videos lack labels"),
    "stray-label": (NOTE, "videos have labels without a frame"),
    "per-object": (NOTE, "videos have masks in one folder per object"),
    "frame-kinds": (NOTE, "videos have frames of two kinds"),
    "gap": (NOTE, "videos lack frames between others"),
    "leftover": (NOTE, "entries are passed over"),
    "box": (NOTE, "boxes were made masks"),
    "movie": (NOTE, "videos are movie files"),
    "dot-slash": (NOTE, "names in the zip are written in an unusual way"),
    "text-order": (NOTE, "videos have names whose order as text is not that of their numbers"),
    "meta": (NOTE, "videos differ from the meta file"),
}
"""Rule -> its severity and what to say of many."""


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong.

    rule       a key of `RULES`
    sentence   what is wrong, in which file, what comes of it or what to do; on one line
    video      the video it is in, if it is in one
    file       the file, if it is in one; relative to what was checked
    """

    rule: str
    sentence: str
    video: str | None = None
    file: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "sentence", one_line(self.sentence))

    @property
    def severity(self) -> str:
        return RULES[self.rule][0]

    def json(self) -> Json:
        return {"severity": self.severity, **dataclasses.asdict(self)}


def lines(findings: Iterable[Finding]) -> list[str]:
    """One line per rule, the gravest first: a single finding in full, many with an example."""
    groups: dict[str, list[Finding]] = {}
    for finding in findings:
        groups.setdefault(finding.rule, []).append(finding)
    ordered = sorted(groups, key=lambda rule: SEVERITIES.index(RULES[rule][0]))
    return [_line(rule, groups[rule]) for rule in ordered]


def _line(rule: str, group: list[Finding]) -> str:
    severity, plural = RULES[rule]
    first = group[0].sentence
    if len(group) == 1:
        return f"{severity:9} {first}"
    videos = {finding.video for finding in group if finding.video}
    where = f" in {len(videos)} videos" if 1 < len(videos) < len(group) else ""
    return f"{severity:9} {len(group):,} {plural}{where}, for one: {first}"


@dataclass(frozen=True)
class Report:
    """What was checked and what was found.

    subject   what was checked, for people
    videos    number of videos
    findings  what concerns the whole first, then in the order of the videos
    """

    subject: str
    videos: int
    findings: tuple[Finding, ...]

    @property
    def accepted(self) -> bool:
        """Whether a server would neither reject nor zero anything."""
        return all(finding.severity == NOTE for finding in self.findings)

    def table(self) -> list[str]:
        """Lines for people: what was checked, a line per rule, the verdict."""
        verdict = (
            "nothing would be rejected or scored as zero"
            if self.accepted
            else "this would be rejected, or scored as zero without a word: mend the above"
        )
        head = one_line(f"checked {counted(self.videos, 'video')} of {self.subject}")
        return [head, *lines(self.findings), verdict]

    def json(self) -> Json:
        return {
            "subject": self.subject,
            "videos": self.videos,
            "accepted": self.accepted,
            "findings": [finding.json() for finding in self.findings],
        }
