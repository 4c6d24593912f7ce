"""The picture of training clips."""

import cv2
import torch

from finetune.data.batches import ClipBatch
from finetune.data.contact_sheet import draw_contact_sheet, write_contact_sheet
from finetune.recipe import TrainingRecipe
from stseg.options import build


def test_frames_stand_in_a_row_with_the_outlines_of_their_objects():
    frames, masks = torch.zeros(2, 3, 3, 16, 16), torch.zeros(2, 3, 1, 16, 16)
    masks[:, :, :, 4:12, 4:12] = 1
    sheet = draw_contact_sheet(ClipBatch(frames, masks, torch.ones(2, 1, dtype=torch.bool)))
    assert sheet.shape == (32, 48, 3)
    assert sheet[4, 4].any()
    assert not sheet[8, 8].any()
    with_flow = ClipBatch(frames, masks, torch.ones(2, 1, dtype=torch.bool), frames)
    assert draw_contact_sheet(with_flow).shape == (64, 48, 3)


def test_a_recipe_s_clips_are_written(tmp_path):
    data = {"size": 32, "frames": 2, "preset": "easy"}
    values = {"network": "xmem", "sizes": {"key_dim": 8}, "data": data}
    path = tmp_path / "new" / "sheet.png"
    write_contact_sheet(build(TrainingRecipe, values, "a test"), path)
    assert cv2.imread(str(path)).shape == (6 * 32, 2 * 32, 3)
