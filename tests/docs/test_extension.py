"""The examples of the how-to pages work as they stand: a model, a rule and a policy that are added
from outside, without a change in the project, and a run that uses all three."""

from __future__ import annotations

import re
import sys
import textwrap
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import small_runs
import yaml

import adapters
from adapters import registry
from ensemble.fusion.rules import RULES
from ensemble.run import main
from mose import open_video
from mose.boards import ENTRY_POINT_GROUP
from mose.check import main as check
from mose.masks import read_mask
from selection.policies import POLICIES
from selection.record import read_record

HOW_TO = Path(__file__).resolve().parents[2] / "docs" / "how-to"
PYTHON = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
ENTRY_POINT = re.compile(r"^```toml\n(.*?)^```", re.MULTILINE | re.DOTALL)


def example(page: str) -> str:
    """The code that a page tells its reader to write."""
    return "\n".join(PYTHON.findall((HOW_TO / page).read_text(encoding="utf-8")))


def names_of(page: str) -> dict[str, Any]:
    """What the code of a page defines."""
    namespace: dict[str, Any] = {}
    exec(compile(example(page), page, "exec"), namespace)
    return namespace


@pytest.fixture
def shift(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The package with the model of the page, installed as its entry point says."""
    package = tmp_path / "site" / "mypackage"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "shift.py").write_text(example("add-a-model.md"), encoding="utf-8")
    [line] = [
        block.splitlines()[1]
        for block in ENTRY_POINT.findall((HOW_TO / "add-a-model.md").read_text(encoding="utf-8"))
    ]
    metadata = tmp_path / "site" / "mypackage-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: mypackage\nVersion: 1.0\n")
    points = f"[{registry.ENTRY_POINT_GROUP}]\n{line.replace(chr(34), '')}\n"
    (metadata / "entry_points.txt").write_text(points)
    monkeypatch.syspath_prepend(str(tmp_path / "site"))


@pytest.fixture
def data(tmp_path: Path) -> Path:
    small_runs.make_video(tmp_path / "data", "square", frames=4, late=True)
    return tmp_path / "data"


def test_a_model_from_another_package_is_a_member_like_others(data: Path, shift: None) -> None:
    assert "shift" in registry.names()
    video = open_video(data / "JPEGImages" / "square", data / "Annotations" / "square")
    frames = list(adapters.load("shift", columns=3).segment(video))
    assert [frame.object_ids for frame in frames] == [(3,), (3,), (3, 9), (3, 9)]
    given = video.prompts[0]
    moved = frames[1].labels(video.height, video.width)
    assert np.array_equal(moved, np.roll(given, 3, axis=1))


def test_a_rule_and_a_policy_from_outside_decide_a_run(
    data: Path, shift: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rule = names_of("add-a-rule.md")["by_confidence"]
    monkeypatch.setitem(RULES, "by-confidence", rule)
    before = dict(POLICIES)
    try:
        names_of("add-a-policy.md")
        config = tmp_path / "config.yaml"
        members = [
            {"name": "hold", "adapter": "hold", "prior": 90},
            {"name": "shift", "adapter": "shift", "prior": 20, "options": {"columns": 3}},
        ]
        config.write_text(yaml.safe_dump({"members": members}), encoding="utf-8")
        chosen = ["--set", "fusion.rule=by-confidence", "--set", "selection.policy=confidence"]
        run = tmp_path / "run"
        assert main(small_runs.arguments(data, config, run, "--keep-soft", *chosen)) == 0
    finally:
        POLICIES.clear()
        POLICIES.update(before)
    record = read_record(run / "selection" / "square.json")
    assert record is not None
    assert (record.fusion, record.policy) == ("by-confidence", "confidence")
    masks = sorted((run / "masks" / "square").iterdir())
    assert np.array_equal(np.unique(read_mask(masks[-1])), [0, 3, 9])


def test_pages_name_the_tables_that_they_add_to() -> None:
    assert 'RULES["by-confidence"]' in textwrap.dedent((HOW_TO / "add-a-rule.md").read_text())


def test_a_board_of_another_package_is_like_the_others(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    site = tmp_path / "boards"
    (site / "mypackage").mkdir(parents=True)
    (site / "mypackage" / "__init__.py").touch()
    (site / "mypackage" / "board.py").write_text(example("boards.md"), encoding="utf-8")
    [point] = ENTRY_POINT.findall((HOW_TO / "boards.md").read_text(encoding="utf-8"))
    info = site / "mypackage-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: mypackage\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[{ENTRY_POINT_GROUP}]\n{point.splitlines()[1]}"
                                           .replace('"', ""))  # fmt: skip
    monkeypatch.syspath_prepend(str(site))
    monkeypatch.delitem(sys.modules, "mypackage", raising=False)
    monkeypatch.chdir(tmp_path)
    (data / "myboard.json").touch()
    config = tmp_path / "board.yaml"
    config.write_text(yaml.safe_dump({"members": small_runs.MEMBERS, "output": {"report": False}}))
    assert main(small_runs.arguments(data, config, tmp_path / "run")) == 0
    archive = tmp_path / "run" / "submission.zip"
    with zipfile.ZipFile(archive) as packed:
        assert packed.namelist() == [f"results/square/{n:05d}.png" for n in (0, 2)]
    assert check([str(archive), "--dataset", str(data), "--split", "test"]) == 0
    assert "board myboard, by myboard.json" in capsys.readouterr().out
