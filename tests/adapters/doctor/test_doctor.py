"""``python -m adapters doctor`` on a sound installation, and over configurations."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from adapters.__main__ import main
from adapters.doctor import command, stages
from adapters.doctor.diagnosis import ANSWERS, diagnose_run
from adapters.doctor.mistakes import CheckResult
from adapters.doctor.models import OPTIONS, load
from adapters.doctor.watching import Watching
from adapters.registry import BUILT_IN, get

pytestmark = pytest.mark.usefixtures("one_thread")

MEMBERS = [
    {"extends": "demo-xmem", "options": {"size": 240}},
    {"name": "mine", "adapter": "folder", "options": {"path": "masks"}},
    "hold",
]


@pytest.fixture
def config(tmp_path) -> Path:
    path = tmp_path / "run.yaml"
    path.write_text(yaml.safe_dump({"members": [*MEMBERS[:2], {"name": "h", "adapter": "hold"}]}))
    return path


def test_a_sound_installation(capsys):
    assert main(["doctor"]) == 0
    *rows, last = capsys.readouterr().out.splitlines()
    assert "0 wrong; no known mistake" in last
    assert {row.split()[0] for row in rows[1:]} == {"ok"}
    for adapter in OPTIONS:
        assert sum(f" of {adapter} " in row for row in rows) == 3


def test_every_network_has_golden_summaries():
    networks = {name for name in BUILT_IN if get(name).needs_weights}
    assert networks == set(OPTIONS) == set(stages.golden().runs)


def test_members_of_a_configuration(config, capsys):
    assert main(["doctor", "--config", str(config)]) == 0
    out = capsys.readouterr().out
    assert "demo-xmem.safetensors, which ships with the project" in out
    assert "other working size: size 240 in place of 480" in out
    assert "of tmo" not in out  # no member of that kind
    assert "path masks in place of" in out


def test_a_changed_option(config, capsys):
    main(["doctor", "--config", str(config), "--set", "members.demo-xmem.options.mem_every=4"])
    assert "mem_every 4 in place of 1" in capsys.readouterr().out


def test_a_device_that_is_not_there(config, capsys):
    assert main(["doctor", "--config", str(config), "--device", "cuda:99"]) == 1
    assert "device 'cuda:99' is not there" in capsys.readouterr().out


def test_an_unknown_option_is_named(config, capsys):
    assert main(["doctor", "--config", str(config), "--set", "members.h.options.speed=4"]) == 1
    assert "unknown option 'speed'" in capsys.readouterr().out


def test_missing_weights_are_no_mistake(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("STSEG_WEIGHTS", str(tmp_path))
    path = tmp_path / "run.yaml"
    path.write_text(yaml.safe_dump({"members": [{"extends": "xmem", "adapter": "xmem"}]}))
    assert main(["doctor", "--config", str(path)]) == 0
    assert "python -m adapters.weights fetch xmem" in capsys.readouterr().out


def test_a_version_that_is_not_wanted(monkeypatch):
    monkeypatch.setattr(command.metadata, "version", lambda name: "0.0.1")
    assert command.check_versions().verdict is CheckResult.WRONG


def test_half_precision_is_within_tolerance(tmp_path):
    from adapters.doctor import clip

    video = clip.write(tmp_path / "clip")
    seen = stages.run(load("xmem", tmp_path, amp="bf16"), video)
    checks = diagnose_run("xmem", seen, stages.golden().runs["xmem"])
    assert {check.verdict for check in checks} == {CheckResult.OK}
    assert ANSWERS < 1


def test_watches_convolutions_alone():
    import torch

    with Watching() as watching:
        torch.conv2d(torch.ones(1, 3, 8, 8), torch.ones(2, 3, 3, 3))
        torch.conv2d(torch.ones(1, 4, 8, 8), torch.ones(2, 4, 3, 3))
        torch.relu(torch.ones(1, 3, 8, 8))
    assert len(watching.images) == len(watching.masks) == 1


def test_help_needs_no_torch():
    code = "import sys; from adapters.__main__ import main\ntry: main(['doctor', '--help'])\n"
    code += "except SystemExit: pass\nassert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
