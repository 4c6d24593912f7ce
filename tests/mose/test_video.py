"""Videos from folders and arrays."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from layouts import SIZE, blocks, write_frames, write_masks
from PIL import Image

from mose import InputError, Video, open_video
from mose.video import Prompts, read_frame


@pytest.fixture
def folders(tmp_path):
    images, masks = tmp_path / "JPEGImages" / "v", tmp_path / "Annotations" / "v"
    write_frames(images, ["00000", "00001", "00002"])
    write_masks(masks, {"00000": blocks(1, 5)})
    return images, masks


def refused(images, masks, match):
    """Opening or reading the video raises one sentence."""

    def read_all():
        video = open_video(images, masks)
        video.check_prompts()
        return list(video)

    with pytest.raises(InputError, match=match) as error:
        read_all()
    assert "\n" not in str(error.value)


def test_a_folder_is_a_video(folders):
    video = open_video(*folders)
    assert (video.name, len(video), video.height, video.width) == ("v", 3, *SIZE)
    assert video.frame_names == ("00000", "00001", "00002")
    assert video.object_ids == (1, 5)
    assert list(video.prompts) == [0]
    assert np.array_equal(video.prompts[0], blocks(1, 5))
    for index, frame in enumerate(video):
        assert frame.shape == (*SIZE, 3)
        assert frame.dtype == np.uint8
        assert frame.flags.c_contiguous
        assert np.array_equal(frame, video[index])
    with pytest.raises(IndexError):
        video[3]


def test_opening_reads_no_file(folders):
    for path in [*folders[0].iterdir(), *folders[1].iterdir()]:
        path.write_bytes(b"")
    assert len(open_video(*folders)) == 3


def test_frames_come_in_the_order_of_their_numbers(tmp_path):
    write_frames(tmp_path / "v", ["10", "9", "100", "0005"])
    assert open_video(tmp_path / "v").frame_names == ("0005", "9", "10", "100")


def test_masks_belong_to_the_frame_of_their_number(tmp_path):
    write_frames(tmp_path / "v", ["00000", "00005", "00010"])
    write_masks(tmp_path / "m", {"00005": blocks(3), "00010": blocks(3, 7)})
    video = open_video(tmp_path / "v", tmp_path / "m")
    assert list(video.prompts) == [1, 2]
    assert video.prompts.ids(1) == (3,)
    assert video.prompts.ids(2) == (7,)
    assert np.array_equal(video.prompts[2], np.where(blocks(3, 7) == 7, 7, 0))


def test_later_objects_may_have_a_folder_of_their_own(folders, tmp_path):
    later = tmp_path / "later" / "v"
    write_masks(later, {"00002": blocks(9)})
    video = open_video(folders[0], [folders[1], later, tmp_path / "not there"])
    assert video.object_ids == (1, 5, 9)
    assert list(video.prompts) == [0, 2]


def test_masks_of_one_frame_in_two_folders_are_merged(folders, tmp_path):
    extra = np.zeros(SIZE, np.uint8)
    extra[-3:] = 2
    write_masks(tmp_path / "extra", {"00000": extra})
    video = open_video(folders[0], [folders[1], tmp_path / "extra"])
    assert np.array_equal(video.prompts[0], np.where(extra > 0, extra, blocks(1, 5)))
    write_masks(tmp_path / "extra", {"00000": extra[1:]})
    refused(folders[0], [folders[1], tmp_path / "extra"], "differs in size")


def test_files_of_other_kinds_are_ignored(folders):
    (folders[0] / "notes.txt").write_text("x")
    (folders[0] / ".hidden.jpg").write_bytes(b"")
    (folders[1] / ".00001.png").write_bytes(b"")
    assert len(open_video(*folders)) == 3


class TestBadInput:
    def test_missing_folder(self, folders, tmp_path):
        refused(tmp_path / "nope", None, "nope does not exist")
        refused(folders[0], tmp_path / "nope", "nope does not exist")

    def test_empty_folder(self, folders, tmp_path):
        (tmp_path / "empty").mkdir()
        refused(tmp_path / "empty", None, "empty holds no frames")
        refused(folders[0], tmp_path / "empty", "no object to follow")

    def test_names_that_are_not_numbers(self, folders):
        (folders[0] / "final.jpg").write_bytes(b"")
        refused(*folders, r"final\.jpg has a name that is not a number")

    def test_superscripts_are_not_numbers(self, folders):
        (folders[0] / "²³.jpg").write_bytes(b"")
        refused(*folders, "not a number")

    def test_two_frames_with_one_number(self, folders):
        write_frames(folders[0], ["1"])
        refused(*folders, "two frames with the same number")

    def test_mask_without_a_frame(self, folders):
        write_masks(folders[1], {"00007": blocks(1)})
        refused(*folders, r"00007\.png belongs to no frame")

    def test_mask_of_another_size(self, folders):
        write_masks(folders[1], {"00000": blocks(1, size=(10, 10))})
        refused(*folders, r"00000\.png is 10 x 10, but the frames of video v are 24 x 32")

    def test_mask_without_objects(self, folders):
        write_masks(folders[1], {"00000": np.zeros(SIZE, np.uint8)})
        refused(*folders, "video v has no object to follow")

    def test_rgb_mask(self, folders):
        Image.new("RGB", SIZE[::-1]).save(folders[1] / "00000.png")
        refused(*folders, r"00000\.png has mode RGB")

    @pytest.mark.parametrize("kind", [0, 1])
    def test_truncated_files(self, folders, kind):
        path = sorted(folders[kind].iterdir())[-1]
        path.write_bytes(path.read_bytes()[:-60])
        refused(*folders, rf"{path.name} cannot be decoded")

    def test_frames_of_different_sizes(self, folders):
        write_frames(folders[0], ["00001"], size=(24, 40))
        refused(*folders, "frame 00001 is 24 x 40, but the first frame is 24 x 32")

    def test_a_first_frame_that_is_no_image(self, folders):
        (folders[0] / "00000.jpg").write_bytes(b"no image")
        refused(*folders, r"00000\.jpg cannot be decoded")


def test_grey_and_palette_frames_become_rgb(tmp_path):
    grey = np.arange(12, dtype=np.uint8).reshape(3, 4)
    Image.fromarray(grey).save(tmp_path / "0.png")
    assert np.array_equal(read_frame(tmp_path / "0.png"), np.repeat(grey[..., None], 3, axis=2))


class TestFromArrays:
    frames = np.random.default_rng(0).integers(0, 255, (4, *SIZE, 3), dtype=np.uint8)

    def test_arrays_are_a_video(self):
        video = Video.from_arrays(self.frames, {0: blocks(4), 2: blocks(4, 200)}, name="a")
        assert (video.name, len(video), video.object_ids) == ("a", 4, (4, 200))
        assert np.array_equal(np.stack(list(video)), self.frames)
        assert list(video.prompts) == [0, 2]

    def test_grey_and_strided_frames(self):
        video = Video.from_arrays(self.frames[:, ::-1, ::2, 0], {})
        assert video[1].shape == (24, 16, 3)
        assert video[1].flags.c_contiguous
        assert np.array_equal(video[1][..., 2], self.frames[1, ::-1, ::2, 0])

    def test_boolean_masks_are_object_1(self):
        assert Video.from_arrays(self.frames, {0: blocks(4) > 0}).object_ids == (1,)

    @pytest.mark.parametrize(
        ("frames", "prompts", "match"),
        [
            (frames[:0], {}, "no frames"),
            (frames.astype(np.float32), {}, "float32"),
            (frames, {4: blocks(1)}, "frame 4, but there are 4 frames"),
            (frames, {-1: blocks(1)}, "frame -1"),
            (frames, {0: blocks(1)[:3]}, "3 x 32, but the frames are 24 x 32"),
            (frames, {0: blocks(1).astype(np.int64)}, "int64"),
            (frames, {0: blocks(1)[None]}, "expected"),
        ],
    )
    def test_what_does_not_fit_is_refused(self, frames, prompts, match):
        with pytest.raises(InputError, match=match):
            Video.from_arrays(frames, prompts)

    def test_frames_of_other_channels_are_refused(self):
        four = np.zeros((2, 5, 5, 4), np.uint8)
        with pytest.raises(InputError, match="4 channels"):
            list(Video.from_arrays(four, {}))

    def test_frames_of_different_sizes_are_refused(self):
        frames = [self.frames[0], self.frames[1, :5]]
        with pytest.raises(InputError, match="frame 00001 is 5 x 32"):
            list(Video.from_arrays(frames, {}))


@settings(max_examples=50)
@given(
    masks=st.dictionaries(
        st.integers(0, 9),
        st.lists(st.integers(0, 254), min_size=4, max_size=4).map(
            lambda ids: np.array(ids, dtype=np.uint8).reshape(2, 2)
        ),
    )
)
def test_every_object_is_prompted_once_where_it_is_first_seen(masks):
    prompts = Prompts(masks)
    seen: dict[int, int] = {}
    for index in prompts:
        given = prompts[index]
        ids = set(given[given > 0].tolist())
        assert ids == set(prompts.ids(index)) != set()
        assert not ids & set(seen)
        assert np.array_equal(given > 0, np.isin(masks[index], list(ids)))
        seen |= dict.fromkeys(ids, index)
    for object_id in range(1, 255):
        first = [t for t in sorted(masks) if (masks[t] == object_id).any()]
        assert seen.get(object_id) == (first[0] if first else None)


def test_the_fingerprint_follows_frames_and_masks(folders):
    before = open_video(*folders).fingerprint()
    assert open_video(*folders).fingerprint() == before
    write_masks(folders[1], {"00000": blocks(1, 6)})
    after = open_video(*folders).fingerprint()
    write_frames(folders[0], ["00003"])
    assert len({before, after, open_video(*folders).fingerprint()}) == 3
