"""A run as a whole: what it says, what it keeps of runs that an older release began."""

import json

import pytest
import yaml
from small_runs import MEMBERS, arguments, contents, make_video

from ensemble import run as command
from ensemble.dry_run import describe_plan
from ensemble.execution.driver import RunOutcome
from ensemble.pipeline import announce
from ensemble.plan import make_plan, open_data
from ensemble.results import list_failures
from ensemble.scheduling.messages import FINISH, GiveUp
from ensemble.storage.run_directory import RunDirectory
from selection.record import VERSION
from selection.run_paths import FOLDERS
from stseg.failures import Failure, FailureKind


@pytest.fixture
def run(tmp_path):
    """A finished run over two videos, and how it was asked for."""
    for name in ("a", "b"):
        make_video(tmp_path / "data", name)
    config = tmp_path / "c.yaml"
    config.write_text(yaml.safe_dump({"members": MEMBERS}))
    given = arguments(tmp_path / "data", config, tmp_path / "run")
    assert command.main(given) == 0
    return RunDirectory(tmp_path / "run"), given


def plan_of(run):
    directory, given = run
    config = command.configure(command.parser().parse_args(given))
    return make_plan(config, open_data(config, directory.root), directory)


def test_a_run_of_the_first_form_is_continued(run, capsys):
    """Records without a version, a configuration without limits: nothing is made again."""
    directory, given = run
    for path in directory.record_paths():
        record = json.loads(path.read_text())
        assert record.pop("version") == VERSION
        path.write_text(json.dumps(record))
    config = yaml.safe_load(directory.config.read_text())
    del config["execution"]["limits"]
    directory.config.write_text(yaml.safe_dump(config))
    directory.journal.unlink()
    before = contents(directory.root)
    capsys.readouterr()
    assert command.main(given) == 0
    assert "kept as finished: 2 videos" in capsys.readouterr().err
    assert contents(directory.root) == before


def test_what_is_about_to_be_done_is_said_at_once(run, capsys):
    directory, _ = run
    announce(plan_of(run), directory)
    said = capsys.readouterr().err.splitlines()
    assert said[0] == "board mose: nothing in the data set tells another one"
    assert said[1].startswith("2 videos of ")
    assert said[2] == "2 members on cpu: flow, hold"


def test_a_plan_is_described(run):
    words = describe_plan(plan_of(run))
    assert "2 videos: 2 finished, 0 to do, 0 unusable" in words
    assert "0 pairs to run" in words


def test_failures_are_listed_by_kind(run):
    outcome = RunOutcome(
        given_up=[GiveUp("flow", "a", FailureKind.MEMORY, "too large", 4)],
        unfinished=[GiveUp(FINISH, "b", FailureKind.CORRUPT, "is damaged", 1)],
    )
    assert list_failures(plan_of(run), outcome) == [
        Failure("a", "flow", FailureKind.MEMORY, "too large", 4),
        Failure("b", None, FailureKind.CORRUPT, "is damaged"),
    ]


def test_paths_are_where_a_run_writes(run):
    directory, _ = run
    assert all((directory.root / name).is_dir() for name in FOLDERS)
    for path in (
        *(directory.config, directory.environment, directory.events, directory.journal),
        *(directory.failures, directory.summary, directory.table, directory.submission),
        *(directory.report, directory.record_path("a"), directory.evidence_path("b")),
        *(directory.masks("a") / "00000.png", directory.pseudo_labels("b") / "00000.png"),
    ):
        assert path.is_file(), path
