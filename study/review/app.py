"""The addresses of the server, and what answers them."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import partial
from importlib.resources import files

import numpy as np
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from stseg.cli import describe_os_error
from stseg.errors import InputError
from stseg.files import Json
from study.review import acts, facts, wrap_up
from study.review.desk import Desk, NoSuchPage, Stale
from study.review.guard import Guard, TooLarge
from study.review.id_runs import encode_runs
from study.review.pictures import numbers

LARGEST_JSON = 64 << 10
"""Bytes of a request that is no mask."""
MOST_MASKS = 32
"""Masks that one answer holds."""
MOST_FRAMES = 16
"""Frames that one answer holds."""
KINDS = {"js": "text/javascript", "css": "text/css", "html": "text/html"}

STATUS = {NoSuchPage: 404, Stale: 409, TooLarge: 413, OSError: 500}
"""Of an answer, by what was raised; 400 for any other bad input."""

Act = Callable[[Desk, str, Json], Json]

ACTS: dict[str, Act] = {
    "choose": acts.choose,
    "undo": acts.undo,
    "redo": acts.redo,
    "leave": acts.leave,
    "mark": acts.mark,
    "continue": acts.start,
    "drop": acts.drop,
    "accept": acts.accept,
}
"""What can be done to a video by a small request."""


def make_app(desk: Desk, token: str, hosts: frozenset[str]) -> Guard:
    """The server's application; only requests with the token get to it."""
    app = Starlette(
        routes=[
            Route("/", partial(_page, "index.html")),
            Route("/videos/{page}", partial(_page, "video.html")),
            Route("/static/{name}", _static),
            Route("/api/run", _with(desk, lambda d, r: facts.run_facts(d))),
            Route("/api/edits", _with(desk, lambda d, r: {"edits": facts.table_of_edits(d)})),
            Route("/api/finish", _with(desk, lambda d, r: wrap_up.finish(d)), methods=["POST"]),
            Route("/api/corrections.zip", _blocking(partial(_corrections, desk))),
            Route("/api/videos/{page}", _with(desk, _video)),
            Route("/api/videos/{page}/continuation", _with(desk, _continuation)),
            Route("/api/videos/{page}/frames/{index:int}", _blocking(partial(_frame, desk))),
            Route("/api/videos/{page}/film/{index:int}", _blocking(partial(_film, desk))),
            Route("/api/videos/{page}/masks/{index:int}", _blocking(partial(_masks, desk))),
            Route("/api/videos/{page}/masks/{index:int}", partial(_draw, desk), methods=["PUT"]),
            Route("/api/videos/{page}/preview/{index:int}", _blocking(partial(_preview, desk))),
            Route("/api/videos/{page}/{act}", partial(_act, desk), methods=["POST"]),
        ],
        exception_handlers={InputError: _no, OSError: _no},
    )
    return Guard(app, token, hosts)


def _no(request: Request, error: Exception) -> Response:
    status = next((code for kind, code in STATUS.items() if isinstance(error, kind)), 400)
    words = describe_os_error(error) if isinstance(error, OSError) else str(error)
    return JSONResponse({"error": words}, status)


def _blocking(answer: Callable[[Request], Response]) -> Callable[..., object]:
    """An endpoint that may take its time: it runs on a thread."""

    async def endpoint(request: Request) -> Response:
        return await run_in_threadpool(answer, request)

    return endpoint


def _with(desk: Desk, tell: Callable[[Desk, Request], Json]) -> Callable[..., object]:
    return _blocking(lambda request: _json(tell(desk, request)))


def _json(value: Json) -> Response:
    return JSONResponse(value, headers={"Cache-Control": "no-store"})


async def _page(name: str, request: Request) -> Response:
    return _file(name)


async def _static(request: Request) -> Response:
    return _file(request.path_params["name"])


def _file(name: str) -> Response:
    """A file of the pages; only those that the package has, and the style of the report."""
    there = {entry.name: entry for entry in files(__package__).joinpath("static").iterdir()}
    there["report.css"] = files("selection.report").joinpath("report.css")
    kind = KINDS.get(name.rpartition(".")[2])
    if name not in there or kind is None:
        raise NoSuchPage("this server has no such file")
    text = there[name].read_text(encoding="utf-8")
    return Response(text, media_type=kind, headers={"Cache-Control": "no-cache"})


def _video(desk: Desk, request: Request) -> Json:
    return facts.video_facts(desk, request.path_params["page"])


def _continuation(desk: Desk, request: Request) -> Json:
    return desk.continuations.progress(desk.name_of(request.path_params["page"])).json()


def _frame(desk: Desk, request: Request) -> Response:
    opened = desk.open(request.path_params["page"])
    data = opened.picture(request.path_params["index"], _height(request))
    return Response(
        data, media_type="image/jpeg", headers={"Cache-Control": "private, max-age=600"}
    )


def _film(desk: Desk, request: Request) -> Response:
    """Frames in a row, each behind its length in bytes as a little-endian 32-bit number."""
    opened, height = desk.open(request.path_params["page"]), _height(request)
    frames = [opened.picture(index, height) for index in _indices(request)[:MOST_FRAMES]]
    data = b"".join(len(frame).to_bytes(4, "little") + frame for frame in frames)
    return Response(
        data, media_type="application/octet-stream", headers={"Cache-Control": "no-store"}
    )


def _masks(desk: Desk, request: Request) -> Response:
    """Layers of a frame, or of several in a row: frame after frame, the layers in their order."""
    opened = desk.open(request.path_params["page"])
    layers = list(dict.fromkeys(numbers(request.query_params.get("layers", "0"))))[:MOST_MASKS]
    height = _height(request)
    indices = _indices(request)[: max(MOST_MASKS // len(layers), 1)]
    return _runs([opened.small(index, n, height) for index in indices for n in layers])


def _preview(desk: Desk, request: Request) -> Response:
    query, page = request.query_params, request.path_params["page"]
    sent: Json = {"candidate": query.get("candidate", ""), "object": query.get("object")}
    if "frames" in query:
        sent["frames"] = numbers(query["frames"])
    try:
        wish = acts.wish_of(desk, page, sent)
    except (ValueError, IndexError):
        raise InputError("this request is not understood: reload the page") from None
    height = _height(request)
    indices = _indices(request)[:MOST_MASKS]
    return _runs(acts.preview(desk, page, indices, wish, height))


def _height(request: Request) -> int:
    return max(numbers(request.query_params.get("height", "720"))[0], 16)


def _indices(request: Request) -> range:
    first, query = request.path_params["index"], request.query_params
    count, step = (max(numbers(query.get(key, "1"))[0], 1) for key in ("count", "step"))
    return range(first, first + count * step, step)


def _runs(masks: Sequence[np.ndarray]) -> Response:
    return Response(
        b"".join(map(encode_runs, masks)),
        media_type="application/octet-stream",
        headers={"Cache-Control": "no-store"},
    )


async def _draw(desk: Desk, request: Request) -> Response:
    query = request.query_params
    drawing = acts.Drawing(
        request.path_params["index"],
        tuple(numbers(query.get("objects", ""))),
        query.get("before", ""),
        await request.body(),
    )
    page = request.path_params["page"]
    return _json(await run_in_threadpool(acts.correct, desk, page, drawing))


async def _act(desk: Desk, request: Request) -> Response:
    act = ACTS.get(request.path_params["act"])
    if act is None:
        raise NoSuchPage("this server can do no such thing")
    body = await request.body()
    if len(body) > LARGEST_JSON:
        raise InputError(f"more than {LARGEST_JSON >> 10} KiB is no decision")
    page = request.path_params["page"]
    return _json(await run_in_threadpool(_acted, act, desk, page, body))


def _acted(act: Act, desk: Desk, page: str, body: bytes) -> Json:
    try:
        sent = json.loads(body or b"{}")
        if not isinstance(sent, dict):
            raise ValueError
        return act(desk, page, sent)
    except InputError:
        raise
    except (ValueError, KeyError, TypeError, IndexError, RecursionError):
        raise InputError("this request is not understood: reload the page") from None


def _corrections(desk: Desk, request: Request) -> Response:
    headers = {"Content-Disposition": 'attachment; filename="corrections.zip"'}
    data = wrap_up.corrections_zip(desk)
    return Response(data, media_type="application/zip", headers=headers)
