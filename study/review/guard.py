"""Who may ask the server what. A pure rule, and the layer that keeps it before anything else runs.

Whoever has the address has the token in it, and no other page of the browser can get at it: a
request that another origin started is refused, and so is one for another host (a name that somebody
pointed at this machine).
"""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from stseg.errors import InputError

Scope: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Scope]]
Send: TypeAlias = Callable[[Scope], Awaitable[None]]

LARGEST_BODY = 16 << 20
"""Bytes. Only a mask of 4K pixels that is all noise has more runs than that."""

TOO_LARGE = 413
"""Status of the refusal for which a body is not even read."""

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:;"
        " connect-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
"""On every answer: nothing from elsewhere runs here, and the token goes nowhere else."""


@dataclass(frozen=True)
class Knock:
    """What is known of a request before it is let in.

    path          is the one asked for, with the token in front
    host          is the header of that name
    origin, site  are what a browser says of the page that asks, empty where it says nothing
    length        is that of the body in bytes, None where it is not said
    """

    path: str
    host: str
    origin: str = ""
    site: str = ""
    length: int | None = None


@dataclass(frozen=True)
class Refusal:
    """Why a request is not let in: a status of HTTP, and a sentence."""

    status: int
    sentence: str


def refusal(knock: Knock, token: str, hosts: frozenset[str]) -> Refusal | None:
    """Why a request is refused; None where it may come in.

    hosts   are those under which the server is reached, with the port
    """
    if knock.host not in hosts:
        return Refusal(421, "this server is not reached under that name: use the printed address")
    given = knock.path.removeprefix("/").partition("/")[0]
    if not hmac.compare_digest(given.encode(errors="replace"), token.encode()):
        return Refusal(403, "this address lacks the token: use the one that the command printed")
    if knock.origin and knock.origin not in {f"http://{host}" for host in hosts}:
        return Refusal(403, "another page may not ask this server for anything")
    if knock.site not in ("", "same-origin", "none"):
        return Refusal(403, "another page may not ask this server for anything")
    if knock.length is not None and knock.length > LARGEST_BODY:
        return Refusal(TOO_LARGE, f"more than {LARGEST_BODY >> 20} MiB is not taken")
    return None


def knock_of(scope: Scope) -> Knock:
    """From a request as ASGI has it."""
    headers = {name: value.decode("latin-1") for name, value in scope["headers"]}
    length = headers.get(b"content-length", "")
    return Knock(
        scope["path"],
        headers.get(b"host", ""),
        headers.get(b"origin", ""),
        headers.get(b"sec-fetch-site", ""),
        int(length) if length.isdecimal() else None,
    )


class TooLarge(InputError):
    """Raised where a body turns out to be longer than `LARGEST_BODY`."""

    def __init__(self) -> None:
        super().__init__(f"more than {LARGEST_BODY >> 20} MiB is not taken")


class Guard:
    """Lets requests with the token through to ``app``, which sees paths without it."""

    def __init__(self, app: Callable[..., Awaitable[None]], token: str, hosts: frozenset[str]):
        self._app, self._token, self._hosts = app, token, hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            return
        knock = knock_of(scope)
        no = refusal(knock, self._token, self._hosts)
        if no is not None:
            if no.status != TOO_LARGE:
                await _drain(receive)
            await _refuse(no, send)
            return
        inside = "/" + knock.path.removeprefix("/").partition("/")[2]
        inner = {**scope, "path": inside, "raw_path": inside.encode(), "root_path": ""}
        await self._app(inner, _limited(receive), _with_headers(send))


def _limited(receive: Receive) -> Receive:
    total = 0

    async def limited() -> Scope:
        nonlocal total
        message = await receive()
        total += len(message.get("body", b""))
        if total > LARGEST_BODY:
            raise TooLarge
        return message

    return limited


async def _drain(receive: Receive) -> None:
    """Read an unwanted body: closing a connection before that may lose the answer."""
    total, more = 0, True
    while more and total <= LARGEST_BODY:
        message = await receive()
        total += len(message.get("body", b""))
        more = message.get("more_body", False)


def _with_headers(send: Send) -> Send:
    added = [(name.lower().encode(), value.encode()) for name, value in HEADERS.items()]

    async def answer(message: Scope) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message["headers"], *added]}
        await send(message)

    return answer


async def _refuse(no: Refusal, send: Send) -> None:
    body = no.sentence.encode()
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"connection", b"close")]
    answer = _with_headers(send)
    await answer({"type": "http.response.start", "status": no.status, "headers": headers})
    await answer({"type": "http.response.body", "body": body})
