"""The report: complete, self-contained, and nothing in a name or a JSON becomes markup."""

import html.parser
import json
from dataclasses import replace
from urllib.parse import unquote

import numpy as np
import pytest
import yaml
from PIL import Image
from selection_records import record_of, write_record

from mose import InputError
from mose.masks import write_mask
from selection.evidence import Evidence
from selection.provenance import Provenance
from selection.record import Forecast, read_record
from selection.refined import Claim, Dispute, Suggestion
from selection.report import write_report
from selection.report.facts import VideoFacts
from selection.report.first_looks import first_looks, to_gain
from selection.report.flags import Flag, find_flags
from selection.report.series import encode
from selection.report.stills import StillsWriter
from selection.run_paths import page_name

AWKWARD = "<script><img src=x onerror=alert(1)>&\"'% #?"
NET = "</script><b>net"
CALM = record_of("v", (3,), 10, ("m0", "m1", "pseudo-label"))


def make_run(root, images, videos, frames=3, objects=(5,)):
    """A run directory as the pipeline writes it, without evidence and stills."""
    for name in videos:
        folders = (root / "masks" / name, root / "pseudo-labels" / name, images / name)
        for folder in (*folders, root / "selection" / "timelines"):
            folder.mkdir(parents=True, exist_ok=True)
        for index in range(frames):
            ids = np.zeros((20, 30), np.uint8)
            ids[4:9, index % 20 : index % 20 + 8] = objects[0]
            for kind in ("masks", "pseudo-labels"):
                write_mask(root / kind / name / f"{index:05d}.png", ids)
            Image.new("RGB", (30, 20), (9, 90, 9)).save(images / name / f"{index:05d}.jpg")
        shown = (NET, "pseudo-label")
        write_record(root, record_of(name, objects, frames, shown, reason="a < b & c"))
    config = {"data": {"dataset": "<i>d", "split": "test"}, "members": [{"name": NET}]}
    (root / "config.yaml").write_text(yaml.safe_dump(config))
    (root / "environment.json").write_text(json.dumps({"images": str(images)}))
    summary = {
        "videos": len(videos), "chosen": {NET: len(videos)}, "agreement": {NET: 0.9},
        "truth": {}, "failures": 0, "seconds": 1.0,
    }  # fmt: skip
    (root / "summary.json").write_text(json.dumps(summary))
    return root


@pytest.fixture
def run(tmp_path):
    return make_run(tmp_path / "run", tmp_path / "images", ("calm", AWKWARD, "index"))


def test_objects_are_called_by_their_kind_where_it_is_known(run):
    record = read_record(run / "selection" / "calm.json")
    write_record(run, replace(record, provenance=Provenance(categories={5: "<b>dog"})))
    write_report(run)
    page = (run / "report" / "calm.html").read_text()
    assert "<th scope=col>object 5 (&lt;b&gt;dog)</th>" in page
    assert "<b>dog" not in page
    other = (run / "report" / "index-1.html", run / "report" / "index.html")
    assert "dog" not in "".join(path.read_text() for path in other if path.is_file())


class Reader(html.parser.HTMLParser):
    def __init__(self):
        super().__init__()
        self.tags, self.sources, self.text = [], [], ""

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.sources += [v for k, v in attributes if k in ("src", "href") and v]

    def handle_data(self, data):
        self.text += data


def read(path):
    reader = Reader()
    reader.feed(path.read_text())
    return reader


def data_of(path):
    text = path.read_text()
    start = text.index('id="data">') + len('id="data">')
    return json.loads(text[start : text.index("</script>", start)])


def rows_of(path):
    """Video -> its row of the table, by the names of the columns."""
    data = data_of(path)
    rows = [dict(zip(data["columns"], row, strict=True)) for row in data["rows"]]
    return {row["name"]: row for row in rows}


def test_names_never_become_markup(run):
    index = write_report(run)
    page = run / "report" / f"{page_name(AWKWARD)}.html"
    assert AWKWARD in rows_of(index)
    assert AWKWARD in read(page).text
    assert "a < b & c" in read(page).text
    for path in (index, page):
        tags = read(path).tags
        assert tags.count("script") == 2
        assert "<img src=x" not in path.read_text()


def test_links_lead_to_pages_that_exist_and_nothing_leaves_the_folder(run):
    index = write_report(run)
    for path in index.parent.glob("*.html"):
        for source in read(path).sources:
            assert source.startswith("data:") or (path.parent / unquote(source)).is_file()
    pages = {row["page"] or name for name, row in rows_of(index).items()}
    assert len(pages) == 3
    assert all((index.parent / f"{page}.html").is_file() for page in pages)
    assert "Selection report" in index.read_text()


def test_page_names_are_distinct_and_safe():
    names = ["a b", "a_b", "a#b", "index", "INDEX", "..", "é", "x" * 300, "a-01234567"]
    pages = [page_name(name) for name in names]
    assert len({page.lower() for page in pages}) == len(names)
    assert all(len(page) < 100 and page.isascii() and "#" not in page for page in pages)
    assert page_name("0a1b2c3d") == "0a1b2c3d"


def test_expected_scores_are_shown_where_there_are_any(run):
    plain = write_report(run)
    assert data_of(plain)["expected"] is False
    for path in (plain, run / "report/calm.html"):
        assert "Expected J&F" not in read(path).text
    forecast = Forecast(0.71, 0.654, 0.5, 0.8)
    record = read_record(run / "selection/calm.json")
    write_record(run, replace(record, forecast=forecast, forecast_by_object={5: forecast}))
    index = write_report(run)
    rows = rows_of(index)
    assert (rows["calm"]["expected"], rows["calm"]["probability"]) == (65.4, 71.0)
    assert (rows["index"]["expected"], rows["index"]["probability"]) == (None, None)
    assert "Expected J&F, median 65.4" in read(index).text
    text = read(run / "report/calm.html").text
    assert "Expected J&F 65.4 (50.0 to 80.0); the best candidate with a probability of 71 %" in text
    assert text.count("65.4 (50.0 to 80.0)") == 2
    assert "Expected J&F" not in read(run / "report/index-1bc04b52.html").text


def test_notes_on_members_are_on_the_page_of_their_video(run):
    record = read_record(run / "selection/calm.json")
    notes = {NET: ("names <were> changed", "it runs uncompiled")}
    write_record(run, replace(record, provenance=Provenance(notes=notes)))
    write_report(run)
    page = (run / "report/calm.html").read_text()
    assert page.count("<li><b>&lt;/script&gt;&lt;b&gt;net</b>: ") == 2
    assert "names &lt;were&gt; changed" in page
    assert "Notes on members" not in (run / f"report/{page_name('index')}.html").read_text()


def test_corrections_and_the_best_one_by_hand_are_on_the_page_of_their_video(run):
    record = read_record(run / "selection/calm.json")
    object_id = record.objects[0]
    told = Claim((NET,), False, 0.8), Claim(("flow", "<b>"), True, 0.2, 0.91)
    looked = Dispute(object_id, 1, 3, 2, 0, told, (NET,))
    said = Suggestion(2, "00002", object_id, 0.123)
    write_record(run, replace(record, disputes=(looked,), suggestion=said))
    write_report(run)
    page = (run / "report/calm.html").read_text()
    assert "1 to 2" in page
    assert ": not there" in page
    assert "91.0" in page
    assert "flow, &lt;b&gt;" in page
    assert "CORRECTIONS/calm/00002.png" in page
    assert "--corrections CORRECTIONS" in page
    assert "about 12.3 points" in page
    assert "Correct one mask" not in (run / f"report/{page_name('index')}.html").read_text()


def test_report_is_made_again_from_the_run_alone(run, tmp_path):
    write_report(run)
    before = (run / "report/calm.html").read_text()
    (run / "environment.json").write_text(json.dumps({"images": str(tmp_path / "gone")}))
    (run / "report/calm.html").unlink()
    write_report(run)
    assert (run / "report/calm.html").read_text() == before


def test_report_without_the_frames_has_the_masks(run, tmp_path):
    (run / "environment.json").write_text(json.dumps({"images": str(tmp_path / "gone")}))
    write_report(run)
    masks = np.array(Image.open(run / "report/frames/calm/000.selected.png"))
    assert set(np.unique(masks)) == {0, 5}


def test_new_masks_make_new_stills(run):
    write_report(run)
    write_mask(run / "masks/calm/00000.png", np.full((20, 30), 7, np.uint8))
    write_report(run)
    assert (np.array(Image.open(run / "report/frames/calm/000.selected.png")) == 7).all()


def test_pages_stay_small(tmp_path):
    root = make_run(
        tmp_path / "run", tmp_path / "images", ("long",), frames=40, objects=tuple(range(1, 41))
    )
    names = (*(f"m{k}" for k in range(5)), "pseudo-label")
    frames = tuple(f"{t:05d}" for t in range(2000))
    evidence = Evidence.blank("long", names, np.full(6, 0.5), tuple(range(1, 41)), frames)
    random = np.random.default_rng(0)
    for plane in evidence.planes.values():
        plane[:] = random.random(plane.shape)
    evidence.save(root / "selection/timelines/long.npz")
    write_record(root, record_of("long", range(1, 41), 2000, names))
    write_report(root)
    assert (root / "report/long.html").stat().st_size < 300 * 1024


def evidence_of(areas, agreement=0.95):
    """One object; ``(T, C)`` areas, every member agreeing as said."""
    areas = np.asarray(areas, np.float32)
    frames, count = areas.shape
    names = (*(f"m{k}" for k in range(count - 1)), "pseudo-label")
    evidence = Evidence.blank(
        "v", names, np.full(count, 0.5), (3,), tuple(f"{t:05d}" for t in range(frames))
    )
    evidence["area"][:, :, 0] = areas
    evidence["agreement_j"][1:], evidence["agreement_f"][1:] = agreement, agreement
    evidence.overlap[:] = 0.9
    return evidence


def kinds(evidence):
    return [flag.kind for flag in find_flags(CALM, evidence)]


def test_flags_of_a_calm_video():
    assert kinds(evidence_of(np.full((10, 3), 400))) == []


def test_flags_name_what_is_wrong_and_where():
    assert kinds(evidence_of(np.full((10, 3), 400), agreement=0.2)) == ["low agreement"]
    blinking = np.repeat([[400], [0]] * 5, 3, axis=1)
    assert kinds(evidence_of(blinking)) == ["flicker"]
    jump = np.full((10, 3), 100)
    jump[6:] = 900
    (flag,) = find_flags(CALM, evidence_of(jump))
    assert (flag.kind, flag.frame) == ("sudden area", 6)
    assert "grows 9.0 times at frame 00006" in flag.words
    gone = np.full((10, 3), 400)
    gone[7:, 1] = 0
    (flag,) = find_flags(CALM, evidence_of(gone))
    assert (flag.kind, flag.frame) == ("disputed absence", 7)
    apart = evidence_of(np.full((10, 3), 400))
    apart.overlap[:] = 0.1
    assert kinds(apart) == ["members differ"]
    provenance = Provenance(missing_members=("m9",), reduced_members={"m1": "size 360"})
    flags = find_flags(replace(CALM, provenance=provenance), None)
    assert [flag.kind for flag in flags] == ["missing member", "reduced member"]


def test_flags_name_objects_that_change_places():
    evidence = evidence_of(np.full((10, 3), 400))
    evidence["exchanged"][1:], evidence["mistaken"][1:] = 0, 0
    evidence["exchanged"][6, 0, 0] = 8
    (flag,) = find_flags(CALM, evidence)
    assert (flag.kind, flag.frame) == ("identity swap", 6)
    assert flag.words == "object 3 takes the place of object 8 at frame 00006"
    assert find_flags(record_of("v", (3,), 10, ("m1", "m0")), evidence) == []
    evidence["exchanged"][:] = 0
    evidence["mistaken"][4:7, 1, 0] = 8
    (flag,) = find_flags(CALM, evidence)
    assert (flag.kind, flag.frame) == ("disputed identity", 4)
    assert flag.words == "object 3: m1 has it where the pseudo-label has object 8, on 3 frames"


def facts_of(name, gain):
    flags = (Flag("flicker", "object 5 comes and goes", 0.5, 7),)
    hint = Suggestion(3, "00003", 5, gain) if gain else None
    return VideoFacts(record_of(name, suggestion=hint), flags, 0, (), None, None)


def test_videos_to_look_at_first_are_few_and_those_that_can_gain_most():
    videos = [facts_of(f"{k:02d}", k / 100) for k in range(30)]
    looks = first_looks(videos)
    assert [look.video for look in looks] == [f"{k:02d}" for k in range(29, 23, -1)]
    assert (looks[0].frame, looks[0].object_id, looks[0].gain) == (3, 5, 0.29)
    told = "object 5 from frame 3: a correction may add 29.0 (object 5 comes and goes)"
    assert looks[0].words == told
    assert len(first_looks([facts_of(f"{k}", 0.5) for k in range(100)])) == 10
    assert len(first_looks(videos[:3])) == 1


def test_without_a_calibration_the_members_agreement_ranks():
    row = record_of("v").candidates[0]
    poor = replace(row, agreement_by_object={5: 0.2, 6: None})
    plain = record_of("v", (5, 6), candidates=("m", "pseudo-label"))
    record = replace(plain, candidates=(poor, plain.candidates[1]))
    assert to_gain(record) == pytest.approx(0.8)


def test_timelines_keep_every_dip():
    values = np.ones(1000)
    values[501] = 0
    values[:100] = np.nan
    text = encode(values, 50)
    assert len(text) == 50
    assert text.startswith(".....")
    assert text.count("0") == 1


def test_stills_hold_every_layer(tmp_path):
    writer = StillsWriter(tmp_path, 1, 20, 30, ("a", "b", "pseudo-label"), labelled=True)
    left, right = np.zeros((2, 20, 30), np.uint8)
    left[:, :10], right[:, 20:] = 1, 1
    layers = {"a": left, "b": right, "pseudo-label": left, "max": right}
    writer.add("00000", np.zeros((20, 30, 3), np.uint8), layers, truth=left)
    writer.close()
    masks = np.array(Image.open(tmp_path / "000.masks.png")).reshape(4, 20, 30)
    assert (masks == np.stack(list(layers.values()))).all()
    maps = np.array(Image.open(tmp_path / "000.maps.png")).reshape(4, 20, 30)
    assert (maps[0] > 0).sum() == 400
    assert not maps[1].any()
    assert len(np.unique(maps[2])) == 3


def test_folder_that_is_no_run(tmp_path):
    with pytest.raises(InputError, match="no run folder"):
        write_report(tmp_path)
