"""A run over one video: a movie or a folder of frames, with a mask or boxes beside it."""

import av
import numpy as np
import pytest
import tiny_sam2
import yaml
from PIL import Image
from small_runs import MEMBERS, contents, make_video

from ensemble import run as command
from mose import InputError
from mose.masks import read_mask, write_mask


@pytest.fixture
def clip(tmp_path):
    """The frames of a small video without loss, as a folder and as a movie, and its first mask."""
    make_video(tmp_path, "a", 4)
    frames = tmp_path / "JPEGImages/a"
    with av.open(str(tmp_path / "clip.mp4"), "w") as container:
        stream = container.add_stream("libx264", 24, options={"crf": "10"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for path in sorted(frames.iterdir()):
            with Image.open(path) as image:
                container.mux(stream.encode(av.VideoFrame.from_image(image)))
        container.mux(stream.encode(None))
    return tmp_path


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "c.yaml"
    path.write_text(yaml.safe_dump({"members": MEMBERS}))
    return path


def run(config, output, *more):
    words = ("--config", config, "--output", output, "--executor", "inline", *more)
    return command.main(list(map(str, words)))


def test_a_movie_a_folder_and_a_movie_of_another_suffix(clip, config, capsys):
    mask = clip / "Annotations/a/00000.png"
    assert run(config, clip / "1", "--video", clip / "clip.mp4", "--mask", mask) == 0
    assert sorted(p.name for p in (clip / "1/masks/clip").iterdir()) == [
        f"{index:05d}.png" for index in range(4)
    ]
    np.testing.assert_array_equal(read_mask(clip / "1/masks/clip/00000.png"), read_mask(mask))
    assert run(config, clip / "2", "--video", clip / "JPEGImages/a", "--mask", mask.parent) == 0
    assert len(list((clip / "2/masks/a").iterdir())) == 4
    before = contents(clip / "1")
    (clip / "clip.mp4").rename(clip / "clip.bin")
    capsys.readouterr()
    assert run(config, clip / "3", "--video", clip / "clip.bin", "--mask", mask) == 0
    found = contents(clip / "3")
    masks = {k: v for k, v in before.items() if k.startswith("masks")}
    assert masks == {k: v for k, v in found.items() if k.startswith("masks")}


def test_several_objects_0_and_255_and_resuming(clip, config, capsys):
    ids = np.zeros((48, 64), np.uint8)
    ids[10:26, 8:24], ids[30:40, 4:20] = 7, 200
    write_mask(clip / "many.png", ids)
    Image.fromarray(np.where(ids == 7, 255, 0).astype(np.uint8)).save(clip / "one.png")
    video = ("--video", clip / "clip.mp4")
    assert run(config, clip / "1", *video, "--mask", clip / "many.png") == 0
    assert set(np.unique(read_mask(clip / "1/masks/clip/00003.png"))) <= {0, 7, 200}
    assert run(config, clip / "2", *video, "--mask", clip / "one.png") == 0
    assert set(np.unique(read_mask(clip / "2/masks/clip/00001.png"))) == {0, 1}
    capsys.readouterr()
    assert run(config, clip / "1", *video, "--mask", clip / "many.png") == 0
    assert "kept as finished: 1 video\n" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--video", "clip.mp4"), "has no objects to follow"),
        (("--video", "no.mp4", "--mask", "m.png"), "video .*no.mp4 does not exist"),
        (("--video", "clip.mp4", "--mask", "no.png"), "mask .*no.png does not exist"),
        (("--video", "clip.mp4", "--mask", "large.png"), "large.png is 50 x 64, but the frames"),
        (("--video", "clip.mp4", "--mask", "colours.png"), "colours.png has mode RGB"),
        (("--video", "c.yaml", "--mask", "large.png"), "movie .*c.yaml cannot be decoded"),
        (("--video", ".", "--mask", "large.png"), "is a data set"),
        (("--mask", "large.png"), "name it with --video"),
        (("--video", "clip.mp4", "--mask", "large.png", "--split", "test"), "--split is of a data"),
        (("--video", "clip.mp4", "--box", "1,2,3"), "write x0,y0,x1,y1"),
        (("--video", "clip.mp4", "--box", "1,2,3,4"), "members flow, hold cannot start from a box"),
        (("--video", "clip.mp4", "--box", "1,2,3,4", "--mask", "m.png"), "one of the two"),
    ],
)
def test_what_does_not_go_is_one_sentence(clip, config, monkeypatch, words, says):
    monkeypatch.chdir(clip)
    write_mask(clip / "large.png", np.ones((50, 64), np.uint8))
    Image.new("RGB", (64, 48)).save(clip / "colours.png")
    with pytest.raises(InputError, match=says):
        run(config, "out", *words)
    assert not (clip / "out").exists()


class TestBoxes:
    @pytest.fixture(autouse=True)
    def folder(self, clip, monkeypatch):
        monkeypatch.chdir(clip)

    def members(self, config, *names):
        weights = tiny_sam2.save(config.parent, tiny_sam2.TINY, tiny_sam2.weights(tiny_sam2.TINY))
        sam2 = {"name": "sam2", "adapter": "sam2", "weights": str(weights)}
        members = [sam2, *(m for m in MEMBERS if m["name"] in names)]
        config.write_text(yaml.safe_dump({"members": members}))

    def test_one_that_can_makes_the_mask_for_all(self, config, capsys):
        self.members(config, "hold")
        words = ("--video", "clip.mp4", "--box", "8,10,24,26")
        assert run(config, "out", *words, "--dry-run") == 0
        assert run(config, "out", *words) == 0
        said = capsys.readouterr().out
        assert "member sam2 made the first mask of the boxes" in said
        assert "hold cannot start from a box and start from that mask" in said
        (made,) = (config.parent / "runs").glob("boxes-*.png")
        np.testing.assert_array_equal(
            read_mask(made), read_mask(config.parent / "out/masks/clip/00000.png")
        )

    def test_boxes_beside_the_frame(self, config):
        self.members(config)
        for box in ("8,10,65,26", "24,10,8,26", "nan,1,2,3", "-1,0,5,5"):
            with pytest.raises(InputError, match="does not lie on the frames"):
                run(config, "out", "--video", "clip.mp4", f"--box={box}")

    def test_weights_that_know_no_boxes(self, config):
        member = {"name": "demo", "adapter": "sam2", "weights": "demo-sam2"}
        config.write_text(yaml.safe_dump({"members": [member]}))
        with pytest.raises(InputError, match=r"member demo cannot start from a box: .* masks"):
            run(config, "out", "--video", "clip.mp4", "--box", "8,10,24,26")
