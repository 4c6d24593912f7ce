"""mose.check: what a server would reject or silently zero."""

import json
import shutil
import subprocess
import sys
import zipfile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from layouts import SIZE, blocks, write_masks, write_video
from PIL import Image

from mose import InputError
from mose.check import check_dataset, check_results, main
from mose.dataset import open_dataset
from mose.findings import NOTE, RULES, SEVERITIES, Finding, lines
from mose.masks import write_mask
from mose.results import Results, by_video, wrapping
from mose.submission import write_submission

FRAMES = ("00000", "00001", "00002")


@pytest.fixture
def root(tmp_path):
    """A data set: ``cat`` with objects 1 and 5, ``dog`` whose object 9 comes on frame 2."""
    write_video(tmp_path / "MOSE", "cat", FRAMES)
    write_video(tmp_path / "MOSE", "dog", FRAMES, {"00000": blocks(2), "00002": blocks(0, 9)})
    return tmp_path / "MOSE"


@pytest.fixture
def results(tmp_path):
    """Results that every server takes."""
    write_masks(tmp_path / "out" / "cat", dict.fromkeys(FRAMES, blocks(1, 5)))
    write_masks(tmp_path / "out" / "dog", dict.fromkeys(FRAMES, blocks(2, 9)))
    write_masks(tmp_path / "out" / "dog", {"00000": blocks(2)})
    return tmp_path / "out"


def found(path, root, rule=None):
    """The findings, which a zip of the same files must share, and which are all of ``rule``."""
    dataset = open_dataset(root) if root else None
    findings = check_results(path, dataset, processes=1).findings
    zipped = shutil.make_archive(str(path.parent / "zipped"), "zip", path)
    again = check_results(zipped, dataset, processes=1).findings
    assert [(f.rule, f.video, f.file) for f in again] == [
        (f.rule, f.video, f.file) for f in findings
    ]
    assert {f.rule for f in findings} == ({rule} if rule else set())
    assert all("\n" not in f.sentence for f in findings)
    return findings


def save(path, array, mode=None):
    Image.fromarray(array, mode).save(path)


def test_good_results_are_accepted(results, root):
    assert found(results, root) == ()
    assert found(results, None) == ()
    write_submission(results, results.parent / "s.zip")
    report = check_results(results.parent / "s.zip", open_dataset(root))
    assert report.accepted
    assert report.table()[-1] == "nothing would be rejected or scored as zero"


def test_a_zip_is_read_anew_every_time(results, root):
    target = results.parent / "s.zip"
    write_submission(results, target)
    assert check_results(target, open_dataset(root)).accepted
    write_mask(results / "cat/00000.png", blocks(5, 1))
    write_submission(results, target)
    assert not check_results(target, open_dataset(root)).accepted


class TestRejected:
    def test_missing_frame(self, results, root):
        (results / "cat/00000.png").unlink()
        (results / "cat/00002.png").unlink()
        (finding,) = found(results, root, "missing-frame")
        assert "cat/00000.png (and 1 more)" in finding.sentence

    @pytest.mark.parametrize("name", ["0.png", "000001.png", "00007.png"])
    def test_mask_without_a_frame(self, results, root, name):
        shutil.copy(results / "cat/00001.png", results / "cat" / name)
        (finding,) = found(results, root, "unknown-frame")
        assert (finding.video, finding.file) == ("cat", name)
        assert "named like 00000" in finding.sentence

    @pytest.mark.parametrize(
        "name", ["mask_1.png", "00001.jpg", "00001", "sub/00001.png", "00001.PNG", "-1.png"]
    )
    def test_names_that_are_no_frame_numbers(self, results, root, name):
        target = results / "cat" / name
        target.parent.mkdir(exist_ok=True)
        shutil.copy(results / "cat/00001.png", target)
        dataset = open_dataset(root)
        (finding,) = check_results(results, dataset).findings
        assert (finding.rule, finding.file) == ("file-name", name)

    def test_wrong_size(self, results, root):
        write_mask(results / "cat/00001.png", blocks(1, size=(48, 64)))
        (finding,) = found(results, root, "size")
        assert "cat/00001.png is 48 x 64, but video cat is 24 x 32" in finding.sentence
        found(results, None, "size")

    @pytest.mark.parametrize("keep", [0, 20, 60, -4])
    def test_truncated_png(self, results, root, keep):
        path = results / "dog/00001.png"
        path.write_bytes(path.read_bytes()[:keep])
        (finding,) = found(results, root, "undecodable")
        assert "dog/00001.png" in finding.sentence

    @pytest.mark.parametrize("wrap", ["results", "deep/results"])
    def test_wrapping_folders(self, results, root, wrap):
        target = results.parent / "wrapped" / wrap
        target.parent.mkdir(parents=True)
        results.rename(target)
        (finding,) = found(results.parent / "wrapped", root, "wrapping-folder")
        assert f"'{wrap}/'" in finding.sentence
        assert ("forgives exactly one" in finding.sentence) == (wrap == "results")

    def test_entry_there_twice(self, results, root, tmp_path):
        write_submission(results, tmp_path / "s.zip")
        with (
            zipfile.ZipFile(tmp_path / "s.zip", "a") as archive,
            pytest.warns(UserWarning, match="Duplicate name"),
        ):
            archive.write(results / "cat/00001.png", "cat/00001.png")
        (finding,) = check_results(tmp_path / "s.zip", open_dataset(root)).findings
        assert finding.rule == "duplicate-entry"

    def test_damaged_entry(self, results, root, tmp_path):
        write_submission(results, tmp_path / "s.zip")
        data = (tmp_path / "s.zip").read_bytes()
        image = (results / "cat/00001.png").read_bytes()
        at = data.index(image) + len(image) // 2
        (tmp_path / "s.zip").write_bytes(data[:at] + b"\0\1\2" + data[at + 3 :])
        findings = check_results(tmp_path / "s.zip", open_dataset(root)).findings
        assert {f.rule for f in findings} == {"undecodable"}


class TestZeroed:
    def test_missing_video(self, results, root):
        shutil.rmtree(results / "dog")
        (finding,) = found(results, root, "missing-video")
        assert finding.sentence == "video dog is missing: it scores zero"

    def test_rgb(self, results, root):
        save(results / "cat/00001.png", np.zeros((*SIZE, 3), np.uint8))
        (finding,) = found(results, root, "mode")
        assert "mode RGB" in finding.sentence
        assert "wrong ids" in finding.sentence

    def test_one_bit(self, results, root):
        Image.fromarray(blocks(1) > 0).save(results / "cat/00001.png")
        found(results, root, "mode")

    def test_0_and_255_instead_of_ids(self, results, root):
        save(results / "cat/00001.png", np.where(blocks(1) > 0, 255, 0).astype(np.uint8))
        (finding,) = found(results, root, "object-id")
        assert "holds id 255, but the given masks of video cat hold ids 1, 5" in finding.sentence

    def test_ids_that_are_not_given(self, results, root):
        write_mask(results / "dog/00001.png", blocks(2, 3, 4))
        (finding,) = found(results, root, "object-id")
        assert "ids 3, 4" in finding.sentence
        assert "ids 2, 9" in finding.sentence

    @pytest.mark.parametrize("mask", [blocks(1, 5, shift=1), blocks(5, 1), blocks(1)])
    def test_changed_first_mask(self, results, root, mask):
        write_mask(results / "cat/00000.png", mask)
        (finding,) = found(results, root, "first-mask")
        assert (finding.video, finding.file) == ("cat", "00000.png")

    def test_the_first_mask_is_where_the_first_object_is(self, tmp_path):
        write_video(tmp_path / "data", "x", FRAMES, {"00001": blocks(3)})
        empty, given = np.zeros(SIZE, np.uint8), blocks(3)
        write_masks(tmp_path / "out" / "x", dict(zip(FRAMES, [empty, given, empty], strict=True)))
        assert found(tmp_path / "out", tmp_path / "data") == ()
        write_mask(tmp_path / "out/x/00001.png", empty)
        found(tmp_path / "out", tmp_path / "data", "first-mask")


def test_what_lies_among_corrections_and_is_none_is_noted(root, tmp_path):
    (tmp_path / "corrections/cat").mkdir(parents=True)
    for name in ("00001.png", ".DS_Store"):
        (tmp_path / "corrections" / name).write_bytes(b"")
    report = check_dataset(open_dataset(root, corrections=tmp_path / "corrections"), 1)
    assert sorted(finding.rule for finding in report.findings) == ["leftover", "stray-file"]


class TestGivenMasks:
    """Of a mask that cannot be used one finding is enough."""

    @pytest.mark.parametrize(("kind", "rule"), [("JPEG", "mode"), ("palette", "no-ids")])
    def test_no_second_finding_of_the_objects_it_may_hold(self, tmp_path, kind, rule):
        write_video(tmp_path, "x", FRAMES, {"00000": blocks(1, 5)})
        path = tmp_path / "Annotations/x/00000.png"
        colours = Image.open(path).convert("RGB")
        if kind == "JPEG":
            colours.convert("L").save(path, "JPEG")
        else:
            colours.convert("P").save(path)
        assert [f.rule for f in check_dataset(open_dataset(tmp_path)).findings] == [rule]

    def test_no_mask_holds_an_object(self, tmp_path):
        write_video(tmp_path, "x", FRAMES, {"00000": blocks(0)})
        (tmp_path / "JPEGImages/x/00001.jpg").write_bytes(b"")
        sentences = [f.sentence for f in check_dataset(open_dataset(tmp_path)).findings]
        assert "video x has no object to follow: no given mask holds one" in sentences


class TestNotes:
    def test_a_video_that_the_data_set_does_not_have(self, results, root):
        write_masks(results / "zebra", {"x": blocks(77)})
        (finding,) = found(results, root, "unknown-video")
        assert finding.severity == NOTE

    def test_files_of_the_operating_system(self, results, root):
        (results / "__MACOSX/cat").mkdir(parents=True)
        (results / "__MACOSX/cat/._00000.png").write_bytes(b"")
        (results / "cat/.DS_Store").write_bytes(b"")
        (results / "scores.csv").write_bytes(b"")
        assert len(found(results, root, "stray-file")) == 3

    def test_they_do_not_hide_a_wrapping_folder(self, results, root):
        results.rename(results.parent / "all")
        results.mkdir()
        (results.parent / "all").rename(results / "all")
        (results / ".DS_Store").write_bytes(b"")
        rules = {f.rule for f in check_results(results, open_dataset(root)).findings}
        assert rules == {"wrapping-folder", "stray-file"}


def test_a_binary_data_set_takes_binary_results(tmp_path):
    binary = np.where(blocks(1) > 0, 255, 0).astype(np.uint8)
    write_video(tmp_path / "DAVIS", "bear", FRAMES, dict.fromkeys(FRAMES, binary))
    for mask in (binary, blocks(1)):
        write_masks(tmp_path / "out" / "bear", dict.fromkeys(FRAMES, mask))
        assert found(tmp_path / "out", tmp_path / "DAVIS") == ()


class TestRefused:
    @pytest.mark.parametrize(
        "name", ["../x/00000.png", "/etc/00000.png", "a/../../b.png", "C:/0.png"]
    )
    def test_names_that_lead_outside(self, tmp_path, root, name):
        with zipfile.ZipFile(tmp_path / "s.zip", "w") as archive:
            archive.writestr("cat/00000.png", b"")
            archive.writestr(name, b"")
        with pytest.raises(InputError, match="absolute or leads outside"):
            check_results(tmp_path / "s.zip", open_dataset(root))
        assert sorted(p.name for p in tmp_path.iterdir()) == ["MOSE", "s.zip"]

    def test_what_is_no_zip(self, tmp_path, results):
        write_submission(results, tmp_path / "s.zip")
        data = (tmp_path / "s.zip").read_bytes()
        (tmp_path / "s.zip").write_bytes(data[:-30])
        with pytest.raises(InputError, match="not a whole zip"):
            check_results(tmp_path / "s.zip")
        with pytest.raises(InputError, match="not a whole zip"):
            check_results(results / "cat/00000.png")

    def test_what_is_not_there_or_empty(self, tmp_path):
        (tmp_path / "empty").mkdir()
        with pytest.raises(InputError, match="nope does not exist"):
            check_results(tmp_path / "nope")
        with pytest.raises(InputError, match="empty holds no masks"):
            check_results(tmp_path / "empty")

    def test_an_entry_too_large_for_a_mask(self, tmp_path):
        with zipfile.ZipFile(tmp_path / "s.zip", "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("cat/00000.png", bytes(65 << 20))
        with pytest.raises(InputError, match="too large for a mask"):
            Results(tmp_path / "s.zip").read("cat/00000.png")


def test_several_processes_find_the_same(tmp_path):
    for number in range(10):
        write_video(tmp_path / "data", f"v{number}", FRAMES)
        write_masks(tmp_path / "out" / f"v{number}", dict.fromkeys(FRAMES, blocks(1, number)))
    write_submission(tmp_path / "out", tmp_path / "s.zip")
    dataset = open_dataset(tmp_path / "data")
    one = check_results(tmp_path / "s.zip", dataset, processes=1)
    assert check_results(tmp_path / "s.zip", dataset, processes=3) == one
    assert len(one.findings) > 10


class TestFindings:
    def test_many_of_a_kind_are_one_line(self):
        findings = [
            Finding("size", f"mask {v}/{n}.png is small", f"v{v}", f"{n}.png")
            for v in range(10)
            for n in range(100)
        ]
        findings += [Finding("stray-file", "file x"), Finding("missing-video", "video z", "z")]
        assert lines(findings) == [
            "rejected  1,000 masks have another size than their frames in 10 videos,"
            " for one: mask 0/0.png is small",
            "zeroed    video z",
            "note      file x",
        ]

    def test_every_rule_has_a_severity(self):
        assert {severity for severity, _ in RULES.values()} == set(SEVERITIES)
        finding = Finding("size", "s", "v", "f")
        assert finding.json() == {
            "severity": "rejected",
            "rule": "size",
            "sentence": "s",
            "video": "v",
            "file": "f",
        }


PARTS = st.sampled_from(["a", "b", "0.png"])


@given(names=st.lists(st.lists(PARTS, min_size=1, max_size=4).map("/".join), unique=True))
def test_every_file_is_in_one_video_or_stray(names):
    prefix = wrapping(names)
    files = by_video(names, prefix)
    strays = files.pop("", [])
    inside = [f"{prefix}{video}/{file}" for video, rest in files.items() for file in rest]
    assert sorted(inside + strays) == sorted(names)


class TestCommand:
    def test_exit_codes_and_words(self, results, root, capsys):
        assert main([str(results), "--dataset", str(root)]) == 0
        assert "nothing would be rejected" in capsys.readouterr().out
        write_mask(results / "cat/00001.png", blocks(1, 8))
        assert main([str(results), "--dataset", str(root), "--split", "test"]) == 1
        said = capsys.readouterr().out.splitlines()
        assert said[0].startswith("checked 2 videos of")
        assert said[1].startswith("zeroed    mask cat/00001.png holds id 8")
        assert len(said) == 3

    def test_json(self, results, root, capsys):
        (results / "cat/00001.png").unlink()
        assert main([str(results), "--dataset", str(root), "--json"]) == 1
        said = json.loads(capsys.readouterr().out)
        assert said["accepted"] is False
        (finding,) = said["checks"][0]["findings"]
        assert (finding["severity"], finding["rule"]) == ("rejected", "missing-frame")

    def test_every_split_of_a_data_set(self, root, tmp_path, capsys):
        (tmp_path / "all").mkdir()
        root.rename(tmp_path / "all" / "train")
        write_video(tmp_path / "all" / "valid", "x")
        assert main([str(tmp_path / "all")]) == 0
        assert capsys.readouterr().out.count("checked") == 2
        assert main([str(tmp_path / "all"), "--split", "valid"]) == 0
        assert "checked 1 video of" in capsys.readouterr().out

    def test_folders_of_given_masks(self, root, results, capsys):
        (root / "Annotations/dog/00002.png").unlink()
        write_masks(root / "Later/dog", {"00002": blocks(0, 9)})
        assert main([str(results), "--dataset", str(root)]) == 1
        named = ["--annotations", "Annotations", "--annotations", "Later"]
        assert main([str(results), "--dataset", str(root), *named]) == 0

    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            (["nope"], "error: nope does not exist"),
            (["out", "--dataset", "MOSE", "--split", "tset"], "unknown split 'tset'"),
        ],
    )
    def test_bad_input_is_exit_code_2(self, results, root, arguments, said):
        command = [sys.executable, "-m", "mose.check", *arguments]
        done = subprocess.run(command, cwd=root.parent, capture_output=True, text=True, check=False)
        assert done.returncode == 2
        assert said in done.stderr
        assert done.stderr.count("\n") == 1

    def test_help_draws_the_layouts(self, capsys):
        with pytest.raises(SystemExit):
            main(["--help"])
        assert "<video>/00000.png" in capsys.readouterr().out
