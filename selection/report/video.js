"use strict";
// The viewer, the comparison and the timelines of one video.
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const stills = data.stills;
  const SVG = "http://www.w3.org/2000/svg";
  const ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-_";
  const make = (tag, properties = {}, ...children) => {
    const element = document.createElement(tag);
    for (const [key, value] of Object.entries(properties)) {
      if (key in element) element[key] = value;
      else element.setAttribute(key, value);
    }
    element.append(...children);
    return element;
  };
  const draw = (tag, attributes) => {
    const element = document.createElementNS(SVG, tag);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    return element;
  };
  const file = (number, kind) => `${data.folder}/${String(number).padStart(3, "0")}.${kind}`;
  const cursors = [];

  // What can be laid over a frame: name, file, its place among the layers of that file.
  const layers = [];
  if (stills) {
    layers.push({ name: "selected", kind: "selected.png", at: 0, of: 1 });
    const shown = stills.layers;
    shown.forEach((name, at) => layers.push({ name, kind: "masks.png", at, of: shown.length }));
    const maps = 1 + stills.errors.length;
    layers.push({ name: "disagreement", kind: "maps.png", at: 0, of: maps, map: true });
    stills.errors.forEach((name, at) =>
      layers.push({ name: `errors of ${name}`, kind: "maps.png", at: at + 1, of: maps, map: true }),
    );
    layers.push({ name: "frame only" });
  }
  const place = (image, layer, number) => {
    image.hidden = !layer.kind;
    if (!layer.kind) return;
    image.src = file(number, layer.kind);
    image.style.height = `${100 * layer.of}%`;
    image.style.top = `${-100 * layer.at}%`;
  };
  const stage = (number, layer) => {
    const frame = make("img", { alt: "", src: file(number, "jpg") });
    const over = make("img", { alt: "" });
    const box = make("div", { className: "overlay" }, over);
    const element = make("div", { className: "stage" }, frame, box);
    element.style.aspectRatio = `${stills.width} / ${stills.height}`;
    element.style.setProperty("--ratio", stills.width / stills.height);
    const show = (n, l) => {
      if (frame.getAttribute("src") !== file(n, "jpg")) frame.src = file(n, "jpg");
      place(over, l, n);
      box.style.opacity = l.map ? 0.85 : 0.55;
    };
    show(number, layer);
    return { element, show, box };
  };

  function viewer(root) {
    const count = stills.stems.length;
    const state = { number: data.disputed, layer: 0 };
    const view = stage(state.number, layers[0]);
    view.element.setAttribute("role", "img");
    const buttons = layers.map((layer, k) => {
      const key = k < 9 ? make("kbd", {}, String(k + 1)) : "";
      const button = make("button", { type: "button", className: "button" }, make("span", {}, layer.name), key);
      button.addEventListener("click", () => show(state.number, k));
      return button;
    });
    const range = make("input", { type: "range", id: "scrub", min: 0, max: count - 1, step: 1 });
    range.setAttribute("aria-label", "frame");
    const told = make("output", { htmlFor: "scrub" });
    const legend = make("p", { className: "small" });
    const ids = Object.entries(data.ids).slice(0, 12);
    const colours = ids.map(([id, colour]) => {
      const swatch = make("i", { className: "swatch" });
      swatch.style.background = colour;
      return make("span", {}, swatch, data.names[id]);
    });
    const rest = Object.keys(data.ids).length - ids.length;
    if (rest > 0) colours.push(make("span", {}, `and ${rest} more`));
    const objects = make("p", { className: "key" }, ...colours);
    const strip = stills.stems.map((stem, n) => {
      const picture = make(
        "span",
        { className: "still" },
        make("img", { loading: "lazy", alt: `frame ${stem}`, src: file(n, "jpg") }),
        make("img", { loading: "lazy", alt: "", className: "mask", src: file(n, "selected.png") }),
      );
      picture.style.aspectRatio = `${stills.width} / ${stills.height}`;
      const button = make("button", { type: "button" }, picture);
      button.addEventListener("click", () => show(n, state.layer));
      return button;
    });
    const band = make("div", { className: "strip" }, ...strip);
    function show(number, layer) {
      state.number = Math.min(Math.max(number, 0), count - 1);
      state.layer = layer;
      const now = layers[layer];
      view.show(state.number, now);
      view.element.setAttribute("aria-label", `frame ${stills.stems[state.number]}: ${now.name}`);
      range.value = state.number;
      range.setAttribute("aria-valuetext", `frame ${stills.stems[state.number]}`);
      told.textContent = `frame ${stills.stems[state.number]}`;
      legend.textContent = !now.map
        ? "Keys: left and right change the frame, 1 to 9 the layer, n and p the video."
        : layer === layers.findIndex((l) => l.map)
          ? "Yellow to red: the share of members that differ from the pseudo-label."
          : "Red: missed. Blue: too much. Yellow: another object.";
      objects.hidden = now.map || !now.kind;
      buttons.forEach((button, k) => button.setAttribute("aria-pressed", k === layer));
      strip.forEach((button, n) => button.setAttribute("aria-current", n === state.number));
      const current = strip[state.number];
      band.scrollLeft = current.offsetLeft - band.offsetLeft - band.clientWidth / 2 + current.offsetWidth / 2;
      const x = data.frames > 1 ? stills.frames[state.number] / (data.frames - 1) : 0;
      cursors.forEach((line) => { line.setAttribute("x1", 100 * x); line.setAttribute("x2", 100 * x); });
    }
    range.addEventListener("input", () => show(Number(range.value), state.layer));
    root.append(
      make(
        "section",
        { className: "viewer", "aria-label": "frames" },
        make(
          "div",
          { className: "look" },
          make("div", {}, view.element, make("div", { className: "scrub" }, range, told)),
          make("div", { className: "layers", role: "group", "aria-label": "layer" }, ...buttons),
        ),
        band,
        objects,
        legend,
      ),
    );
    const nearest = (wanted) => {
      const far = stills.frames.map((frame) => Math.abs(frame - wanted));
      return far.indexOf(Math.min(...far));
    };
    document.querySelectorAll("[data-frame]").forEach((button) =>
      button.addEventListener("click", () => {
        show(nearest(Number(button.dataset.frame)), state.layer);
        root.scrollIntoView({ block: "nearest" });
      }),
    );
    const asked = /^#frame=(\d+)$/.exec(location.hash);
    document.addEventListener("keydown", (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      if (/INPUT|SELECT|TEXTAREA/.test(document.activeElement.tagName)) return;
      if (event.key === "ArrowRight") show(state.number + 1, state.layer);
      else if (event.key === "ArrowLeft") show(state.number - 1, state.layer);
      else if (/^[1-9]$/.test(event.key) && layers[event.key - 1]) show(state.number, event.key - 1);
      else return;
      event.preventDefault();
    });
    show(asked ? nearest(Number(asked[1])) : state.number, 0);
  }

  function comparison(root) {
    const figures = layers
      .filter((layer) => layer.kind === "masks.png")
      .map((layer) =>
        make("figure", {}, stage(data.disputed, layer).element, make("figcaption", {}, layer.name)),
      );
    root.append(
      make("h2", {}, `Side by side, frame ${stills.stems[data.disputed]}`),
      make("p", { className: "small" }, "The still on which the members differ most."),
      make("div", { className: "compare" }, ...figures),
    );
  }

  // A line is broken where nothing is known.
  const path = (text) => {
    let out = "", pen = false;
    const last = Math.max(text.length - 1, 1);
    for (let k = 0; k < text.length; k += 1) {
      if (text[k] === ".") { pen = false; continue; }
      const y = 38 - (36 * ALPHABET.indexOf(text[k])) / 63;
      out += `${pen ? "L" : "M"}${((100 * k) / last).toFixed(1)} ${y.toFixed(1)}`;
      pen = true;
    }
    return out;
  };
  function timelines(root) {
    const key = make("p", { className: "key" });
    data.members.forEach((name, k) => {
      const swatch = make("i", { className: "swatch" });
      swatch.style.background = data.colours[k % data.colours.length];
      key.append(make("span", {}, swatch, name));
    });
    const charts = make("div", { className: "charts" });
    data.objects.forEach((object) =>
      ["agreement", "presence"].forEach((kind) => {
        const words = `${data.names[object.id]}: ${kind} over the frames, 0 to 1`;
        const svg = draw("svg", { viewBox: "0 0 100 40", preserveAspectRatio: "none", height: 110, role: "img", "aria-label": words });
        object[kind].forEach((text, k) =>
          svg.append(draw("path", { d: path(text), stroke: data.colours[k % data.colours.length] })),
        );
        const cursor = draw("line", { x1: 0, x2: 0, y1: 0, y2: 40 });
        cursors.push(cursor);
        svg.append(cursor);
        charts.append(make("figure", {}, svg, make("figcaption", {}, words)));
      }),
    );
    root.append(make("h2", {}, "Over time"), key, charts);
  }

  if (data.objects.length) timelines(document.getElementById("timelines"));
  if (stills) {
    viewer(document.getElementById("viewer"));
    comparison(document.getElementById("comparison"));
  }
  document.addEventListener("keydown", (event) => {
    const rel = { n: "next", p: "prev" }[event.key];
    const link = rel && document.querySelector(`a[rel=${rel}]`);
    if (link && !event.ctrlKey && !event.metaKey && !event.altKey) link.click();
  });
})();
