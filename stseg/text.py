"""The one reader of text that people write: lists, JSON, YAML.

UTF-8 with or without a byte order mark, UTF-16 with its mark or without, UTF-32 by its mark.
"""

from __future__ import annotations

import codecs
import json
from pathlib import Path
from typing import Any

import yaml

from stseg.errors import InputError

MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
"""Byte order mark -> encoding; UTF-32's little-endian one begins with UTF-16's."""


def read_text(path: str | Path, what: str = "file") -> str:
    """A text file; `InputError` where it is missing or no text. ``what`` is how it is called."""
    path = Path(path)
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise InputError(f"{what} {path} does not exist: name another") from None
    except OSError as error:
        raise InputError(f"{what} {path} cannot be read ({error.strerror}): mend it") from None
    encoding = next((name for mark, name in MARKS if data.startswith(mark)), "utf-8")
    if encoding == "utf-8" and b"\0" in data[:64]:  # UTF-16 without its mark
        encoding = "utf-16-be" if data[:1] == b"\0" else "utf-16-le"
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        raise InputError(
            f"{what} {path} is no {encoding.upper().removesuffix('-SIG')} text (byte"
            f" {error.start}): save it as UTF-8"
        ) from None


def read_json(path: str | Path, what: str = "file", remedy: str = "restore it") -> Any:
    """A JSON file; `InputError` where it is missing or damaged, with what to do then."""
    try:
        return json.loads(read_text(path, what))
    except (ValueError, RecursionError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{what} {path} is damaged ({error}): {remedy}") from None


def load_yaml(path: str | Path, what: str = "configuration") -> Any:
    """A YAML file as it stands; `InputError` where it is missing or no YAML."""
    try:
        return yaml.safe_load(read_text(path, what))
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        if isinstance(error, InputError):
            raise
        detail = " ".join(str(error).split())
        raise InputError(f"{what} {path} cannot be read ({detail}): mend it") from None
