"""A MOSE+ from movies and from masks of single objects: read as a run reads them."""

import pickle

import av
import numpy as np
import pytest
from layouts import SIZE, blocks, write_frames, write_masks

from mose.masks import read_mask
from mose.plus.build import write_clip
from mose.plus.clip import SourceClip
from mose.plus.measures import measure
from mose.plus.sources import read_source, steady_run

NAMES = tuple(f"{t:05d}" for t in range(6))


def clip_of(root) -> SourceClip:
    (clip,) = read_source("mose", root)
    assert isinstance(clip, SourceClip), clip
    return clip


def write_movie(path, frames: int) -> None:
    path.parent.mkdir(parents=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.height, stream.width, stream.pix_fmt = *SIZE, "yuv420p"
        for t in range(frames):
            picture = np.full((*SIZE, 3), 30 * t, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, "rgb24")))
        container.mux(stream.encode())


def test_a_movie_is_a_clip(tmp_path):
    write_movie(tmp_path / "JPEGImages/v.mp4", len(NAMES))
    masks = {name: blocks(5, 9) for name in NAMES[1:]}
    write_masks(tmp_path / "Annotations/v", masks)
    clip = pickle.loads(pickle.dumps(clip_of(tmp_path)))
    assert (len(clip), clip.frames.path(0), clip.mask(0).shape) == (5, None, SIZE)
    assert abs(int(clip.frames[4].mean()) - 150) < 6
    assert measure(clip).objects == 2
    write_clip(clip, tmp_path / "out", "v", 0)
    assert len(list((tmp_path / "out/JPEGImages/v").iterdir())) == 5
    assert np.array_equal(read_mask(tmp_path / "out/Annotations/v/00000.png"), blocks(1, 2))


def test_masks_of_single_objects_are_one_mask(tmp_path):
    """As SA-V has them, where every fourth frame is annotated; the smaller object is in front."""
    names = tuple(f"{t:05d}" for t in range(9))
    write_frames(tmp_path / "JPEGImages/v", names)
    large = np.zeros(SIZE, np.uint8)
    large[4:30, 4:30] = 1
    small = np.zeros(SIZE, np.uint8)
    small[10:14, 10:14] = 1
    for folder, mask in (("000", small), ("001", large)):
        write_masks(tmp_path / "Annotations/v" / folder, dict.fromkeys(names[::4], mask))
    clip = clip_of(tmp_path)
    assert "every 4th one of 9" in clip.notes[0]
    assert [clip.frames.path(index).stem for index in range(len(clip))] == list(names[::4])
    expected = np.where(small > 0, 1, 2 * large)
    write_clip(clip, tmp_path / "out", "v", 0)
    for index in range(3):
        assert np.array_equal(clip.mask(index), expected)
        written = read_mask(tmp_path / f"out/Annotations/v/{index:05d}.png")
        assert np.array_equal(written > 0, expected > 0)


@pytest.mark.parametrize(
    ("annotated", "run"),
    [
        ([], range(0)),
        ([3], range(3, 4)),
        ([0, 1, 3, 4, 5, 9], range(3, 6)),
        ([1, 5, 9, 17], range(1, 10, 4)),
        ([0, 4, 9, 13, 17], range(9, 18, 4)),
    ],
)
def test_the_longest_run_at_the_least_distance(annotated, run):
    assert list(steady_run(annotated)) == list(run)
