"""What the documents show is true: commands parse, code compiles, names and links exist.

Lab notes are of their date and are left out.
"""

from __future__ import annotations

import argparse
import ast
import json
import re
import runpy
import shlex
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from stseg.commands import find_command
from stseg.failures import FailureKind

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted(
    page
    for page in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")]
    if "lab" not in page.parts
)
PACKAGES = "stseg|mose|adapters|selection|finetune|ensemble|study|benchmarks"
DOTTED = re.compile(rf"(?<![\w/.-])(?:{PACKAGES})(?:\.[A-Za-z_]\w*)+(?![\w/])")
PATH = re.compile(
    rf"(?<![\w/.-])(?:{PACKAGES}|tests|configs|docs)/[\w./-]*\.(?:py|yaml|md|sh|png)\b"
)
LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")
FENCE = re.compile(r"^( *)```(\w*)[^\n]*\n(.*?)^\1```", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"`([^`\n]+)`")
FILES = (".py", ".yaml", ".csv", ".json", ".md", "stseg.adapters", "stseg.boards")
"""Ends of what looks like a name of the code and is a file, or a group of entry points."""
PLACEHOLDERS = ("...", "NAME", "stseg --help")
"""Ends of what names no single command."""
TOO_FEW = 40
"""Fewer commands than this on all pages mean that the reader of pages is broken."""


@dataclass(frozen=True)
class Fence:
    """A block of code of a page."""

    page: str
    language: str
    text: str


def fences() -> Iterator[Fence]:
    for page in PAGES:
        for indent, language, text in FENCE.findall(page.read_text(encoding="utf-8")):
            lines = [line.removeprefix(indent) for line in text.splitlines()]
            yield Fence(str(page.relative_to(ROOT)), language, "\n".join(lines))


def commands() -> Iterator[tuple[str, str]]:
    """(page, command line) of everything that a page tells its reader to type."""
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        inline = CODE.findall(FENCE.sub("", text))
        shown = [
            line
            for fence in fences()
            if fence.page == str(page.relative_to(ROOT)) and not fence.language
            for line in fence.text.replace("\\\n", " ").splitlines()
        ]
        for line in [*inline, *shown]:
            line = line.strip().removeprefix(".venv/bin/")
            if line.startswith(("python -m ", "stseg ")) and not line.endswith(PLACEHOLDERS):
                yield str(page.relative_to(ROOT)), line


def words_of(line: str) -> list[str]:
    """The module of a command line, then its arguments."""
    words = shlex.split(line, comments=True)
    return [find_command(words[1]).module, *words[2:]] if words[0] == "stseg" else words[2:]


class Parsed(BaseException):
    """Carries what a command made of its arguments, before it did anything."""

    def __init__(self, namespace: argparse.Namespace):
        self.namespace = namespace


def parse(line: str, monkeypatch: pytest.MonkeyPatch) -> argparse.Namespace:
    """What the command of ``line`` would start with; `SystemExit` where it refuses the line."""
    module, *arguments = words_of(line)
    original = argparse.ArgumentParser.parse_args

    def stop(self: argparse.ArgumentParser, args=None, namespace=None) -> None:
        raise Parsed(original(self, args, namespace))

    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", stop)
    monkeypatch.setattr(sys, "argv", [module, *arguments])
    with pytest.raises(Parsed) as parsed:
        runpy.run_module(module, run_name="__main__")
    return parsed.value.namespace


def test_there_are_pages_and_commands() -> None:
    assert len(list(commands())) > TOO_FEW


@pytest.mark.filterwarnings("ignore:.*found in sys.modules:RuntimeWarning")
@pytest.mark.parametrize(("page", "line"), sorted({(p, c) for p, c in commands()}))
def test_command_parses(page: str, line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    module, *arguments = words_of(line)
    if arguments in ([], ["--help"]):  # a mention of the command, without arguments
        assert module_file(module) is not None, page
        return
    parse(line, monkeypatch)


@pytest.mark.parametrize("fence", [f for f in fences() if f.language == "python"], ids=str)
def test_python_compiles(fence: Fence) -> None:
    ast.parse(fence.text)


@pytest.mark.parametrize("fence", [f for f in fences() if f.language in ("yaml", "json")], ids=str)
def test_data_reads(fence: Fence) -> None:
    (yaml.safe_load if fence.language == "yaml" else json.loads)(fence.text)


def module_file(dotted: str) -> Path | None:
    """The file of a module or package, or None."""
    path = ROOT / dotted.replace(".", "/")
    for file in (path.with_suffix(".py"), path / "__init__.py"):
        if file.is_file():
            return file
    return None


def resolves(dotted: str) -> bool:
    """Whether a dotted name is a module, or stands at the top of one. Nothing is imported."""
    parts = dotted.split(".")
    for length in range(len(parts), 0, -1):
        file = module_file(".".join(parts[:length]))
        if file is not None:
            rest = parts[length:]
            return not rest or re.search(rf"\b{rest[0]}\b", file.read_text()) is not None
    return False


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_names_and_paths_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    spans = " ".join([*CODE.findall(FENCE.sub("", text)), *(m[2] for m in FENCE.findall(text))])
    names = {name for name in DOTTED.findall(spans) if not name.endswith(FILES)}
    keys = (ROOT / "docs" / "reference" / "configuration.md").read_text(encoding="utf-8")
    missing = {name for name in names if not resolves(name) and f"`{name}`" not in keys}
    missing |= {path for path in PATH.findall(spans) if not (ROOT / path).exists()}
    assert not missing


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    targets = [t for t in LINK.findall(page.read_text(encoding="utf-8")) if "://" not in t]
    assert [t for t in targets if not (page.parent / t).exists()] == []


def test_drawings_name_what_is_there() -> None:
    for drawing in (ROOT / "docs" / "images").glob("*.svg"):
        names = DOTTED.findall(drawing.read_text(encoding="utf-8"))
        assert [name for name in names if not resolves(name)] == []


def test_every_kind_of_failure_is_explained() -> None:
    page = (ROOT / "docs" / "reference" / "failures.md").read_text(encoding="utf-8")
    assert [kind for kind in FailureKind if f"| `{kind}` |" not in page] == []
