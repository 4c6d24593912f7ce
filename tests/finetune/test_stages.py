"""Recipes of several stages: resolved, planned, trained from nothing to what ships, resumed."""

from dataclasses import replace

import pytest
import torch
import yaml

from adapters.weights.checkpoints import load_state
from finetune import card, command, estimate
from finetune.recipe import ValidationOptions
from finetune.stages import StageName, load_recipe, load_stages, parse_stage_name, plan_stages
from mose import InputError
from stseg.cli import EXIT_INTERRUPTED
from stseg.config import CONFIG_FOLDER

pytestmark = pytest.mark.usefixtures("one_thread")

DEMOS = ("demo_cutie", "demo_livos", "demo_sam2", "demo_tmo", "demo_xmem")
SMALL = {
    "image_depth": 10, "image_width": 12, "mask_depth": 10, "mask_width": 12, "pixel_dim": 12,
    "key_dim": 8, "key_rank": 8, "value_dim": 12, "sensory_dim": 8, "sensory_hidden": 8,
    "embed_dim": 12, "blocks": 1, "queries": 2, "hidden": 8, "channels": 8, "image_size": 64,
    "d_model": 32, "memory_dim": 16, "attention_layers": 1, "feedforward": 32,
}  # fmt: skip
"""Of whichever network has such a size."""
TINY = [
    "steps=2", "batch=1", "accumulate=1", "workers=0", "threads=1", "device=cpu", "amp=false",
    "save_every=1", "data.size=64", "data.frames=2", "data.objects=1", "data.preset=easy",
    "augment={flip: 0, brightness: 0, contrast: 0, saturation: 0, jitter: 0, grey: 0,"
    " motion_blur: 0}", "optimiser.warm_up=0", "validation.every=0",
]  # fmt: skip


def shrunk(sizes, network):
    small = {name: SMALL.get(name, value) for name, value in sizes.items()}
    if "decoder_dims" in sizes:
        small["decoder_dims"] = [12, 8, 8] if network == "xmem" else [12, 8]
    if "resnet" in sizes:
        small["resnet"] = 10 if network == "sam2" else [10, 12]
    if sizes.get("key_dim", 0) > 128:
        small["key_dim"] = 10
    return small


@pytest.fixture
def recipes(tmp_path, monkeypatch):
    """The demo recipes with the smallest networks, and short videos to score them on."""
    short = ValidationOptions(count=1, frames=3, size=64, objects=1)
    monkeypatch.setattr(card, "SYNTHETIC", short)
    monkeypatch.setattr(card, "OTHERS", replace(short, first=1))
    folder = tmp_path / "configs"
    (folder / "parts").mkdir(parents=True)
    ours = CONFIG_FOLDER / "finetune"
    for path in (ours / "parts").iterdir():
        (folder / "parts" / path.name).write_bytes(path.read_bytes())
    for name in DEMOS:
        values = yaml.safe_load((ours / f"{name}.yaml").read_text())
        for part in (values, *values["stages"].values()):
            if "sizes" in part:
                part["sizes"] = shrunk(part["sizes"], values["network"])
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(values, sort_keys=False))
    return folder


def command_line(recipes, name, output, *more):
    settings = [word for text in TINY for word in ("--set", text)]
    return ["--config", str(recipes / f"{name}.yaml"), "--output", str(output), *settings, *more]


@pytest.mark.slow
def test_every_demo_network_is_trained_from_nothing_to_what_ships(recipes, tmp_path, capsys):
    """With one folder for all: what one has trained, the others start from."""
    for name in DEMOS:
        line = command_line(recipes, name, tmp_path / "runs" / name)
        assert command.main([*line, "--resume", "--set", "steps=1"]) == 0
        shipped = tmp_path / "runs" / name / f"{name.replace('_', '-')}.safetensors"
        assert load_state(shipped)
        text = shipped.with_suffix(".md").read_text(encoding="utf-8")
        assert f"python -m finetune --config configs/finetune/{name}.yaml" in text
    told = capsys.readouterr().out
    for name in DEMOS:
        for stage in load_stages(CONFIG_FOLDER / "finetune" / f"{name}.yaml"):
            folder = tmp_path / "runs" / name / stage.name.stage
            assert (folder / "last.safetensors").is_file()
            assert (folder / "mean.safetensors").is_file() == bool(stage.ending.average)
            assert f"{stage.name}: 1 steps" in told
    livos = tmp_path / "runs" / "demo_livos"
    trained, before, mean = (
        load_state(livos / file)
        for file in (
            "more/last.safetensors", "away/last.safetensors", "more/mean.safetensors",
        )
    )  # fmt: skip
    for weight, tensor in mean.items():
        if tensor.is_floating_point():
            torch.testing.assert_close(tensor, (trained[weight] + before[weight]) / 2)


def test_a_training_goes_on_in_the_stage_in_which_it_was_stopped(
    recipes, tmp_path, monkeypatch, capsys
):
    whole, stopped = tmp_path / "whole" / "demo_cutie", tmp_path / "stopped" / "demo_cutie"
    assert command.main(command_line(recipes, "demo_cutie", whole)) == 0
    plain = command.train_shown

    def stop(job):
        from finetune.launch import train_here

        def interrupt(step, note):
            # The first step's checkpoint is written after it is reported: stop in the second.
            if step == 2:
                raise KeyboardInterrupt

        train_here(job, interrupt)

    for _ in range(2):
        monkeypatch.setattr(command, "train_shown", stop)
        line = command_line(recipes, "demo_cutie", stopped)
        resumed = [*line, "--resume"]
        assert command.main(resumed) == EXIT_INTERRUPTED
        monkeypatch.setattr(command, "train_shown", plain)
        first = next(
            stage.name
            for stage in plan_stages(recipes / "demo_cutie.yaml", TINY)
            if not (folder_of(stopped, stage.name) / "last.safetensors").is_file()
            or stage_steps(folder_of(stopped, stage.name)) < 2
        )
        if first.recipe == "demo_cutie":
            with pytest.raises(InputError, match="add --resume"):
                command.main(line)
            assert command.main([*resumed, "--until", first.stage]) == 0
        else:
            assert command.main([*resumed, "--until", "start"]) == 0
    capsys.readouterr()
    assert command.main([*resumed]) == 0
    assert "demo_xmem:start: trained" in capsys.readouterr().out
    names = ("demo-cutie.safetensors", "large/last.safetensors", "start/last.safetensors")
    for name in names:
        assert (whole / name).read_bytes() == (stopped / name).read_bytes(), name


def folder_of(output, name):
    return output.parent / name.recipe / name.stage


def stage_steps(folder):
    return torch.load(folder / "state.pth", weights_only=True)["step"]


def test_one_stage_alone_needs_what_it_starts_from(recipes, tmp_path):
    line = command_line(recipes, "demo_xmem", tmp_path / "demo_xmem")
    with pytest.raises(InputError, match="middle needs the weights of demo_xmem:start"):
        command.main([*line, "--stage", "middle"])
    assert command.main([*line, "--stage", "start"]) == 0
    assert command.main([*line, "--stage", "middle", "--resume"]) == 0
    assert not (tmp_path / "demo_xmem" / "long").exists()
    with pytest.raises(InputError, match="did you mean 'middle'"):
        command.main([*line, "--until", "midle"])


def test_a_plan_is_told_with_its_stages_and_their_time(recipes, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(estimate, "MEASURED", 1)
    line = command_line(recipes, "demo_tmo", tmp_path / "demo_tmo", "--dry-run")
    assert command.main(line) == 0
    head, first, second, total = capsys.readouterr().out.strip().splitlines()
    assert head.split()[:3] == ["stage", "steps", "hours"]
    assert first.split()[:2] == ["demo_xmem:start", "2"]
    assert first.endswith("nothing")
    assert second.split()[0] == "demo_tmo:start"
    assert second.endswith("demo_xmem:start")
    assert total.startswith("all")
    assert not (tmp_path / "demo_tmo").exists()


def test_stages_come_after_what_they_start_from():
    for name in DEMOS:
        order = [stage.name for stage in plan_stages(f"finetune/{name}")]
        for stage in plan_stages(f"finetune/{name}"):
            assert all(order.index(n) < order.index(stage.name) for n in stage.needs)
        last = load_stages(f"finetune/{name}")[-1]
        assert last.name == order[-1]
        assert last.ending.ship == name.replace("_", "-")
    until = plan_stages("finetune/demo_xmem", until="long")
    assert StageName("demo_cutie", "middle") in {stage.name for stage in until}
    assert until[-1].recipe.encoders == "demo_cutie:middle"


def test_a_stage_changes_the_stage_before():
    start, middle, *_ = load_stages("finetune/demo_xmem")
    assert start.recipe.sizes
    assert (middle.recipe.sizes, middle.recipe.weights) == ({}, "demo_xmem:start")
    assert middle.recipe.steps == 2000
    assert middle.recipe.loss == start.recipe.loss
    changed = ["seed=9", "stages.middle.steps=7"]
    first, second, *_ = load_stages("finetune/demo_xmem", changed)
    assert (first.recipe.seed, second.recipe.seed) == (9, 9)
    assert (first.recipe.steps, second.recipe.steps) == (2400, 7)
    assert load_recipe("finetune/demo_xmem") == load_stages("finetune/demo_xmem")[-1].recipe


@pytest.mark.parametrize(
    ("stages", "message"),
    [
        ("{a: {}, b: {weights: 'x:c'}}", "x:c"),
        ("{a: {weights: 'x:b'}, b: {weights: 'x:a'}}", "break the circle"),
        ("{a: {}, b: {average: {a: 0.5, b: 0.4}}}", "add up to 1"),
        ("{a: {}, b: {average: {a: 1.0}}}", "one for the stage itself"),
        ("{a: {}, b: {average: {c: 0.5, b: 0.5}}}", "average of stage b"),
        ("{a: {}, b: {average: {a: -1, b: 2}}}", "is -1.0, expected a number above 0"),
        ("{a: {stepps: 1}}", "did you mean"),
        ("{a: 3}", "is no mapping"),
        ("[a]", "is no mapping"),
    ],
)
def test_stages_are_strict(stages, message, tmp_path):
    path = tmp_path / "x.yaml"
    path.write_text(f"network: tmo\nsizes: {{resnet: [10, 12]}}\nstages: {stages}\n")
    with pytest.raises(InputError, match=message):
        plan_stages(path)


def test_names_of_stages_are_no_paths():
    assert parse_stage_name("demo_xmem:start") == StageName("demo_xmem", "start")
    for text in ("demo-xmem", "runs/x/last.safetensors", "a:b/c.pth"):
        assert parse_stage_name(text) is None
