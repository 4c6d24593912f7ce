"""Small SAM 2 networks, and the package's own predictor on the same weights."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from PIL import Image
from safetensors.torch import save_file

from adapters.sam2.config import Sam2Config
from adapters.sam2.model import build
from adapters.sam2.package import sam2_module
from mose import Video
from mose.video import Prompts, open_video

TINY = Sam2Config(
    image_size=128,
    embed_dim=16,
    num_heads=1,
    stages=(1, 1, 2, 1),
    global_blocks=(3,),
    d_model=64,
    memory_dim=16,
    attention_layers=2,
    feedforward=128,
)
WIDER = Sam2Config(
    image_size=128,
    embed_dim=24,
    num_heads=2,
    stages=(1, 2, 3, 2),
    global_blocks=(4, 7),
    windows=(8, 4, 16, 8),
    pos_embed_size=(14, 14),
    d_model=128,
    memory_dim=64,
    attention_layers=3,
    feedforward=256,
)
SMALLEST = Sam2Config(
    image_size=64,
    embed_dim=8,
    stages=(1, 1, 2, 1),
    global_blocks=(3,),
    d_model=32,
    memory_dim=16,
    attention_layers=1,
    feedforward=32,
    fuser_layers=1,
)
CONVOLUTIONAL = replace(SMALLEST, resnet=10)

COMING_AND_GOING = 0.5
"""Added to the object score of `SMALLEST`: objects come and go."""


def weights(config: Sam2Config, score: float = 2.3) -> dict[str, torch.Tensor]:
    """Random weights under which masks depend on the object and what is remembered of it.

    score   added to the object score; raised or lowered, objects come or go
    """
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(0)
        model: Any = build(config)
        if not config.resnet:
            model.image_encoder.trunk.pos_embed.normal_(std=0.1)
        for block in model.memory_encoder.fuser.layers:
            block.gamma.fill_(0.5)
        for layer in model.memory_attention.layers:
            for part, gain in (("q_proj", 8), ("k_proj", 8), ("v_proj", 3), ("out_proj", 3)):
                getattr(layer.cross_attn_image, part).weight.mul_(gain)
        for head in model.sam_mask_decoder.output_hypernetworks_mlps:
            head.layers[-1].weight.mul_(10)
        head = model.sam_mask_decoder.pred_obj_score_head.layers[-1]
        head.weight.mul_(20)
        head.bias.fill_(score)
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def save(folder: Path, config: Sam2Config, state: Mapping[str, torch.Tensor]) -> Path:
    """A checkpoint as the project keeps small networks."""
    path = folder / "sam2.safetensors"
    save_file(dict(state), path, metadata={"config": config.json()})
    return path


def make_sam2(folder: Path, videos: Iterable[Video]) -> dict[str, Any]:
    """For the contract's tests."""
    return {"weights": save(folder, SMALLEST, weights(SMALLEST))}


def discs(frames: int, objects: int = 3, height: int = 60, width: int = 80) -> tuple[Any, Any]:
    """Moving discs before a coarse texture: frames, and id masks of all of them.

    The ids have gaps.
    """
    rng = np.random.default_rng(3)
    coarse = Image.fromarray(rng.integers(0, 255, (8, 10, 3), dtype=np.uint8))
    ground, colours = np.array(coarse.resize((width, height))), rng.integers(0, 255, (objects, 3))
    rows, columns = np.mgrid[:height, :width]
    pictures, masks = [], []
    for index in range(frames):
        picture, ids = ground.copy(), np.zeros((height, width), np.uint8)
        for number, colour in enumerate(colours):
            row = height * (number + 1) / (objects + 1) + 2 * np.sin(index / 3 + number)
            column = width * 0.25 + 1.5 * index + 6 * number
            inside = (rows - row) ** 2 + (columns - column) ** 2 < (0.09 * width) ** 2
            picture[inside], ids[inside] = colour, 1 + 3 * number
        pictures.append(picture)
        masks.append(ids)
    return pictures, masks


def jpegs(folder: Path, pictures: Iterable[np.ndarray]) -> Path:
    folder.mkdir()
    for index, picture in enumerate(pictures):
        Image.fromarray(picture).save(folder / f"{index:05d}.jpg", quality=95)
    return folder


def with_prompts(folder: Path, prompts: Mapping[int, np.ndarray]) -> Video:
    """A folder of frames with given masks."""
    video = open_video(folder)
    return Video(video.name, video, Prompts(prompts), video.frame_names)


def package_model(
    config: Sam2Config, state: Mapping[str, torch.Tensor], **settings: Any
) -> torch.nn.Module:
    """The package's ``SAM2VideoPredictor`` by its own configuration files, and no post-processing.

    settings   of the model, by the package's names
    """
    import hydra
    from omegaconf import OmegaConf

    package = Path(sam2_module("modeling").__file__).parents[1]
    side, dim = [config.image_size // 16] * 2, config.d_model
    attention = {"embedding_dim": dim, "feat_sizes": side}
    channels = [config.embed_dim * factor for factor in (8, 4, 2, 1)]
    own = {
        "_target_": "sam2.sam2_video_predictor.SAM2VideoPredictor",
        "image_size": config.image_size,
        "num_maskmem": config.memory_frames,
        "image_encoder": {
            "trunk": {
                "embed_dim": config.embed_dim,
                "num_heads": config.num_heads,
                "stages": config.stages,
                "global_att_blocks": config.global_blocks,
                "window_spec": config.windows,
                "window_pos_embed_bkg_spatial_size": config.pos_embed_size,
            },
            "neck": {
                "d_model": dim,
                "backbone_channel_list": channels,
                "position_encoding": {"num_pos_feats": dim},
            },
        },
        "memory_attention": {
            "d_model": dim,
            "num_layers": config.attention_layers,
            "layer": {
                "d_model": dim,
                "dim_feedforward": config.feedforward,
                "self_attention": attention,
                "cross_attention": {**attention, "kv_in_dim": config.memory_dim},
            },
        },
        "memory_encoder": {
            "in_dim": dim,
            "out_dim": config.memory_dim,
            "position_encoding": {"num_pos_feats": config.memory_dim},
            "mask_downsampler": {"embed_dim": dim},
            "fuser": {"layer": {"dim": dim}, "num_layers": config.fuser_layers},
        },
        **settings,
    }
    folder, name = (
        ("sam2.1", "sam2.1_hiera_t") if config.version == "2.1" else ("sam2", "sam2_hiera_t")
    )
    published = OmegaConf.load(package / "configs" / folder / f"{name}.yaml")
    merged = OmegaConf.merge(published, OmegaConf.create({"model": own}))
    OmegaConf.resolve(merged)
    model = hydra.utils.instantiate(merged.model, _recursive_=True).eval()
    model.load_state_dict(state)
    return model


class Expected(NamedTuple):
    """Of one object on one frame.

    low     ``(h, w)`` logits of the network
    full    ``(H, W)`` logits at the video's size
    score   object score
    """

    low: np.ndarray
    full: np.ndarray
    score: float


def package_run(
    model: Any,
    folder: Path,
    prompts: Mapping[int, np.ndarray],
    *,
    promote: int = 0,
    quality: float = 0.6,
    corrections: Mapping[int, np.ndarray] | None = None,
) -> dict[tuple[int, int], Expected]:
    """(frame, object) -> what the package says, every object on its own from its first mask.

    promote   frames above ``quality`` that reliable conditioned memory makes conditioning ones,
              done here on the package's own records, as its publication describes it
    corrections   masks of objects on later frames than their first, given when all frames before
              have been followed
    """
    found = {}
    ious = _recorded_ious(model)
    for start, ids in prompts.items():
        for object_id in np.unique(ids[ids > 0]).tolist():
            with contextlib.redirect_stderr(io.StringIO()):
                state = model.init_state(str(folder))
                model.add_new_mask(state, start, object_id, ids == object_id)
                good: list[int] | None = [] if promote else None
                for index, _, full in _propagated(model, state, object_id, corrections or {}):
                    records = state["output_dict_per_obj"][0]
                    kept, recent = records["cond_frame_outputs"], records["non_cond_frame_outputs"]
                    record = kept[index] if index in kept else recent[index]
                    low = record["pred_masks"][0, 0]
                    score = float(record["object_score_logits"])
                    found[index, object_id] = Expected(
                        low.numpy().copy(), full[0, 0].numpy(), score
                    )
                    if good is None or index == start:
                        continue
                    if score <= 0:
                        for chosen in good[-promote:]:
                            kept[chosen] = recent.pop(chosen)
                        good = None
                    elif _quality(low, score, ious[-1]) > quality:
                        good.append(index)
    return found


def _propagated(
    model: Any, state: Any, object_id: int, corrections: Mapping[int, np.ndarray]
) -> Iterator[tuple[int, Any, torch.Tensor]]:
    """The package's answers, with masks added on the way."""
    mine = {t: ids == object_id for t, ids in corrections.items() if (ids == object_id).any()}
    start = None
    for later, mask in sorted(mine.items()):
        first = start if start is not None else min(state["mask_inputs_per_obj"][0])
        yield from model.propagate_in_video(
            state, start_frame_idx=first, max_frame_num_to_track=later - first - 1
        )
        model.add_new_mask(state, later, object_id, mask)
        start = later
    yield from model.propagate_in_video(state, start_frame_idx=start)


def _quality(logits: torch.Tensor, score: float, iou: float) -> float:
    """Of a mask (MOSEv2): object score, predicted IoU and mean foreground probability."""
    inside = logits[logits > 0].sigmoid()
    return float(torch.tensor(score).sigmoid() * iou * inside.mean()) if len(inside) else 0.0


def _recorded_ious(model: Any) -> list[float]:
    """The best predicted IoU of every call of the mask decoder from now on."""
    best: list[float] = []
    model.sam_mask_decoder.register_forward_hook(
        lambda module, arguments, outputs: best.append(float(outputs[1].max()))
    )
    return best
