"""Masks drawn by hand: objects of one frame are merged, and nothing that was drawn is lost."""

import numpy as np

from mose.masks import read_mask
from study.drawings import keep_mask, merged, without_objects
from study.edits import DrawnFrame

A = np.zeros((8, 10), np.uint8)
A[1:4, 1:4] = 3
B = np.zeros((8, 10), np.uint8)
B[3:6, 3:8] = 7


def test_objects_of_several_people_are_merged(tmp_path):
    first = merged(tmp_path, None, A, {3})
    both = merged(tmp_path, first, B, {7})
    ids = read_mask(tmp_path / both.mask)
    assert both.ids == (3, 7)
    assert (ids == np.where(B, B, A)).all()
    assert (read_mask(tmp_path / first.mask) == A).all()


def test_an_object_without_a_pixel_is_gone(tmp_path):
    first = merged(tmp_path, None, A, {3, 5})
    assert first.gone == (5,)
    nobody = merged(tmp_path, first, np.zeros_like(A), {3})
    assert nobody == DrawnFrame(None, (3, 5), (3, 5))


def test_pixels_of_other_objects_do_not_count(tmp_path):
    first = merged(tmp_path, None, np.maximum(A, B), {7})
    assert (read_mask(tmp_path / first.mask) == B).all()


def test_an_object_is_taken_out_of_a_drawing(tmp_path):
    both = merged(tmp_path, merged(tmp_path, None, A, {3}), B, {7, 9})
    left = without_objects(tmp_path, both, {3})
    assert (left.ids, left.gone) == ((7, 9), (9,))
    assert set(np.unique(read_mask(tmp_path / left.mask))) == {0, 7}
    assert without_objects(tmp_path, left, {7, 9}) is None


def test_equal_masks_are_one_file(tmp_path):
    assert keep_mask(tmp_path, A) == keep_mask(tmp_path, A.copy())
    assert keep_mask(tmp_path, A) != keep_mask(tmp_path, B)
