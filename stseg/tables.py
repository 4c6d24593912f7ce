"""Tables as text: what commands print."""

from __future__ import annotations

from collections.abc import Sequence


def format_table(
    heads: Sequence[str],
    rows: Sequence[Sequence[str]],
    left: int = 1,
    total: bool = False,
) -> str:
    """Columns under their heads, two spaces apart.

    left     this many columns, from the first on, are flush left; the others, which hold numbers,
             are flush right
    total    a line of dashes sets the last row apart
    """
    widths = [max(map(len, column)) for column in zip(heads, *rows, strict=True)]
    lines = [
        "  ".join(
            cell.ljust(width) if column < left else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in (heads, *rows)
    ]
    if total:
        lines.insert(-1, "-" * len(lines[0]))
    return "\n".join(lines)
