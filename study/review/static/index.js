// The work list: filters, keys, marks, and the end of a review.
import { attempt, getJson, post, root } from "./api.js";
import { button, byId, forPage, make, tell, when } from "./dom.js";

const PAGE = 50;
const MARKS = ["open", "done", "undecided"];
const state = { rows: [], at: 0, page: 0, facts: null };

const address = (row) => {
  const frame = row.object_id === null ? "" : `#frame=${row.frame}&object=${row.object_id}`;
  return new URL(`videos/${encodeURIComponent(row.page)}${frame}`, root).href;
};
const gain = (row) => (row.gain ? `+${(100 * row.gain).toFixed(1)}` : "");
const words = (row) =>
  row.object_id === null
    ? "nothing is in doubt"
    : `object ${row.object_id} from frame ${row.frame}: a correction may add ${(100 * row.gain).toFixed(1)}`;

const COLUMNS = [
  ["video", (row) => make("a", { href: address(row) }, row.video)],
  ["state", (row) => marker(row)],
  ["to gain", gain],
  ["chosen", (row) => row.used.join(", ")],
  ["margin", (row) => (100 * row.margin).toFixed(1)],
  ["agreement", (row) => (row.agreement === null ? "–" : (100 * row.agreement).toFixed(1))],
  ["expected", (row) => (row.expected === null ? "–" : (100 * row.expected).toFixed(1))],
  ["objects", (row) => String(row.objects)],
  ["frames", (row) => String(row.frames)],
  ["by hand", (row) => [row.edited ? "changed" : "", row.corrected ? `${row.corrected} corrected` : ""].filter(Boolean).join(", ")],
];

const look = (head) => (["state", "chosen", "by hand"].includes(head) ? { className: "text" } : {});

function marker(row) {
  const select = make("select", { "aria-label": `state of ${row.video}` });
  for (const name of MARKS) select.append(make("option", { value: name, selected: row.mark === name }, name));
  select.addEventListener("change", () => mark(row, select.value));
  return select;
}

async function mark(row, value) {
  const done = await attempt(`${row.video}: ${value}`, () => post(`api/videos/${encodeURIComponent(row.page)}/mark`, { mark: value }));
  if (done) row.mark = done.mark;
  draw();
}

const field = (name) => byId("filters").elements[name];

function shown() {
  const text = field("search").value.trim().toLowerCase();
  const [mark, chosen, hand] = ["mark", "chosen", "hand"].map((name) => field(name).value);
  return state.rows.filter(
    (row) =>
      row.video.toLowerCase().includes(text) &&
      (!mark || row.mark === mark) &&
      (!chosen || row.used.includes(chosen)) &&
      (!hand || (hand === "changed") === (row.edited || row.corrected > 0)),
  );
}

function filters(candidates) {
  const select = (name, label, options) =>
    make("label", {}, label, make("select", { name }, ...options.map(([value, text]) => make("option", { value }, text))));
  byId("filters").replaceChildren(
    make("label", {}, "name", make("input", { type: "search", name: "search" })),
    select("mark", "state", [["", "any"], ...MARKS.map((name) => [name, name])]),
    select("chosen", "chosen", [["", "any"], ...candidates.map((name) => [name, name])]),
    select("hand", "by hand", [["", "changed or not"], ["changed", "changed"], ["not", "not changed"]]),
  );
}

function draw() {
  const looked = state.rows.filter((row) => row.mark === "done").length;
  byId("progress").textContent = `${looked} of ${state.rows.length} looked at`;
  byId("bar").max = Math.max(state.rows.length, 1);
  byId("bar").value = looked;
  const first = state.rows.filter((row) => row.first);
  byId("first").replaceChildren(
    ...first.map((row) =>
      make("li", { className: row.mark }, make("a", { href: address(row) }, row.video), ` ${words(row)}`, row.mark === "open" ? "" : ` (${row.mark})`),
    ),
  );
  if (!first.length) byId("first").replaceWith(make("p", { id: "first" }, "No video stands out."));
  const rows = shown();
  state.at = Math.min(Math.max(state.at, 0), Math.max(rows.length - 1, 0));
  state.page = Math.floor(state.at / PAGE);
  const from = state.page * PAGE;
  byId("table").tHead.replaceChildren(make("tr", {}, ...COLUMNS.map(([head]) => make("th", { scope: "col", ...look(head) }, head))));
  byId("table").tBodies[0].replaceChildren(
    ...rows.slice(from, from + PAGE).map((row, n) => {
      const cells = COLUMNS.map(([head, value], k) => (k ? make("td", look(head), value(row)) : make("th", { scope: "row" }, value(row))));
      const line = make("tr", {}, ...cells);
      if (from + n === state.at) line.setAttribute("aria-current", "true");
      return line;
    }),
  );
  byId("count").textContent = `${rows.length} of ${state.rows.length} videos`;
  const pages = Math.ceil(rows.length / PAGE);
  byId("pager").replaceChildren(
    ...(pages < 2 ? [] : [
      button("Previous page", () => go(from - PAGE), "", { disabled: !state.page }),
      button("Next page", () => go(from + PAGE), "", { disabled: state.page + 1 >= pages }),
    ]),
  );
  byId("stale").textContent = state.facts.stale
    ? "Zip, tables and report are older than the last change."
    : "Zip, tables and report are up to date.";
}

function go(at) {
  state.at = at;
  draw();
  document.querySelector("tr[aria-current]")?.scrollIntoView({ block: "nearest" });
}

async function finish() {
  const done = await attempt("Writing and checking", () => post("api/finish"));
  if (!done) return;
  state.facts.stale = false;
  draw();
  const findings = done.findings.map((sentence) => make("li", {}, sentence));
  byId("results").replaceChildren(
    make("p", {}, done.findings.length ? "The check found:" : "The check found nothing wrong."),
    make("ul", {}, ...findings),
    edits(done.edits),
  );
}

function edits(rows) {
  if (!rows.length) return make("p", {}, "Nothing differs from what the run made.");
  const heads = ["video", "by", "when", "frames changed", "corrected", "continued", "objects"];
  const lines = rows.map((row) => {
    const cells = [row.by.join(", "), when(row.time), `${row.frames} of ${row.of}`, row.corrected, row.continued ? "yes" : "no", row.chosen.join("; ")];
    return make("tr", {}, make("th", { scope: "row" }, row.video), ...cells.map((text) => make("td", {}, String(text))));
  });
  const table = make("table", {}, make("caption", {}, "What changed since the run"), make("thead", {}, make("tr", {}, ...heads.map((head) => make("th", { scope: "col" }, head)))), make("tbody", {}, ...lines));
  return make("div", { className: "wide", tabIndex: 0, role: "region", "aria-label": "what changed" }, table);
}

function keys(event) {
  if (!forPage(event)) return;
  const row = shown()[state.at];
  const act = {
    n: () => go(state.at + 1),
    p: () => go(state.at - 1),
    Enter: () => row && (location.href = address(row)),
    d: () => row && mark(row, "done"),
    o: () => row && mark(row, "open"),
    i: () => row && mark(row, "undecided"),
    "/": () => field("search").focus(),
  }[event.key];
  if (!act) return;
  event.preventDefault();
  act();
}

async function begin() {
  state.facts = await getJson("api/run");
  state.rows = state.facts.rows;
  byId("name").textContent = `Review of ${state.facts.run}`;
  document.title = byId("name").textContent;
  byId("who").textContent = state.facts.by ? `You are ${state.facts.by}.` : "";
  filters(state.facts.candidates);
  byId("filters").addEventListener("input", () => go(0));
  byId("filters").addEventListener("submit", (event) => event.preventDefault());
  byId("end").append(
    button("Write zip, tables and report, and check them", finish),
    button("What changed", async () => byId("results").replaceChildren(edits((await getJson("api/edits")).edits))),
    make("a", { href: new URL("api/corrections.zip", root).href, className: "button", download: "corrections.zip" }, "Corrections as masks"),
  );
  document.addEventListener("keydown", keys);
  draw();
}

begin().catch((error) => tell(error.message, true));
