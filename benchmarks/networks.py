"""Frames per second of a network adapter beside its reference implementation, on one clip.

    python -m benchmarks.networks xmem --reference ~/XMem [--objects 1 3] [--frames 14]
    python -m benchmarks.networks xmem --long 3000 --size 64 64 --option mem_every=1

``--reference`` is a checkout of the reference's repository. Both run in this process with the
same weights, one frame of each in turn, from pixels to the id mask at the clip's size; the
first frames are not counted. Prints frames per second and how far the answers are apart.
Without ``--weights`` both get the seeded weights of the parity tests.

``--long`` runs the adapter alone over a clip of that many frames and prints the resident memory
of the process as it goes.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import numpy as np
import psutil
import torch
import torch.nn.functional as F
import yaml
from torch import Tensor

import adapters
from adapters.networks.resnet import ResNet
from adapters.tmo.segmenter import TMOSegmenter
from mose import Video
from mose.synthetic import make_clip
from mose.video import FrameSource, Prompts

PARITY = Path(__file__).resolve().parents[1] / "tests" / "fixtures" / "parity"

WARM_UP = 3

Step = Callable[[Tensor, "Tensor | None", bool], Tensor]
"""``(image (3, H, W) in [0, 1], masks (N, H, W) of frame 0 or None, last)`` -> probabilities
``(1 + N, H, W)``."""


def xmem_reference(checkout: Path, weights: Path, objects: int) -> Step:
    """hkchengrex/XMem with the defaults of its evaluation, in full precision."""
    sys.path.insert(0, str(checkout))
    from model import resnet  # type: ignore[import-not-found]

    without_downloads(resnet)
    from inference.inference_core import InferenceCore  # type: ignore[import-not-found]
    from model.network import XMem  # type: ignore[import-not-found]

    config = {
        "mem_every": 5,
        "deep_update_every": -1,
        "enable_long_term": True,
        "enable_long_term_count_usage": False,
        "max_mid_term_frames": 10,
        "min_mid_term_frames": 5,
        "max_long_term_elements": 10000,
        "num_prototypes": 128,
        "top_k": 30,
    }
    core = InferenceCore(XMem(config, str(weights), "cpu").eval(), config)
    labels = list(range(1, objects + 1))
    core.set_all_labels(labels)
    mean = torch.tensor([0.485, 0.456, 0.406])[:, None, None]
    deviation = torch.tensor([0.229, 0.224, 0.225])[:, None, None]

    def step(image: Tensor, masks: Tensor | None, last: bool) -> Tensor:
        valid = None if masks is None else labels
        return core.step((image - mean) / deviation, masks, valid, end=last)

    return step


def without_downloads(resnet: Any) -> None:
    """Building a reference network downloads ImageNet weights, which the checkpoint replaces."""
    resnet.model_zoo.load_url = lambda *_, **__: {}
    resnet.load_weights_add_extra_dim = lambda *_, **__: None


def id_mask(masks: Tensor | None) -> Tensor | None:
    """Planes ``(N, H, W)`` of 0 and 1 -> ids ``(H, W) int64``."""
    if masks is None:
        return None
    return (masks * torch.arange(1, len(masks) + 1)[:, None, None]).sum(0).long()


def cutie_reference(checkout: Path, weights: Path, objects: int) -> Step:
    """hkchengrex/Cutie with its defaults for MOSE; needs omegaconf."""
    sys.path.insert(0, str(checkout))
    from cutie.model.utils import resnet  # type: ignore[import-not-found]
    from omegaconf import OmegaConf  # type: ignore[import-not-found]

    without_downloads(resnet)
    from cutie.inference.inference_core import InferenceCore  # type: ignore[import-not-found]
    from cutie.model.cutie import CUTIE  # type: ignore[import-not-found]

    state = torch.load(weights, weights_only=True)
    config = OmegaConf.load(checkout / "cutie" / "config" / "eval_config.yaml")
    config.model = OmegaConf.load(checkout / "cutie" / "config" / "model" / "base.yaml")
    if "pixel_encoder.res2.0.conv3.weight" not in state:
        config.model.pixel_encoder = {"type": "resnet18", "ms_dims": [256, 128, 64]}
    config.update({"use_long_term": False, "mem_every": 5})
    network = CUTIE(config).eval()
    network.load_state_dict(state)
    core = InferenceCore(network, config)

    def step(image: Tensor, masks: Tensor | None, last: bool) -> Tensor:
        labels = None if masks is None else list(range(1, objects + 1))
        return core.step(image, id_mask(masks), labels, end=last)

    return step


def livos_reference(checkout: Path, weights: Path, objects: int) -> Step:
    """uncbiag/LiVOS; what reads its data sets is not needed and may be uninstallable."""
    sys.path.insert(0, str(checkout))
    unused = ("inference.data.vos_test_dataset", "inference.data.burst_test_dataset")
    for name in (*unused, "inference.utils.results_utils", "inference.utils.burst_utils"):
        sys.modules.setdefault(f"livos.{name}", MagicMock())
    from livos.model.utils import resnet  # type: ignore[import-not-found]

    without_downloads(resnet)
    from livos.eval import InferenceCore  # type: ignore[import-not-found]
    from livos.model.livos_wrapper import LIVOS  # type: ignore[import-not-found]

    network = LIVOS(model_type="base").eval()
    network.load_state_dict(torch.load(weights, weights_only=True))
    core = InferenceCore(network)

    def step(image: Tensor, masks: Tensor | None, last: bool) -> Tensor:
        labels = None if masks is None else list(range(1, objects + 1))
        out = core.step(image, id_mask(masks), labels, last)
        return out if masks is None else out.softmax(0)  # the first frame answers with log-odds

    return step


def tmo_reference(checkout: Path, weights: Path, objects: int) -> Step:
    """suhwan-cho/TMO with ResNet-101. Its encoders are made by torchvision, which is not needed:
    an unchanged `ResNet` is the same network."""
    sys.path.insert(0, str(checkout))
    torchvision = MagicMock()
    torchvision.models.resnet101 = lambda pretrained: TorchvisionResNet(101, stages=4)
    sys.modules |= {"torchvision": torchvision, "transformers": MagicMock()}
    from tmo import TMO  # type: ignore[import-not-found]

    network = TMO("rn101", aos=False).eval()
    network.load_state_dict(torch.load(weights, weights_only=True))

    def step(image: Tensor, masks: Tensor | None, last: bool) -> Tensor:
        mask = network(image[None, None], image.flip(0)[None, None])["masks"][0, 0]
        return torch.cat([1 - mask, mask])

    return step


class TorchvisionResNet(ResNet):
    """With the attributes that torchvision's has."""

    relu = torch.relu
    maxpool = partial(F.max_pool2d, kernel_size=3, stride=2, padding=1)


REFERENCES: dict[str, tuple[str, str, Callable[[Path, Path, int], Step]]] = {
    "xmem": ("xmem", "xmem", xmem_reference),
    "cutie-base": ("cutie", "cutie-base", cutie_reference),
    "cutie-small": ("cutie", "cutie-small", cutie_reference),
    "livos": ("livos", "livos", livos_reference),
    "tmo-rn101": ("tmo", "tmo-rn101", tmo_reference),
}
"""Model -> its adapter, its folder of the parity tests, and how its reference is made."""


def seeded_weights(folder: str, path: Path) -> Path:
    """The weights of the parity tests as a checkpoint at ``path``."""
    spec = importlib.util.spec_from_file_location("parity_recipe", PARITY / "recipe.py")
    assert spec is not None
    assert spec.loader is not None
    recipe = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(recipe)
    manifest = json.loads((PARITY / folder / "manifest.json").read_text())
    seed = json.loads((PARITY / folder / "cases.json").read_text())["weights_seed"]
    torch.save(recipe.seeded_state_dict(manifest, seed), path)
    return path


class Drift:
    """Frames of a picture that drifts, made when asked for."""

    def __init__(self, picture: np.ndarray, frames: int):
        self._picture, self._frames = picture, frames

    def __len__(self) -> int:
        return self._frames

    def __getitem__(self, index: int, /) -> np.ndarray:
        return np.roll(self._picture, (index, 2 * index), (0, 1))


def scene(frames: int, height: int, width: int, objects: int) -> tuple[np.ndarray, np.ndarray]:
    """Frames ``(T, H, W, 3) uint8`` of a synthetic video, and ids of frame 0 ``(H, W)``.

    No picture that drifts: the same texture again makes memory tokens nearly equal, and which of
    them is read is then decided by rounding.
    """
    made = make_clip(3, frames, height, width, objects)
    return made.frames, made.labels[0]


def drift(frames: int, height: int, width: int, objects: int) -> tuple[Drift, np.ndarray]:
    """A texture that drifts for as long as wanted, and ids of frame 0 ``(H, W)``."""
    rng = np.random.default_rng(3)
    rows, columns = np.mgrid[:height, :width]
    ids = np.zeros((height, width), np.uint8)
    for index in range(objects):
        y, x = rng.integers(height // 4, 3 * height // 4), rng.integers(width // 6, 5 * width // 6)
        inside = ((rows - y) / (height / 6)) ** 2 + ((columns - x) / (width / 8)) ** 2 < 1
        ids[inside] = index + 1
    coarse = rng.integers(0, 256, (1, 3, height // 8 + 2, width // 8 + 2)).astype(np.float32)
    texture = F.interpolate(torch.from_numpy(coarse), (height, width), mode="bicubic")[0]
    picture = texture.clamp(0, 255).permute(1, 2, 0).numpy().astype(np.uint8)
    return Drift(picture, frames), ids


def timed(call: Callable[[], Any]) -> tuple[Any, np.ndarray]:
    """Result, and seconds of the clock and of processor time."""
    start = time.perf_counter(), time.process_time()
    result = call()
    return result, np.subtract((time.perf_counter(), time.process_time()), start)


Answers = Iterator[tuple[np.ndarray, Callable[[], np.ndarray]]]
"""Per frame: ids ``(H, W)``, and what gives the probabilities ``(N, H, W)`` behind them."""


def followed(segmenter: adapters.Segmenter, images: FrameSource, ids: np.ndarray) -> Answers:
    """The answers of a model that follows objects."""
    for frame in segmenter.segment(Video("clip", images, Prompts({0: ids}))):
        yield frame.labels(*ids.shape), partial(frame.probabilities, *ids.shape)


def foreground(segmenter: TMOSegmenter, images: FrameSource, ids: np.ndarray) -> Answers:
    """The hard masks of TMO, with the frame's colours exchanged as its flow picture."""
    for index in range(len(images)):
        image = images[index]
        picture = np.ascontiguousarray(image[..., ::-1])
        answer = segmenter.predict([image], [picture], (ids.shape[0], ids.shape[1]))[0]
        mask = (answer.foreground > 0.5).astype(np.uint8)
        yield mask, partial(np.asarray, mask[None], np.float32)


def compare(model: str, checkout: Path | None, weights: Path, objects: int, args: Any) -> str:
    """One line: both speeds, their ratio and the largest difference of a probability."""
    adapter, _, make = REFERENCES[model]
    height, width = args.size
    images, ids = scene(args.frames, height, width, objects)
    options = dict(args.option) if adapter == "tmo" else {"size": -1, **dict(args.option)}
    segmenter = adapters.load(adapter, weights=weights, **options)
    own: Any = foreground if adapter == "tmo" else followed
    answers = own(segmenter, images, ids)
    step = make(checkout, weights, objects) if checkout else None
    planes = torch.from_numpy(np.stack([ids == i + 1 for i in range(objects)])).float()

    ours, theirs = [], []
    apart, differ = 0.0, 0
    for index in range(args.frames):
        (labels, probabilities), seconds = timed(answers.__next__)
        ours.append(seconds)
        if step is None:
            continue

        def reference(index: int = index, step: Step = step) -> tuple[Tensor, np.ndarray]:
            image = torch.from_numpy(images[index]).permute(2, 0, 1).float() / 255
            out = step(image, planes if index == 0 else None, index == args.frames - 1)
            return out, out.argmax(0).numpy().astype(np.uint8)

        with torch.inference_mode():
            (out, expected), seconds = timed(reference)
        theirs.append(seconds)
        apart = max(apart, np.abs(probabilities() - out[1:].numpy()).max())
        differ += int((labels != expected).sum())
    wall, processor = np.array(ours[WARM_UP:]).mean(axis=0)
    line = (
        f"{model} {objects} objects {height}x{width}, {args.threads} threads:"
        f" {1 / wall:.3f} frames/s, {processor:.2f} s of processor time a frame"
    )
    if step is None:
        return line
    ratios = np.array(theirs[WARM_UP:]).mean(axis=0) / (wall, processor)
    middle = np.median(np.array(theirs[WARM_UP:]) / np.array(ours[WARM_UP:]), axis=0)
    return (
        f"{line}; times the speed of the reference: {ratios[0]:.2f} by the clock (median of frames"
        f" {middle[0]:.2f}), {ratios[1]:.2f} by processor time (median {middle[1]:.2f}); largest"
        f" difference {apart:.1e}, {differ} of {labels.size * args.frames} ids differ"
    )


def resident(model: str, weights: Path, objects: int, args: Any) -> Iterator[str]:
    """Lines of frame number and resident memory over a long clip."""
    images, ids = drift(args.long, *args.size, objects)
    segmenter = adapters.load(REFERENCES[model][0], weights=weights, size=-1, **dict(args.option))
    process = psutil.Process()
    marks = {int(args.long * share) - 1 for share in (0.02, 0.1, 0.25, 0.5, 0.75, 1)}
    for frame in segmenter.segment(Video("clip", images, Prompts({0: ids}))):
        if frame.index in marks:
            mib = process.memory_info().rss / 2**20
            yield f"{model} {objects} objects, frame {frame.index + 1}: {mib:.0f} MiB"


def option(text: str) -> tuple[str, Any]:
    """``name=value``, the value as YAML."""
    name, _, value = text.partition("=")
    return name, yaml.safe_load(value)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", choices=REFERENCES)
    parser.add_argument("--reference", type=Path, help="checkout to compare with")
    parser.add_argument("--weights", type=Path, help="checkpoint that both take")
    parser.add_argument("--objects", type=int, nargs="+", default=[1, 3])
    parser.add_argument("--frames", type=int, default=14)
    parser.add_argument("--size", type=int, nargs=2, default=(480, 854), metavar="PIXELS")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument(
        "--option", type=option, action="append", default=[], help="of the adapter: name=value"
    )
    parser.add_argument("--long", type=int, help="frames of a clip over which memory is watched")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    with tempfile.TemporaryDirectory() as folder:
        weights = args.weights
        if weights is None:
            weights = seeded_weights(REFERENCES[args.model][1], Path(folder) / "seeded.pth")
        for objects in args.objects:
            if args.long:
                for line in resident(args.model, weights, objects, args):
                    print(line, flush=True)
                continue
            print(compare(args.model, args.reference, weights, objects, args), flush=True)


if __name__ == "__main__":
    main()
