"""Runs over inputs that look right and are not: names, huge headers, another spelling."""

import json
import os
import struct
import zipfile
import zlib

import pytest
import yaml
from small_runs import make_video

from ensemble import run as command


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "c.yaml"
    path.write_text(yaml.safe_dump({"members": [{"name": "hold", "adapter": "hold"}]}))
    return path


def run(config, data, output, split="valid", *more):
    words = ("--config", config, "--dataset", data, "--split", split, "--output", output)
    return command.main([*map(str, words), "--executor", "inline", *more])


@pytest.mark.parametrize("name", [os.fsdecode(b"\xd0\xdc"), "a\nb", "clip[1]", "🐻 100%", "-x"])
def test_any_name_of_a_video(config, tmp_path, name):
    """Bytes that are no UTF-8 are GBK's, as unzip leaves Chinese names."""
    make_video(tmp_path / "ds", name, 3)
    make_video(tmp_path / "ds", "clip1", 2)
    assert run(config, tmp_path / "ds", tmp_path / "out", "valid", f"--videos={name}") == 0
    assert len(list((tmp_path / "out/masks" / name).iterdir())) == 3
    assert os.listdir(tmp_path / "out/masks") == [name]
    assert json.loads((tmp_path / "out/summary.json").read_text())["videos"] == 1
    with zipfile.ZipFile(tmp_path / "out/submission.zip") as archive:
        assert len(archive.namelist()) == 3


def test_a_header_that_claims_too_much_costs_its_video_alone(config, tmp_path):
    for name in ("a", "broken", "c"):
        make_video(tmp_path / "ds", name, 3)
    path = tmp_path / "ds/JPEGImages/broken/00000.jpg"
    head = b"IHDR" + struct.pack(">IIBBBBB", 30000, 30000, 8, 2, 0, 0, 0)
    pixels = b"IDAT" + zlib.compress(b"")
    chunks = (
        struct.pack(">I", len(c) - 4) + c + struct.pack(">I", zlib.crc32(c))
        for c in (head, pixels, b"IEND")
    )
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(chunks))
    assert run(config, tmp_path / "ds", tmp_path / "out") == 1
    (failure,) = json.loads((tmp_path / "out/failures.json").read_text())["failures"]
    assert failure["video"] == "broken"
    assert f"frame {path} cannot be decoded (its header claims 900,000,000" in failure["message"]
    assert sorted(os.listdir(tmp_path / "out/masks")) == ["a", "c"]


def test_a_data_set_that_is_spelt_otherwise_is_resumed(config, tmp_path, capsys, monkeypatch):
    make_video(tmp_path / "ds", "a", 3)
    assert run(config, tmp_path / "ds", tmp_path / "out") == 0
    (tmp_path / "link").symlink_to("ds")
    monkeypatch.chdir(tmp_path / "ds")
    spellings = (f"{tmp_path}/ds/", "../ds", ".", f"{tmp_path}/link", f"{tmp_path}/ds/../ds")
    for spelling in spellings:
        capsys.readouterr()
        assert run(config, spelling, tmp_path / "out", "VAL") == 0
        assert "kept as finished: 1 video\n" in capsys.readouterr().err, spelling
