"""Where the frames of a video come from."""

import numpy as np
import pytest
from layouts import SIZE, write_frames

from mose import InputError
from mose.frames import ArrayFrames, FrameFiles, frames_place, open_frames


def test_frames_in_memory_get_three_channels():
    frames = ArrayFrames(np.arange(2 * 4 * 5, dtype=np.uint8).reshape(2, 4, 5), "clip")
    assert (len(frames), frames.size, frames[1].shape) == (2, (4, 5), (4, 5, 3))
    assert np.array_equal(frames[1][..., 2], np.arange(20, 40).reshape(4, 5))


@pytest.mark.parametrize(
    "frames", [np.zeros((0, 4, 5, 3), np.uint8), np.zeros((1, 4, 5, 3), np.float32)]
)
def test_what_is_no_frame_is_refused(frames):
    with pytest.raises(InputError, match="video clip"):
        ArrayFrames(frames, "clip")


def test_a_folder_is_read_in_the_order_of_its_numbers(tmp_path):
    write_frames(tmp_path / "v", ["10", "9"])
    frames = open_frames(tmp_path / "v")
    assert isinstance(frames, FrameFiles)
    assert (frames.names, frames.size) == (("9", "10"), SIZE)
    small = frames.small(0, (SIZE[0] // 4, SIZE[1] // 4))
    assert small.shape[0] <= SIZE[0]


def test_a_folder_without_frames_is_refused(tmp_path):
    with pytest.raises(InputError, match="holds no frames"):
        open_frames(tmp_path)


def test_a_movie_stands_for_the_folder_of_its_name(tmp_path):
    (tmp_path / "v.mp4").touch()
    assert frames_place(tmp_path / "v") == tmp_path / "v.mp4"
    (tmp_path / "v").mkdir()
    assert frames_place(tmp_path / "v") == tmp_path / "v"
