"""The report in a real browser: it works, is accessible, and the console stays silent.

Not run by default: ``pytest -m browser`` (needs a ``chromium`` and ``npm`` on the path, see
docs/how-to/read-the-report.md).
"""

import json
from dataclasses import replace

import numpy as np
import pytest
from browser import drive, fetch_axe
from selection_records import record_of, write_record
from test_report import AWKWARD, NET, make_run

from selection.evidence import Evidence
from selection.provenance import Provenance
from selection.record import Forecast, SelectedTruth, read_records
from selection.report import write_report
from selection.report.document import write_page
from selection.report.facts import VideoFacts, read_run
from selection.report.flags import Flag
from selection.report.index import index_page
from selection.run_paths import page_name

pytestmark = pytest.mark.browser
LIMIT = 300 * 1024
"""Bytes of a page."""


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    root = tmp_path_factory.mktemp("browser")
    videos = (AWKWARD, "one", *(f"v{k:03d}" for k in range(60)))
    make_run(root / "run", root / "images", videos, frames=3, objects=(5,))
    evidence = Evidence.blank(
        "one", (NET, "pseudo-label"), np.full(2, 0.5), (5,), ("00000", "00001", "00002")
    )
    for plane in ("agreement_j", "agreement_f", "presence", "area"):
        evidence[plane][1:] = 0.3
    evidence.save(root / "run/selection/timelines/one.npz")
    write_report(root / "run")
    return root / "run"


UNUSUAL = {
    "one frame": (1, (5,)),
    "forty objects": (12, tuple(range(1, 41))),
    "two thousand frames": (2000, (5, 9)),
    AWKWARD: (12, (1, 254)),
}
"""Video -> number of frames, object ids."""


@pytest.fixture(scope="module")
def unusual(tmp_path_factory):
    """Videos at the edges, with everything that a page can show."""
    base = tmp_path_factory.mktemp("unusual")
    root, names = base / "run", (NET, *(f"m{k}" for k in range(4)), "pseudo-label")
    random = np.random.default_rng(0)
    for video, (count, objects) in UNUSUAL.items():
        make_run(root, base / "images", (video,), count, objects)
        frames = tuple(f"{t:05d}" for t in range(count))
        evidence = Evidence.blank(video, names, np.full(6, 0.5), objects, frames)
        for name, plane in evidence.planes.items():
            plane[1:] = 0 if name in ("exchanged", "mistaken") else random.random(plane[1:].shape)
        evidence["area"][:] *= 500 * (random.random(evidence["area"].shape) > 0.2)
        evidence["exchanged"][-1] = objects[-1]
        evidence.overlap[:] = random.random(evidence.overlap.shape) / 3
        evidence.save(root / f"selection/timelines/{video}.npz")
        forecast, truth = Forecast(0.7, 0.8, 0.7, 0.9), dict.fromkeys(objects, 0.6)
        record = record_of(video, objects, count, names)
        rows = tuple(
            replace(row, truth=0.6 + 0.01 * k, truth_by_object=truth)
            for k, row in enumerate(record.candidates)
        )
        record = replace(
            record, candidates=rows, forecast=forecast,
            forecast_by_object=dict.fromkeys(objects, forecast), calibration="c",
            truth=SelectedTruth("m3", truth), provenance=Provenance(missing_members=("m9",)),
        )  # fmt: skip
        write_record(root, record)
    config = json.dumps({
        "data": {"dataset": "d", "split": "test"},
        "members": [{"name": name, "prior": 60} for name in names[:-1]],
    })  # fmt: skip
    (root / "config.yaml").write_text(config)
    summary = json.loads((root / "summary.json").read_text())
    summary |= {"videos": len(UNUSUAL), "truth": {NET: 0.6, "selected": 0.6, "oracle": 0.63}}
    (root / "summary.json").write_text(json.dumps(summary))
    write_report(root)
    return root / "report"


@pytest.fixture(scope="module")
def axe(tmp_path_factory):
    return fetch_axe(tmp_path_factory.mktemp("axe"))


def test_index_sorts_filters_and_pages(run, tmp_path):
    said, console = drive(
        run / "report/index.html",
        """
        say(names().length);
        document.getElementById("on").click(); say(names().length);
        document.getElementById("search").value = "";
        set("search", "V05"); say(names().length);
        const head = [...document.querySelectorAll("#table thead button")][0];
        head.click(); say(names()[0]);
        say(head.parentElement.getAttribute("aria-sort"));
        set("search", ""); set("flag", "some"); say(names().join());
        set("flag", ""); set("search", "onerror"); say(names().length);
        press("/"); say(document.activeElement.id);
        """,
        tmp_path,
    )
    assert said == ["50", "12", "10", "v059", "descending", "one", "1", "search"]
    assert not console


def test_video_page_scrubs_and_switches(run, tmp_path):
    said, console = drive(
        run / "report/one.html",
        """
        const over = () => document.querySelector(".viewer .overlay img");
        const on = () => document.querySelector(".layers [aria-pressed=true] span").textContent;
        press("ArrowLeft"); press("ArrowLeft"); press("ArrowRight");
        say(document.querySelector("output").textContent);
        say(on()); say(over().getAttribute("src"));
        press("2"); say(on()); say(over().getAttribute("src"));
        set("scrub", 2); document.querySelector("#scrub").dispatchEvent(new Event("input"));
        say(document.querySelector("output").textContent);
        say(document.querySelectorAll(".charts svg path").length);
        say(broken());
        """,
        tmp_path,
    )
    assert said == [
        "frame 00001", "selected", "frames/one/001.selected.png", "pseudo-label",
        "frames/one/001.masks.png", "frame 00002", "2", "0",
    ]  # fmt: skip
    assert not console


@pytest.mark.parametrize("video", UNUSUAL)
def test_unusual_videos_have_pages_that_work(unusual, tmp_path, video):
    page = unusual / f"{page_name(video)}.html"
    assert page.stat().st_size < LIMIT
    name = json.dumps(video).replace("<", "\\u003c")
    said, console = drive(
        page,
        f"say(document.querySelector('h1').textContent === {name});"
        """
        press("ArrowLeft");
        for (let k = 0; k < 30; k += 1) press("ArrowRight");
        say(document.querySelector("output").textContent);
        for (const button of document.querySelectorAll(".layers button")) button.click();
        for (const button of document.querySelectorAll("[data-frame]")) button.click();
        say(document.querySelectorAll(".viewer .stage img").length);
        say(broken());
        say(document.scripts.length);
        """,
        tmp_path,
    )
    last = f"frame {UNUSUAL[video][0] - 1:05d}"
    assert said == ["true", last, "2", "0", "3"]
    assert not console


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("video", [None, *UNUSUAL], ids=["index", *map(page_name, UNUSUAL)])
def test_accessibility_checker_finds_nothing(unusual, axe, tmp_path, video, dark):
    page = unusual / f"{page_name(video) if video else 'index'}.html"
    said, console = drive(
        page,
        """
        say(matchMedia("(prefers-color-scheme: dark)").matches);
        const result = await axe.run({resultTypes: ["violations"]});
        say(result.passes.length > 10);
        for (const v of result.violations)
          say(v.id + " " + v.nodes.slice(0, 3).map((n) => n.target + n.failureSummary).join(" "));
        """,
        tmp_path,
        dark=dark,
        before=axe,
    )
    assert said == [str(dark).lower(), "true"]
    assert not console


def test_index_of_2000_videos_opens_within_a_second(unusual, tmp_path):
    run, records = read_run(unusual.parent), read_records(unusual.parent)
    flags = [Flag("flicker", "object 5 comes and goes 6 times", 0.5, 3)]
    base = VideoFacts(records[0], flags, 3, (), None, 0)
    facts = [replace(base, record=replace(records[0], video=f"{k:08x}")) for k in range(2000)]
    page = unusual / "many.html"
    write_page(page, index_page(run, facts))
    assert page.stat().st_size < LIMIT
    times = []
    for _ in range(3):
        said, console = drive(page, "say(names().length); say(performance.now());", tmp_path,
                              waits=False)  # fmt: skip
        assert not console
        assert said[0] == "50"
        times.append(float(said[1]))
    print(f"index of 2,000 videos: {page.stat().st_size} bytes, {min(times):.0f} ms")
    assert min(times) < 1000


def test_index_of_unusual_videos_shows_them_all(unusual, tmp_path):
    said, console = drive(
        unusual / "index.html",
        """
        say(names().length);
        say(document.querySelectorAll(".first li").length);
        say([...document.querySelectorAll("#table thead button")].length);
        say(broken());
        """,
        tmp_path,
    )
    assert said == ["4", "1", "12", "0"]
    assert not console
