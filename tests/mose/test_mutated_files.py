"""Damaged and oddly written zips, lists and JSON: read as meant, or one sentence."""

import json
import zipfile

import numpy as np
import pytest
from layouts import blocks, write_video

from mose import InputError
from mose.check import check_results
from mose.dataset import open_dataset
from mose.masks import write_mask
from mose.meta import VideoMeta, read_meta
from mose.readers.lists import read_names

NAMES = ("bear", "cat", "my dog")


def flipped(data, rng):
    """Bytes of which some are others, are missing, or are there twice."""
    data = bytearray(data)
    for _ in range(int(rng.integers(1, 4))):
        at = int(rng.integers(len(data))) if data else 0
        act = int(rng.integers(3))
        if act == 0 and data:
            data[at] ^= 1 << int(rng.integers(8))
        elif act == 1:
            del data[at:]
        else:
            data[at:at] = data[: int(rng.integers(8))]
    return bytes(data)


def zips(tmp_path, numbers):
    write_video(tmp_path / "ds", "v")
    dataset = open_dataset(tmp_path / "ds")
    write_mask(tmp_path / "m.png", blocks(1, 5))
    data, path = (tmp_path / "m.png").read_bytes(), tmp_path / "r.zip"
    forms = ("{}", "./{}", "masks/{}", "a\\{}", "//{}", "x/../{}", "{}/")
    for number in numbers:
        rng = np.random.default_rng(number)
        form = forms[int(rng.integers(len(forms)))]
        with zipfile.ZipFile(path, "w") as archive:
            for index in range(3):
                archive.writestr(form.format(f"v/{index:05d}.png"), data)
        if rng.random() < 0.7:
            path.write_bytes(flipped(path.read_bytes(), rng))
        try:
            report = check_results(path, dataset, processes=1)
        except InputError as error:
            assert str(path) in str(error), number  # noqa: PT017
            continue
        assert all("\n" not in finding.sentence for finding in report.findings)


def lists(tmp_path, numbers):
    path = tmp_path / "list.txt"
    for number in numbers:
        rng = np.random.default_rng(number)
        chosen = [name for name in NAMES if rng.random() < 0.7]
        end = ("\n", "\r\n", "\n\n", " \n", "\t# why\n")[int(rng.integers(5))]
        form = ("{}", "{}/", "JPEGImages/480p/{}", "./{}", '"{}"', "{},")[int(rng.integers(6))]
        coding = ("utf-8", "utf-8-sig", "utf-16", "utf-32")[int(rng.integers(4))]
        data = "".join(form.format(name) + end for name in chosen).encode(coding)
        whole = rng.random() < 0.5
        path.write_bytes(data if whole else flipped(data, rng))
        try:
            found = read_names(path).matched(NAMES)
        except InputError as error:
            assert not whole, number
            assert str(path) in str(error), number  # noqa: PT017
            continue
        if whole:
            assert (found.names, found.nowhere) == (tuple(chosen), ()), number


def jsons(tmp_path, numbers):
    path = tmp_path / "meta.json"
    content = {"videos": {"v": {"objects": ["1", "2"], "length": 3}}}
    for number in numbers:
        rng = np.random.default_rng(number)
        coding = ("utf-8", "utf-8-sig", "utf-16")[int(rng.integers(3))]
        data = json.dumps(content).encode(coding)
        whole = rng.random() < 0.2
        path.write_bytes(data if whole else flipped(data, rng))
        try:
            found = read_meta(path)
        except InputError as error:
            assert not whole, number
            assert str(path) in str(error), number  # noqa: PT017
            continue
        assert not whole or found == {"v": VideoMeta(length=3, objects=(1, 2))}


KINDS = pytest.mark.parametrize("kind", [zips, lists, jsons])


@KINDS
def test_30_of_a_kind(tmp_path, kind):
    kind(tmp_path, range(30))


@pytest.mark.mutations
@KINDS
def test_1000_of_a_kind(tmp_path, kind):
    kind(tmp_path, range(30, 1030))
