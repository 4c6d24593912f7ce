"""What is known of published checkpoints, ``configs/weights.yaml``, and who needs which."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from adapters.weights.download import Address
from stseg.config import CONFIG_FOLDER, member_values, read_yaml
from stseg.errors import InputError, unknown
from stseg.text import load_yaml

CATALOGUE = CONFIG_FOLDER / "weights.yaml"


@dataclass(frozen=True)
class Checkpoint:
    """One entry of ``configs/weights.yaml``, which says what the fields mean."""

    name: str
    adapter: str
    file: str
    licence: str
    url: str = ""
    drive: str = ""
    hub: str = ""
    page: str = ""
    bytes: int | None = None
    sha256: str = ""
    md5: str = ""
    non_commercial: bool = False
    note: str = ""

    @property
    def address(self) -> Address | None:
        """Where it can be fetched from; None where only a page for people, or the hub, is known."""
        return Address(self.url, self.drive) if self.url or self.drive else None

    @property
    def fetchable(self) -> bool:
        """Whether a command brings it."""
        return self.address is not None or bool(self.hub)


def read_catalogue(path: str | Path = CATALOGUE) -> dict[str, Checkpoint]:
    """The known checkpoints by name; `InputError` for a file that is not such a catalogue."""
    try:
        entries = load_yaml(path, "catalogue")
        return {name: Checkpoint(name=name, **entry) for name, entry in entries.items()}
    except (TypeError, AttributeError) as error:
        raise InputError(f"catalogue {path} cannot be used: {error}") from None


def find(name: str) -> Checkpoint:
    """The entry of a name; `InputError` with the nearest names if there is none."""
    known = read_catalogue()
    if name not in known:
        raise unknown("checkpoint", name, known)
    return known[name]


def needed_by(config: str | Path) -> list[str]:
    """What the members of a configuration name as their weights, each once, in order."""
    members = read_yaml(config).get("members") or ()
    named = [member_values(member, str(config))[0].get("weights") for member in members]
    return list(dict.fromkeys(str(name) for name in named if name))


def how_to_get(checkpoints: Sequence[Checkpoint]) -> list[str]:
    """Sentences that say how to bring checkpoints here: one command, and pages for people."""
    direct = [c.name for c in checkpoints if c.fetchable]
    lines = [f"python -m adapters.weights fetch {' '.join(direct)}"] if direct else []
    return lines + [
        f"get {c.name} by hand from {c.page}, then run python -m adapters.weights import FILE"
        f" {c.name}"
        for c in checkpoints
        if not c.fetchable
    ]
