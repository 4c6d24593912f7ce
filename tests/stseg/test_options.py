"""Options: what a field takes, in which sentence it says no, and what a page of keys shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass
from typing import Any

import pytest

from stseg.config import build, keys, option, to_dict
from stseg.errors import InputError
from stseg.options import Source


@dataclass(frozen=True)
class Inner:
    tokens: int = option(4, doc="Tokens that are kept.", least=1)
    rate: float = option(0.5, doc="Share of them.", above=0, below=1)


@dataclass(frozen=True)
class Outer:
    name: str = option(doc="What it is called.")
    mode: str = option("off", doc="How.", choices=("off", "bf16"))
    size: int = option(480, doc="Shorter side; -1: as it is.", least=1, also=(-1,))
    square: int = option(64, doc="Side.", least=32, multiple_of=32)
    scales: Sequence[float] = option((1.0,), doc="Sizes.", above=0, fewest=1)
    videos: tuple[str, ...] = option((), doc="Which.")
    pair: tuple[int, int] = option((7, 7), doc="Height and width.", least=1)
    on: bool = option(False, doc="Whether.")
    path: str | None = option(None, doc="Where.")
    inner: Inner = option(Inner, doc="More.")
    many: tuple[Inner, ...] = option((), doc="Several.")
    free: Mapping[str, Any] = option(dict, doc="Anything.")


GOOD = {
    "mode": [("bf16", "bf16"), (False, "off")],
    "size": [(-1, -1), (1, 1)],
    "square": [(96, 96)],
    "scales": [([0.5, 1], (0.5, 1.0)), (2, (2.0,)), ("0.5, 1", (0.5, 1.0))],
    "videos": [("a,b", ("a", "b")), ("a", ("a",)), ([3, "b"], ("3", "b"))],
    "pair": [([3, 4], (3, 4))],
    "on": [(True, True)],
    "path": [(None, None), ("x", "x")],
    "inner": [({"tokens": 2}, Inner(2)), (Inner(9), Inner(9))],
    "inner.tokens": [(3, Inner(3))],
    "many": [([{"tokens": 2}, {}], (Inner(2), Inner()))],
    "free": [({"a": 1}, {"a": 1})],
}


@pytest.mark.parametrize(("key", "value", "made"), [(k, *v) for k, vs in GOOD.items() for v in vs])
def test_what_fits_is_taken(key, value, made):
    outer = build(Outer, {"name": "x", key: value}, "c.yaml")
    assert getattr(outer, key.partition(".")[0]) == made
    assert build(Outer, to_dict(outer), "c.yaml") == outer


BAD = {
    "mode": [("fp17", "unknown mode 'fp17' in c.yaml: did you mean 'bf16'"), (["off"], "unknown")],
    "size": [
        (0, "size in c.yaml is 0, expected a whole number from 1, or -1"),
        (1.5, "whole number"),
        (True, "whole number"),
        ("7", "whole number"),
        (None, "whole number"),
    ],
    "square": [(0, "expected a multiple of 32 from 32"), (33, "multiple of 32")],
    "scales": [
        ([], r"scales in c.yaml is \[\], expected a list of at least 1"),
        ([0], "expected a number above 0"),
        ([float("inf")], "above 0"),
        ([float("nan")], "above 0"),
        ("x,", "above 0"),
        (None, "above 0"),
    ],
    "videos": [([[1]], "expected text")],
    "pair": [([1], "expected a list of 2"), ([0, 1], "from 1")],
    "on": [(1, "expected true or false"), ("yes", "true or false")],
    "path": [([], "expected text")],
    "inner": [
        (3, "inner in c.yaml is 3, expected a mapping"),
        ({"token": 1}, "did you mean 'inner.tokens'"),
    ],
    "inner.rate": [(1, "inner.rate in c.yaml is 1.0, expected a number above 0 and below 1")],
    "many": [([3], "many in c.yaml is 3, expected a mapping")],
    "free": [([1], "expected a mapping")],
    "nmae": [(1, "unknown key 'nmae' in c.yaml: did you mean 'name'")],
    "innre.tokens": [(1, "unknown key 'innre.tokens'")],
}


@pytest.mark.parametrize(
    ("key", "value", "sentence"), [(k, *v) for k, vs in BAD.items() for v in vs]
)
def test_what_does_not_fit_is_one_sentence(key, value, sentence):
    with pytest.raises(InputError, match=sentence) as error:
        build(Outer, {"name": "x", key: value}, "c.yaml")
    assert "\n" not in str(error.value)


def test_what_must_be_given_is_named():
    with pytest.raises(InputError, match=r"configuration in c\.yaml lacks 'name'"):
        build(Outer, {}, "c.yaml")


def test_keyword_arguments_are_options_of_their_adapter():
    source = Source(" of adapter 'cutie'", "option")
    with pytest.raises(InputError, match="option size of adapter 'cutie' is 0, expected"):
        build(Outer, {"name": "x", "size": 0}, source)
    with pytest.raises(InputError, match="unknown option 'siez' of adapter 'cutie'"):
        build(Outer, {"name": "x", "siez": 0}, source)


def test_every_key_is_listed_with_type_default_bounds_and_documentation():
    listed = {k.name: (k.type, k.default, k.limits, k.doc) for k in keys(Outer)}
    assert listed["name"] == ("text", MISSING, "", "What it is called.")
    assert listed["mode"] == ("text", "off", "one of off, bf16", "How.")
    assert listed["size"][2] == "from 1, or -1"
    assert listed["scales"][:3] == ("list of numbers", (1.0,), "above 0")
    assert listed["path"][0] == "text or nothing"
    assert listed["inner.rate"] == ("number", 0.5, "above 0 and below 1", "Share of them.")
    assert listed["many[].tokens"][0] == "whole number"
    assert listed["free"][:2] == ("mapping", {})
