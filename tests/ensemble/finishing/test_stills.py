"""The stills that a finished video leaves for its report."""

import json

import cv2
import numpy as np
import pytest
import yaml
from PIL import Image

from adapters.expansion import Expansion, Places
from ensemble import run as command
from ensemble.finishing.stills import at_size
from ensemble.storage.predictions import StoredFrame
from mose import InputError, open_video
from mose.masks import write_mask

HEIGHT, WIDTH = 270, 480
SMALL = (90, 160)


def stored(rule, expansion):
    """Two soft blobs on a native map, and the ids that they make at the video's size."""
    rows, columns = np.mgrid[:72, :128].astype(np.float32)
    logits = np.stack(
        [20 - np.hypot(rows - 30, columns - 40), 14 - np.hypot(rows - 40, columns - 80)]
    ).astype(np.float32)
    native = 1 / (1 + np.exp(-logits)) if rule == "probability" else logits
    said = np.full(2, 0.9, np.float32)
    frame = StoredFrame(0, (3, 7), said, said, native, expansion)
    ids = super(StoredFrame, frame).labels(HEIGHT, WIDTH)
    return StoredFrame(0, (3, 7), said, said, native, expansion, ids=ids)


@pytest.mark.parametrize(
    ("rule", "padded", "window"),
    [
        ("exclusive", None, None),
        ("probability", None, None),
        ("probability", (72, 128), (4, 8, 64, 112)),
        ("upsample-aggregate", (288, 512), (9, 16, 270, 480)),
        ("aggregate-upsample", (288, 512), (9, 16, 270, 480)),
    ],
)
def test_small_soft_masks_are_the_large_ones_made_small(rule, padded, window):
    frame = stored(rule, Expansion(rule, padded, window))
    large = frame.probabilities(HEIGHT, WIDTH)
    small = at_size(frame, SMALL)
    rows, columns = (axis.reshape(-1) for axis in np.mgrid[: SMALL[0], : SMALL[1]])
    seen = small.probabilities_at(Places(*SMALL, rows, columns)).reshape(2, *SMALL)
    wanted = np.stack([cv2.resize(p, SMALL[::-1], interpolation=cv2.INTER_LINEAR) for p in large])
    assert np.abs(seen - wanted).mean() < 0.01
    assert (small.labels(*SMALL) == frame.ids[1::3, 1::3]).all()


@pytest.fixture
def data(tmp_path):
    root = tmp_path / "data"
    for kind in ("JPEGImages", "Annotations"):
        (root / kind / "a").mkdir(parents=True)
    ids = np.zeros((48, 64), np.uint8)
    ids[8:30, 8:30] = 4
    for index in range(3):
        image = np.full((48, 64, 3), 60, np.uint8)
        image[8:30, 8 + index : 30 + index] = (200, 90, 30)
        Image.fromarray(image).save(root / f"JPEGImages/a/{index:05d}.jpg")
    write_mask(root / "Annotations/a/00000.png", ids)
    return root


def test_without_a_report_no_stills_are_made(data, tmp_path):
    members = [{"name": name, "adapter": name, "prior": 40} for name in ("flow", "hold")]
    out = tmp_path / "run"
    for report in (True, False):
        config = tmp_path / "c.yaml"
        config.write_text(yaml.safe_dump({"members": members, "output": {"report": report}}))
        given = ["--dataset", data, "--config", config, "--output", out, "--executor", "inline"]
        assert command.main([*map(str, given), "--overwrite"]) == 0
        stills = out / "report/frames/a/stills.json"
        assert stills.exists() == report
        if report:
            layers = json.loads(stills.read_text())["layers"]
            assert layers == ["flow", "hold", "pseudo-label", "box average", "max fusion"]
            picture = np.array(Image.open(stills.parent / "000.jpg")).astype(int)
            assert np.abs(picture[20, 20] - (200, 90, 30)).max() < 40


def test_small_frames_are_decoded_small(tmp_path):
    y, x = np.mgrid[:400, :640]
    image = np.stack([x * 255 // 640, y * 255 // 400, (x + y) // 5], axis=2).astype(np.uint8)
    Image.fromarray(image).save(tmp_path / "0.jpg", quality=95)
    video = open_video(tmp_path)
    small = video.small(0, 50, 80)
    wanted = cv2.resize(image, (80, 50), interpolation=cv2.INTER_AREA)
    assert small.shape == (50, 80, 3)
    assert np.abs(small.astype(int) - wanted).max() < 6
    (tmp_path / "0.jpg").write_bytes(b"no image")
    with pytest.raises(InputError, match="cannot be decoded"):
        video.small(0, 50, 80)
