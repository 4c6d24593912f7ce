"""Fetching one large file over HTTP: resumed where a connection dropped, never mixed up."""

from __future__ import annotations

import errno
import http.client
import json
import os
import shutil
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from html.parser import HTMLParser
from http.cookiejar import CookieJar
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urljoin, urlsplit

from mose import InputError
from stseg.files import Json, write_json

Report = Callable[[int, int | None], None]
"""Called with the bytes that are here and the bytes in all, where that is known."""

DRIVE = "https://drive.google.com/uc?export=download&id={}"

CHUNK = 1 << 20
TIMEOUT = 30.0
TRIES = 6
"""Attempts in a row that bring no new byte before giving up."""

WAITS = (0.5, 1, 2, 4, 8)
"""Seconds before each further attempt."""

TRANSIENT_STATUS = (408, 429, 500, 502, 503, 504)


class _Dropped(Exception):
    """The connection ended early, or could not be made; trying again may help."""


class _Changed(_Dropped):
    """What is here is not the start of what is there: begin again."""


@dataclass(frozen=True)
class Address:
    """Where a file is: an http(s) ``url``, or the id of a file on Google ``drive``."""

    url: str = ""
    drive: str = ""

    @property
    def text(self) -> str:
        return self.url or DRIVE.format(self.drive)


def download(
    address: Address, partial: Path, *, size: int | None = None, report: Report | None = None
) -> None:
    """Bring ``partial`` to the whole file, going on from what an earlier attempt left there.

    size   what the file must have, where known

    What is there is used only if the server still has the same file (its validator and its
    length, kept in ``<partial>.json``). Raises `InputError` where the file is not there, has
    another size or does not arrive after several attempts, and `OSError` for a full disk;
    what has arrived is kept.
    """
    attempts = 0
    while True:
        before = _length(partial)
        try:
            _transfer(address, partial, size, report)
            _state_path(partial).unlink(missing_ok=True)
            return
        except _Dropped as error:
            reason = error
            if isinstance(error, _Changed):
                _state_path(partial).unlink(missing_ok=True)
        attempts = 1 if _length(partial) > before else attempts + 1
        if attempts >= TRIES:
            raise InputError(
                f"{address.text} does not arrive ({reason}): run the same command again to go on"
                " from there, or get the file by hand and use import"
            )
        time.sleep(WAITS[min(attempts, len(WAITS)) - 1])


def _transfer(address: Address, partial: Path, size: int | None, report: Report | None) -> None:
    """One attempt; returns with the file whole, or raises."""
    state = _read_state(partial, address)
    start = _length(partial) if state else 0
    if state and start == state["total"]:
        return
    headers = {"User-Agent": "stseg"}
    if start:
        headers["Range"] = f"bytes={start}-"
        if state["validator"]:
            headers["If-Range"] = state["validator"]
    with _open(address, headers) as response:
        start, total = _extent(response, start, state)
        if size is not None and total is not None and total != size:
            raise InputError(
                f"{address.text} has {total} bytes, expected {size}: it is another file than the"
                " catalogue means"
            )
        _check_space(partial, total, start)
        _write_state(partial, address, total, _validator(response.headers))
        here = start
        try:
            with open(partial, "r+b" if start else "wb") as file:
                file.seek(start)
                file.truncate()
                while chunk := _read(response):
                    file.write(chunk)
                    here += len(chunk)
                    if report:
                        report(here, total)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:  # of the disk: those of the network are _Dropped by now
            raise OSError(error.errno, error.strerror, str(partial)) from None
    if total is not None and here != total:
        raise _Dropped(f"the connection ended after {here} of {total} bytes")


def _open(address: Address, headers: Mapping[str, str]) -> Any:
    opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(CookieJar()))
    response = _request(opener, address.text, headers)
    if not address.drive or not _is_page(response):
        return response
    # Google asks for a confirmation of what it cannot scan for viruses.
    page = _Form()
    with response:
        page.feed(_read(response).decode("utf-8", "replace"))
    if page.action:
        where = urljoin(response.url, page.action)
        response = _request(opener, f"{where}?{urlencode(page.fields)}", headers)
        if not _is_page(response):
            return response
        response.close()
    raise InputError(
        f"Google Drive does not hand out {address.text} now (it limits downloads of a file):"
        " try later, or open the address in a browser and use import"
    )


def _request(opener: Any, url: str, headers: Mapping[str, str]) -> Any:
    if urlsplit(url).scheme not in ("http", "https"):
        raise InputError(f"{url} is no http or https address")
    try:
        return opener.open(urllib.request.Request(url, headers=dict(headers)), timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == 416:
            return _Nothing()
        if error.code in TRANSIENT_STATUS:
            raise _Dropped(f"the server answers {error.code} {error.reason}") from None
        raise InputError(
            f"{url} cannot be fetched, the server answers {error.code} {error.reason}:"
            " get the file by hand and use import"
        ) from None
    except (OSError, http.client.HTTPException) as error:
        raise _Dropped(str(getattr(error, "reason", error)) or type(error).__name__) from None


class _Nothing:
    """Stands for "range not satisfiable": what is here does not belong to what is there."""

    status = 416
    headers: Mapping[str, str] = {}

    def __enter__(self) -> _Nothing:
        return self

    def __exit__(self, *_: object) -> None:
        pass


def _extent(response: Any, start: int, state: Json | None) -> tuple[int, int | None]:
    """The first byte that a response holds, and the length of the whole file."""
    if response.status == 416:
        raise _Changed("the file has changed there")
    if response.status == 206:
        extent = response.headers.get("Content-Range", "").removeprefix("bytes ")
        first, _, total = extent.partition("/")
        began = first.partition("-")[0]
        if state and began == str(start) and total in (str(state["total"]), "*"):
            return start, state["total"]
        raise _Changed("the file has changed there")
    length = response.headers.get("Content-Length")
    return 0, int(length) if length and length.isdigit() else None


def _read(response: Any) -> bytes:
    try:
        return response.read(CHUNK)
    except (OSError, http.client.HTTPException) as error:
        raise _Dropped(str(error) or type(error).__name__) from None


def _is_page(response: Any) -> bool:
    return str(response.headers.get("Content-Type", "")).startswith("text/html")


def _validator(headers: Any) -> str | None:
    tag = headers.get("ETag")
    if tag and not tag.startswith("W/"):
        return tag
    return headers.get("Last-Modified")


def _length(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _check_space(partial: Path, total: int | None, start: int) -> None:
    if total is None:
        return
    free = shutil.disk_usage(partial.parent).free
    if free < total - start:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(partial.parent))


def _state_path(partial: Path) -> Path:
    return partial.with_name(f"{partial.name}.json")


def _read_state(partial: Path, address: Address) -> Json:
    """What is known of the file that ``partial`` is the start of; empty: begin again."""
    try:
        state = json.loads(_state_path(partial).read_text())
        usable = state["address"] == address.text and 0 < _length(partial) <= state["total"]
    except (OSError, ValueError, KeyError, TypeError):
        return {}
    return state if usable else {}


def _write_state(partial: Path, address: Address, total: int | None, validator: str | None) -> None:
    state = {"address": address.text, "total": total, "validator": validator}
    write_json(_state_path(partial), state, indent=None)


class _Form(HTMLParser):
    """Target and hidden fields of the form on a page."""

    def __init__(self) -> None:
        super().__init__()
        self.action = ""
        self.fields: dict[str, str] = {}

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attributes}
        if tag == "form" and not self.action:
            self.action = values.get("action", "")
        elif tag == "input" and values.get("name"):
            self.fields[values["name"]] = values.get("value", "")
