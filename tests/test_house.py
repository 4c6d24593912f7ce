"""The rules of the house, for every module of the library."""

import ast
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("stseg", "mose", "adapters", "selection", "finetune", "ensemble", "study")
SOURCES = {
    path: path.read_text(encoding="utf-8")
    for package in PACKAGES
    for path in sorted((ROOT / package).rglob("*.py"))
}
TREES = {path: ast.parse(text) for path, text in SOURCES.items()}

LONGEST_MODULE, LONGEST_FUNCTION = 400, 60


def test_no_module_is_too_long():
    lines = {path: text.count("\n") for path, text in SOURCES.items()}
    long = {str(p.relative_to(ROOT)) for p, count in lines.items() if count > LONGEST_MODULE}
    assert long == set()


def test_no_function_is_too_long():
    functions = {
        node.name
        for tree in TREES.values()
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (node.end_lineno or 0) - node.lineno >= LONGEST_FUNCTION
    }
    assert functions == set()


MOST_ARGUMENTS = 6


def test_no_function_takes_many_arguments():
    many = set()
    for path, tree in TREES.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                taken = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
                own = [one for one in taken if one.arg not in ("self", "cls")]
                if len(own) > MOST_ARGUMENTS:
                    many.add(f"{path.relative_to(ROOT).as_posix()}: {node.name}")
    assert many == set()


def test_names_say_what_they_hold():
    """``found`` says nothing of a value, ``look`` and ``agree`` nothing of a method."""
    vague = set()
    for path, tree in TREES.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                vague |= {f"{path}: {node.id}"} if node.id == "found" else set()
            if isinstance(node, ast.ClassDef):
                methods = {item.name for item in node.body if isinstance(item, ast.FunctionDef)}
                vague |= {f"{path}: {name}" for name in methods & {"look", "agree"}}
    assert vague == set()


def modules_in_tests():
    """Dotted names that the tests import, or hold in the code of programs that they start."""
    named = set()
    for path in (ROOT / "tests").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                named.update(alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module:
                named.update({node.module, *(f"{node.module}.{a.name}" for a in node.names)})
    return named


def test_every_module_is_named_by_a_test():
    named = modules_in_tests()
    modules = {
        ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for path in SOURCES
        if not path.name.startswith("__")
    }
    assert modules - named == set()


def test_no_two_public_classes_share_a_name():
    places = defaultdict(list)
    for path, tree in TREES.items():
        for node in tree.body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places[node.name].append(path.relative_to(ROOT).as_posix())
    assert {name: where for name, where in places.items() if len(where) > 1} == {}


ANY_MAPPINGS = 24
"""Lines with mappings of anything: those of JSON and YAML, before they get types."""


def test_mappings_of_anything_become_fewer():
    lines = [line for text in SOURCES.values() for line in text.splitlines()]
    assert sum("[str, Any]" in line for line in lines) <= ANY_MAPPINGS
