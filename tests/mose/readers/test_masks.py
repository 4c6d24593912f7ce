"""Masks in and out of PNG files."""

import contextlib
import io
import pickle
import stat

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image

from mose import InputError
from mose.masks import write_mask
from mose.palette import object_ids, values
from mose.readers.masks import MaskError, decode_mask, read_mask

SHAPES = st.tuples(st.integers(1, 40), st.integers(1, 40))
ID_MASKS = arrays.arrays(np.uint8, SHAPES, elements=st.integers(0, 254))


def png(image: Image.Image, **options) -> bytes:
    stream = io.BytesIO()
    image.save(stream, format="PNG", **options)
    return stream.getvalue()


def decoded(data: bytes, **options) -> np.ndarray:
    return decode_mask(io.BytesIO(data), "some.png", **options)


@given(ids=ID_MASKS)
def test_what_is_written_is_read(tmp_path_factory, ids):
    path = tmp_path_factory.mktemp("masks") / "00000.png"
    write_mask(path, ids)
    assert np.array_equal(read_mask(path), ids)
    with Image.open(path) as image:
        assert image.mode == "P"
        assert np.array_equal(np.array(image), ids)
    assert [p.name for p in path.parent.iterdir()] == ["00000.png"]


@given(ids=ID_MASKS)
def test_grey_files_hold_ids_too(ids):
    assert np.array_equal(decoded(png(Image.fromarray(ids))), ids)


@given(ids=ID_MASKS, times=st.integers(1, 5))
def test_at_a_smaller_size_nearest_pixels_are_taken(ids, times):
    large = ids.repeat(times, axis=0).repeat(times, axis=1)
    read = decoded(png(Image.fromarray(large)), size=ids.shape)
    assert np.array_equal(read, ids)


@given(ids=arrays.arrays(np.uint8, SHAPES), step=st.sampled_from([1, -1, 2]))
def test_values_are_the_values(ids, step):
    part = ids[::step, ::step]
    assert values(part) == sorted({int(v) for v in part.ravel()})
    assert object_ids(part) == tuple(v for v in values(part) if 0 < v < 255)


def test_written_masks_are_coloured_like_davis(tmp_path):
    write_mask(tmp_path / "m.png", np.array([[0, 1, 2, 3]], dtype=np.uint8))
    with Image.open(tmp_path / "m.png") as image:
        colours = np.array(image.convert("RGB"))[0].tolist()
    assert colours == [[0, 0, 0], [128, 0, 0], [0, 128, 0], [128, 128, 0]]


def test_written_masks_can_be_read_by_others(tmp_path):
    path = tmp_path / "m.png"
    write_mask(path, np.zeros((3, 3), dtype=np.uint8))
    assert stat.S_IMODE(path.stat().st_mode) & 0o444


def test_strided_masks_are_written_right(tmp_path):
    ids = np.arange(60, dtype=np.uint8).reshape(6, 10)
    write_mask(tmp_path / "m.png", ids.T[::-1])
    assert np.array_equal(read_mask(tmp_path / "m.png"), ids.T[::-1])


def test_nothing_is_left_of_a_write_that_fails(tmp_path):
    (tmp_path / "m.png").mkdir()
    with pytest.raises(OSError):
        write_mask(tmp_path / "m.png", np.zeros((3, 3), dtype=np.uint8))
    assert [p.name for p in tmp_path.iterdir()] == ["m.png"]


def test_0_and_255_alone_are_one_object():
    mask = np.array([[0, 255], [255, 0]], dtype=np.uint8)
    data = png(Image.fromarray(mask))
    assert decoded(data).tolist() == mask.tolist()
    assert decoded(data, binary=True).tolist() == [[0, 1], [1, 0]]
    assert decoded(data, binary=False).tolist() == mask.tolist()


def test_255_beside_ids_is_void_and_stays():
    mask = np.array([[0, 255, 3]], dtype=np.uint8)
    assert decoded(png(Image.fromarray(mask))).tolist() == mask.tolist()
    assert object_ids(mask) == (3,)


@pytest.mark.parametrize("value", [0, 1, 7, 255])
def test_a_one_object_mask_may_have_any_value(value):
    mask = np.full((2, 2), value, dtype=np.uint8)
    assert decoded(png(Image.fromarray(mask)), binary=True).tolist() == (mask > 0).tolist()


def test_an_antialiased_mask_is_no_one_object_mask():
    mask = np.array([[0, 128, 255]], dtype=np.uint8)
    with pytest.raises(MaskError, match="holds 2 values beside 0") as error:
        decoded(png(Image.fromarray(mask)), binary=True)
    assert error.value.problem == "binary"


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "LA", "1", "I;16"])
def test_other_modes_are_refused(mode):
    image = Image.new(mode, (5, 4))
    with pytest.raises(MaskError, match=rf"some.png has mode {mode}.*palette") as error:
        decoded(png(image))
    assert error.value.problem == "mode"


@given(cut=st.integers(0, 10_000))
def test_truncated_files_are_refused_or_whole(cut):
    ids = np.random.default_rng(0).integers(0, 255, (40, 50), dtype=np.uint8)
    data = png(Image.fromarray(ids))
    part = data[: cut % len(data)]
    if len(data) - len(part) <= 24:  # checksums and the end mark: all pixels are there
        with contextlib.suppress(MaskError):
            assert np.array_equal(decoded(part), ids)
    else:
        with pytest.raises(MaskError, match=r"some.png cannot be decoded") as error:
            decoded(part)
        assert error.value.problem == "undecodable"


def test_what_is_no_image_is_refused():
    with pytest.raises(MaskError, match="not an image") as error:
        decoded(b"nothing of the kind")
    assert "0x" not in str(error.value)


def test_a_missing_file_is_bad_input(tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        read_mask(tmp_path / "m.png")


def test_a_mask_error_travels_between_processes():
    error = MaskError("mask m.png holds 3 values", "binary")
    again = pickle.loads(pickle.dumps(error))
    assert (str(again), again.problem) == (str(error), "binary")
