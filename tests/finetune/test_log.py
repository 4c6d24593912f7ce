"""The log of a training."""

import pytest

from finetune.log import StepLog, best_score, last_row


def test_rows_after_the_step_of_a_resume_are_removed(tmp_path):
    path = tmp_path / "log.csv"
    log = StepLog(path, 0)
    for step in (1, 2, 3):
        log.add({"step": step, "loss": 0.5 * step})
    assert last_row(path) == {"step": "3", "loss": "1.5"}
    StepLog(path, 2).add({"step": 3, "loss": 7.0})
    assert path.read_text() == "step,loss\n1,0.5\n2,1.0\n3,7.0\n"


def test_a_row_that_was_cut_off_is_removed(tmp_path):
    path = tmp_path / "log.csv"
    path.write_text("step,loss\n1,0.5\n2")
    StepLog(path, 2).add({"step": 2, "loss": 0.25})
    assert path.read_text() == "step,loss\n1,0.5\n2,0.25\n"


def test_a_folder_that_is_gone_is_named(tmp_path):
    log = StepLog(tmp_path / "gone" / "log.csv", 0)
    with pytest.raises(OSError, match=r"log\.csv"):
        log.add({"step": 1})


def test_the_best_score_of_the_validations(tmp_path):
    assert best_score(tmp_path) is None
    log = StepLog(tmp_path / "validation.csv", 0)
    for step, score in ((1, 40.0), (2, 60.0), (3, 50.0)):
        log.add({"step": step, "J&F": score})
    assert best_score(tmp_path) == 60
