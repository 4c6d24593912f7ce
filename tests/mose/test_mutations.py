"""Whatever becomes of a data set: the same frames and masks, or one sentence that says why not."""

import numpy as np
import pytest
from mutations import MUTATIONS, write_clean

from mose import InputError
from mose.check import check_dataset
from mose.dataset import open_dataset


def read(root):
    """What a run sees of the video: frames, and the masks that are given with it."""
    dataset = open_dataset(root, "valid")
    assert dataset.videos == ("a",)
    video = dataset.video("a")
    video.check_prompts()
    frames = [frame.tobytes() for frame in video]
    masks = {index: video.prompts[index].tobytes() for index in video.prompts}
    return frames, masks, video.object_ids


def outcome(root, clean):
    """What became of one mutated data set, for the run and for the check alike."""
    try:
        found, refusal = read(root), None
    except InputError as error:
        found, refusal = None, str(error)
    if found == clean:
        return "same"
    assert refusal is not None, "another mask in silence"
    assert "\n" not in refusal
    assert str(root) in refusal or "video a" in refusal
    report = check(root)
    assert report is None or not report.accepted, refusal
    return "refused"


def check(root):
    try:
        return check_dataset(open_dataset(root, "valid"), processes=1)
    except InputError:
        return None


def run_mutations(tmp_path, numbers):
    write_clean(tmp_path / "clean")
    clean = read(tmp_path / "clean")
    outcomes = set()
    for number in numbers:
        rng = np.random.default_rng(number)
        root = tmp_path / f"m{number}"
        write_clean(root)
        count = 1 if number < len(MUTATIONS) or rng.random() < 0.5 else 2
        chosen = [MUTATIONS[int(k)] for k in rng.integers(len(MUTATIONS), size=count)]
        if number < len(MUTATIONS):
            chosen = [MUTATIONS[number]]
        try:
            for mutate in chosen:
                try:
                    mutate(root, rng)
                except (ValueError, OSError):
                    continue  # the first of a pair left nothing for the second
            outcomes.add(outcome(root, clean))
        except Exception as error:
            error.add_note(f"mutation {number}: {[m.__name__ for m in chosen]}")
            raise
    return outcomes


def test_300_mutations(tmp_path):
    assert {"same", "refused"} <= run_mutations(tmp_path, range(300))


@pytest.mark.mutations
def test_10000_mutations(tmp_path):
    assert {"same", "refused"} <= run_mutations(tmp_path, range(300, 10_300))
