"""What the pages do to a run over HTTP: files on disk are what the answers say."""

import io
import json
import struct
import threading

import numpy as np
import pytest
from PIL import Image
from small_runs import HEIGHT, WIDTH, arguments, contents

from ensemble import run as run_command
from ensemble.execution.lease import held
from mose.masks import read_mask
from selection.record import read_record
from selection.report.stills import shrink
from study.edits import DrawnFrame
from study.review.acts import label_of
from study.review.id_runs import decode_runs, encode_runs


def masks(run, video="a"):
    paths = sorted((run / "masks" / video).glob("*.png"))
    return np.stack([read_mask(path, binary=False) for path in paths])


def shown(served, frame, layer=0, page="a"):
    """The ids that a page gets of a layer."""
    path = f"api/videos/{page}/masks/{frame}?layers={layer}&height=5000"
    status, _, body = served.ask("GET", path)
    assert status == 200, body
    return decode_runs(body, (HEIGHT, WIDTH), {3, 9})


def square(object_id, top=2, left=2):
    ids = np.zeros((HEIGHT, WIDTH), np.uint8)
    ids[top : top + 6, left : left + 9] = object_id
    return ids


def draw(served, frame, ids, objects, before=""):
    path = f"api/videos/a/masks/{frame}?objects={','.join(map(str, objects))}&before={before}"
    status, _, body = served.ask("PUT", path, encode_runs(ids))
    return status, json.loads(body)


def test_the_pages_show_what_is_on_disk(served, run):
    facts = served.get("api/videos/a")
    assert facts["frames"] == [f"{t:05d}" for t in range(6)]
    assert [layer["name"] for layer in facts["layers"]] == [
        "selected",
        "flow",
        "hold",
        "pseudo-label",
    ]
    for frame in (0, 5):
        assert (shown(served, frame) == masks(run)[frame]).all()
    fused = read_mask(run / "pseudo-labels/a/00004.png")
    assert (shown(served, 4, 3) == fused).all()
    status, headers, body = served.ask("GET", "api/videos/a/frames/2?height=400")
    assert status == 200
    assert headers["content-type"] == "image/jpeg"
    stored = served.desk.opened.dataset.images / "a/00002.jpg"
    assert body == stored.read_bytes()


@pytest.mark.parametrize("path", ["masks/{}?layers=0,2", "preview/{}?candidate=hold&object=3"])
def test_one_answer_holds_several_frames(served, path):
    def body(first, more):
        asked = f"api/videos/a/{path.format(first)}&height=24&{more}"
        status, _, body = served.ask("GET", asked)
        assert status == 200, body
        return body

    together = body(1, "count=3&step=2")
    assert together == b"".join(body(frame, "count=1") for frame in (1, 3, 5))
    assert served.ask("GET", f"api/videos/a/{path.format(4)}&count=3")[0] == 400


def test_one_answer_holds_several_pictures_each_behind_its_length(served):
    status, _, body = served.ask("GET", "api/videos/a/film/1?height=24&count=3&step=2")
    assert status == 200, body
    frames = [served.ask("GET", f"api/videos/a/frames/{t}?height=24")[2] for t in (1, 3, 5)]
    assert body == b"".join(len(frame).to_bytes(4, "little") + frame for frame in frames)
    assert served.ask("GET", "api/videos/a/film/4?height=24&count=3")[0] == 400


def test_a_small_view_gets_the_nearest_pixels_of_masks(served, run):
    _, _, body = served.ask("GET", "api/videos/a/masks/4?layers=0,2&height=24")
    selected = encode_runs(shrink(read_mask(run / "masks/a/00004.png"), (24, 32)))
    assert body.startswith(selected)
    assert body[len(selected) :].startswith(struct.pack("<II", 24, 32))


def test_a_small_view_gets_small_pictures(served):
    _, _, body = served.ask("GET", "api/videos/a/frames/2?height=24")
    with Image.open(io.BytesIO(body)) as image:
        assert (image.format, image.size) == ("JPEG", (32, 24))


def test_the_quality_of_masks_is_told_where_one_is_expected(served):
    told = served.get("api/videos/a")["timelines"]
    assert told["candidates"] == ["flow", "hold", "pseudo-label"]
    for object_id, given in (("3", 0), ("9", 2)):
        for line in told["quality"][object_id]:
            assert len(line) == 6
            assert line[: given + 1] == [-1] * (given + 1)
            assert all(0 < percent < 100 for percent in line[given + 1 :])


def test_a_span_is_given_to_another_member_undone_and_had_back(served, run):
    before, files = masks(run), contents(run / "masks")
    record = (run / "selection/a.json").read_text()
    winner = served.get("api/videos/a")["winner"]
    other = "hold" if winner == "flow" else "flow"
    layer = {"flow": 1, "hold": 2}[other]
    status, answer = served.act("a", "choose", candidate=other, object=3, frames=[2, 4])
    assert (status, answer) == (200, {"version": 1})
    after = masks(run)
    for frame in range(6):
        expected = shown(served, frame, layer) if frame in (2, 3) else before[frame]
        assert ((after[frame] == 3) == (expected == 3)).all()
    facts = served.get("api/videos/a")
    assert facts["plan"]["3"] == [[0, winner], [2, other], [4, winner]]
    [line] = facts["log"]
    assert (line["by"], line["kind"], line["frames"]) == ("ann", "choose", [2, 4])
    assert (shown(served, 2, 1000) == before[2]).all()
    assert served.act("a", "undo", version=1) == (200, {"version": 2})
    assert contents(run / "masks") == files
    assert (run / "selection/a.json").read_text() == record
    assert served.act("a", "redo", version=2) == (200, {"version": 3})
    assert (masks(run) == after).all()


@pytest.mark.parametrize(
    "wish", ["hold", "hold&object=3", "flow&object=9&frames=3,5", "pseudo-label"]
)
def test_a_preview_is_what_is_written(served, run, wish):
    candidate, *more = wish.split("&")
    values = dict(part.split("=") for part in more)
    sent = {"candidate": candidate}
    if "object" in values:
        sent["object"] = int(values["object"])
    if "frames" in values:
        sent["frames"] = [int(t) for t in values["frames"].split(",")]
    previews = []
    for frame in range(6):
        path = f"api/videos/a/preview/{frame}?candidate={wish}&height=999"
        status, _, body = served.ask("GET", path)
        assert status == 200, body
        previews.append(decode_runs(body, (HEIGHT, WIDTH), {3, 9}))
    served.act("a", "choose", **sent)
    assert (masks(run) == np.stack(previews)).all()


def test_undo_has_no_limit(served, run):
    states = [masks(run)]
    for n in range(12):
        candidate = ("hold", "flow", "pseudo-label")[n % 3]
        served.act("a", "choose", candidate=candidate, object=3, frames=[n % 5, n % 5 + 1])
        states.append(masks(run))
    version = served.get("api/videos/a")["version"]
    while served.get("api/videos/a")["undo"]:
        status, answer = served.act("a", "undo", version=version)
        assert status == 200
        version = answer["version"]
    assert (masks(run) == states[0]).all()
    while served.get("api/videos/a")["redo"]:
        status, answer = served.act("a", "redo", version=version)
        assert status == 200
        version = answer["version"]
    assert (masks(run) == states[-1]).all()


def test_a_drawn_mask_is_verbatim_and_a_correction(served, run):
    before = masks(run)
    status, answer = draw(served, 3, square(3), [3])
    assert status == 200, answer
    after = masks(run)
    assert ((after[3] == 3) == (square(3) == 3)).all()
    assert (np.delete(after, 3, 0) == np.delete(before, 3, 0)).all()
    assert (read_mask(run / "corrections/a/00003.png") == square(3)).all()
    assert read_record(run / "selection/a.json").provenance.corrections == {"00003": (3,)}
    facts = served.get("api/videos/a")
    assert facts["corrections"]["00003"]["ids"] == [3]
    served.act("a", "undo", version=1)
    assert (masks(run) == before).all()
    assert not (run / "corrections/a").exists()


def test_the_main_command_takes_what_was_drawn_and_it_can_be_undone_later(served, run, finished):
    draw(served, 3, square(3), [3])
    root = finished.parent
    again = arguments(root / "data", root / "config.yaml", run, "--keep-soft")
    assert run_command.main(again) == 0
    made = masks(run)
    assert ((made[3] == 3) == (square(3) == 3)).all()
    assert served.get("api/videos/a")["corrections"]["00003"]["ids"] == [3]
    assert draw(served, 4, square(9, 30, 30), [9])[0] == 200
    assert served.act("a", "undo", version=2) == (200, {"version": 3})
    assert (masks(run) == made).all()
    assert served.act("a", "leave", frame=3)[0] == 200
    assert not (run / "corrections/a").exists()
    assert served.act("a", "undo", version=4)[0] == 200
    assert (read_mask(run / "corrections/a/00003.png") == square(3)).all()


def test_absent_here(served, run):
    status, _ = draw(served, 3, np.zeros((HEIGHT, WIDTH), np.uint8), [3])
    assert status == 200
    assert not (masks(run)[3] == 3).any()
    assert json.loads((run / "corrections/a/gone.json").read_text()) == {"00003": [3]}
    assert served.act("a", "leave", frame=3, object=3)[0] == 200
    assert (masks(run)[3] == 3).any()


def test_objects_of_one_frame_are_merged_and_one_object_is_not_overwritten(served, run):
    assert draw(served, 4, square(3), [3])[0] == 200
    assert draw(served, 4, square(9, 30, 30), [9])[0] == 200
    both = masks(run)[4]
    assert ((both == 3) == (square(3) == 3)).all()
    assert ((both == 9) == (square(9, 30, 30) == 9)).all()
    status, answer = draw(served, 4, square(3, 10), [3])
    assert status == 409
    assert "meanwhile" in answer["error"]
    assert (masks(run)[4] == both).all()
    label = served.get("api/videos/a")["corrections"]["00004"]["label"]
    assert draw(served, 4, square(3, 10), [3], label)[0] == 200


@pytest.mark.parametrize(
    ("frame", "objects"), [(0, [3]), (2, [9]), (1, [9]), (99, [3]), (3, [4]), (3, [])]
)
def test_drawings_that_cannot_be(served, run, frame, objects):
    files = contents(run / "masks")
    path = f"api/videos/a/masks/{frame}?objects={','.join(map(str, objects))}"
    status, _, body = served.ask("PUT", path, encode_runs(square(3)))
    assert status == 400
    assert json.loads(body)["error"]
    assert contents(run / "masks") == files


def test_two_reviewers_on_one_video(served, run):
    """Their choices are merged; an undo that does not know of the other's edit is refused."""
    assert served.act("a", "choose", candidate="hold", object=3)[0] == 200
    assert served.act("a", "choose", candidate="pseudo-label", object=9)[0] == 200
    plan = served.get("api/videos/a")["plan"]
    assert (plan["3"], plan["9"]) == ([[0, "hold"]], [[0, "pseudo-label"]])
    status, answer = served.act("a", "undo", version=1)
    assert status == 409
    assert "ann has changed this video" in answer["error"]
    assert served.get("api/videos/a")["plan"] == plan


def test_many_at_once_lose_nothing(served, run):
    spans = [(object_id, frame) for object_id in (3, 9) for frame in range(5)]
    statuses = []

    def one(object_id, frame):
        wish = {"candidate": "hold", "object": object_id, "frames": [frame, frame + 1]}
        statuses.append(served.act("a", "choose", **wish)[0])

    threads = [threading.Thread(target=one, args=span) for span in spans]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert statuses == [200] * len(spans)
    plan = read_record(run / "selection/a.json").plan
    assert all(span.candidate == "hold" for n in (3, 9) for span in plan[n] if span.stop <= 5)


def test_a_run_that_is_worked_on_is_left_alone(served, run):
    with held(run):
        status, answer = served.act("a", "choose", candidate="hold")
    assert status == 400
    assert "is being worked on" in answer["error"]


def test_marks_and_the_work_list(served, run):
    rows = served.get("api/run")["rows"]
    assert [row["gain"] for row in rows] == sorted((row["gain"] for row in rows), reverse=True)
    assert sum(row["first"] for row in rows) <= 1
    assert served.act("b", "mark", mark="undecided") == (200, {"mark": "undecided"})
    assert served.act("b", "mark", mark="perhaps")[0] == 400
    marked = {row["video"]: row["mark"] for row in served.get("api/run")["rows"]}
    assert marked["b"] == "undecided"
    assert marked["a"] == "open"
    [line] = [json.loads(line) for line in (run / "marks.jsonl").read_text().splitlines()]
    assert (line["by"], line["video"]) == ("ann", "b")


def test_a_label_changes_with_the_drawing():
    drawings = [
        None,
        DrawnFrame("x.png", (3,)),
        DrawnFrame("y.png", (3,)),
        DrawnFrame("x.png", (3, 4), (4,)),
        DrawnFrame(None, (3, 4), (3, 4)),
    ]
    assert len({label_of(drawn) for drawn in drawings}) == len(drawings)
