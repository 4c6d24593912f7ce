"use strict";
// The table of videos: sorted, filtered and paged. Text only ever enters as text.
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  // Rows come as lists, so that the page stays small; from here on a row's values have names.
  const videos = data.rows.map((row) => Object.fromEntries(data.columns.map((name, k) => [name, row[k]])));
  const PAGE = 50;
  const columns = [
    { head: "video", value: (r) => r.name, text: true },
    { head: "chosen", value: (r) => data.candidates[r.winner], text: true },
    { head: "margin", value: (r) => r.margin, digits: 1 },
    { head: "agreement", value: (r) => r.agreement, digits: 1 },
    { head: "objects", value: (r) => r.objects },
    { head: "frames", value: (r) => r.frames },
    { head: "presence changes", value: (r) => r.changes },
    { head: "flags", value: (r) => r.flags.length, show: (r) => r.flags.map((k) => data.flags[k]).join(", ") },
  ];
  if (data.expected) {
    columns.push({ head: "expected J&F", value: (r) => r.expected, digits: 1 });
    columns.push({ head: "sure, %", value: (r) => r.probability, digits: 1 });
  }
  if (data.labelled) {
    columns.push({ head: "J&F", value: (r) => r.truth, digits: 1 });
    columns.push({ head: "lost", value: (r) => r.lost, digits: 1 });
  }
  const state = { column: 0, down: false, page: 0 };

  const make = (tag, properties = {}, ...children) => {
    const element = document.createElement(tag);
    for (const [key, value] of Object.entries(properties)) {
      if (key in element) element[key] = value;
      else element.setAttribute(key, value);
    }
    element.append(...children);
    return element;
  };
  const choice = (label, id, options) => {
    const select = make("select", { id });
    options.forEach(([value, text]) => select.append(make("option", { value }, text)));
    return make("label", {}, label, select);
  };

  const search = make("input", { type: "search", id: "search", placeholder: "press / to search" });
  const controls = make(
    "form",
    { className: "controls", id: "filters" },
    make("label", {}, "name", search),
    choice("chosen", "winner", [["", "any"], ...data.candidates.map((name, k) => [k, name])]),
    choice("flag", "flag", [
      ["", "any or none"],
      ["some", "any"],
      ["none", "none"],
      ...data.flags.map((kind, k) => [k, kind]),
    ]),
    make("label", {}, "margin at most", make("input", { type: "number", id: "margin", min: 0, step: 0.5 })),
    make("label", {}, "objects at least", make("input", { type: "number", id: "objects", min: 0 })),
    make("label", { className: "tick" }, make("input", { type: "checkbox", id: "changes" }), "presence changes"),
  );
  const status = make("p", { className: "small", role: "status" });
  const body = make("tbody");
  const heads = columns.map((column, k) => {
    const button = make("button", { type: "button" }, column.head);
    button.addEventListener("click", () => {
      state.down = state.column === k ? !state.down : !column.text;
      state.column = k;
      state.page = 0;
      draw();
    });
    return make("th", { scope: "col" }, button);
  });
  const table = make("table", { id: "table" }, make("thead", {}, make("tr", {}, ...heads)), body);
  const back = make("button", { type: "button", id: "back" }, "Previous page");
  const on = make("button", { type: "button", id: "on" }, "Next page");
  const place = document.getElementById("videos");
  place.replaceChildren(
    controls,
    status,
    make("div", { className: "wide", tabIndex: 0, role: "region", "aria-label": "table of videos" }, table),
    make("p", { className: "pager" }, back, on),
  );

  const field = (id) => document.getElementById(id);
  const kept = () => {
    const text = search.value.trim().toLowerCase();
    const winner = field("winner").value;
    const flag = field("flag").value;
    const margin = field("margin").value === "" ? Infinity : Number(field("margin").value);
    const objects = Number(field("objects").value);
    return videos.filter(
      (r) =>
        r.name.toLowerCase().includes(text) &&
        (winner === "" || r.winner === Number(winner)) &&
        (flag === "" ||
          (flag === "some" ? r.flags.length > 0 : flag === "none" ? !r.flags.length : r.flags.includes(Number(flag)))) &&
        r.margin <= margin &&
        r.objects >= objects &&
        (!field("changes").checked || r.changes > 0),
    );
  };
  const compare = (a, b) => {
    if (a === b) return 0;
    if (a === null || a === undefined) return 1; // unknown goes last, whichever the direction
    if (b === null || b === undefined) return -1;
    const order = typeof a === "string" ? a.localeCompare(b, undefined, { numeric: true }) : a - b;
    return state.down ? -order : order;
  };
  const still = (row, page) => {
    if (row.thumbnail === null) return "";
    const base = `frames/${encodeURIComponent(page)}/${String(row.thumbnail).padStart(3, "0")}`;
    return make(
      "span",
      { className: "still" },
      make("img", { loading: "lazy", alt: "", src: `${base}.jpg` }),
      make("img", { loading: "lazy", alt: "", className: "mask", src: `${base}.selected.png` }),
    );
  };
  const shown = (column, row) => {
    if (column.show) return column.show(row);
    const value = column.value(row);
    if (value === null || value === undefined) return "–";
    return column.digits === undefined ? String(value) : value.toFixed(column.digits);
  };
  const line = (row) => {
    const page = row.page || row.name;
    const link = make("a", { href: `${encodeURIComponent(page)}.html` }, still(row, page), make("span", {}, row.name));
    const cells = columns.slice(1).map((column) => make("td", column.text || column.show ? { className: "text" } : {}, shown(column, row)));
    return make("tr", {}, make("th", { scope: "row", className: "video" }, link), ...cells);
  };
  function draw() {
    const value = columns[state.column].value;
    const rows = kept().sort((a, b) => compare(value(a), value(b)));
    const pages = Math.max(Math.ceil(rows.length / PAGE), 1);
    state.page = Math.min(state.page, pages - 1);
    const first = state.page * PAGE;
    body.replaceChildren(...rows.slice(first, first + PAGE).map(line));
    heads.forEach((head, k) =>
      k === state.column
        ? head.setAttribute("aria-sort", state.down ? "descending" : "ascending")
        : head.removeAttribute("aria-sort"),
    );
    const last = Math.min(first + PAGE, rows.length);
    status.textContent = rows.length
      ? `${first + 1} to ${last} of ${rows.length} videos`
      : "no video matches the filters";
    back.disabled = state.page === 0;
    on.disabled = state.page === pages - 1;
  }
  back.addEventListener("click", () => { state.page -= 1; draw(); });
  on.addEventListener("click", () => { state.page += 1; draw(); });
  controls.addEventListener("input", () => { state.page = 0; draw(); });
  controls.addEventListener("submit", (event) => event.preventDefault());
  document.addEventListener("keydown", (event) => {
    if (event.key === "/" && !/INPUT|SELECT/.test(document.activeElement.tagName)) {
      event.preventDefault();
      search.focus();
    }
  });
  draw();
})();
