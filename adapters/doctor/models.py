"""The small models that stand for their family: shipped weights, or seeded ones."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

import adapters
from adapters.base import Segmenter
from mose import InputError

OPTIONS: Mapping[str, Mapping[str, object]] = {
    "xmem": {"size": 96},
    "cutie": {"size": 96},
    "livos": {"size": 96},
    "tmo": {"size": 96},
    "sam2": {"short_side": 128},
    "transformers": {},
}
"""Adapter -> options of its run over the clip: small sizes without padding, whose zeros would be
part of every mean."""

SIDE, PATCH, SEED = 112, 14, 0
CALM = 1e-3
"""Makes logits of random weights as small as those of trained ones."""


def load(adapter: str, folder: Path, device: str = "cpu", amp: str = "off") -> Segmenter:
    """The model that stands for a family; ``folder`` may be written to.

    `InputError`, a sentence, where the adapter's packages are missing.
    """
    weights = _seeded_sam3(folder) if adapter == "transformers" else Path(f"demo-{adapter}")
    return adapters.load(adapter, weights, device, amp=amp, **OPTIONS[adapter])


def _seeded_sam3(folder: Path) -> Path:
    """SAM 3's tracker at 112 pixels with weights that a seed decides, on every platform alike."""
    try:
        package: Any = importlib.import_module("transformers")
    except ImportError as error:
        raise InputError(f"package transformers cannot be imported ({error})") from None
    backbone = {
        "model_type": "sam3_vit_model",
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "image_size": SIDE,
        "patch_size": PATCH,
        "pretrain_image_size": SIDE,
        "window_size": 4,
        "global_attn_indexes": [1],
    }
    config = package.Sam3TrackerVideoConfig(
        vision_config={"backbone_config": backbone},
        memory_attention_num_layers=1,
        memory_attention_feed_forward_hidden_size=64,
        memory_fuser_num_layers=1,
    )
    config.image_size = SIDE
    package.logging.disable_progress_bar()
    model = package.Sam3TrackerVideoModel(config)
    rng = np.random.default_rng(SEED)
    import torch

    with torch.no_grad():
        for name, parameter in sorted(model.named_parameters()):
            if parameter.dim() > 1:
                drawn = rng.standard_normal(tuple(parameter.shape), dtype=np.float32)
                scale = parameter.shape[-1] ** -0.5
                if "output_hypernetworks" in name and "proj_out" in name:
                    scale *= CALM
                parameter.copy_(torch.from_numpy(drawn) * scale)
            elif "norm" not in name:
                parameter.zero_()
    model.save_pretrained(folder)
    return folder / "model.safetensors"
