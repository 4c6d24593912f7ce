"""The members of a configuration: their weights, options and precision."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from adapters import registry
from adapters.doctor.mistakes import Check, CheckResult, Mistake, fine, wrong
from adapters.weights import store
from adapters.weights.catalogue import Checkpoint, read_catalogue
from mose import InputError
from stseg.config import CONFIG_FOLDER, Values, member_values, to_dict

SIZES = ("size", "short_side", "enlarge", "scales", "max_internal_size")
"""Options of the adapters that change the size at which a network works."""

NEEDS = {"bf16": (8, 0), "fp16": (7, 0)}
"""Precision -> the compute capability from which GPUs have it in hardware: bf16 Ampere, fp16 at
speed Volta. An older one emulates bf16, and packages fall back to less exact kernels there."""


@dataclass(frozen=True)
class Member:
    """A member as a configuration has it.

    preset   what its file in ``configs/members`` says; empty where there is none
    """

    name: str
    adapter: str
    weights: str
    options: Mapping[str, object]
    preset: Values

    @classmethod
    def of(cls, value: object, where: str) -> Member:
        """Of an entry of ``members``; `InputError` where it names no adapter."""
        values, where = member_values(value, where)
        adapter = str(values.get("adapter") or "")
        if not adapter:
            raise InputError(f"member {values.get('name')} in {where} names no adapter: add it")
        registry.check_name(adapter)
        base = value.get("extends") if isinstance(value, Mapping) else value
        name = str(values.get("name") or adapter)
        preset: Values = {}
        if (CONFIG_FOLDER / "members" / f"{base or name}.yaml").is_file():
            preset, _ = member_values(str(base or name), where)
        weights, options = str(values.get("weights") or ""), values.get("options") or {}
        return cls(name, adapter, weights, options, preset)


def check_members(members: list[Member], device: str) -> Iterator[Check]:
    """Every check of every member."""
    for member in members:
        yield check_precision(member, device)
        if member.weights:
            yield check_weights(member)
        yield check_options(member)


def check_precision(member: Member, device: str) -> Check:
    """Whether the device has the precision that the options ask for."""
    subject = f"precision of {member.name}"
    amp = str(member.options.get("amp", "off"))
    if amp not in NEEDS:
        return fine(subject, "float32")
    if not device.startswith("cuda"):
        return fine(subject, f"{amp} on {device}")
    import torch

    capability = torch.cuda.get_device_capability(device)
    has = ".".join(map(str, capability))
    if capability < NEEDS[amp]:
        needed = ".".join(map(str, NEEDS[amp]))
        told = f"{amp} needs compute capability {needed}, {device} has {has}: set amp off"
        return wrong(subject, told, Mistake.OLD_GPU)
    return fine(subject, f"{amp} on compute capability {has}")


def check_options(member: Member) -> Check:
    """What differs from the preset of the member's name, or from the adapter's defaults."""
    subject = f"options of {member.name}"
    adapter = registry.get(member.adapter)
    try:
        mine = to_dict(adapter.parse_options(member.options))
    except InputError as error:
        return wrong(subject, str(error))
    where = f"configs/members/{member.preset.get('name')}.yaml" if member.preset else "the defaults"
    published = to_dict(adapter.parse_options(member.preset.get("options") or {}))
    changed = [key for key in mine if mine[key] != published[key]]
    if not changed:
        return fine(subject, f"as {where}")
    told = ", ".join(f"{key} {mine[key]} in place of {published[key]}" for key in changed)
    other_size = member.preset and set(changed) & set(SIZES)
    mistake = Mistake.WORKING_SIZE if other_size else None
    return Check(subject, CheckResult.NOTE, f"{told} in {where}", mistake)


def check_weights(member: Member) -> Check:
    """Whether the file is the published one, by its hash, or else of the same network."""
    subject = f"weights of {member.name}"
    try:
        path = store.resolve(member.weights)
    except InputError as error:
        return Check(subject, CheckResult.SKIPPED, str(error))
    if path.parent == store.PRETRAINED:
        return fine(subject, f"{path.name}, which ships with the project")
    known = read_catalogue()
    named = known.get(member.weights) or known.get(str(member.preset.get("weights")))
    pin = store.Pin.of(path, str(path))
    same = next((c for c in known.values() if _is(c, pin)), None)
    if named is None:
        told = same.name if same else f"no published file, sha256 {pin.sha256[:12]}"
        return Check(subject, CheckResult.NOTE, f"{told}, and no preset says which they should be")
    if same is not None and same.name == named.name:
        return fine(subject, f"{named.name}, its hash is the published one")
    if same is not None:
        told = f"{path} is {same.name}, not {named.name}"
        return wrong(subject, told, Mistake.WRONG_CHECKPOINT)
    return _by_shapes(subject, path, named)


def _is(checkpoint: Checkpoint, pin: store.Pin) -> bool:
    """Whether a file is a published one, or what was pinned as such when it first came."""
    if checkpoint.sha256 or checkpoint.md5:
        return pin.sha256 == checkpoint.sha256 or pin.md5 == checkpoint.md5
    pinned = store.pinned(checkpoint)
    return pinned is not None and pinned.sha256 == pin.sha256


def _by_shapes(subject: str, path: Path, named: Checkpoint) -> Check:
    """Of a file whose hash is unknown: whether it is a network of the right size."""
    try:
        network = network_of(path, named.adapter)
    except InputError as error:
        return wrong(subject, str(error), Mistake.WRONG_CHECKPOINT)
    if network and network != NETWORKS.get(named.name, network):
        told = f"{path} is a network as {network}, not as {named.name}"
        return wrong(subject, told, Mistake.WRONG_CHECKPOINT)
    if not (named.sha256 or named.md5):
        told = f"{path}, of which no hash is published and none was pinned"
        return Check(subject, CheckResult.NOTE, told)
    told = f"{path} has not the published hash of {named.name}: right only if it is fine-tuned"
    return Check(subject, CheckResult.NOTE, told)


SAM_2 = ("tiny", "small", "base-plus", "large")

NETWORKS = {
    **{f"sam2.1-hiera-{size}": f"sam2.1-hiera-{size}" for size in SAM_2},
    "cutie-base-mega": "cutie-base",
    "cutie-small-mega": "cutie-small",
    "tmo-rn101": "tmo-rn101",
    "tmo-mitb1": "tmo-mitb1",
}
"""Name in the catalogue -> the network that it is of, where an adapter takes several."""


def network_of(path: Path, adapter: str) -> str:
    """Which network a checkpoint is of, of those that an adapter takes; empty where it takes one
    only, or the checkpoint is none of the published ones.

    Raises `InputError` for a checkpoint of another model.
    """
    if adapter == "sam2":
        from adapters.sam2.config import OFFICIAL
        from adapters.sam2.model import load

        _, config = load(path)
        return next((name for name, official in OFFICIAL.items() if official == config), "")
    if adapter == "transformers":
        return ""
    from adapters.weights.checkpoints import load_network

    config = load_network(path, adapter).config
    if adapter == "cutie":
        return "cutie-base" if config.image_depth == 50 else "cutie-small"
    if adapter == "tmo":
        return "tmo-rn101" if config.segformer is None else "tmo-mitb1"
    return ""
