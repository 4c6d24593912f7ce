"""A finished run, and a server over a copy of it."""

import io
import json
import shutil
import struct
import zlib

import pytest
from PIL import Image
from serving import AWKWARD, serving
from small_runs import MEMBERS, arguments, make_video

from ensemble import run as run_command


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """A run of two members over three videos, one with markup for a name; predictions kept."""
    root = tmp_path_factory.mktemp("review")
    make_video(root / "data", "a", 6, late=True)
    make_video(root / "data", "b", 4)
    make_video(root / "data", AWKWARD, 4)
    config = root / "config.yaml"
    config.write_text(json.dumps({"members": MEMBERS, "selection": {"policy": "agreement"}}))
    assert run_command.main(arguments(root / "data", config, root / "run", "--keep-soft")) == 0
    return root / "run"


@pytest.fixture
def run(finished, tmp_path):
    return shutil.copytree(finished, tmp_path / "run")


@pytest.fixture
def served(run):
    with serving(run) as server:
        yield server


@pytest.fixture(scope="session")
def png_bomb():
    """A PNG of a few kilobytes that claims 30,000 x 30,000 pixels."""
    out = io.BytesIO()
    Image.new("1", (30_000, 30)).save(out, "PNG")
    head = bytearray(out.getvalue())
    head[16:24] = struct.pack(">II", 30_000, 30_000)
    head[29:33] = struct.pack(">I", zlib.crc32(head[12:29]))
    return bytes(head)
