"""A model of ``transformers`` from a folder with ``config.json`` and ``model.safetensors``."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import Any

from adapters.transformers.edgetam import own_backbone
from adapters.weights.checkpoints import load_state
from adapters.weights.families import describe, family_of
from mose import InputError
from stseg.errors import unknown

MODELS = {
    "sam3_tracker_video": "Sam3TrackerVideoModel",
    "sam3_video": "Sam3TrackerVideoModel",
    "sam2_video": "Sam2VideoModel",
    "edgetam_video": "EdgeTamVideoModel",
}
"""``model_type`` of a configuration -> the class that follows objects from masks. The published
checkpoint of SAM 3 holds a detector as well, which is left out."""

INSTALL = "pip install transformers==5.24.0"


def load(weights: Path) -> Any:
    """A model in evaluation mode, on the CPU, in float32; ``weights`` is the file of tensors.

    Raises `InputError` where the package or the configuration is missing, and where the weights are
    not all of the model that it names.
    """
    _check_family(weights)
    kind = _kind(weights.parent / "config.json")
    try:
        package = importlib.import_module("transformers")
        model_class = getattr(package, MODELS[kind])
    except (ImportError, AttributeError) as error:
        raise InputError(
            "adapter 'transformers' needs the package transformers, which cannot be used"
            f" ({error}): {INSTALL}"
        ) from None
    package.logging.set_verbosity_error()
    package.logging.disable_progress_bar()
    try:
        with own_backbone():
            model, report = model_class.from_pretrained(
                weights.parent, local_files_only=True, output_loading_info=True, dtype="float32"
            )
    except InputError:
        raise
    except Exception as error:  # of many kinds: not safetensors, other shapes, half a file
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise InputError(f"checkpoint {weights} cannot be read as {kind}: {reason}") from None
    missing = sorted(report["missing_keys"]) + sorted(str(key) for key in report["mismatched_keys"])
    if missing:
        raise InputError(
            f"checkpoint {weights} does not fit {weights.parent / 'config.json'}:"
            f" {len(missing)} weights are missing, the first is {missing[0]}"
        )
    return model.requires_grad_(False).eval()


def compile_parts(model: Any) -> None:
    """Compile what takes the time, in place; `adapters.sam2.model.uncompile` undoes it."""
    import torch

    for part in (model.vision_encoder, model.memory_attention, model.memory_encoder):
        part.forward = torch.compile(part.forward)


def _check_family(weights: Path) -> None:
    """The published checkpoint of SAM 3 has its tracker beside a detector, under a name more."""
    state = load_state(weights)
    names = {name.removeprefix("tracker_model."): None for name in state}
    if family_of(names) != "transformers":
        raise InputError(
            f"checkpoint {weights} is no checkpoint of transformers, it {describe(state)}:"
            " give the model.safetensors of SAM 3 or SAM 2"
        )


def _kind(path: Path) -> str:
    """The ``model_type`` of a configuration."""
    try:
        kind = json.loads(path.read_text(encoding="utf-8"))["model_type"]
    except FileNotFoundError:
        raise InputError(
            f"{path} is missing: keep the checkpoint's config.json beside its model.safetensors"
        ) from None
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise InputError(f"{path} is no configuration of transformers ({error})") from None
    if kind not in MODELS:
        raise unknown("model type", str(kind), MODELS, f" in {path}")
    return kind
