"""``python -m adapters``: which models there are, what each needs, and whether they are sound."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

from adapters.doctor.command import EPILOG, doctor
from adapters.listing import Description, describe_all
from stseg.cli import EXIT_OK, CommandParser, print_line, run_command
from stseg.config import SET_HELP
from stseg.tables import format_table


def table(adapters: Sequence[Description]) -> str:
    """One line per adapter: name, weights, what it needs of the installation, summary."""
    rows = [(a.name, "yes" if a.needs_weights else "no", needs(a), a.summary) for a in adapters]
    return format_table(("adapter", "weights", "needs", "what it does"), rows, left=4)


def needs(adapter: Description) -> str:
    """ "installed", or the extra to install and what of it is missing."""
    if not adapter.missing:
        return "installed"
    wanted = f"{adapter.distribution}[{adapter.extra}]"
    return f"pip install '{wanted}' (missing: {', '.join(adapter.missing)})"


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns its exit code."""
    parser = CommandParser("adapters", "The models that can be members of an ensemble.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    commands.add_parser("list", help="all adapters and what each of them needs")
    part = commands.add_parser(
        "doctor",
        help="why numbers are not the published ones: every stage against golden summaries",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    part.add_argument(
        "--config", metavar="FILE", help="check the members of a run as well, e.g. mose"
    )
    part.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help=SET_HELP)
    part.add_argument("--device", help="cpu, cuda or mps; default: that of the configuration")
    args: Any = parser.parse_args(arguments)
    if args.command == "doctor":
        return doctor(args.config, args.set, args.device)
    print_line(table(describe_all()))
    return EXIT_OK


if __name__ == "__main__":
    run_command(main)
