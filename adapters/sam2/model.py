"""Building SAM 2 modules, and their weights in and out of files.

The modules are those of package ``sam2``, put together by its constructors: Hydra and its
configuration files are not needed.
"""

from __future__ import annotations

import contextlib
import dataclasses
import io
from collections.abc import Mapping
from pathlib import Path

from torch import Tensor, nn

from adapters.networks.resnet import ResNet
from adapters.sam2.config import Sam2Config, discover
from adapters.sam2.package import sam2_module
from adapters.weights.checkpoints import fill, load_state, stored_config
from adapters.weights.families import describe, family_of, plain_names
from mose import InputError

STOCK_SCALE, STOCK_BIAS = 20.0, -10.0
"""The scale and bias with which the published networks were trained to feed masks back into
memory."""


def build(
    config: Sam2Config,
    *,
    drop_path: float = 0.0,
    dropout: float = 0.1,
    optimised: bool = False,
) -> nn.Module:
    """A SAM 2 network with random weights, in training mode: ``sam2``'s ``SAM2Base``.

    drop_path   stochastic depth of the image encoder in training
    dropout     of memory attention in training
    optimised   the package's predictor for video object segmentation, whose parts are
                compiled (``SAM2VideoPredictorVOS``); parameters have the same names

    Its parameter names are those of the official checkpoints. Raises `InputError` where
    package ``sam2`` is missing.
    """
    parts = {
        "image_encoder": _image_encoder(config, drop_path),
        "memory_attention": _memory_attention(config, dropout),
        "memory_encoder": _memory_encoder(config),
    }
    settings: dict[str, int | float | bool] = {
        "num_maskmem": config.memory_frames,
        "max_obj_ptrs_in_encoder": config.pointers,
        "image_size": config.image_size,
        "sigmoid_scale_for_mem_enc": STOCK_SCALE,
        "sigmoid_bias_for_mem_enc": STOCK_BIAS,
        "use_mask_input_as_output_without_sam": True,
        "directly_add_no_mem_embed": True,
        "use_high_res_features_in_sam": True,
        "multimask_output_in_sam": True,
        "multimask_output_for_tracking": True,
        "multimask_min_pt_num": 0,
        "multimask_max_pt_num": 1,
        "use_multimask_token_for_obj_ptr": True,
        "iou_prediction_use_sigmoid": True,
        "use_obj_ptrs_in_encoder": True,
        "only_obj_ptrs_in_the_past_for_eval": True,
        "use_mlp_for_obj_ptr_proj": True,
        "pred_obj_scores": True,
        "pred_obj_scores_mlp": True,
        "fixed_no_obj_ptr": True,
    }
    newer = config.version == "2.1"
    settings["no_obj_embed_spatial"] = newer
    settings["add_tpos_enc_to_obj_ptrs"] = newer
    settings["proj_tpos_enc_in_obj_ptrs"] = newer
    settings["use_signed_tpos_enc_to_obj_ptrs"] = newer
    if not optimised:
        return sam2_module("modeling.sam2_base").SAM2Base(**parts, **settings)
    predictor = sam2_module("sam2_video_predictor").SAM2VideoPredictorVOS
    with contextlib.redirect_stdout(io.StringIO()):  # it prints what it compiles
        return predictor(**parts, **settings, compile_image_encoder=True)


def uncompile(model: nn.Module) -> None:
    """Take the compiled functions of an ``optimised`` network away again."""
    for module in model.modules():
        module.__dict__.pop("forward", None)


def load(
    path: str | Path,
    *,
    name: str = "",
    optimised: bool = False,
    notes: list[str] | None = None,
) -> tuple[nn.Module, Sam2Config]:
    """A network in evaluation mode with the weights of a checkpoint, on the CPU.

    path   official, fine-tuned or small custom; ``.pt`` (weights under ``model``) or safetensors
    name   one of `adapters.sam2.config.OFFICIAL`, to insist on it
    notes  is given a sentence where names were changed

    Weights of any precision become float32. Raises `InputError` for a checkpoint that is not
    there, cannot be read, or is none of SAM 2.
    """
    state = load_state(path, notes)
    if family_of(state) != "sam2":
        raise InputError(
            f"checkpoint {path} is no SAM 2 checkpoint, it {describe(state)}:"
            " give the weights of SAM 2 or 2.1"
        )
    shapes = {key: tuple(value.shape) for key, value in state.items()}
    config = discover(shapes, str(path), stored=stored_config(path), name=name)
    model = build(config, optimised=optimised)
    fill(model, state, path, f"SAM 2 with embedding {config.embed_dim}")
    return _for_inference(model), config


def resized(
    model: nn.Module, config: Sam2Config, size: int, *, optimised: bool = False
) -> tuple[nn.Module, Sam2Config]:
    """The same network for another working size, on the same weights in memory."""
    other = dataclasses.replace(config, image_size=size)
    twin = build(other, optimised=optimised)
    twin.load_state_dict(model.state_dict(), assign=True)
    return _for_inference(twin), other


def to_official(state: Mapping[str, Tensor]) -> dict[str, dict[str, Tensor]]:
    """Weights as the official checkpoints hold them, for the package's own predictors.

    state   of a module from `build`, also wrapped for training or compiled

    Returns ``{"model": {name: tensor}}`` without the prefixes that wrappers put on names.
    """
    return {"model": plain_names(state)[0]}


def _for_inference(model: nn.Module) -> nn.Module:
    return model.requires_grad_(False).eval()


class ConvolutionalTrunk(ResNet):
    """A ResNet where the package expects Hiera, with the maps at strides 4, 8 and 16."""

    @property
    def channel_list(self) -> list[int]:
        """Channels of the maps, the coarsest first, as the package counts them."""
        return [*reversed(self.channels)]


def _image_encoder(config: Sam2Config, drop_path: float) -> nn.Module:
    encoder = sam2_module("modeling.backbones.image_encoder")
    if config.resnet:
        trunk = ConvolutionalTrunk(config.resnet, stages=3, width=config.embed_dim)
        neck = encoder.FpnNeck(
            position_encoding=_sine(config.d_model),
            d_model=config.d_model,
            backbone_channel_list=trunk.channel_list,
            fpn_top_down_levels=[],
        )
        return encoder.ImageEncoder(trunk=trunk, neck=neck)
    trunk = sam2_module("modeling.backbones.hieradet").Hiera(
        embed_dim=config.embed_dim,
        num_heads=config.num_heads,
        drop_path_rate=drop_path,
        stages=config.stages,
        global_att_blocks=config.global_blocks,
        window_spec=config.windows,
        window_pos_embed_bkg_spatial_size=config.pos_embed_size,
    )
    neck = encoder.FpnNeck(
        position_encoding=_sine(config.d_model),
        d_model=config.d_model,
        backbone_channel_list=[config.embed_dim * 2**stage for stage in (3, 2, 1, 0)],
        fpn_top_down_levels=[2, 3],
        fpn_interp_model="nearest",
    )
    return encoder.ImageEncoder(trunk=trunk, neck=neck, scalp=1)


def _memory_attention(config: Sam2Config, dropout: float) -> nn.Module:
    attention = sam2_module("modeling.memory_attention")
    rope = sam2_module("modeling.sam.transformer").RoPEAttention
    common = {
        "rope_theta": 10000.0,
        "feat_sizes": (config.image_size // 16,) * 2,
        "embedding_dim": config.d_model,
        "num_heads": 1,
        "downsample_rate": 1,
        "dropout": dropout,
    }
    layer = attention.MemoryAttentionLayer(
        activation="relu",
        d_model=config.d_model,
        dim_feedforward=config.feedforward,
        dropout=dropout,
        pos_enc_at_attn=False,
        pos_enc_at_cross_attn_keys=True,
        pos_enc_at_cross_attn_queries=False,
        self_attention=rope(**common),
        cross_attention=rope(**common, rope_k_repeat=True, kv_in_dim=config.memory_dim),
    )
    return attention.MemoryAttention(
        d_model=config.d_model,
        pos_enc_at_input=True,
        layer=layer,
        num_layers=config.attention_layers,
    )


def _memory_encoder(config: Sam2Config) -> nn.Module:
    encoder = sam2_module("modeling.memory_encoder")
    block = encoder.CXBlock(
        dim=config.d_model, kernel_size=7, padding=3, layer_scale_init_value=1e-6, use_dwconv=True
    )
    return encoder.MemoryEncoder(
        in_dim=config.d_model,
        out_dim=config.memory_dim,
        position_encoding=_sine(config.memory_dim),
        mask_downsampler=encoder.MaskDownSampler(
            embed_dim=config.d_model, kernel_size=3, stride=2, padding=1
        ),
        fuser=encoder.Fuser(layer=block, num_layers=config.fuser_layers),
    )


def _sine(channels: int) -> nn.Module:
    position = sam2_module("modeling.position_encoding").PositionEmbeddingSine
    return position(num_pos_feats=channels, normalize=True, scale=None, temperature=10000)
