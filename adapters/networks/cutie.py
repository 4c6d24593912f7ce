"""Cutie's network (Cheng et al. 2024, "Putting the Object Back into Video Object Segmentation").

Shapes as in `adapters.networks.object_network`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from torch import Tensor

from adapters.networks.affinity import ImageFeatures, read_frames
from adapters.networks.blocks import KeyProjection
from adapters.networks.naming import Naming
from adapters.networks.object_network import CutieConfig, ObjectNetwork, shared_config
from adapters.networks.object_transformer import OFFICIAL_NAMES
from adapters.networks.ops import normalise


class Cutie(ObjectNetwork):
    """Cutie: keys with shrinkage and selection for a memory that is read by similarity."""

    def __init__(self, config: CutieConfig):
        super().__init__(config)
        self.key_projection = KeyProjection(config.pixel_dim, config.key_dim)

    def encode_images(self, images: Tensor) -> ImageFeatures:
        """RGB ``(B, 3, H, W)`` in [0, 1], padded with zeros where H or W needs it."""
        f4, f8, f16 = self.image_encoder(normalise(images))
        key, shrinkage, selection = self.key_projection(self.key_reduction(f16))
        skip8, skip4 = self.decoder.skip8(f8), self.decoder.skip4(f4)
        return ImageFeatures(self.pixel_projection(f16), key, shrinkage, selection, skip8, skip4)

    def read(self, query: ImageFeatures, memory: list[ImageFeatures], values: Tensor) -> Tensor:
        """Readout ``(B * N, V, h, w)`` from whole frames, for training: no top-k.

        memory   features of T earlier frames, each of B images
        values   ``(B, N, T, V, h, w)``
        """
        return read_frames(query, memory, values)


def config_of(state: Mapping[str, Tensor]) -> CutieConfig:
    """The sizes of the network behind a state dict in the project's names.

    Raises `KeyError` for an entry that is not there, `ValueError` for an unknown ResNet.
    """
    key_dim = state["key_projection.key.weight"].shape[0]
    return CutieConfig(**shared_config(state), key_dim=key_dim)  # type: ignore[arg-type]


def _official_names() -> Iterator[tuple[str, str]]:
    yield "image_encoder.layer1.~", "pixel_encoder.res2.~"
    yield "image_encoder.~", "pixel_encoder.~"
    yield "pixel_projection.~", "pix_feat_proj.~"
    yield "key_reduction.~", "key_proj.pix_feat_proj.~"
    yield "key_projection.key.~", "key_proj.key_proj.~"
    yield "key_projection.shrinkage.~", "key_proj.d_proj.~"
    yield "key_projection.selection.~", "key_proj.e_proj.~"
    for ours, official in (
        ("value_fusion", "mask_encoder.fuser"),
        ("readout_fusion", "pixel_fuser.fuser"),
    ):
        yield f"{ours}.image_projection.~", f"{official}.distributor.x_transform.~"
        yield f"{ours}.object_projection.~", f"{official}.distributor.g_transform.~"
        yield f"{ours}.block#.attention.~", f"{official}.block#.conv.~"
        yield f"{ours}.block#.~", f"{official}.block#.~"
    yield "deep_sensory.~", "mask_encoder.sensory_update.~"
    yield "readout_sensory.~", "pixel_fuser.sensory_compress.~"
    yield "decoder.sensory.update.transform.~", "mask_decoder.sensory_update.transform.~"
    for stride in (16, 8, 4):
        name = f"mask_decoder.sensory_update.g{stride}_conv.~"
        yield f"decoder.sensory.project{stride}.~", name
    yield "decoder.skip8.~", "mask_decoder.decoder_feat_proc.transforms.0.~"
    yield "decoder.skip4.~", "mask_decoder.decoder_feat_proc.transforms.1.~"
    for ours, official in (("up8", "up_16_8"), ("up4", "up_8_4")):
        yield f"decoder.{ours}.block.skip.~", f"mask_decoder.{official}.out_conv.downsample.~"
        yield f"decoder.{ours}.block.~", f"mask_decoder.{official}.out_conv.~"
    yield "decoder.predict.~", "mask_decoder.pred.~"
    yield "sensory_head.~", "aux_computer.sensory_aux.~"
    yield from OFFICIAL_NAMES


NAMES = Naming(_official_names())
"""The project's names and those of the published checkpoints."""
