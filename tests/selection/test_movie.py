"""Exported movies: what browsers play, frame by frame what was given."""

import av
import numpy as np
import pytest
from browser import drive

from mose.readers.movies import Movie
from selection.export.movie import write_movie

SIZE = (49, 65)


@pytest.fixture
def movie(tmp_path):
    frames = (np.full((*SIZE, 3), 20 * index, np.uint8) for index in range(12))
    write_movie(tmp_path / "a.mp4", frames, SIZE, 12.0)
    return tmp_path / "a.mp4"


def test_a_movie_is_h264_and_holds_every_frame(movie):
    with av.open(str(movie)) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.pix_fmt) == ("h264", "yuv420p")
    found = Movie(movie)
    assert (len(found), found.size) == (12, (48, 64))
    assert np.allclose([found[index].mean() for index in range(12)], np.arange(12) * 20, atol=3)


@pytest.mark.browser
def test_chromium_plays_it(movie, tmp_path):
    page = tmp_path / "play.html"
    page.write_text(
        f'<html><head><title>x</title></head><body><video src="{movie.name}" preload="auto">'
        "</video></body></html>"
    )
    said, _ = drive(
        page,
        """const video = document.querySelector("video");
        await new Promise((done) => {
          video.onloadeddata = done; video.onerror = done; setTimeout(done, 5000);
        });
        say(video.error ? video.error.message : video.videoWidth);""",
        tmp_path / "profile",
    )
    assert said == ["64"]
