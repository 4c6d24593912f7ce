"""Writes the pages of docs/reference that list every key, from the dataclasses' own documentation.

    python docs/generate_reference.py

`tests/docs/test_reference.py` fails while a page differs from what this writes.
"""

from __future__ import annotations

import dataclasses
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from adapters import registry  # noqa: E402
from ensemble.config import MemberConfig, RunConfig  # noqa: E402
from finetune.recipe import TrainingRecipe  # noqa: E402
from finetune.stages import Ending  # noqa: E402
from stseg.commands import GROUPS  # noqa: E402
from stseg.options import keys  # noqa: E402
from study.rounds.options import RoundsConfig  # noqa: E402

FIELD = re.compile(r"^(\w[\w, ]*?) {2,}(\S.*)$")
FOLDER = ROOT / "docs" / "reference"
NOTE = "<!-- Written by docs/generate_reference.py: change the code, and run it. -->\n\n"
HEAD = "| key | type | default | meaning |\n|---|---|---|---|\n"


def pages() -> dict[str, str]:
    """File name -> content of every page that is generated."""
    return {
        "configuration.md": configuration(),
        "adapters.md": adapter_options(),
        "recipes.md": recipes(),
        "commands.md": commands(),
    }


def commands() -> str:
    """Every command, by what a person wants to do."""
    intro = """\
# Commands

Every command runs as a module from the repository, and as `stseg NAME` where the package is
installed; both are the same code. `--help` describes the options, and draws the folders that are
read and written. [Exit codes](failures.md) are the same for all of them.
"""
    parts = [intro]
    for title, group in GROUPS.items():
        rows = [f"| `stseg {c.name}` | `python -m {c.module}` | {c.summary} |\n" for c in group]
        head = "| command | as a module | what it does |\n|---|---|---|\n"
        parts.append(f"\n## {title.capitalize()}\n\n{head}{''.join(rows)}")
    return NOTE + "".join(parts)


def configuration() -> str:
    """Every key of a run's configuration."""
    intro = """\
# Configuration

A run is configured by a YAML file (`--config`, by default `configs/default.yaml`). The command line
changes single keys: `--set fusion.rule=average`. A file may build on another with
`extends: default.yaml`: mappings are merged key by key, and everything else is replaced. A key that
does not exist is an error that names the nearest valid one.
"""
    return NOTE + intro + tables(RunConfig) + member_section()


def member_section() -> str:
    """The keys of one entry of ``members``."""
    intro = """
## One member

An entry of `members` is the name of a file in `configs/members`, a mapping with these keys, or a
mapping with `extends: NAME` and the keys that differ from that file. On the command line a member
is reached by its name: `--set members.cutie.prior=72`.

"""
    return intro + table(MemberConfig, "")


def adapter_options() -> str:
    """The options of every adapter."""
    intro = """\
# Options of the models

These keys stand under `options` of a member. [The models](../explanation/models.md) says what the
adapters are.
"""
    parts = [intro]
    for name in sorted(registry.BUILT_IN):
        adapter = registry.get(name)
        weights = "needs weights" if adapter.needs_weights else "needs no weights"
        parts.append(f"\n## {name}\n\n{sentence(adapter.summary)} It {weights}.\n\n")
        has_options = bool(dataclasses.fields(adapter.Options))
        parts.append(table(adapter.Options, "") if has_options else "It has no options.\n")
    return NOTE + "".join(parts)


def recipes() -> str:
    """Every key of a training recipe."""
    intro = """\
# Training recipes

A recipe is a YAML file in `configs/finetune/`; `--set a.b=c` changes a value.
[Fine-tune a model](../how-to/fine-tune.md) says how recipes are used.
"""
    return NOTE + intro + tables(TrainingRecipe) + stage_section() + rounds_section()


def rounds_section() -> str:
    """The keys of a configuration of rounds."""
    intro = """
## Rounds

`configs/rounds.yaml` holds these keys. [Adapt members to your videos](../how-to/adapt.md) says how
they are used.

"""
    return intro + table(RoundsConfig, "", nested(RoundsConfig)) + sections(RoundsConfig, "")


def stage_section() -> str:
    """The keys of one entry of ``stages``."""
    intro = """
## One stage

An entry of `stages` holds the keys that the stage changes against the stage before it, and these.
`extends` names a file, beside the recipe, of changes that several stages share.

"""
    return intro + table(Ending, "")


def tables(kind: type) -> str:
    """A section for the top level of ``kind``, and one for each dataclass in it."""
    return f"\n## Top level\n\n{table(kind, '', leave_out=nested(kind))}" + sections(kind, "")


def sections(kind: type, prefix: str) -> str:
    """A section for each dataclass in ``kind``, and for those in them."""
    parts = []
    for name, inner in nested(kind).items():
        key = f"{prefix}{name}"
        rows = table(inner, f"{key}.", leave_out=nested(inner))
        parts.append(f"\n## {key}\n\n{sentence(summary(inner))}\n\n{rows}")
        parts.append(sections(inner, f"{key}."))
    return "".join(parts)


def nested(kind: type) -> dict[str, Any]:
    """Name -> class of the fields that are dataclasses themselves."""
    return {f.name: f.default_factory for f in dataclasses.fields(kind) if is_nested(f)}


def table(kind: type, prefix: str, leave_out: Mapping[str, Any] | tuple[()] = ()) -> str:
    """A row for each field of a dataclass."""
    documented = documentation(kind)
    rows = []
    for key in keys(kind):
        if key.name.partition(".")[0] in leave_out or "[]" in key.name:
            continue
        meaning = plain(documented.get(key.name, ""))
        words = key.type.removesuffix(" or nothing")
        rows.append(f"| `{prefix}{key.name}` | {words} | {default_of(key.default)} | {meaning} |\n")
    return HEAD + "".join(rows)


def plain(text: str) -> str:
    """The text for a cell: no bar ends it, and no angle bracket outside code begins a tag."""
    parts = text.replace("|", "\\|").split("`")
    return "`".join(part if i % 2 else part.replace("<", "&lt;") for i, part in enumerate(parts))


def documentation(kind: type) -> dict[str, str]:
    """Field name -> what `stseg.config.option` or the class docstrings say of it."""
    told: dict[str, str] = {}
    for parent in reversed(kind.__mro__):
        for names, text in fields_told(parent.__doc__ or ""):
            told.update(dict.fromkeys((name.strip() for name in names.split(",")), text))
    for key in keys(kind):
        if key.doc:
            limits = f" {sentence(key.limits)}" if key.limits else ""
            told[key.name] = f"{key.doc}{limits}"
    return {name: re.sub(r"``?([^`]+)``?", r"`\1`", text) for name, text in told.items()}


def fields_told(docstring: str) -> Iterator[tuple[str, str]]:
    """(names, text) of each ``name   what it is`` of a docstring."""
    names, text = "", ""
    for line in docstring.splitlines():
        if match := FIELD.match(line.removeprefix("    ")):
            if names:
                yield names, text
            names, text = match[1], match[2]
        elif line.strip() and names:
            text += f" {line.strip()}"
        elif names:
            yield names, text
            names = ""
    if names:
        yield names, text


def is_nested(field: dataclasses.Field[Any]) -> bool:
    return dataclasses.is_dataclass(field.default_factory)


def default_of(value: Any) -> str:
    """The default as YAML would have it; empty where there is none."""
    if value is dataclasses.MISSING:
        return "must be given"
    if value in (None, (), {}) or dataclasses.is_dataclass(value):
        return ""
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    return f"`{list(value)}`" if isinstance(value, tuple) else f"`{value}`"


def summary(kind: Any) -> str:
    """The first paragraph of a docstring, in a line."""
    return " ".join((kind.__doc__ or "").strip().split("\n\n")[0].split())


def sentence(text: str) -> str:
    text = text.rstrip(".")
    return f"{text[:1].upper()}{text[1:]}."


if __name__ == "__main__":
    for name, text in pages().items():
        (FOLDER / name).write_text(text, encoding="utf-8")
