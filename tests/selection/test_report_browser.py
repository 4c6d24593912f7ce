"""The report in a real browser: it works and the console stays silent.

Not run by default: ``pytest -m browser`` (needs a ``chromium`` on the path, see docs/report.md).
"""

import re
import shutil
import subprocess

import numpy as np
import pytest
from test_report import AWKWARD, NET, make_run

from selection.evidence import Evidence
from selection.report import page_name, write_report

pytestmark = pytest.mark.browser
FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-sync", "--disable-background-networking", "--disable-component-update",
    "--enable-logging=stderr", "--virtual-time-budget=4000", "--dump-dom",
]  # fmt: skip
DRIVER = """<script>
const press = (key) =>
  document.dispatchEvent(new KeyboardEvent("keydown", {key, bubbles: true}));
const rows = () => [...document.querySelectorAll("#table tbody tr")];
const names = () => rows().map((row) => row.cells[0].innerText);
const set = (id, value) => {
  const field = document.getElementById(id);
  field.value = value;
  field.dispatchEvent(new Event("input", {bubbles: true}));
};
window.addEventListener("load", () => {
  const out = [];
  const say = (value) => out.push(String(value));
  %s
  document.title = "RESULT " + out.join(" | ") + " END";
});
</script>"""


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


def drive(page, script, profile):
    """What a script run in the page says, and what the console said."""
    browser = shutil.which("chromium") or shutil.which("chromium-browser")
    assert browser, "no chromium on the path"
    copy = page.with_name(f"driven-{page.name}")
    copy.write_text(page.read_text().replace("</body>", DRIVER % script + "</body>"))
    done = subprocess.run(
        [browser, *FLAGS, f"--user-data-dir={profile}", copy.as_uri()],
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    console = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    found = re.search("<title>RESULT (.*) END</title>", done.stdout)
    assert found, console
    return found[1].split(" | "), console


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
        const on = () => document.querySelector(".layers [aria-pressed=true]").textContent;
        press("ArrowLeft"); press("ArrowLeft"); press("ArrowRight");
        say(document.querySelector("output").textContent);
        say(on()); say(over().getAttribute("src"));
        press("2"); say(on()); say(over().getAttribute("src"));
        set("scrub", 2); document.querySelector("#scrub").dispatchEvent(new Event("input"));
        say(document.querySelector("output").textContent);
        say(document.querySelectorAll(".charts svg path").length);
        say([...document.images].filter((i) => i.complete && !i.naturalWidth && i.src).length);
        """,
        tmp_path,
    )
    assert said == [
        "frame 00001", "selected", "frames/one/001.selected.png", "pseudo-label",
        "frames/one/001.masks.png", "frame 00002", "2", "0",
    ]  # fmt: skip
    assert not console


def test_awkward_name_is_a_page_like_any_other(run, tmp_path):
    page = run / "report" / f"{page_name(AWKWARD)}.html"
    said, console = drive(
        page, 'say(document.querySelectorAll(".stage img").length > 0);', tmp_path
    )
    assert said == ["true"]
    assert not console
