"""Docstrings of this project as Markdown: an extension for mkdocstrings' reader, griffe.

A block of lines ``name   what it is`` becomes a list, and single backquotes around names of the
code become code. The code is read, never imported.
"""

from __future__ import annotations

import re
import textwrap
from typing import Any

import griffe

FIELD = re.compile(r"^(\w[\w, ]*?) {2,}(\S.*)$")
LINK = re.compile(r"(?<![`\w])`([\w.]+)`(?!`)")


def as_markdown(docstring: str) -> str:
    """The docstring with lists of fields and code spans in Markdown."""
    blocks = textwrap.dedent(docstring).split("\n\n")
    return LINK.sub(r"`\1`", "\n\n".join(_block(block) for block in blocks))


def _block(block: str) -> str:
    lines = textwrap.dedent(block).splitlines()
    if not lines or not FIELD.match(lines[0]):
        return block
    items: list[str] = []
    for line in lines:
        if match := FIELD.match(line):
            names = ", ".join(f"`{name.strip()}`" for name in match[1].split(","))
            items.append(f"- {names}: {match[2].replace('``', '`')}")
        else:
            items[-1] += f" {line.strip()}"
    return "\n".join(items)


class Fields(griffe.Extension):
    """Rewrites every docstring when its object has been read."""

    def on_object(self, *, obj: griffe.Object, **kwargs: Any) -> None:
        if obj.docstring:
            obj.docstring.value = as_markdown(obj.docstring.value)
