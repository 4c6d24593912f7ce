"""``benchmarks.gpu`` in a small setting on a CPU."""

import pytest

from benchmarks import gpu

pytestmark = pytest.mark.usefixtures("one_thread")


def rows(text):
    return [line for line in text.splitlines() if line.startswith("| demo")]


def test_measures_and_says_what_it_does_not(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(gpu, "FRAMES", 1)
    few = [
        row
        for row in gpu.settings(["demo-livos", "demo-sam2"], [(48, 64)])
        if row.objects == 1 and row.amp == "off" and not row.compiled
    ]
    monkeypatch.setattr(gpu, "settings", lambda *_: few)
    output = tmp_path / "table.md"
    assert gpu.main(["--device", "cpu", "--tiny", "--output", str(output)]) == 0
    assert rows(output.read_text()) == rows(capsys.readouterr().out)
    names = [line.split(" | ")[0] for line in rows(output.read_text())]
    assert names == ["| demo-livos", "| demo-sam2", "| demo-sam2, the package's own"]
    assert all(float(line.split(" | ")[5]) > 0 for line in rows(output.read_text()))


def test_every_kind_of_row_is_there():
    sizes = [(480, 854), (1080, 1920)]
    made = gpu.settings(["sam2-large", "xmem"], sizes)
    plain = [row for row in made if row.member == "xmem" and not row.compiled]
    assert len(plain) == len(sizes) * 3 * 2
    assert [row.compiled for row in made] == sorted(row.compiled for row in made)
    assert {row.member for row in made if row.package} == {"sam2-large"}


class Full(gpu.Bench):
    """A device that takes a single object."""

    def measure(self, row):
        if row.objects > 1:
            raise gpu.torch.OutOfMemoryError
        return gpu.Measured(1.0, 2.0)


def test_what_does_not_fit_is_said(tmp_path):
    made = [row for row in gpu.settings(["xmem"], [(480, 854)]) if not row.compiled]
    bench = Full("cpu", tmp_path, 1)
    measured, skipped = gpu.measure_all(made, bench, float("inf"))
    assert {row.objects for row in measured} == {1}
    said = "xmem at 480 x 854, {} objects, fp32: {}"
    assert said.format(3, "does not fit into memory") in skipped
    assert said.format(10, "fewer objects do not fit into memory") in skipped
    measured, skipped = gpu.measure_all(made, bench, float("-inf"))
    assert not measured
    assert len(skipped) == len(made)
    assert all("no time was left" in sentence for sentence in skipped)


def test_a_package_that_is_missing(tmp_path, monkeypatch):
    monkeypatch.setitem(gpu.PACKAGES, "sam2", "no_such_package")
    (row,) = [
        row
        for row in gpu.settings(["demo-sam2"], [(48, 64)])
        if row.package and row.objects == 1 and row.amp == "off"
    ]
    _, skipped = gpu.measure_all([row], gpu.Bench("cpu", tmp_path, 1), float("inf"))
    assert "no_such_package is not installed" in skipped[0]
