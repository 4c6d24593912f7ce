"""The networks that can be trained, and what training knows of each."""

import subprocess
import sys

import pytest
import torch
from small_recipes import SIZES

from finetune.data.batches import ClipBatch
from finetune.networks import cutie, livos, tmo, xmem
from finetune.trainable import network_names, trainable
from finetune.training_options import UnrollOptions
from finetune.unroll.base import UnrollInputs
from finetune.unroll.run import unroll
from stseg.options import build

MODULES = {"xmem": xmem, "cutie": cutie, "livos": livos, "tmo": tmo}


def clips(pictures):
    """Two clips of three frames of 64 pixels with two objects, the second one padding."""
    torch.manual_seed(0)
    frames = torch.rand(2, 3, 3, 64, 64)
    masks = torch.zeros(2, 3, 2, 64, 64)
    masks[:, :, 0, 16:48, 16:48] = 1
    valid = torch.tensor([[True, False]] * 2)
    return ClipBatch(frames, masks, valid, frames if pictures else None)


def test_each_module_is_a_network_and_listing_them_needs_no_torch():
    assert network_names() == ("cutie", "livos", "sam2", "tmo", "xmem")
    code = (
        "import sys; from finetune.trainable import network_names; network_names();"
        " sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("name", SIZES)
def test_a_network_is_built_named_and_unrolled(name):
    kind = trainable(name)
    assert kind is MODULES[name].NETWORK
    network = kind.build(build(kind.config, SIZES[name], "a test"))
    state = network.state_dict()
    again = kind.names.from_official(kind.names.to_official(state))
    assert again.keys() == state.keys()
    batch = clips(kind.pictures)
    predictions = unroll(name, network, UnrollInputs(batch, UnrollOptions(), 0))
    objects = predictions.masks.shape[2]
    assert predictions.odds.shape == (2, 2, objects + 1, 64, 64)
    assert objects == (1 if kind.pictures else 2)
    again = UnrollInputs(batch, UnrollOptions(checkpointing=True), 0)
    torch.testing.assert_close(unroll(name, network, again).odds, predictions.odds)
