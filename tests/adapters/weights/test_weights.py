"""The checkpoint catalogue and its downloads, against a server on localhost."""

from __future__ import annotations

import errno
import hashlib
import io
import json
import os
import subprocess
import sys
import threading
from collections import deque
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import torch

from adapters.weights import catalogue
from adapters.weights import download as weights_download
from adapters.weights import store as weights
from adapters.weights.catalogue import Checkpoint
from adapters.weights.command import main
from mose import InputError


class Server(ThreadingHTTPServer):
    """Serves files with ranges and validators; ``script`` holds what to do to next requests.

    A number drops the connection after that many bytes of the body; ``"busy"`` answers 503;
    ``"whole"`` ignores ranges; a ``bytes`` replaces the content first.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files: dict[str, bytes] = {}
        self.script: deque[int | str | bytes] = deque()
        self.requests: list[tuple[str, str | None]] = []

    def url(self, name: str) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/{name}"


class Handler(BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        self.close_connection = True
        name, _, query = self.path.lstrip("/").partition("?")
        asked = self.headers.get("Range")
        self.server.requests.append((self.path.lstrip("/"), asked))
        act = self.server.script.popleft() if self.server.script else None
        if isinstance(act, bytes):
            self.server.files[name] = act
        if act == "busy":
            return self.answer(503, b"busy")
        if name == "uc":  # Drive asks before it hands out a large file
            self.send_response(200)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.send_header("Set-Cookie", "session=yes")
            body = b"<html>Quota exceeded</html>"
            if "gone" not in query:
                body = (
                    b'<form id="download-form" action="/confirmed" method="get">'
                    b'<input type="submit" value="Download anyway"/>'
                    b'<input type="hidden" name="id" value="abc">'
                    b'<input type="hidden" name="confirm" value="t"></form>'
                )
            return self.finish_with(body)
        if name == "confirmed":
            if query != "id=abc&confirm=t" or "session=yes" not in self.headers.get("Cookie", ""):
                return self.answer(403, b"no")
            name = "drive.pth"
        if name not in self.server.files:
            return self.answer(404, b"nothing here")
        content = self.server.files[name]
        tag = f'"{hashlib.md5(content).hexdigest()}"'
        start = 0
        fresh = self.headers.get("If-Range") in (None, tag)
        if asked and fresh and act != "whole":
            start = int(asked.removeprefix("bytes=").rstrip("-"))
            if start >= len(content):
                return self.answer(416, b"")
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        else:
            self.send_response(200)
        self.send_header("Content-Type", "application/octet-stream")
        self.send_header("ETag", tag)
        body = content[start:]
        self.finish_with(body, act if isinstance(act, int) else None)

    def answer(self, code: int, body: bytes) -> None:
        self.send_response(code)
        self.finish_with(body)

    def finish_with(self, body: bytes, drop: int | None = None) -> None:
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[:drop])


@pytest.fixture
def server():
    running = Server()
    thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield running
    running.shutdown()
    thread.join()
    running.server_close()


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch) -> Path:
    folder = tmp_path / "cache"
    monkeypatch.setenv("STSEG_WEIGHTS", str(folder))
    monkeypatch.setattr(weights_download, "WAITS", (0.0,))
    return folder


def saved(**tensors: torch.Tensor) -> bytes:
    buffer = io.BytesIO()
    torch.save(tensors, buffer)
    return buffer.getvalue()


NOISE = np.random.default_rng(3).bytes(300_000)
XMEM = saved(
    **{
        "key_encoder.res2.0.conv1.weight": torch.zeros(4, 4, 1, 1),
        "value_encoder.fuser.block1.conv1.weight": torch.zeros(4, 4, 3, 3),
    }
)


def published(server: Server, content: bytes = NOISE, **changes) -> Checkpoint:
    """A checkpoint on the server whose sha256 is published."""
    server.files["net.pth"] = content
    known = {"sha256": hashlib.sha256(content).hexdigest(), "url": server.url("net.pth")}
    return Checkpoint(
        **{
            "name": "net",
            "adapter": "xmem",
            "file": "net.pth",
            "licence": "MIT",
            **known,
            **changes,
        }
    )


def unpublished(server: Server, content: bytes = XMEM) -> Checkpoint:
    server.files["XMem.pth"] = content
    return Checkpoint("xmem", "xmem", "XMem.pth", "MIT", url=server.url("XMem.pth"))


def visible(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir() if not p.name.endswith(".lock"))


def test_a_file_arrives_whole_and_is_found_by_name(server, cache, monkeypatch):
    net = published(server)
    seen: list[tuple[int, int | None]] = []
    path = weights.fetch(net, lambda here, total: seen.append((here, total)))
    assert path == cache / "net.pth"
    assert path.read_bytes() == NOISE
    assert seen[-1] == (len(NOISE), len(NOISE))
    assert visible(cache) == ["net.pth", "net.pth.json"]
    monkeypatch.setattr(catalogue, "read_catalogue", lambda: {"net": net})
    assert weights.resolve("net") == path
    assert weights.fetch(net) == path
    assert len(server.requests) == 1


def test_dropped_connections_are_resumed_where_they_broke(server, cache):
    server.script.extend([100_000, "busy", 50_000, 0])
    assert weights.fetch(published(server)).read_bytes() == NOISE
    starts = [asked for _, asked in server.requests]
    assert starts == [None, *["bytes=100000-"] * 2, *["bytes=150000-"] * 2]


def test_a_later_run_goes_on_where_an_earlier_one_gave_up(server, cache):
    net = published(server)
    server.script.extend([120_000] + ["busy"] * weights_download.TRIES)
    with pytest.raises(InputError, match=r"does not arrive .*503.* run the same command again"):
        weights.fetch(net)
    server.script.clear()
    assert weights.fetch(net).read_bytes() == NOISE
    assert server.requests[-1] == ("net.pth", "bytes=120000-")


def test_a_file_that_changed_in_between_is_not_mixed(server, cache):
    before = b"\0" * 200_000
    net = published(server, before)
    other = published(server)
    server.files["net.pth"] = before
    server.script.extend([80_000, NOISE])
    assert weights.fetch(other).read_bytes() == NOISE
    assert net.sha256 != other.sha256


def test_a_file_that_became_shorter_is_begun_again(server, cache):
    net = published(server, NOISE[:50_000])
    server.files["net.pth"] = NOISE
    server.script.extend([80_000, NOISE[:50_000]])
    assert weights.fetch(net).read_bytes() == NOISE[:50_000]


def test_a_server_without_ranges_is_read_from_the_start(server, cache):
    server.script.extend([100_000, "whole"])
    assert weights.fetch(published(server)).read_bytes() == NOISE


def test_a_wrong_hash_is_refused_and_leaves_nothing(server, cache):
    net = published(server, sha256="0" * 64)
    with pytest.raises(InputError, match="published is 000"):
        weights.fetch(net)
    assert visible(cache) == []
    with pytest.raises(InputError, match="md5"):
        weights.fetch(published(server, sha256="", md5="1" * 32))


def test_a_wrong_size_is_refused_before_anything_is_read(server, cache):
    with pytest.raises(InputError, match="has 300000 bytes, expected 7"):
        weights.fetch(published(server, bytes=7))
    assert visible(cache) == []


def test_a_missing_file_says_what_the_server_answers(server, cache):
    net = published(server, url=server.url("elsewhere.pth"))
    with pytest.raises(InputError, match=r"404.*import"):
        weights.fetch(net)


def test_no_server_at_all(cache):
    net = Checkpoint("net", "xmem", "net.pth", "MIT", url="http://127.0.0.1:9/net.pth")
    with pytest.raises(InputError, match="does not arrive"):
        weights.fetch(net)


def test_only_web_addresses_are_read(cache, tmp_path):
    (tmp_path / "net.pth").write_bytes(NOISE)
    net = Checkpoint("net", "xmem", "net.pth", "MIT", url=f"file://{tmp_path}/net.pth")
    with pytest.raises(InputError, match="no http or https"):
        weights.fetch(net)


def test_too_little_space_is_seen_before_the_download(server, cache, monkeypatch):
    class Usage:
        free = 1000

    monkeypatch.setattr(weights_download.shutil, "disk_usage", lambda folder: Usage)
    with pytest.raises(OSError, match="No space") as caught:
        weights.fetch(published(server))
    assert caught.value.errno == errno.ENOSPC


def test_a_disk_that_fills_up_keeps_what_has_arrived(server, cache, monkeypatch):
    class Full(io.FileIO):
        def write(self, data):
            super().write(data[:65_536])
            raise OSError(errno.ENOSPC, "No space left on device")

    net = published(server)
    monkeypatch.setattr(weights_download, "open", Full, raising=False)
    with pytest.raises(OSError, match="No space") as caught:
        weights.fetch(net)
    assert ".net.pth.partial" in str(caught.value.filename)
    monkeypatch.delattr(weights_download, "open")
    assert weights.fetch(net).read_bytes() == NOISE
    assert server.requests[-1] == ("net.pth", "bytes=65536-")


def test_google_drives_confirmation_is_given(server, cache, monkeypatch):
    server.files["drive.pth"] = NOISE
    monkeypatch.setattr(weights_download, "DRIVE", server.url("uc?export=download&id={}"))
    net = published(server, url="", drive="abc")
    server.script.extend(["page", 90_000])  # the file itself drops once
    assert weights.fetch(net).read_bytes() == NOISE
    assert server.requests[-1] == ("confirmed?id=abc&confirm=t", "bytes=90000-")


def test_google_drives_refusal_is_said(server, cache, monkeypatch):
    monkeypatch.setattr(weights_download, "DRIVE", server.url("uc?export=download&id={}"))
    with pytest.raises(InputError, match="Drive does not hand out"):
        weights.fetch(published(server, url="", drive="gone"))


def test_an_unpublished_hash_is_pinned_at_first_and_enforced_after(server, cache):
    xmem = unpublished(server)
    path = weights.fetch(xmem)
    pin = json.loads((cache / "XMem.pth.json").read_text())
    assert pin["sha256"] == hashlib.sha256(XMEM).hexdigest()
    assert pin["source"] == xmem.url
    path.unlink()
    server.files["XMem.pth"] = XMEM + b"\0"
    with pytest.raises(InputError, match=r"was pinned .* remove .*XMem\.pth\.json"):
        weights.fetch(xmem)
    server.files["XMem.pth"] = XMEM
    assert weights.fetch(xmem).read_bytes() == XMEM


class Code:
    def __reduce__(self):
        return os.system, ("touch ran",)


def test_a_checkpoint_that_holds_code_is_refused_and_not_run(server, cache, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    buffer = io.BytesIO()
    torch.save({"weights": Code()}, buffer)
    with pytest.raises(InputError, match="could run code"):
        weights.fetch(unpublished(server, buffer.getvalue()))
    assert visible(cache) == []
    assert not (tmp_path / "ran").exists()


def test_a_page_in_place_of_a_checkpoint_is_not_pinned(server, cache):
    with pytest.raises(InputError, match="no checkpoint"):
        weights.fetch(unpublished(server, b"<html>log in first</html>"))
    assert visible(cache) == []


def test_another_models_checkpoint_is_not_pinned(server, cache):
    other = saved(**{"gate_projector.layer.weight": torch.zeros(2)})
    with pytest.raises(InputError, match="looks like LiVOS"):
        weights.fetch(unpublished(server, other))


def test_import_takes_a_file_under_the_same_checks(server, cache, tmp_path):
    mine = tmp_path / "from a colleague.pth"
    mine.write_bytes(XMEM)
    xmem = unpublished(server)
    assert weights.import_file(mine, xmem).read_bytes() == XMEM
    assert mine.exists()
    mine.write_bytes(NOISE)
    with pytest.raises(InputError, match="pinned"):
        weights.import_file(mine, xmem)
    assert (cache / "XMem.pth").read_bytes() == XMEM
    with pytest.raises(InputError, match="published is"):
        weights.import_file(mine, published(server, XMEM))
    with pytest.raises(InputError, match="does not exist"):
        weights.import_file(tmp_path / "nowhere", xmem)
    assert [p.name for p in cache.iterdir() if "import" in p.name] == []


def test_verify_tells_a_file_that_has_changed(server, cache):
    xmem = unpublished(server)
    assert weights.verify(xmem) == "not here"
    path = weights.fetch(xmem)
    assert weights.verify(xmem) == ""
    path.write_bytes(XMEM[:-1] + b"?")
    assert "pinned" in weights.verify(xmem)
    (cache / "XMem.pth.json").write_text("{}")
    with pytest.raises(InputError, match="damaged"):
        weights.verify(xmem)


def test_two_processes_that_want_one_file_fetch_it_once(server, cache):
    net = published(server, NOISE * 20)
    code = (
        "from adapters.weights.catalogue import Checkpoint;"
        "from adapters.weights.store import fetch;"
        f"print(fetch(Checkpoint('net', 'xmem', 'net.pth', 'MIT', url={net.url!r},"
        f" sha256={net.sha256!r})))"
    )
    both = [
        subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    answers = [process.communicate(timeout=60)[0].strip() for process in both]
    assert answers == [str(cache / "net.pth")] * 2
    assert (cache / "net.pth").read_bytes() == NOISE * 20
    assert len(server.requests) == 1


def test_resolve_prefers_files_and_says_how_to_get_the_rest(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("mine.pth").write_bytes(b"x")
    assert weights.resolve("mine.pth") == Path("mine.pth")
    with pytest.raises(InputError, match=r"run python -m adapters\.weights fetch xmem"):
        weights.resolve("xmem")
    with pytest.raises(InputError, match="did you mean 'tmo-rn101'"):
        weights.resolve("tmo-rn10")
    with pytest.raises(InputError, match="does not exist"):
        weights.resolve("folder/other.pth")


def test_the_catalogue_is_consistent():
    known = catalogue.read_catalogue()
    assert len({c.file for c in known.values()}) == len(known)
    for checkpoint in known.values():
        assert checkpoint.url or checkpoint.drive or checkpoint.page
        assert checkpoint.url.startswith("https://") or not checkpoint.url
        assert len(checkpoint.sha256) in (0, 64)
        assert len(checkpoint.md5) in (0, 32)
    assert known["tmo-rn101"].non_commercial
    assert known["tmo-mitb1"].non_commercial


@pytest.mark.parametrize("text", ["- a list", "x: {file: y}", "x: {colour: red}", "{"])
def test_a_broken_catalogue_is_one_sentence(tmp_path, text):
    (tmp_path / "weights.yaml").write_text(text)
    with pytest.raises(InputError, match=r"catalogue .* cannot be (used|read)"):
        catalogue.read_catalogue(tmp_path / "weights.yaml")


def test_the_command(server, cache, monkeypatch, capsys, tmp_path):
    net = published(server, non_commercial=True, licence="research only")
    byhand = Checkpoint("byhand", "xmem", "b.pth", "MIT", page="https://example.org/b")
    monkeypatch.setattr(catalogue, "read_catalogue", lambda: {"net": net, "byhand": byhand})
    assert main(["verify"]) == 0
    assert main(["fetch", "net"]) == 0
    assert "research only" in capsys.readouterr().out
    assert main(["verify"]) == 0
    assert capsys.readouterr().out == "net: whole\n"
    assert main(["list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["name", "net", "byhand"]
    (cache / "net.pth").write_bytes(b"short")
    assert main(["verify", "net"]) == 1
    with pytest.raises(InputError, match=r"example\.org/b.*import"):
        main(["fetch", "byhand"])
    (tmp_path / "net").write_bytes(NOISE)
    assert main(["import", str(tmp_path / "net"), "net"]) == 0
    assert weights.verify(net) == ""


def test_what_a_configuration_needs_is_fetched(server, cache, monkeypatch, capsys, tmp_path):
    net = published(server)
    byhand = Checkpoint("byhand", "xmem", "b.pth", "MIT", page="https://example.org/b")
    monkeypatch.setattr(catalogue, "read_catalogue", lambda: {"net": net, "byhand": byhand})
    config = tmp_path / "run.yaml"
    member = {"name": "a", "adapter": "xmem", "weights": "net"}
    others = [{"extends": "demo-xmem", "weights": "byhand"}, "demo-tmo", {**member, "name": "b"}]
    config.write_text(json.dumps({"members": [member, *others, {"name": "c", "adapter": "flow"}]}))
    assert catalogue.needed_by(config) == ["net", "byhand", "demo-tmo"]
    assert main(["fetch", "--config", str(config)]) == 1
    assert "get byhand by hand from https://example.org/b" in capsys.readouterr().out
    (cache / "b.pth").write_bytes(b"x")
    assert weights.missing(catalogue.needed_by(config)) == []
    assert main(["fetch", "--config", str(config)]) == 0
    assert "all weights" in capsys.readouterr().out
    with pytest.raises(InputError, match="nothing to fetch"):
        main(["fetch"])


def test_one_download_that_fails_does_not_keep_the_others_away(server, cache, monkeypatch, capsys):
    net = published(server)
    gone = Checkpoint("gone", "xmem", "gone.pth", "MIT", url=server.url("nowhere"))
    monkeypatch.setattr(catalogue, "read_catalogue", lambda: {"gone": gone, "net": net})
    assert main(["fetch", "gone", "net"]) == 1
    assert (cache / "net.pth").is_file()
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.startswith("not fetched: ")
    assert "nowhere" in last


def test_the_five_models_of_mose_come_with_one_command(cache):
    lacking = weights.missing(catalogue.needed_by("mose"))
    assert [c.adapter for c in lacking] == ["sam2", "cutie", "xmem", "livos", "tmo"]
    assert catalogue.how_to_get(lacking) == [
        f"python -m adapters.weights fetch {' '.join(c.name for c in lacking)}"
    ]
