"""A review server on a thread of this process, and requests to it over HTTP."""

import contextlib
import http.client
import json
import threading
from dataclasses import dataclass

import uvicorn

from study.review.app import make_app
from study.review.command import host_names, listening
from study.review.desk import Desk

TOKEN = "a-token"
AWKWARD = "<b onclick=alert(1)>&'"


@dataclass
class Served:
    """A server: its port, and the desk behind it."""

    port: int
    desk: Desk

    @property
    def address(self):
        return f"http://127.0.0.1:{self.port}/{TOKEN}/"

    def ask(self, method, path, body=None, token=TOKEN, **headers):
        """Status, headers and body of an answer; ``path`` is below the token."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        with contextlib.closing(connection):
            prefix = f"/{token}" if token is not None else ""
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(method, f"{prefix}/{path}", body, named)
            answer = connection.getresponse()
            return answer.status, dict(answer.getheaders()), answer.read()

    def get(self, path):
        """The JSON at an address."""
        status, _, body = self.ask("GET", path)
        assert status == 200, body
        return json.loads(body)

    def act(self, page, what, **sent):
        """Status and JSON of something done to a video."""
        status, _, body = self.ask("POST", f"api/videos/{page}/{what}", json.dumps(sent))
        return status, json.loads(body)


@contextlib.contextmanager
def serving(root, by="ann"):
    """A server over the run in ``root``."""
    desk = Desk.at(root, by, "inline")
    listener = listening("127.0.0.1", 0)
    port = listener.getsockname()[1]
    app = make_app(desk, TOKEN, frozenset(host_names("127.0.0.1", port)))
    config = uvicorn.Config(app, log_level="error", lifespan="off", timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
    thread.start()
    try:
        yield Served(port, desk)
    finally:
        server.should_exit = True
        thread.join(20)
        desk.continuations.close()
        listener.close()
