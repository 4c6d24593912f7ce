"""Predictions on disk: what is read is what was written, or an error, never another mask."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.base import FrameMasks
from adapters.expansion import Expansion
from ensemble.storage.predictions import (
    Prediction,
    PredictionWriter,
    decode,
    encode,
    read_manifest,
)
from stseg.failures import CorruptPrediction

HEIGHT, WIDTH = 60, 90


def frame(index, seed, rule="aggregate-upsample", ids=(2, 7)):
    rng = np.random.default_rng(seed)
    said = rng.uniform(size=len(ids)).astype(np.float32)
    if rule == "labels":
        native = rng.choice(np.array([0, *ids], np.uint8), size=(HEIGHT, WIDTH))
        return FrameMasks(index, ids, said, said, native, Expansion(rule))
    native = rng.normal(scale=4, size=(len(ids), 16, 24)).astype(np.float32)
    if rule == "probability":
        native = np.abs(native) / (np.abs(native).sum(axis=0) + 1)
        return FrameMasks(index, ids, said, said, native, Expansion(rule))
    if rule == "exclusive":
        return FrameMasks(index, ids, said, said, native, Expansion(rule))
    expansion = Expansion(rule, (64, 96), (2, 3, HEIGHT, WIDTH))
    return FrameMasks(index, ids, said, said, native, expansion)


RULES = ["labels", "probability", "exclusive", "upsample-aggregate", "aggregate-upsample"]


@pytest.mark.parametrize("rule", RULES)
@given(seed=st.integers(0, 10_000), count=st.integers(0, 4))
@settings(max_examples=15, deadline=None)
def test_labels_read_back_exactly_and_probabilities_closely(rule, seed, count):
    original = frame(0, seed, rule, tuple(range(3, 3 + count)))
    ids = original.labels(HEIGHT, WIDTH)
    back = decode(encode(original, ids), 0, (HEIGHT, WIDTH))
    np.testing.assert_array_equal(back.labels(HEIGHT, WIDTH), ids)
    assert back.object_ids == original.object_ids
    np.testing.assert_allclose(back.confidence, original.confidence, atol=1e-6)
    before, after = (f.probabilities(HEIGHT, WIDTH) for f in (original, back))
    assert np.abs(after - before).sum() <= 0.005 * max(after.size, 1)


def write(folder, frames=4, commit=True):
    with PredictionWriter(folder, HEIGHT, WIDTH) as writer:
        for index in range(frames):
            writer.add(frame(index, index))
        if commit:
            writer.commit({"member": "xmem", "key": "k"})


def test_written_prediction_reads_by_frame(tmp_path):
    write(tmp_path / "p")
    prediction = Prediction(tmp_path / "p")
    assert len(prediction) == 4
    for index in (3, 0, 2):
        expected = frame(index, index).labels(HEIGHT, WIDTH)
        np.testing.assert_array_equal(prediction[index].labels(HEIGHT, WIDTH), expected)
        np.testing.assert_array_equal(prediction.ids(index), expected)
    assert prediction.manifest["member"] == "xmem"


def test_prediction_appears_whole_or_not_at_all(tmp_path):
    write(tmp_path / "p", commit=False)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(CorruptPrediction):
        Prediction(tmp_path / "p")


def test_second_writing_replaces_the_first(tmp_path):
    write(tmp_path / "p", frames=2)
    write(tmp_path / "p", frames=3)
    assert len(Prediction(tmp_path / "p")) == 3
    assert [path.name for path in tmp_path.iterdir()] == ["p"]


@pytest.mark.parametrize("at", [0.1, 0.5, 0.9])
def test_damaged_record_never_becomes_a_mask(tmp_path, at):
    write(tmp_path / "p", frames=1)
    path = tmp_path / "p" / "frames.bin"
    data = bytearray(path.read_bytes())
    data[int(len(data) * at)] ^= 0xFF
    path.write_bytes(data)
    with pytest.raises(CorruptPrediction, match="damaged at frame 0"):
        Prediction(tmp_path / "p")[0]


def test_truncated_prediction_is_not_whole(tmp_path):
    write(tmp_path / "p")
    path = tmp_path / "p" / "frames.bin"
    path.write_bytes(path.read_bytes()[:-1])
    assert read_manifest(tmp_path / "p") is None
    with pytest.raises(CorruptPrediction):
        Prediction(tmp_path / "p")


def test_size_on_disk_at_1080p(tmp_path):
    """At most 40 KB per object and 1080p frame, for masks with smooth outlines."""
    rows, columns = np.mgrid[:120, :216].astype(np.float32)
    centres = [(40, 60, 22), (70, 120, 30), (60, 180, 15)]
    logits = np.stack([(r - np.hypot(rows - y, columns - x)) * 0.8 for y, x, r in centres]).astype(
        np.float32
    )
    said = np.ones(3, np.float32)
    expansion = Expansion("aggregate-upsample", (480, 864), (0, 5, 480, 854))
    one = FrameMasks(0, (1, 2, 3), said, said, logits, expansion)
    with PredictionWriter(tmp_path / "p", 1080, 1920) as writer:
        writer.add(one)
        assert writer.commit({}) < 3 * 40_000
