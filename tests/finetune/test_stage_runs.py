"""What is done when a stage is trained, and how stages find each other's weights."""

import pytest
import torch
from safetensors.torch import load_file, save_file
from small_recipes import SIZES, recipe

from finetune.stage_runs import StageLocator, finish_stage, steps_done, train_stages
from finetune.stages import Ending, Stage, StageName, folders_of
from mose import InputError

FIRST, SECOND = StageName("demo", "first"), StageName("demo", "second")


def stages(average=None):
    return (
        Stage(FIRST, recipe("tmo"), Ending(), SIZES["tmo"]),
        Stage(
            SECOND,
            recipe("tmo", sizes={}, weights=str(FIRST)),
            Ending(average or {}),
            SIZES["tmo"],
        ),
    )


def leave(folders, name, value):
    path = folders.trained(name)
    path.parent.mkdir(parents=True)
    save_file({"w": torch.full((2,), value)}, path)


def test_a_stage_leaves_the_mean_that_it_asks_for(tmp_path):
    plan = stages({"first": 0.25, "second": 0.75})
    folders = folders_of(plan, "demo", tmp_path / "demo")
    leave(folders, FIRST, 0.0)
    leave(folders, SECOND, 4.0)
    finish_stage(plan[1], folders)
    assert StageLocator(folders)(str(SECOND)) == folders.folder(SECOND) / "mean.safetensors"
    assert load_file(folders.left(SECOND))["w"].tolist() == [3, 3]
    assert StageLocator(folders)(str(FIRST)) == folders.trained(FIRST)


def test_a_stage_waits_for_what_it_starts_from(tmp_path):
    plan = stages()
    folders = folders_of(plan, "demo", tmp_path / "demo")
    assert steps_done(plan[0], folders.folder(FIRST)) == 0
    trained = []
    with pytest.raises(InputError, match="demo:second needs the weights of demo:first"):
        train_stages(plan[1:], folders, lambda ours, theirs: 1.0, trained.append)
    assert trained == []
