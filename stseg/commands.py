"""What the command ``stseg`` can do: a name for every ``python -m`` command of the project.

This is the lowest layer, so the table holds names of modules, which are imported when called.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from stseg.errors import unknown


@dataclass(frozen=True)
class Command:
    """A command.

    name      as in ``stseg run``
    module    as in ``python -m ensemble.run``
    target    where its function is, as ``module:function``; it takes the arguments and returns
              the exit code
    summary   what one does with it
    """

    name: str
    module: str
    target: str
    summary: str

    def load(self) -> Callable[[Sequence[str] | None], int]:
        """Import the command's function."""
        module, _, function = self.target.partition(":")
        return getattr(importlib.import_module(module), function)


GROUPS: dict[str, tuple[Command, ...]] = {
    "get masks": (
        Command("run", "ensemble.run", "ensemble.run:main",
                "run an ensemble over a data set, select the best masks, zip them"),
        Command("status", "ensemble.status", "ensemble.status:main",
                "how far a run is, what failed, on which nodes"),
        Command("weights", "adapters.weights", "adapters.weights.command:main",
                "fetch and check the published checkpoints"),
        Command("adapters", "adapters", "adapters.__main__:main",
                "the models there are, what each needs, and whether they are sound"),
    ),
    "judge them": (
        Command("check", "mose.check", "mose.check:main",
                "what a server would reject, or score as zero without a word"),
        Command("evaluate", "selection.evaluate", "selection.evaluate.command:main",
                "score masks against labels, as the public evaluators do"),
        Command("compare", "selection.compare", "study.compare:main",
                "what changed between the masks of two runs"),
        Command("figure", "selection.figure", "study.figure:main",
                "one frame under every member and fusion, as a picture"),
        Command("study", "selection.study", "study.study:main",
                "what each way to fuse and to select is worth on a labelled run"),
    ),
    "change or take them along": (
        Command("review", "selection.review", "study.review.command:main",
                "look at a run in the browser, choose other masks and correct them"),
        Command("override", "selection.override", "study.override:main",
                "put another candidate's masks in place of the selected ones"),
        Command("calibrate", "selection.calibrate", "study.calibrate:main",
                "fit priors and confidences to a labelled run, or priors to any"),
        Command("export", "selection.export", "selection.export.__main__:main",
                "write the masks as COCO, CVAT, Label Studio, DAVIS, films, training data"),
        Command("import", "selection.imports", "selection.imports.__main__:main",
                "read masks back from CVAT, Label Studio, COCO or DAVIS"),
    ),
    "make data and train": (
        Command("finetune", "adapters.finetune", "finetune.command:main",
                "fine-tune a network, or train a small one from nothing"),
        Command("rounds", "ensemble.rounds", "study.rounds.command:main",
                "let members of a run learn from its masks, and run them again beside it"),
        Command("synthetic", "mose.synthetic", "mose.synthetic.__main__:main",
                "make a procedural data set with labels on every frame"),
        Command("compose", "mose.compose", "mose.compose:main",
                "make composites of the objects of a labelled data set"),
        Command("plus", "mose.plus", "mose.plus.__main__:main",
                "make one training set from five public ones"),
    ),
}  # fmt: skip
"""The commands by what a person wants to do."""

COMMANDS = {command.name: command for group in GROUPS.values() for command in group}


def find_command(name: str) -> Command:
    """The command called ``name``; `InputError` with the nearest name where there is none."""
    if name not in COMMANDS:
        raise unknown("command", name, COMMANDS)
    return COMMANDS[name]


def overview() -> str:
    """All commands on one screen."""
    width = max(map(len, COMMANDS))
    lines = ["usage: stseg COMMAND ...", "The best mask of every object in every frame."]
    for title, group in GROUPS.items():
        lines += ["", f"{title}:"]
        lines += [f"  {command.name:<{width}}  {command.summary}" for command in group]
    lines += [
        "",
        "stseg COMMAND --help tells the rest. To begin: stseg run",
        'Names and options complete with TAB after: eval "$(register-python-argcomplete stseg)"',
    ]
    return "\n".join(lines)
