"""Small networks of package ``transformers``, and its own loop over a video."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from adapters.transformers.edgetam import own_backbone
from mose import Video

SIDE, PATCH = 112, 14
COMMON = {
    "memory_attention_num_layers": 1,
    "memory_attention_feed_forward_hidden_size": 64,
    "memory_fuser_num_layers": 1,
}


def sam3(score: float = 0.0) -> Any:
    """SAM 3's tracker at 112 pixels."""
    from transformers import Sam3TrackerVideoConfig, Sam3TrackerVideoModel

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
    config = Sam3TrackerVideoConfig(vision_config={"backbone_config": backbone}, **COMMON)
    config.image_size = SIDE
    return lively(Sam3TrackerVideoModel, config, score)


def sam2(score: float = 0.0) -> Any:
    """SAM 2.1 at 128 pixels."""
    from transformers import Sam2VideoConfig, Sam2VideoModel

    side = 128
    vision = {
        "backbone_config": {
            "model_type": "sam2_hiera_det_model",
            "hidden_size": 16,
            "image_size": [side, side],
            "blocks_per_stage": [1, 1, 2, 1],
            "embed_dim_per_stage": [16, 32, 64, 128],
            "num_attention_heads_per_stage": [1, 2, 4, 8],
            "global_attention_blocks": [3],
        },
        "backbone_channel_list": [128, 64, 32, 16],
        "backbone_feature_sizes": [[side // 4] * 2, [side // 8] * 2, [side // 16] * 2],
    }
    config = Sam2VideoConfig(
        vision_config=vision,
        prompt_encoder_config={"image_size": side, "patch_size": 16},
        image_size=side,
        memory_attention_rope_feat_sizes=[side // 16] * 2,
        **COMMON,
    )
    return lively(Sam2VideoModel, config, score)


def edgetam(score: float = 0.0) -> Any:
    """EdgeTAM at 128 pixels, with this project's image encoder, which has but one size."""
    from transformers import EdgeTamVideoConfig, EdgeTamVideoModel

    side = 128
    encoder = {
        "model_type": "timm_wrapper",
        "architecture": "repvit_m1.dist_in1k",
        "model_args": {"in_chans": 3, "features_only": True, "out_indices": [0, 1, 2, 3]},
        "num_classes": 1,  # without these two the package asks timm for ImageNet's
        "label_names": ["anything"],
    }
    sizes = [[side // 4] * 2, [side // 8] * 2, [side // 16] * 2]
    config = EdgeTamVideoConfig(
        vision_config={
            "model_type": "edgetam_vision_model",
            "backbone_config": encoder,
            "backbone_feature_sizes": sizes,
        },
        prompt_encoder_config={"image_size": side, "patch_size": 16},
        image_size=side,
        memory_attention_rope_feat_sizes=[side // 16] * 2,
        memory_attention_rope_k_sizes=[4, 4],
        memory_attention_mlp_hidden_size=64,
        memory_attention_num_layers=2,
        memory_fuser_num_layers=1,
        perceiver_resampler_num_latents=16,
        perceiver_resampler_num_latents_2d=16,
    )
    with own_backbone():
        model = lively(EdgeTamVideoModel, config, score)
    with torch.no_grad():  # logits of some tens, so that rounding is far below 1e-4
        for head in model.mask_decoder.output_hypernetworks_mlps:
            head.proj_out.weight.mul_(0.05)
            head.proj_out.bias.mul_(0.05)
    return model


def make_sam3(folder: Path, videos: Iterable[Video]) -> dict[str, Any]:
    """For the contract's tests, with logits below those of a given mask, as trained networks have
    them: a given mask must stand against the other objects of its frame."""
    model = sam3()
    with torch.no_grad():
        for head in model.mask_decoder.output_hypernetworks_mlps:
            head.proj_out.weight.mul_(5e-5)
            head.proj_out.bias.mul_(5e-5)
    return {"weights": save(model, folder)}


def lively(kind: Any, config: Any, score: float) -> Any:
    """Random weights under which masks depend on the object and what is remembered of it."""
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(0)
        model = kind(config).eval()
        for name, parameter in model.named_parameters():
            if "timm_model" in name and parameter.dim() > 1:  # twenty blocks must not blow up
                torch.nn.init.normal_(parameter, std=parameter[0].numel() ** -0.5)
            elif "timm_model" in name:
                torch.nn.init.normal_(parameter, mean=float("bn.weight" in name), std=0.1)
            elif parameter.dim() > 1:
                torch.nn.init.normal_(parameter, std=parameter.shape[-1] ** -0.5)
            elif "norm" not in name:
                torch.nn.init.normal_(parameter, std=0.1)
        last = model.mask_decoder.pred_obj_score_head.proj_out
        last.weight.mul_(3)
        last.bias.fill_(score)
    return model


def save(model: Any, folder: Path) -> Path:
    model.save_pretrained(folder)
    return folder / "model.safetensors"


def package_run(
    model: Any, frames: list[np.ndarray], prompts: Mapping[int, np.ndarray], mean: float, std: float
) -> dict[tuple[int, int], tuple[np.ndarray, float]]:
    """(frame, object) -> logits and object score of the package, every object by itself.

    In one session a mask that is given later would make those of all other objects on that frame
    binary on their way into memory.
    """
    module = __import__(type(model).__module__, fromlist=["x"])
    session_kind = getattr(module, type(model).__name__.replace("Model", "InferenceSession"))
    side = model.image_size
    pixels = [np.array(Image.fromarray(frame).resize((side, side))) for frame in frames]
    video = torch.tensor(np.stack(pixels)).permute(0, 3, 1, 2).float() / 255
    answers = {}
    for start, ids in prompts.items():
        for object_id in np.unique(ids[ids > 0]).tolist():
            height, width = ids.shape
            session = session_kind((video - mean) / std, height, width, dtype=torch.float32)
            mask = torch.tensor(ids == object_id)[None, None].float()
            scaled = torch.nn.functional.interpolate(
                mask, (side, side), mode="bilinear", align_corners=False, antialias=True
            )
            row = session.obj_id_to_idx(object_id)
            session.add_mask_inputs(row, start, (scaled >= 0.5).float())
            session.obj_with_new_inputs = [object_id]
            for answer in model.propagate_in_video_iterator(session, start_frame_idx=start):
                logits = answer.pred_masks.reshape(answer.pred_masks.shape[-2:]).float().numpy()
                answers[answer.frame_idx, object_id] = logits, float(answer.object_score_logits)
    return answers
