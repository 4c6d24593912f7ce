"""Which number a file name has."""

import pytest

from mose.readers.numbers import is_number, matched, number_names


@pytest.mark.parametrize(
    ("names", "numbers"),
    [
        (["00000", "00012"], [0, 12]),
        (["frame_3", "frame_10"], [3, 10]),
        (["P01_f_0001", "P01_f_0002"], [1, 2]),
        (["IMG_12_x", "IMG_13_x"], [12, 13]),
    ],
)
def test_names_of_one_pattern(names, numbers):
    numbering = number_names(names)
    assert [numbering.numbers[name] for name in names] == numbers
    assert numbering.odd == ()


def test_what_is_built_otherwise_is_odd():
    numbering = number_names(["00000", "00001", "cover"])
    assert (dict(numbering.numbers), numbering.odd) == ({"00000": 0, "00001": 1}, ("cover",))


def test_numbers_that_put_names_in_two_orders_number_none():
    numbering = number_names(["a1_b2", "a2_b1"])
    assert (dict(numbering.numbers), numbering.odd) == ({}, ("a1_b2", "a2_b1"))


def test_a_mask_with_the_name_of_a_frame_has_its_number():
    numbering = matched(["img_7", "9"], {"img_7": 3})
    assert dict(numbering.numbers) == {"img_7": 3, "9": 9}


@pytest.mark.parametrize(("stem", "number"), [("007", True), ("7a", False), ("²", False)])
def test_is_number(stem, number):
    assert is_number(stem) == number
