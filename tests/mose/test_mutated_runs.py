"""The main command over mutated data sets: the clean masks, or a documented exit code."""

import json

import numpy as np
import pytest
import yaml
from mutations import MUTATIONS, write_clean

from ensemble import run as command
from stseg.cli import run_command


def run(root, capsys):
    """Exit code, digest of the masks, and what the command said on standard error."""
    config = root / "config.yaml"
    member = {"name": "hold", "adapter": "hold"}
    config.write_text(yaml.safe_dump({"members": [member], "output": {"report": False}}))
    words = ("--dataset", root / "ds", "--split", "valid", "--config", config)
    words = (*words, "--output", root / "out", "--executor", "inline")
    with pytest.raises(SystemExit) as end:
        run_command(lambda _: command.main(list(map(str, words))))
    masks = sorted((root / "out/masks").rglob("*.png"))
    return end.value.code, [path.read_bytes() for path in masks], capsys.readouterr().err


@pytest.fixture(scope="module")
def clean(tmp_path_factory):
    root = tmp_path_factory.mktemp("clean")
    write_clean(root / "ds")
    return root


@pytest.mark.parametrize("mutate", MUTATIONS, ids=lambda mutate: mutate.__name__)
def test_a_mutated_data_set_is_run_or_refused(clean, tmp_path, capsys, mutate):
    code, expected, _ = run(clean, capsys)
    assert (code, len(expected)) == (0, 4)
    write_clean(tmp_path / "ds")
    mutate(tmp_path / "ds", np.random.default_rng(3))
    code, masks, said = run(tmp_path, capsys)
    assert "Traceback" not in said
    if code == 0:
        assert masks == expected
    elif code == 1:
        stored = json.loads((tmp_path / "out/failures.json").read_text())["failures"]
        assert {row["video"] for row in stored} == {"a"}
        assert not masks
    else:
        assert code == 2
        assert said.startswith("error: ")
        assert not masks
