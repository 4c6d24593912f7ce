"""Changes by hand: states, undo and redo without limit, and crashes in the middle."""

import json
import shutil
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_runs import MEMBERS, arguments, contents, make_video

from ensemble import run as run_command
from mose.masks import read_mask
from selection.spans import Span, candidate_at, spans_between, spliced, whole, without
from study.apply_edit import OpenRun, apply_edit, finish_broken_off
from study.apply_override import Override, apply_overrides, overridden
from study.edits import (
    DrawnFrame,
    Edit,
    EditKind,
    VideoState,
    changed_frames,
    history,
    now,
)

FRAMES = 12
STRETCH = st.tuples(st.integers(0, FRAMES - 1), st.integers(1, FRAMES)).filter(
    lambda part: part[0] < part[1]
)


def line(kind, state, **more):
    values = {"candidate": None, "object": None, "frames": None} | more
    return Edit(now(), "ann", "v", kind, state=state, **values)


def state(name):
    return VideoState({1: whole(name, FRAMES)})


@given(st.lists(st.tuples(STRETCH, st.sampled_from("abc")), max_size=6))
def test_a_spliced_span_changes_its_frames_alone(parts):
    spans, expected = whole("a", FRAMES), ["a"] * FRAMES
    for (start, stop), name in parts:
        spans = spliced(spans, start, stop, name)
        expected[start:stop] = [name] * (stop - start)
    assert [candidate_at(spans, index) for index in range(FRAMES)] == expected
    assert all(one.candidate != two.candidate for one, two in pairwise(spans))
    assert spans[0].start == 0
    assert spans[-1].stop == FRAMES


@given(st.lists(STRETCH, max_size=3), STRETCH)
def test_ranges_without_a_stretch(ranges, cut):
    left = without(tuple(ranges), *cut)
    there = {index for start, stop in ranges for index in range(start, stop)}
    assert {i for a, b in left for i in range(a, b)} == there - set(range(*cut))


@given(st.lists(st.sampled_from(["undo", "redo", "a", "b", "c"]), max_size=30))
def test_undo_and_redo_go_through_all_states(steps):
    own, edits, done, undone = state("own"), [], ["own"], []
    for step in steps:
        if step == "undo" and len(done) > 1:
            undone.append(done.pop())
            edits.append(line(EditKind.UNDO, state(done[-1])))
        elif step == "redo" and undone:
            done.append(undone.pop())
            edits.append(line(EditKind.REDO, state(done[-1])))
        elif step in "abc":
            done, undone = [*done, step], []
            edits.append(line(EditKind.CHOOSE, state(step)))
    told = history(own, edits)
    assert told.done == tuple(state(name) for name in done)
    assert told.undone == tuple(state(name) for name in undone)
    assert told.edits == len(edits)


def test_a_state_and_a_change_come_back_from_the_log():
    full = VideoState(
        {3: (Span(0, 5, "a"), Span(5, FRAMES, "b"))},
        {3: ((2, 4),)},
        {"00002": DrawnFrame("x.png", (3, 4), (4,))},
        2,
    )
    edit = line(EditKind.CORRECT, full, object=3, frames=(2, 3))
    assert Edit.parse(json.loads(json.dumps(edit.json())), FRAMES) == edit


def test_changed_frames_are_those_that_differ():
    names = tuple(f"{t:05d}" for t in range(FRAMES))
    before = VideoState({1: whole("a", FRAMES), 2: whole("a", FRAMES)}, {1: ((0, 3),)})
    plan = {1: whole("a", FRAMES), 2: spans_between([(0, "a"), (7, "b"), (9, "a")], FRAMES)}
    after = VideoState(plan, {1: ((1, 3),)}, {"00011": DrawnFrame(None, (1,), (1,))})
    assert changed_frames(before, after, names) == {0, 7, 8, 11}
    assert changed_frames(before, VideoState(before.plan, before.absent, {}, 1), names) == set(
        range(FRAMES)
    )


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    root = tmp_path_factory.mktemp("edits")
    make_video(root / "data", "a", 6, late=True)
    config = root / "config.yaml"
    config.write_text(json.dumps({"members": MEMBERS}))
    assert run_command.main(arguments(root / "data", config, root / "run", "--keep-soft")) == 0
    return root


@pytest.fixture
def run(finished, tmp_path):
    return shutil.copytree(finished / "run", tmp_path / "run")


def other(opened):
    return next(m["name"] for m in MEMBERS if m["name"] != opened.record("a").winner)


def test_a_span_of_an_object_alone(run):
    opened = OpenRun.at(run)
    before = {t: read_mask(run / f"masks/a/{t:05d}.png") for t in range(6)}
    [edit] = apply_overrides(run, [Override("a", other(opened), 3, (2, 4))], "ann")
    after = {t: read_mask(run / f"masks/a/{t:05d}.png") for t in range(6)}
    assert {t for t in before if (before[t] != after[t]).any()} <= {2, 3}
    assert edit.by == "ann"
    assert [span.start for span in opened.record("a").plan[3]] == [0, 2, 4]


def test_a_change_that_broke_off_is_finished(run):
    opened = OpenRun.at(run)
    edit = overridden(opened, Override("a", other(opened)), "ann")
    undisturbed = shutil.copytree(run, run.with_name("undisturbed"))
    apply_edit(OpenRun.at(undisturbed), edit)

    def die():
        raise KeyboardInterrupt

    before = contents(run / "masks")
    with pytest.raises(KeyboardInterrupt):
        apply_edit(opened, edit, die)
    assert contents(run / "masks") == before
    assert not run.joinpath("overrides.jsonl").exists()
    for _ in range(2):
        finish_broken_off(opened)
        assert contents(run / "masks") == contents(undisturbed / "masks")
        assert opened.record("a") == OpenRun.at(undisturbed).record("a")
        assert opened.history("a").edits == 1


def test_what_a_run_makes_anew_has_a_history_of_its_own(finished, run):
    opened = OpenRun.at(run)
    name = other(opened)
    for wish in (name, None, name):
        apply_overrides(run, [Override("a", wish)])
    assert len(opened.history("a").done) == 4
    shutil.rmtree(run / "masks/a")
    again = arguments(finished / "data", finished / "config.yaml", run, "--keep-soft")
    assert run_command.main(again) == 0
    assert len(opened.history("a").done) == 1
    apply_overrides(run, [Override("a", name)])
    told = opened.history("a")
    assert len(told.done) == 2
    assert told.own == VideoState.of(OpenRun.at(finished / "run").record("a"))
