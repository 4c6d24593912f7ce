"""The command ``python -m adapters doctor``: one line per check."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from importlib import metadata
from pathlib import Path

from adapters import registry
from adapters.base import check_device
from adapters.doctor.mistakes import Check, CheckResult, Mistake, fine, wrong
from adapters.listing import DISTRIBUTION
from mose import InputError
from stseg.cli import EXIT_INCOMPLETE, EXIT_OK, counted, print_line
from stseg.config import Values, override, read_yaml
from stseg.tables import format_table

LOOKED_AT = ("torch", "numpy", "opencv-python-headless", "pillow", "sam2", "transformers")
"""Distributions that masks depend on."""

EPILOG = "the mistakes that have a name:\n" + "\n".join(f"  {mistake}" for mistake in Mistake)


def doctor(config: str | None, changes: Sequence[str], device: str | None) -> int:
    """Run every check and print it; returns the exit code.

    config    a run's configuration, whose members are checked as well; None: the built-in
              adapters alone
    changes   ``a.b=c`` of the configuration
    device    "cpu" or a GPU; None: that of the configuration, or the CPU
    """
    values: Values = read_yaml(config) if config else {}
    for change in changes:
        override(values, change)
    device = device or str((values.get("execution") or {}).get("device") or "cpu")
    checks = list(run_checks(values, str(config), device))
    rows = [(check.verdict, check.subject, check.line) for check in checks]
    print_line(format_table(("", "what", "found"), rows, left=3))
    bad = [check for check in checks if check.verdict is CheckResult.WRONG]
    named = ", ".join(dict.fromkeys(str(check.mistake) for check in checks if check.mistake))
    print_line(f"{counted(len(checks), 'check')}, {len(bad)} wrong; {named or 'no known mistake'}")
    return EXIT_INCOMPLETE if bad else EXIT_OK


def run_checks(values: Values, where: str, device: str) -> Iterator[Check]:
    """The checks of an installation and of the members of a configuration, in order."""
    from adapters.doctor.members import Member, check_members

    members = [Member.of(value, where) for value in values.get("members") or ()]
    yield check_versions()
    yield (on_device := check_device_there(device))
    if on_device.verdict is CheckResult.WRONG:
        device = "cpu"  # what can be checked without it is checked
    yield from check_members(members, device)
    yield from check_stages([member.adapter for member in members], device)


def check_versions() -> Check:
    """Whether what is installed is what the distribution asks for."""
    from packaging.requirements import Requirement

    try:
        asked = [Requirement(line) for line in metadata.requires(DISTRIBUTION) or ()]
    except metadata.PackageNotFoundError:
        asked = []
    there = {name: version for name in LOOKED_AT if (version := _version(name))}
    for requirement in asked:
        installed = there.get(requirement.name)
        if installed and not requirement.specifier.contains(installed, prereleases=True):
            return wrong("versions", f"{requirement.name} {installed}, wanted is {requirement}")
    return fine("versions", ", ".join(f"{name} {version}" for name, version in there.items()))


def _version(distribution: str) -> str:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return ""


def check_device_there(device: str) -> Check:
    """Whether the device is there, and what it is."""
    try:
        check_device(device)
    except InputError as error:
        return wrong("device", str(error))
    if not device.startswith("cuda"):
        return fine("device", device)
    import torch

    capability = ".".join(map(str, torch.cuda.get_device_capability(device)))
    name = torch.cuda.get_device_name(device)
    return fine("device", f"{device}, {name}, compute capability {capability}")


def check_stages(adapters: Sequence[str], device: str) -> Iterator[Check]:
    """The clip through the readers and through the small model of every adapter.

    adapters   of the members; none: all that have such a model
    """
    from adapters.doctor import clip, models, stages
    from adapters.doctor.diagnosis import diagnose_reading, diagnose_run

    golden = stages.golden()
    with tempfile.TemporaryDirectory() as name:
        video = clip.write(Path(name))
        seen = stages.read(video)
        wanted = [a for a in models.OPTIONS if a in adapters or not adapters]
        yield from diagnose_reading(seen, golden.reading, "tmo" in wanted)
        for adapter in wanted:
            try:
                model = models.load(adapter, Path(name, adapter), device)
            except InputError as error:
                yield Check(f"stages of {adapter}", CheckResult.SKIPPED, str(error))
                continue
            yield from diagnose_run(adapter, stages.run(model, video), golden.runs[adapter])
    for adapter in dict.fromkeys(adapters):
        if adapter not in models.OPTIONS and registry.get(adapter).needs_weights:
            told = "no golden summaries: it is no adapter of this project"
            yield Check(f"stages of {adapter}", CheckResult.SKIPPED, told)
