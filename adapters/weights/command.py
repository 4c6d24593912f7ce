"""The command ``python -m adapters.weights``: what it prints, and its exit codes."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from adapters.weights import catalogue, store
from adapters.weights.catalogue import Checkpoint
from stseg.cli import EXIT_INCOMPLETE, EXIT_OK, CommandParser, print_line
from stseg.errors import InputError
from stseg.progress import Progress
from stseg.tables import format_table

MEGABYTE = 1_000_000

LAYOUT = """\
the cache is $STSEG_WEIGHTS, or ~/.cache/stseg/weights:
  XMem.pth              a checkpoint, whole and checked
  XMem.pth.json         its hashes and size when it first came; enforced from then on
  .XMem.pth.partial     what has arrived of a download that was interrupted"""


HEADS = ("name", "adapter", "MB", "published hash", "here", "licence")


def _list(known: Mapping[str, Checkpoint]) -> int:
    rows = []
    for name, checkpoint in known.items():
        target = store.cache_folder() / checkpoint.file
        here = "yes" if target.is_file() else "no" if checkpoint.fetchable else "no (by hand)"
        size = target.stat().st_size if target.is_file() else checkpoint.bytes
        megabytes = f"{size / MEGABYTE:.0f}" if size else "?"
        published = "sha256" if checkpoint.sha256 else "md5" if checkpoint.md5 else "none: pinned"
        rows.append((name, checkpoint.adapter, megabytes, published, here, checkpoint.licence))
    print_line(format_table(HEADS, rows, left=len(HEADS)))
    return EXIT_OK


def _fetch(checkpoint: Checkpoint) -> None:
    """Bring one checkpoint here, with a line of its progress."""
    if checkpoint.non_commercial or checkpoint.hub:
        print_line(f"{checkpoint.name}: licence: {checkpoint.licence}")
    bar: Progress | None = None

    def report(here: int, total: int | None) -> None:
        nonlocal bar
        if bar is None:
            bar = Progress(max((total or here) // MEGABYTE, 1), f"{checkpoint.name} MB")
        bar.advance(here // MEGABYTE - bar.done)

    try:
        path = store.fetch(checkpoint, report)
    finally:
        if bar is not None:
            bar.close()
    print_line(f"{checkpoint.name}: {path}")


def _fetch_all(names: Sequence[str], config: str | None) -> int:
    """Fetch what is named and what a configuration needs.

    Where one cannot be had the others are fetched all the same; what is missing then is said
    at the end.
    """
    if not names and config is None:
        raise InputError("nothing to fetch: give names, or --config FILE")
    needed = store.missing(catalogue.needed_by(config)) if config else []
    if config and not needed:
        print_line(f"all weights of configuration {config} are here")
    wanted = [*map(catalogue.find, names), *(c for c in needed if c.fetchable)]
    failures: list[InputError] = []
    for checkpoint in dict.fromkeys(wanted):
        try:
            _fetch(checkpoint)
        except InputError as error:
            failures.append(error)
    if len(wanted) == 1 and failures:
        raise failures[0]
    by_hand = catalogue.how_to_get([c for c in needed if not c.fetchable])
    for sentence in (*by_hand, *(f"not fetched: {error}" for error in failures)):
        print_line(sentence)
    return EXIT_INCOMPLETE if by_hand or failures else EXIT_OK


def _verify(names: Sequence[str], known: Mapping[str, Checkpoint]) -> int:
    wanted = [catalogue.find(name) for name in names]
    if not names:
        wanted = [c for c in known.values() if (store.cache_folder() / c.file).is_file()]
        if not wanted:
            print_line(f"no checkpoint is in {store.cache_folder()}")
    differences = {checkpoint.name: store.verify(checkpoint) for checkpoint in wanted}
    for name, difference in differences.items():
        print_line(f"{name}: {difference or 'whole'}")
    return EXIT_INCOMPLETE if any(differences.values()) else EXIT_OK


def _parser() -> argparse.ArgumentParser:
    parser = CommandParser(
        "adapters.weights",
        "Fetch and check the published checkpoints of configs/weights.yaml.",
        epilog=LAYOUT,
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    commands.add_parser("list", help="what is known, and what of it is here")
    part = commands.add_parser("fetch", help="download; goes on where an earlier one stopped")
    part.add_argument("names", nargs="*", metavar="NAME")
    part.add_argument("--config", metavar="FILE", help="what the members of a run need, e.g. mose")
    part = commands.add_parser("verify", help="compare what is here with its hashes again")
    part.add_argument("names", nargs="*", metavar="NAME", help="default: all that is here")
    part = commands.add_parser("import", help="take a file that you already have")
    part.add_argument(
        "file", metavar="FILE", type=Path, help="of sam3 with its config.json beside it"
    )
    part.add_argument("name", metavar="NAME")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns its exit code."""
    args: Any = _parser().parse_args(arguments)
    if args.command == "list":
        return _list(catalogue.read_catalogue())
    if args.command == "fetch":
        return _fetch_all(args.names, args.config)
    if args.command == "verify":
        return _verify(args.names, catalogue.read_catalogue())
    checkpoint = catalogue.find(args.name)
    if checkpoint.non_commercial:
        print_line(f"{checkpoint.name}: licence: {checkpoint.licence}")
    print_line(f"{checkpoint.name}: {store.import_file(args.file, checkpoint)}")
    return EXIT_OK
