"""``python -m adapters list``."""

import subprocess
import sys
from importlib.metadata import EntryPoint, EntryPoints

import pytest

from adapters import listing as catalogue
from adapters import registry
from adapters.__main__ import main
from adapters.listing import class_data, describe, describe_all
from mose import InputError

PLUGIN = """
import no_such_library

from adapters import Segmenter

class Mine(Segmenter):
    name = "mine"
    summary: str
    summary = "a model of somebody else"
    needs_weights = False

    def segment(self, video):
        yield from ()
"""


@pytest.fixture
def plugin(tmp_path, monkeypatch):
    """A third-party adapter whose dependency is missing, one that is whole, one that is lost."""
    (tmp_path / "thirdparty").mkdir()
    (tmp_path / "thirdparty/__init__.py").write_text("from thirdparty.model import Mine\n")
    (tmp_path / "thirdparty/model.py").write_text(PLUGIN)
    (tmp_path / "whole.py").write_text(PLUGIN.replace("import no_such_library", ""))
    monkeypatch.syspath_prepend(tmp_path)
    group = registry.ENTRY_POINT_GROUP
    targets = {"mine": "thirdparty:Mine", "whole": "whole:Mine", "lost": "nowhere.at.all:Lost"}
    found = EntryPoints(EntryPoint(n, target, group) for n, target in targets.items())
    for module in (registry, catalogue.metadata):
        monkeypatch.setattr(module, "entry_points", lambda group: found)
    yield
    for name in ("thirdparty", "thirdparty.model", "whole"):
        sys.modules.pop(name, None)


def test_lists_every_adapter(capsys):
    assert main(["list"]) == 0
    head, *rows = capsys.readouterr().out.splitlines()
    assert head.split() == ["adapter", "weights", "needs", "what", "it", "does"]
    assert [row.split()[0] for row in rows] == sorted(registry.names())
    flow = next(row for row in rows if row.startswith("flow"))
    assert flow.split()[1:3] == ["no", "installed"]


def test_imports_no_network():
    code = (
        "import sys; from adapters.__main__ import main; main(['list'])\n"
        "print([name for name in ('torch', 'ray', 'sam2') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_names_what_is_not_installed(capsys, monkeypatch):
    required = ['torch>=2; extra == "networks"', "numpy", 'nosuchthing[x]>=1; extra == "networks"']
    monkeypatch.setattr(catalogue.metadata, "requires", lambda distribution: required)
    assert describe("x", "adapters.flow:FlowSegmenter").missing == ()
    monkeypatch.setattr(catalogue, "class_data", lambda *target: {"extra": "networks"})
    assert describe("x", "some:Thing").missing == ("nosuchthing",)
    main(["list"])
    assert "pip install 'stseg[networks]' (missing: nosuchthing)" in capsys.readouterr().out


def test_third_party_adapters_are_there_by_entry_point(plugin, capsys):
    main(["list"])
    said = capsys.readouterr().out
    assert "a model of somebody else" in said
    listed = {entry.name: entry for entry in describe_all()}
    assert listed["mine"].needs_weights is False
    assert listed["lost"].summary == ""
    assert registry.load("whole").name == "mine"
    assert registry.get("flow").name == "flow"


def test_what_a_third_party_adapter_lacks_is_said_when_it_is_loaded(plugin):
    with pytest.raises(InputError, match=r"adapter 'mine' cannot be loaded .*no_such_library"):
        registry.load("mine")
    with pytest.raises(InputError, match="adapter 'lost' cannot be loaded"):
        registry.load("lost")


def test_an_entry_point_must_be_a_segmenter(plugin, monkeypatch):
    monkeypatch.setitem(registry.BUILT_IN, "odd", "mose.video:Video")
    with pytest.raises(InputError, match=r"mose.video:Video is not a Segmenter"):
        registry.get("odd")


def test_a_class_is_found_where_it_was_imported_from(plugin):
    assert class_data("thirdparty", "Mine")["summary"] == "a model of somebody else"
    assert class_data("thirdparty", "Other") == {}
