"""Drives a page of the report in a headless Chromium, for the tests marked ``browser``."""

import hashlib
import re
import shutil
import subprocess
import tarfile

FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-sync", "--disable-background-networking", "--disable-component-update",
    "--enable-logging=stderr", "--dump-dom",
]  # fmt: skip
DRIVER = """<script>
const press = (key) =>
  document.dispatchEvent(new KeyboardEvent("keydown", {key, bubbles: true}));
const rows = () => [...document.querySelectorAll("#table tbody tr")];
const names = () => rows().map((row) => row.cells[0].innerText);
const broken = () =>
  [...document.images].filter((i) => i.complete && !i.naturalWidth && i.src).length;
const set = (id, value) => {
  const field = document.getElementById(id);
  field.value = value;
  field.dispatchEvent(new Event("input", {bubbles: true}));
};
window.addEventListener("load", %s () => {
  const out = [];
  const say = (value) => out.push(String(value));
  try { %s } catch (error) { console.error(error); }
  document.title = "RESULT " + out.join(" | ") + " END";
});
</script>"""
AXE_VERSION = "4.10.3"
AXE_SHA256 = "880970c081707360e64f34cea25ff91892f5bc95675b0776925b9709dd8a68bb"


def drive(page, script, profile, dark=False, waits=True, before=""):
    """What a script run in the page says, and what the console said.

    waits    let timers run out and allow ``await``; without, real time passes
    before   JavaScript that is there when the script runs
    """
    browser = shutil.which("chromium") or shutil.which("chromium-browser")
    assert browser, "no chromium on the path"
    copy = page.with_name(f"driven-{page.name}")
    code = DRIVER % ("async" if waits else "", script)
    if before:
        code = f"<script>{before}</script>{code}"
    copy.write_text(page.read_text().replace("</body>", f"{code}</body>"))
    flags = [*FLAGS, f"--blink-settings=preferredColorScheme={0 if dark else 1}"]
    flags += ["--virtual-time-budget=8000"] if waits else []
    done = subprocess.run(
        [browser, *flags, f"--user-data-dir={profile}", copy.as_uri()],
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    copy.unlink()
    console = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    found = re.search("<title>RESULT (.*) END</title>", done.stdout, re.DOTALL)
    assert found, console or done.stderr[-2000:]
    return found[1].split(" | "), console


def fetch_axe(folder):
    """The source of axe-core, pinned; fails where it cannot be had or is another."""
    npm = shutil.which("npm")
    assert npm, "no npm on the path: it fetches axe-core"
    subprocess.run(
        [npm, "pack", "--silent", f"axe-core@{AXE_VERSION}"], cwd=folder, check=True, timeout=120
    )
    with tarfile.open(folder / f"axe-core-{AXE_VERSION}.tgz") as archive:
        source = archive.extractfile("package/axe.min.js").read()
    assert hashlib.sha256(source).hexdigest() == AXE_SHA256, "axe-core is not the pinned one"
    return source.decode()
