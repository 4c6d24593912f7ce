"""A data set of every board through run, check, evaluate and zip.

The public evaluators were run on the same zips (see recipe_zips.py beside the fixture), and
`evaluate` gives their numbers. That of MOSEv2 and that of YouTube-VOS are not among them.
"""

from __future__ import annotations

import json
from pathlib import Path

import board_layouts
import pytest
import yaml

from ensemble.run import main as run
from mose.boards import board_named
from mose.check import main as check
from selection.evaluate.command import main as evaluate
from selection.record import read_record

FIXTURE = Path(__file__).parents[1] / "fixtures" / "scores-boards" / "zips.json"
PLAIN = {"mose"}
"""Boards that nothing in a data set shows."""


OFTEN = {"mose", "mosev2", "davis", "sav"}
"""Boards whose layouts differ most."""


@pytest.fixture(
    params=[
        name if name in OFTEN else pytest.param(name, marks=pytest.mark.slow)
        for name in board_layouts.WRITERS
    ]
)
def board(request, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return request.param, board_layouts.WRITERS[request.param](tmp_path / "data")


def run_hold(laid, output: Path, *more: str) -> int:
    config = output.parent / "config.yaml"
    members = [{"name": "hold", "adapter": "hold", "prior": 25}]
    config.write_text(yaml.safe_dump({"members": members, "output": {"report": False}}))
    where = ("--dataset", str(laid.root), "--split", laid.split, "--config", str(config))
    return run([*where, "--output", str(output), "--executor", "inline", *more])


def test_run_check_and_evaluate(board, tmp_path, capsys):
    name, laid = board
    assert run_hold(laid, tmp_path / "out") == 0
    first = capsys.readouterr()
    assert f"board {name}" in first.err + first.out
    archive = str(tmp_path / "out" / "submission.zip")
    assert check([archive, "--dataset", str(laid.root), "--split", laid.split]) == 0
    said = capsys.readouterr().out.splitlines()
    assert (said[0].startswith(f"board {name}, by ")) is (name not in PLAIN)
    if name == "ytvos":
        record = read_record(tmp_path / "out" / "selection" / "bb.json")
        assert record.provenance.categories == {1: "dog", 2: "heron"}
    scores = tmp_path / "scores.json"
    assert evaluate([archive, str(laid.truth), "--board", name, "--json", str(scores)]) == 0
    found = json.loads(scores.read_text())
    assert found["protocol"] == board_named(name).protocol
    for score, value in json.loads(FIXTURE.read_text()).get(name, {}).items():
        assert found["mean"][score] == pytest.approx(value, abs=1e-6), score
