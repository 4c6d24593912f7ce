"""The videos that a folder of frames holds."""

import pytest

from mose import InputError
from mose.video_folders import list_videos


@pytest.fixture
def images(tmp_path):
    for name in ("b", "a", ".hidden"):
        (tmp_path / "images" / name).mkdir(parents=True)
    (tmp_path / "images/c.mp4").touch()
    return tmp_path / "images"


def test_folders_and_movies_are_videos(images):
    videos = list_videos(images, None)
    assert (videos.names, videos.movies, videos.notes) == (("a", "b", "c"), {"c.mp4"}, ())


def test_a_folder_comes_before_the_movie_of_its_name(images):
    (images / "a.mp4").touch()
    (images / "readme.txt").touch()
    videos = list_videos(images, None)
    assert (videos.names, videos.movies) == (("a", "b", "c"), {"c.mp4"})
    assert [finding.rule for finding in videos.notes] == ["stray-file", "stray-file"]


def test_a_list_names_its_videos(images, tmp_path):
    (tmp_path / "val.txt").write_text("c\nB\n")
    videos = list_videos(images, tmp_path / "val.txt")
    assert (videos.names, videos.movies) == (("b", "c"), {"c.mp4"})
    assert [finding.rule for finding in videos.notes] == ["list-case"]


def test_a_list_with_a_video_that_is_not_there(images, tmp_path):
    (tmp_path / "val.txt").write_text("a\nz\n")
    with pytest.raises(InputError, match="video z of the split's list"):
        list_videos(images, tmp_path / "val.txt")


def test_no_video_is_refused(tmp_path):
    with pytest.raises(InputError, match="holds no videos"):
        list_videos(tmp_path, None)
