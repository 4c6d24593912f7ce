"""Training: it learns, it resumes exactly after a kill, and it ends clearly."""

import subprocess
import sys

import numpy as np
import psutil
import pytest
import torch
from small_recipes import SIZES, read_log, recipe

import adapters
from finetune import command
from finetune.clip_options import AugmentOptions, DataOptions
from finetune.command import train
from finetune.data.augment import augment
from finetune.data.batches import BatchMaker, ordered_batches
from finetune.data.sources import open_clips
from finetune.stages import load_recipe
from finetune.trainable import network_names
from finetune.trainer import Trainer, configured_processor
from mose import InputError, Video
from stseg.config import CONFIG_FOLDER

pytestmark = pytest.mark.usefixtures("one_thread")


class SameClip:
    """The first batch, again and again."""

    def __init__(self, batches):
        self.batch = batches(0)

    def __call__(self, number):
        return self.batch


def test_subnormal_numbers_are_zero_in_training_alone():
    small = torch.full((64,), 1e-40)
    threads = torch.get_num_threads()
    with configured_processor(recipe(threads=2)):
        assert not (small * 1).any()
        assert torch.get_num_threads() == 2
    assert (small * 1).all()
    assert torch.get_num_threads() == threads


def test_training_uses_no_attention_whose_gradients_may_be_nan():
    before = torch.backends.cuda.cudnn_sdp_enabled()
    with configured_processor(recipe()):
        assert not torch.backends.cuda.cudnn_sdp_enabled()
    assert torch.backends.cuda.cudnn_sdp_enabled() == before


def test_amp_is_left_out_where_the_processor_has_no_bfloat16(tmp_path, monkeypatch, capsys):
    def losses(name, amp, able):
        for ask in ("_is_amx_tile_supported", "_is_avx512_bf16_supported"):
            monkeypatch.setattr(torch.cpu, ask, lambda: able)
        train(recipe(amp=amp, steps=2), tmp_path / name, resume=False)
        told = "amp is off" in capsys.readouterr().out
        return [row["loss"] for row in read_log(tmp_path / name)], told

    full = losses("full", False, able=True)
    assert losses("unable", True, able=False) == (full[0], True)
    mixed = losses("able", True, able=True)
    assert mixed[0] != full[0]
    assert (mixed[1], full[1]) == (False, False)


@pytest.mark.parametrize("network", SIZES)
def test_training_lowers_the_loss_and_the_adapter_loads_the_weights(network, tmp_path):
    trainer = Trainer(recipe(network, steps=24), tmp_path)
    same = SameClip(trainer.make_batches())
    trainer.make_batches = lambda: same
    trainer.run()
    rows = read_log(tmp_path)
    first, last = (np.mean([float(r["loss"]) for r in part]) for part in (rows[:5], rows[-5:]))
    assert last < 0.7 * first
    frames = np.zeros((3, 64, 64, 3), dtype=np.uint8)
    video = Video.from_arrays(frames, {0: np.eye(64, dtype=np.uint8)})
    for suffix in (".safetensors", ".pth"):
        segmenter = adapters.load(network, tmp_path / f"last{suffix}")
        assert len(list(segmenter.segment(video))) == 3


RECIPE = """
network: xmem
sizes: {image_depth: 10, image_width: 12, mask_depth: 10, mask_width: 12, key_dim: 8,
        value_dim: 16, sensory_dim: 8, sensory_hidden: 16, decoder_dims: [16, 12, 8]}
batch: 1
accumulate: 2
steps: 8
threads: 1
save_every: 4
data: {size: 64, frames: 3, objects: 2, preset: easy}
augment: {flip: 0.5, rotation: 10, brightness: 0.2, jitter: 0.1, grey: 0.1}
optimiser: {ema: 0.9, rates: {"image_encoder.conv1.*": 0, "image_encoder.*": 0.1}}
"""


STOPPED = """
import sys
from finetune import command, progress
report = progress.TrainingProgress.__call__
def stop(self, step, note):
    report(self, step, note)
    if step == 6:
        print("step 6", flush=True)
        sys.stdin.read()
progress.TrainingProgress.__call__ = stop
command.main(sys.argv[1:])
"""


@pytest.mark.slow
def test_a_killed_training_resumes_to_the_same_curve_and_weights(tmp_path):
    config = tmp_path / "recipe.yaml"
    config.write_text(RECIPE)
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    process = subprocess.Popen(
        [
            *(sys.executable, "-c", STOPPED, "--config", config),
            *("--output", killed),
            *("--set", "workers=1"),
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "step 6\n"
    helpers = psutil.Process(process.pid).children(recursive=True)
    process.kill()
    process.communicate()
    assert helpers
    assert psutil.wait_procs(helpers, timeout=180)[1] == []
    line = ["--config", str(config), "--output"]
    assert command.main([*line, str(killed), "--resume"]) == 0
    assert command.main([*line, str(whole)]) == 0
    curves = [[(r["step"], r["loss"], r["norm"]) for r in read_log(f)] for f in (whole, killed)]
    assert len(curves[0]) == 8
    assert curves[0] == curves[1]
    first, second = ((f / "last.safetensors").read_bytes() for f in (whole, killed))
    assert first == second


def test_a_loss_that_is_not_finite_keeps_the_last_checkpoint(tmp_path):
    trainer = Trainer(recipe(steps=4, save_every=2), tmp_path)

    def poison(step, note):
        if step == 3:
            with torch.no_grad():
                next(trainer.network.parameters()).fill_(float("nan"))

    with pytest.raises(InputError, match="loss of step 4 is nan"):
        trainer.run(poison)
    again = Trainer(recipe(steps=4, save_every=2), tmp_path)
    again.resume()
    again.run()
    assert again.step == 4
    other = Trainer(recipe(steps=5), tmp_path)
    with pytest.raises(InputError, match="another recipe"):
        other.resume()


def test_batches_depend_on_seed_and_number_alone():
    options = DataOptions(size=64, frames=2, objects=2, preset="easy")
    strong = AugmentOptions(0.5, 20, 10, 0.2, 0.1, 0.2, 0.2, 0.2, 0.1, 0.2)
    make = BatchMaker(open_clips(options), strong, 2, 2, seed=3, pictures=True)
    for here, there in zip(
        ordered_batches(make, 5, 7, workers=0), ordered_batches(make, 5, 7, workers=1), strict=True
    ):
        assert torch.equal(here.frames, there.frames)
        assert torch.equal(here.masks, there.masks)
        assert torch.equal(here.pictures, there.pictures)
    assert not torch.equal(make(5).frames, make(6).frames)


def test_augmentation_moves_masks_with_their_frames():
    labels = torch.zeros(2, 64, 64, dtype=torch.uint8)
    labels[:, 10:40, 20:50] = 7
    frames = (labels > 0).float()[:, None].expand(-1, 3, -1, -1)
    for seed in range(8):
        options = AugmentOptions(flip=0.5, rotation=30, shear=10, scale=0.3, shift=0.1)
        moved, ids = augment(frames, labels, options, np.random.default_rng(seed))
        assert set(ids.unique().tolist()) <= {0, 7}
        assert ((moved[:, 0] > 0.5) == (ids == 7)).float().mean() > 0.97


def test_recipes_are_strict_and_all_of_ours_can_be_read(tmp_path):
    for path in (CONFIG_FOLDER / "finetune").glob("*_*.yaml"):
        named = [network for network in network_names() if network in path.stem]
        assert load_recipe(path).network == (named[0] if named else "sam2")
    with pytest.raises(InputError, match="did you mean"):
        load_recipe("finetune/demo_xmem", ["optimiser.rat=1"])
    with pytest.raises(InputError, match="no parameter is left"):
        Trainer(recipe(optimiser={"rates": {"nothing.*": 0}}), tmp_path)
    with pytest.raises(InputError, match="does not predict"):
        Trainer(recipe(loss={"mask_iou": 1}), tmp_path).run()
