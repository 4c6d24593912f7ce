"""python -m selection.review RUN: look at a run in the browser, choose and correct."""

from __future__ import annotations

import argparse
import ipaddress
import secrets
import socket
from collections.abc import Sequence
from contextlib import closing

from stseg.cli import EXIT_OK, CommandParser, counted, print_line, print_status
from stseg.errors import InputError

PORT = 8400
LAYOUT = """\
what is written in the run folder, besides what python -m selection.override writes:
  corrections/<video>/      masks drawn by hand, as ensemble.run --corrections takes them
  drawn/<video>/            every mask that was ever drawn, for undo
  continued/<video>/<n>/    what members made of corrections
  marks.jsonl               which videos are done or undecided, who said so, and when

The address holds a random token: whoever has it can change the run. It ends with the server."""


def parser() -> argparse.ArgumentParser:
    """The command line."""
    p = CommandParser(
        "selection.review",
        "Serve a run on this machine, to look at its masks, choose others and correct them.",
        epilog=LAYOUT,
    )
    p.add_argument("run", help="the run folder")
    p.add_argument("--by", metavar="NAME", help="your name, for the log (default: as you log in)")
    p.add_argument("--port", type=int, help=f"(default: {PORT}, or the next that is free)")
    host = "address to listen on (default: %(default)s, this machine alone)"
    p.add_argument("--host", default="127.0.0.1", metavar="ADDRESS", help=host)
    how = "how members run again from corrections (default: as in the run)"
    p.add_argument("--executor", choices=("ray", "inline"), help=how)
    return p


def main(argv: Sequence[str] | None = None) -> int:
    """Parse the command line and serve until somebody stops it; returns the exit code."""
    arguments = parser().parse_args(argv)
    import uvicorn

    from study.edits import person
    from study.review.app import make_app
    from study.review.desk import Desk

    desk = Desk.at(arguments.run, arguments.by or person(), arguments.executor)
    token = secrets.token_urlsafe(24)
    with closing(listening(arguments.host, arguments.port)) as listener:
        port = listener.getsockname()[1]
        names = host_names(arguments.host, port)
        print_line(f"http://{names[0]}/{token}/")
        if not is_loopback(arguments.host):
            print_status(
                "warning: others on the network reach this server, and the address travels"
                " unencrypted: whoever sees it can change the run"
            )
        print_status(f"{counted(len(desk.rows), 'video')}; stop with Ctrl-C")
        app = make_app(desk, token, frozenset(names))
        config = uvicorn.Config(app, log_level="warning", access_log=False, lifespan="off",
                                timeout_graceful_shutdown=5, server_header=False)  # fmt: skip
        try:
            uvicorn.Server(config).run(sockets=[listener])
        finally:
            desk.continuations.close()
    return EXIT_OK


def listening(host: str, port: int | None) -> socket.socket:
    """A socket that listens on a port, or on the next one that is free; `InputError` if none is."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    for number in [port] if port is not None else [*range(PORT, PORT + 20), 0]:
        listener = socket.socket(family)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, number))
            listener.listen(128)
            return listener
        except OSError as error:
            listener.close()
            why = error.strerror
    raise InputError(f"{host}:{port if port is not None else PORT} cannot be listened on ({why}):"
                     " choose another --host or --port")  # fmt: skip


def host_names(host: str, port: int) -> list[str]:
    """The names under which the server may be asked for, the one to print first."""
    shown = f"[{host}]" if ":" in host else host
    names = [shown]
    if is_loopback(host):
        names += ["localhost", "127.0.0.1"]
    elif host in ("0.0.0.0", "::"):
        names = [socket.getfqdn(), socket.gethostname(), "localhost", "127.0.0.1"]
        names += [address for address in _addresses() if ":" not in address]
    return [f"{name}:{port}" for name in dict.fromkeys(names)]


def _addresses() -> list[str]:
    try:
        return [str(e[4][0]) for e in socket.getaddrinfo(socket.gethostname(), None)]
    except OSError:
        return []


def is_loopback(host: str) -> bool:
    """Whether an address is reached from this machine alone."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
