"""Recipes of tiny networks, and videos to train them on, for tests."""

import csv

import cv2
import numpy as np

from finetune.recipe import TrainingRecipe
from mose.masks import write_mask
from mose.synthetic import make_clip
from stseg.options import build

# With 8 channels that a stride-2 1x1 convolution doubles, oneDNN 3.12 corrupts the heap in the
# backward pass on more than one thread; with 12 it does not.
OBJECT = {
    "image_depth": 10, "image_width": 12, "mask_depth": 10, "mask_width": 12, "pixel_dim": 16,
    "key_dim": 8, "value_dim": 16, "sensory_dim": 8, "embed_dim": 16, "decoder_dims": [12, 8],
    "blocks": 1, "queries": 4, "hidden": 16,
}  # fmt: skip
SIZES = {
    "xmem": {
        "image_depth": 10, "image_width": 12, "mask_depth": 10, "mask_width": 12, "key_dim": 8,
        "value_dim": 16, "sensory_dim": 8, "sensory_hidden": 16, "decoder_dims": [16, 12, 8],
    },
    "cutie": OBJECT,
    "livos": OBJECT,
    "tmo": {"resnet": [10, 12], "channels": 8},
}  # fmt: skip


def recipe(network="xmem", **changes):
    values = {
        "network": network,
        "sizes": SIZES[network],
        "batch": 1,
        "steps": 40,
        "data": {"size": 64, "frames": 3, "objects": 2, "preset": "easy"},
        "optimiser": {"rate": 3e-3, "clip": 3},
        "loss": {"hardest": 1},
    }
    return build(TrainingRecipe, values | changes, "a test")


def read_log(folder):
    with open(folder / "log.csv", newline="") as file:
        return list(csv.DictReader(file))


HEIGHT, WIDTH, FRAMES = 72, 96, 6


def write_videos(root, names, binary=False, skip=()):
    """Videos in MOSE's layout; binary: one object and masks of 0 and 255, as DAVIS 2016 has."""
    for seed, name in enumerate(names):
        clip = make_clip(seed, FRAMES, HEIGHT, WIDTH, 1 if binary else 2, "easy")
        for kind in ("JPEGImages", "Annotations"):
            (root / kind / name).mkdir(parents=True)
        for t, (frame, ids) in enumerate(zip(clip.frames, clip.labels, strict=True)):
            path = root / "JPEGImages" / name / f"{t:05d}.jpg"
            cv2.imwrite(str(path), frame[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, 95])
            path = root / "Annotations" / name / f"{t:05d}.png"
            if binary:
                cv2.imwrite(str(path), (ids > 0).astype(np.uint8) * 255)
            elif t not in skip:
                write_mask(path, ids)
    return root
