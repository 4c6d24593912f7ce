"""Inputs that look right and are not, after reports about other software: read as meant."""

import os
import zipfile

import av
import numpy as np
import pytest
from layouts import blocks, write_frames, write_masks, write_video
from PIL import Image

from mose import InputError, open_video
from mose.check import check_dataset, check_results
from mose.dataset import matches_name, open_dataset
from mose.masks import write_mask
from mose.readers.folder import list_folder
from mose.readers.images import image_size, read_frame
from mose.readers.lists import read_names
from mose.readers.masks import read_mask
from mose.readers.meaning import MaskMeaning
from stseg.text import read_json

SIZE = (24, 32)
TURNS = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}
"""Orientation -> Pillow's transposition from the upright picture to the stored one."""


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", TURNS)
def test_frames_are_turned_as_their_tag_says(tmp_path, kind, orientation):
    rng = np.random.default_rng(1)
    small = rng.integers(0, 255, (6, 8, 3), dtype=np.uint8)
    upright = small.repeat(8, axis=0).repeat(8, axis=1)
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = Image.fromarray(upright).transpose(Image.Transpose(TURNS[orientation]))
    options = {"JPEG": {"quality": 100, "subsampling": 0}, "WEBP": {"lossless": True}}
    stored.save(tmp_path / "00000.jpg", kind, exif=exif, **options.get(kind, {}))
    assert image_size(tmp_path / "00000.jpg") == upright.shape[:2]
    found = read_frame(tmp_path / "00000.jpg").astype(int)
    assert np.abs(found - upright).max() <= (8 if kind == "JPEG" else 0)


@pytest.mark.parametrize("bits", [10, 12, 16])
def test_wide_frames_are_scaled_by_the_range_of_their_video(tmp_path, bits):
    eight = np.random.default_rng(2).integers(0, 256, (3, *SIZE), dtype=np.uint16)
    eight[0, 0, 0], eight[1] = 255, eight[1] // 4
    for index, frame in enumerate(eight):
        Image.fromarray(frame << (bits - 8)).save(tmp_path / f"{index}.png")
    video = open_video(tmp_path)
    for index, frame in enumerate(eight):
        np.testing.assert_array_equal(video[index][..., 1], frame)


def test_255_is_one_object_only_where_no_mask_of_the_data_set_says_otherwise(tmp_path):
    void = np.where(blocks(1) > 0, 255, 0).astype(np.uint8)
    write_video(tmp_path / "one", "a", masks={"00000": void, "00001": void})
    video = open_dataset(tmp_path / "one").video("a")
    assert (video.object_ids, video.prompts.meaning) == ((1,), MaskMeaning.ONE_OBJECT)
    assert [note.rule for note in video.notes] == ["meaning"]

    write_video(tmp_path / "later", "a", masks={"00000": void, "00001": blocks(2)})
    video = open_dataset(tmp_path / "later").video("a")
    assert (video.object_ids, list(video.prompts)) == ((2,), [1])
    assert [note.rule for note in video.notes] == ["void"]

    write_video(tmp_path / "mixed", "a", masks={"00000": void})
    write_video(tmp_path / "mixed", "b", masks={"00000": np.maximum(blocks(1, 3), void)})
    with pytest.raises(InputError, match="to be ignored"):
        open_dataset(tmp_path / "mixed").video("a").check_prompts()


class TestNoIds:
    ids = blocks(1, 2, size=(48, 64))

    def refused(self, tmp_path, match):
        video = open_video(tmp_path / "JPEGImages/a", tmp_path / "Annotations/a")
        with pytest.raises(InputError, match=match):
            video.check_prompts()
        assert not check_dataset(open_dataset(tmp_path), processes=1).accepted

    @pytest.fixture(autouse=True)
    def video(self, tmp_path):
        write_frames(tmp_path / "JPEGImages/a", ["00000", "00001"], size=(48, 64))
        self.path = tmp_path / "Annotations/a/00000.png"
        self.path.parent.mkdir(parents=True)

    def test_smoothed(self, tmp_path):
        grey = Image.fromarray(((self.ids > 0) * 255).astype(np.uint8))
        grey.resize((21, 17)).resize((64, 48), Image.Resampling.BICUBIC).save(self.path)
        self.refused(tmp_path, "of them on edges only")

    def test_stretched(self, tmp_path):
        Image.fromarray(np.array([0, 127, 255], np.uint8)[self.ids]).save(self.path)
        self.refused(tmp_path, "stretched")

    @pytest.mark.parametrize("name", ["00000.png", "00000.jpg"])
    def test_jpeg(self, tmp_path, name):
        Image.fromarray(self.ids * 100).save(self.path.with_name(name), "JPEG")
        self.refused(tmp_path, f"{name} is a JPEG image")

    @pytest.mark.parametrize(
        ("kind", "options"), [("GIF", {}), ("TIFF", {"compression": "jpeg"}), ("WEBP", {})]
    )
    def test_formats_that_change_values(self, tmp_path, kind, options):
        Image.fromarray(self.ids * 60).save(self.path, kind, **options)
        self.refused(tmp_path, f"is a {kind}.* image, which does not keep ids")

    def test_palettes_of_colours(self, tmp_path):
        write_mask(self.path, self.ids)
        colours = Image.open(self.path).convert("RGB")
        colours.convert("P").save(self.path)
        self.refused(tmp_path, "web palette")
        colours.quantize(8).save(self.path)
        self.refused(tmp_path, "palette of its own")

    def test_few_bits_are_read_rightly(self):
        Image.fromarray(self.ids).save(self.path, bits=2)
        np.testing.assert_array_equal(read_mask(self.path), self.ids)

    def test_a_mask_without_background_is_noted(self, tmp_path):
        write_mask(self.path, self.ids + 1)
        (note,) = check_dataset(open_dataset(tmp_path), processes=1).findings
        assert note.rule == "no-background"
        assert "a/00000.png has no background" in note.sentence


class TestFolders:
    def test_a_link_to_nothing_is_named(self, tmp_path):
        write_frames(tmp_path, ["00000", "00001"])
        (tmp_path / "00002.jpg").symlink_to("../../.git/annex/00002.jpg")
        with pytest.raises(InputError, match=r"00002\.jpg is a link to a file that is not there"):
            open_video(tmp_path)

    def test_two_kinds_and_gaps_are_noted(self, tmp_path):
        write_frames(tmp_path, ["00000", "00001", "00003"])
        Image.open(tmp_path / "00001.jpg").save(tmp_path / "00004.webp")
        video = open_video(tmp_path)
        assert len(video) == 4
        assert [note.rule for note in video.notes] == ["frame-kinds", "gap"]

    def test_the_check_names_all_that_is_passed_over(self, tmp_path):
        write_video(tmp_path, "a")
        for name in ("JPEGImages/.DS_Store", "JPEGImages/a/Thumbs.db", "Annotations/a/._00000.png"):
            (tmp_path / name).write_bytes(b"x")
        (tmp_path / "Annotations/@eaDir").mkdir()
        (tmp_path / "Annotations/gone").mkdir()
        report = check_dataset(open_dataset(tmp_path), processes=1)
        assert report.accepted
        passed = {finding.file for finding in report.findings if finding.rule == "leftover"}
        assert passed == {".DS_Store", "Thumbs.db", "._00000.png", "@eaDir"}
        strays = [finding.file for finding in report.findings if finding.rule == "stray-file"]
        assert strays == ["gone"]

    def test_leftovers_are_ignored_for_a_reason(self, tmp_path):
        write_frames(tmp_path, ["00000"])
        names = ["._00000.jpg", ".DS_Store", "Thumbs.db", "desktop.ini"]
        for name in names:
            (tmp_path / name).write_bytes(b"x")
        (tmp_path / "@eaDir").mkdir()
        listing = list_folder(tmp_path, "frame").check()
        assert {name for name, _ in listing.ignored} == {*names, "@eaDir"}
        assert listing.findings == ()

    @pytest.mark.parametrize(
        "pattern", ["frame{:05d}", "P01_frame_{:010d}", "IMG_{:04d}_hdr", "{}"]
    )
    def test_prefixes(self, tmp_path, pattern):
        names = [pattern.format(n) for n in (9, 10, 11)]
        write_frames(tmp_path / "f", names)
        write_masks(tmp_path / "m", {names[1]: blocks(4)})
        video = open_video(tmp_path / "f", tmp_path / "m")
        assert video.frame_names == tuple(names)
        assert list(video.prompts) == [1]

    def test_a_folder_per_object(self, tmp_path):
        write_frames(tmp_path / "f", ["00000", "00001"])
        write_masks(tmp_path / "m/000", {"00000": blocks(255)})
        write_masks(tmp_path / "m/001", {"00000": blocks(0, 255)})
        video = open_video(tmp_path / "f", tmp_path / "m")
        np.testing.assert_array_equal(video.prompts[0], np.maximum(blocks(1), blocks(0, 2)))


class TestLists:
    @pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
    @pytest.mark.parametrize(
        "text",
        [
            "bear\r\n# rest\r\nmy dog\r\n\r\n",
            "/JPEGImages/480p/bear/0.jpg /Annotations/480p/bear/0.png\nmy dog/\n",
            "Bear\nJPEGImages\\my dog\n",
        ],
    )
    def test_the_same_names_in_every_form(self, tmp_path, text, encoding):
        path = tmp_path / "list.txt"
        path.write_bytes(text.encode(encoding))
        found = read_names(path).matched(["bear", "cat", "my dog"])
        assert (found.names, found.nowhere) == (("bear", "my dog"), ())

    @pytest.mark.parametrize("text", ["bear;my dog", "bear, my dog\n", "bear\tmy dog", "cat bear"])
    def test_several_names_in_a_line(self, tmp_path, text):
        (tmp_path / "l").write_text(text)
        found = read_names(tmp_path / "l").matched(["bear", "cat", "my dog"])
        assert len(found.names) == 2
        assert found.nowhere == ()

    def test_accents_are_composed_in_either_way(self, tmp_path):
        (tmp_path / "l").write_bytes("cafe\u0301\n".encode())
        found = read_names(tmp_path / "l").matched(["caf\xe9"])
        assert (found.names, found.nowhere) == (("caf\xe9",), ())

    def test_what_is_no_text_is_one_sentence(self, tmp_path):
        path = tmp_path / "x"
        path.write_bytes(b"be\xe4r\n")
        with pytest.raises(InputError, match="is no UTF-8 text"):
            read_names(path)
        path.write_bytes(b"{")
        with pytest.raises(InputError, match="is damaged"):
            read_json(path)


@pytest.mark.parametrize("form", ["./{}", "./masks/{}", "a//b//{}", "masks\\{}"])
def test_zips_are_read_as_they_unpack(tmp_path, form):
    write_video(tmp_path / "ds", "v")
    data = (tmp_path / "ds/Annotations/v/00000.png").read_bytes()
    with zipfile.ZipFile(tmp_path / "r.zip", "w") as archive:
        for index in range(3):
            archive.writestr(form.format(f"v/{index:05d}.png"), data)
    report = check_results(tmp_path / "r.zip", open_dataset(tmp_path / "ds"), processes=1)
    rules = {finding.rule for finding in report.findings}
    assert "dot-slash" in rules
    assert rules <= {"dot-slash", "wrapping-folder"}


def test_exact_names_come_before_patterns():
    assert matches_name("clip[1]", "clip[1]")
    assert matches_name("clip1", "clip[1]")
    assert not matches_name("clip2", "clip[1]")


def test_movies_are_videos_frame_by_frame(tmp_path):
    (tmp_path / "JPEGImages").mkdir()
    with av.open(str(tmp_path / "JPEGImages/a.mp4"), "w") as container:
        stream = container.add_stream("libx264", 24)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for index in range(20):
            grey = np.full((48, 64, 3), 10 * index, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(grey, format="rgb24")))
        container.mux(stream.encode(None))
    write_masks(tmp_path / "Annotations/a", {"00000": blocks(1, size=(48, 64))})
    video = open_dataset(tmp_path).video("a")
    assert (len(video), video.height, video.width) == (20, 48, 64)
    for index in (0, 1, 19, 7, 3, 4):
        assert abs(float(video[index].mean()) - 10 * index) < 3
    assert os.listdir(tmp_path / "JPEGImages") == ["a.mp4"]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 9\n", "git lfs pull"),
        (b"\n<!DOCTYPE html><html>not found</html>", "it is a web page"),
    ],
)
@pytest.mark.parametrize("place", ["JPEGImages/a/00001.jpg", "Annotations/a/00000.png", "s.zip"])
def test_what_lies_in_place_of_a_file_is_told(tmp_path, content, words, place):
    write_video(tmp_path, "a")
    (tmp_path / place).write_bytes(content)
    if place == "s.zip":
        with pytest.raises(InputError, match=words):
            check_results(tmp_path / place, open_dataset(tmp_path))
    else:
        (finding,) = check_dataset(open_dataset(tmp_path), processes=1).findings
        assert finding.rule == "undecodable"
        assert words in finding.sentence


def test_a_broken_movie_is_one_sentence(tmp_path):
    (tmp_path / "a.mp4").write_bytes(b"not a movie")
    with pytest.raises(InputError, match=r"a\.mp4 cannot be decoded"):
        open_video(tmp_path / "a.mp4")


def test_the_first_of_many_links_is_named_with_how_many_more(tmp_path):
    write_video(tmp_path, "a", masks={"00000": blocks(1)})
    for index in (5, 3, 4):
        (tmp_path / f"JPEGImages/a/{index:05d}.jpg").symlink_to("gone.jpg")
    with pytest.raises(InputError, match=r"00003\.jpg is a link .*; 2 more there are to be mended"):
        open_dataset(tmp_path).video("a")
