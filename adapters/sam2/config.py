"""The configuration of a SAM 2 network, and how it is found from a checkpoint.

The shapes of the weights tell everything except the working size, the number of attention heads,
and which blocks of the image encoder attend how far. For the official networks, and those
fine-tuned from them, these follow from embedding size and depth. A network of other sizes carries
them with it: a JSON object under ``config`` in the header of a
safetensors file, or an entry ``config`` beside ``model`` in a ``.pt`` file.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass

from mose import InputError
from stseg.errors import unknown
from stseg.options import Source, build

STRIDE = 32
"""Of the coarsest feature map: working sizes are multiples of it."""

BASIC = {10: 1, 18: 2, 34: 3}
"""Depth of a ResNet of basic blocks -> blocks of its first stage."""


@dataclass(frozen=True)
class Sam2Config:
    """A network; the defaults are SAM 2.1 tiny.

    image_size         side of the square at which it works, a multiple of 32
    embed_dim          channels of the first stage of the image encoder (Hiera)
    num_heads          attention heads of the first stage; both double with each stage
    stages             blocks per stage, four of them
    global_blocks      blocks that attend over the whole image
    windows            side of the attention window per stage elsewhere
    pos_embed_size     (height, width) of the learned position map
    resnet             depth of a ResNet as image encoder, in place of Hiera: small networks
                       learn sooner with one, and can start from one that has learnt. Its three
                       stages have embed_dim, 2 and 4 times embed_dim channels; the five
                       entries before mean nothing. 0: Hiera
    d_model            channels of image features, object pointers and mask decoder
    memory_dim         channels of memory features; divides d_model
    memory_frames      frames in memory: one with a given mask, the others recent
    pointers           object pointers in memory, at most
    attention_layers   layers of memory attention
    feedforward        hidden channels of its feed-forward networks
    fuser_layers       ConvNeXt blocks of the memory encoder
    version            "2.1", or "2": without an embedding for absent objects and without
                       temporal positions of object pointers
    """

    image_size: int = 1024
    embed_dim: int = 96
    num_heads: int = 1
    stages: tuple[int, ...] = (1, 2, 7, 2)
    global_blocks: tuple[int, ...] = (5, 7, 9)
    windows: tuple[int, ...] = (8, 4, 14, 7)
    pos_embed_size: tuple[int, int] = (7, 7)
    resnet: int = 0
    d_model: int = 256
    memory_dim: int = 64
    memory_frames: int = 7
    pointers: int = 16
    attention_layers: int = 4
    feedforward: int = 2048
    fuser_layers: int = 2
    version: str = "2.1"

    def __post_init__(self) -> None:
        hiera = not self.resnet
        starts = [sum(self.stages[:stage]) for stage in (1, 2, 3)]
        problems = {
            f"image_size {self.image_size} is no multiple of {STRIDE}": (
                self.image_size <= 0 or self.image_size % STRIDE
            ),
            f"resnet is {self.resnet}, not 0, {', '.join(map(str, BASIC))}": (
                self.resnet not in (0, *BASIC)
            ),
            "stages and windows are not four numbers each": hiera
            and (len(self.stages) != 4 or len(self.windows) != 4),
            f"a quarter of image_size {self.image_size} is no multiple of the first window": (
                hiera and (self.image_size // 4) % self.windows[0]
            ),
            f"global_blocks {list(self.global_blocks)} hold one that starts a stage or is none": (
                hiera
                and set(self.global_blocks) - set(range(sum(self.stages)))
                | {*starts} & set(self.global_blocks)
            ),
            f"d_model {self.d_model} is no multiple of 32 and of memory_dim {self.memory_dim}": (
                self.d_model % self.memory_dim or self.d_model % 32
            ),
            f"version {self.version} is neither 2 nor 2.1": self.version not in ("2", "2.1"),
        }
        for problem, there in problems.items():
            if there:
                raise InputError(f"there is no SAM 2 network in which {problem}")

    @property
    def knows_boxes(self) -> bool:
        """Whether it was trained with boxes, as published networks are. Those with a ResNet are
        this project's own and were trained from masks alone: what they make of a box is noise."""
        return not self.resnet

    def json(self) -> str:
        """The configuration as it is stored with weights; `Sam2Config.parse` reads it."""
        return json.dumps(dataclasses.asdict(self))

    @classmethod
    def parse(cls, stored: str | Mapping[str, object], where: str) -> Sam2Config:
        """A configuration from JSON or a mapping, strictly; ``where`` names the file."""
        try:
            values = json.loads(stored) if isinstance(stored, str) else stored
            return build(cls, values, Source(f" of the configuration in {where}", "entry"))
        except (ValueError, LookupError, ArithmeticError) as error:
            if isinstance(error, InputError):
                raise
            raise InputError(
                f"the SAM 2 configuration stored in {where} cannot be read ({error})"
            ) from None


_TRUNKS = {
    "tiny": Sam2Config(),
    "small": Sam2Config(stages=(1, 2, 11, 2), global_blocks=(7, 10, 13)),
    "base-plus": Sam2Config(
        embed_dim=112,
        num_heads=2,
        stages=(2, 3, 16, 3),
        global_blocks=(12, 16, 20),
        pos_embed_size=(14, 14),
    ),
    "large": Sam2Config(
        embed_dim=144,
        num_heads=2,
        stages=(2, 6, 36, 4),
        global_blocks=(23, 33, 43),
        windows=(8, 4, 16, 8),
    ),
}

OFFICIAL = {
    f"sam{version}-hiera-{size}": dataclasses.replace(trunk, version=version)
    for version in ("2", "2.1")
    for size, trunk in _TRUNKS.items()
}
"""The published networks by the names of their checkpoints in configs/weights.yaml."""

Shapes = Mapping[str, tuple[int, ...]]


def discover(
    shapes: Shapes, where: str, *, stored: str | Mapping[str, object] | None = None, name: str = ""
) -> Sam2Config:
    """The configuration of a checkpoint.

    shapes   name -> shape of every weight
    where    the file, for messages
    stored   the configuration stored with the weights, if any
    name     one of `OFFICIAL`, to insist on it

    A name has precedence over what is stored, and that over what the shapes tell. Raises
    `InputError` where the shapes are not those of a SAM 2 network, contradict what is named
    or stored, or leave something open.
    """
    told = _from_shapes(shapes, where)
    if name:
        if name not in OFFICIAL:
            raise unknown("configuration", name, OFFICIAL, " of adapter 'sam2'")
        return _agreeing(OFFICIAL[name], told, f"configuration {name}", where)
    if stored is not None:
        return _agreeing(Sam2Config.parse(stored, where), told, "the stored configuration", where)
    for config in OFFICIAL.values():
        if all(getattr(config, key) == told.get(key) for key in ("embed_dim", "stages", "version")):
            whole = dataclasses.replace(config, **told)  # type: ignore[arg-type]
            return _agreeing(whole, told, "", where)
    raise InputError(
        f"checkpoint {where} is a SAM 2 network of unknown size (embedding {told['embed_dim']},"
        f" stages {told.get('stages')}): store its configuration under 'config' with the"
        " weights"
    )


def _agreeing(config: Sam2Config, told: Mapping[str, object], what: str, where: str) -> Sam2Config:
    for key, value in told.items():
        if getattr(config, key) != value:
            raise InputError(
                f"checkpoint {where} does not fit {what}: its {key} is {value},"
                f" not {getattr(config, key)}"
            )
    return config


def _from_shapes(shapes: Shapes, where: str) -> dict[str, object]:
    """What the shapes alone tell, as fields of `Sam2Config`."""
    try:
        position = shapes["maskmem_tpos_enc"]
        return {
            **_trunk(shapes),
            "d_model": shapes["no_mem_embed"][2],
            "memory_dim": position[3],
            "memory_frames": position[0],
            "attention_layers": _count(shapes, "memory_attention.layers"),
            "feedforward": shapes["memory_attention.layers.0.linear1.weight"][0],
            "fuser_layers": _count(shapes, "memory_encoder.fuser.layers"),
            "version": "2.1" if "no_obj_embed_spatial" in shapes else "2",
        }
    except (LookupError, StopIteration):
        raise InputError(
            f"checkpoint {where} holds no SAM 2 network: give one of SAM 2 or SAM 2.1"
        ) from None


def _trunk(shapes: Shapes) -> dict[str, object]:
    trunk = "image_encoder.trunk"
    if f"{trunk}.conv1.weight" in shapes:
        blocks = _count(shapes, f"{trunk}.layer1")
        depth = next(depth for depth, first in BASIC.items() if first == blocks)
        return {"embed_dim": shapes[f"{trunk}.conv1.weight"][0], "resnet": depth}
    first_of_stage = [
        block
        for block in range(_count(shapes, f"{trunk}.blocks"))
        if block == 0 or f"{trunk}.blocks.{block}.proj.weight" in shapes
    ]
    ends = [*first_of_stage[1:], _count(shapes, f"{trunk}.blocks")]
    return {
        "embed_dim": shapes[f"{trunk}.patch_embed.proj.weight"][0],
        "stages": tuple(end - start for start, end in zip(first_of_stage, ends, strict=True)),
        "pos_embed_size": tuple(shapes[f"{trunk}.pos_embed"][2:]),
    }


def _count(shapes: Shapes, prefix: str) -> int:
    """How many numbered modules there are under ``prefix``."""
    depth = prefix.count(".") + 1
    return len({name.split(".")[depth] for name in shapes if name.startswith(f"{prefix}.")})
