"""One bad clip of an annotation file costs that clip, by its name and in a sentence."""

import json

import pytest
from layouts import SIZE, write_frames

from mose.plus.clip import BrokenClip, SourceClip
from mose.plus.sources import read_source

FRAMES = ("00000", "00001", "00002")
SEGMENT = {"size": list(SIZE), "counts": [100, 50, SIZE[0] * SIZE[1] - 150]}


def video(name, number, slash="/"):
    files = [f"{name}{slash}{frame}.jpg" for frame in FRAMES]
    return {"id": number, "file_names": files, "height": SIZE[0], "width": SIZE[1]}


def annotation(number, length=3):
    return {"video_id": number, "segmentations": [SEGMENT] * length}


@pytest.fixture
def read(tmp_path):
    def clips(videos, annotations):
        for name in ("v1", "v2"):
            write_frames(tmp_path / "train/JPEGImages" / name, FRAMES)
        content = {"videos": videos, "annotations": annotations}
        (tmp_path / "train.json").write_text(json.dumps(content))
        return list(read_source("youtube-vis", tmp_path))

    return clips


def lacking(value, key):
    return {k: v for k, v in value.items() if k != key}


@pytest.mark.parametrize(
    ("bad", "track", "says"),
    [
        (video("v1", 1), annotation(1, 2), "has 3 frames but a track of 2"),
        (lacking(video("v1", 1), "height"), annotation(1), "lacks 'height' in its JSON"),
        (video("v1", 1), lacking(annotation(1), "segmentations"), "lacks 'segmentations'"),
        ({**video("v1", 1), "height": "tall"}, annotation(1), "cannot be read"),
        ({**video("v1", 1), "width": None}, annotation(1), "cannot be read"),
    ],
)
def test_the_other_clips_are_read(read, bad, track, says):
    broken, whole = read([bad, video("v2", 2)], [track, annotation(2)])
    assert isinstance(broken, BrokenClip)
    assert broken.name == "v1"
    assert says in broken.reason
    assert isinstance(whole, SourceClip)
    assert len(whole) == 3


def test_backslashes_and_ids_as_text_are_read_as_meant(read):
    clips = read([video("v1", "1", "\\"), video("v2", 2)], [annotation(1), annotation("2")])
    assert [(clip.name, len(clip)) for clip in clips] == [("v1", 3), ("v2", 3)]
    assert all(clip.mask(0).any() for clip in clips)
