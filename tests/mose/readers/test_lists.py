"""Lists of videos: names come before comments."""

import pytest

from mose.readers.lists import read_lines, read_names


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "list.txt"
    path.write_text("# bear\n#dog\n'#cat'\ncow #1\nhorse # the last\n\n")
    return path


def test_a_name_that_looks_like_a_comment_is_a_name(path):
    matched = read_names(path).matched(["#dog", "#cat", "bear", "cow", "cow #1", "horse"])
    assert matched.names == ("#dog", "#cat", "cow #1", "horse")
    assert matched.nowhere == ()


def test_without_such_names_they_are_comments(path):
    matched = read_names(path).matched(["dog", "bear", "cow", "horse"])
    assert (matched.names, matched.nowhere) == (("cow", "horse"), ("'#cat'",))
    assert read_names(path).entries == tuple(read_lines(path)) == ("'#cat'", "cow", "horse")


def test_characters_that_nobody_sees_and_suffixes_of_movies(path):
    path.write_text(
        "\u200bbear\u200b\n\u00a0dog\u00a0\nclips/cow.MP4\nhorse.mov\n", encoding="utf-8"
    )
    names = read_names(path).matched(["bear", "dog", "cow", "horse.mov"]).names
    assert names == ("bear", "dog", "cow", "horse.mov")
