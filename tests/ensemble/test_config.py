"""Configuration: strict, inherited, overridden."""

from dataclasses import replace

import pytest

from adapters.registry import get as get_adapter
from adapters.registry import names as adapter_names
from adapters.weights.catalogue import read_catalogue
from adapters.weights.store import resolve
from ensemble.config import RunConfig, load_config, member_config
from mose import InputError
from stseg.config import CONFIG_FOLDER, build, to_dict


def write(path, text):
    path.write_text(text)
    return path


def test_default_configuration_loads():
    config = load_config("default.yaml")
    assert config.members
    assert config.fusion.rule == "pgmr"
    assert build(RunConfig, to_dict(config), "itself") == config


@pytest.mark.parametrize("path", sorted((CONFIG_FOLDER / "members").glob("*.yaml")), ids=str)
def test_every_member_file_names_a_real_adapter_and_known_weights(path):
    member = member_config(path.stem, "the test")
    assert member.adapter in adapter_names()
    assert member.weights in read_catalogue() or resolve(member.weights).is_file()
    get_adapter(member.adapter).parse_options(dict(member.options))


def test_the_default_runs_networks_that_ship_and_the_floor_none():
    shipped = {m.weights for m in load_config("default.yaml").members if m.weights}
    assert shipped == {"demo-sam2", "demo-cutie", "demo-xmem", "demo-livos", "demo-tmo"}
    assert not any(m.weights for m in load_config("floor").members)


def test_mose_configuration_lists_the_five_models():
    config = load_config("mose")
    assert {m.adapter for m in config.members} == {"sam2", "cutie", "xmem", "livos", "tmo"}


def test_child_overrides_its_parent_key_by_key(tmp_path):
    write(tmp_path / "base.yaml", "data: {dataset: a, split: valid}\nfusion: {rule: vote}\n")
    child = write(tmp_path / "child.yaml", "extends: base.yaml\ndata: {dataset: b}\n")
    config = load_config(child)
    assert (config.data.dataset, config.data.split, config.fusion.rule) == ("b", "valid", "vote")


def test_set_overrides_everything(tmp_path):
    path = write(
        tmp_path / "c.yaml",
        "members:\n- {name: a, adapter: hold}\n- {name: b, adapter: flow, options: {preset: fast}}",
    )
    config = load_config(path, ["data.split=train", "members.b.options.preset=medium"])
    assert config.data.split == "train"
    assert config.members[1].options == {"preset": "medium"}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("fusoin: {}", ["fusoin", "fusion", "c.yaml"]),
        ("fusion: {rul: vote}", ["fusion.rul", "fusion.rule"]),
        ("fusion: {rule: votes}", ["votes", "vote"]),
        ("data: {dataset: [1]}", ["data.dataset", "text"]),
        ("members: [{name: a}]", ["adapter"]),
        ("members: [no-such-member]", ["no-such-member"]),
        ("members: [{name: a, adapter: x}, {name: a, adapter: y}]", ["two members", "'a'"]),
        ("members: [{name: ../a, adapter: x}]", ["folder name"]),
        ("members: [{name: a, adapter: x, prior: 140}]", ["prior", "140"]),
        ("execution: {limits: {erors: 3}}", ["execution.limits.erors", "execution.limits.errors"]),
        ("execution: {limits: {errors: 0}}", ["execution.limits.errors", "0", "from 1"]),
        ("extends: c.yaml", ["extends itself"]),
        ("- 1", ["no mapping"]),
        ("a: [", ["cannot be read"]),
    ],
)
def test_mistakes_are_named(tmp_path, text, words):
    path = write(tmp_path / "c.yaml", text)
    with pytest.raises(InputError) as error:
        load_config(path)
    for word in words:
        assert word in str(error.value)


@pytest.mark.parametrize("override", ["data.split", "=1", "members.x.prior=3"])
def test_bad_overrides_are_named(override):
    with pytest.raises(InputError):
        load_config("default.yaml", [override])


def test_a_member_changes_what_a_file_says_of_another():
    whole = member_config("demo-xmem", "x.yaml")
    smaller = {"extends": "demo-xmem", "options": {"enlarge": 1}}
    assert member_config(smaller, "x.yaml") == replace(
        whole, options={**whole.options, "enlarge": 1}
    )
    renamed = {"extends": "demo-xmem", "name": "second", "prior": 10.0}
    assert member_config(renamed, "x.yaml") == replace(whole, name="second", prior=10.0)
    with pytest.raises(InputError, match=r"unknown member 'demo-xmen' in x\.yaml"):
        member_config({"extends": "demo-xmen"}, "x.yaml")
    with pytest.raises(InputError, match=r"x\.yaml"):
        member_config({"extends": "demo-xmem", "piror": 10.0}, "x.yaml")
