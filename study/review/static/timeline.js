// The video in rows: where members differ, and per object which candidate it is taken from and how
// good that is expected to be. A click jumps, a drag chooses frames.
import { button, make, rgb, swatch } from "./dom.js";
import { qualityOf, usedAt } from "./quality.js";
import { HEAT } from "./stage.js";

const HEIGHT = 18;
const MOST = 1200; // columns of a row: longer videos show their worst frame of each

export const COLOURS = ["#3b7ded", "#e07a1f", "#2e9e5b", "#c04f9c", "#9a7b3c", "#4a90a8", "#d04a3a", "#808080"];

export class Timeline {
  // on.jump(frame), on.span([start, stop] or null), on.object(id), on.pick(id)
  constructor(root, on) {
    Object.assign(this, { root, on, rows: [], span: null });
  }

  build(facts) {
    this.facts = facts;
    this.count = facts.frames.length;
    this.rows = [];
    const rows = [this.row(null, "members differ")];
    for (const object of facts.objects) rows.push(this.row(object, object.name));
    this.cursor = make("i", { className: "cursor" });
    this.root.replaceChildren(make("div", { className: "all-rows" }, ...rows, make("div", { className: "over" }, this.cursor)));
    this.draw();
  }

  row(object, name) {
    const canvas = make("canvas", { className: "strip", width: Math.min(this.count, MOST), height: HEIGHT });
    const span = make("i", { className: "span", hidden: true });
    const band = make("div", { className: "band" }, canvas, span);
    const label = object
      ? button(name, () => this.on.object(object.id), "", { className: "name" })
      : make("span", { className: "name" }, name);
    if (object) label.prepend(swatch(rgb(object.colour)));
    this.rows.push({ object, canvas, span, label });
    band.addEventListener("pointerdown", (event) => this.drag(event, band, object));
    return make("div", { className: "row" }, label, band);
  }

  drag(event, band, object) {
    const at = (e) => {
      const box = band.getBoundingClientRect();
      return Math.min(Math.max(Math.floor(((e.clientX - box.left) / box.width) * this.count), 0), this.count - 1);
    };
    const start = at(event);
    band.setPointerCapture(event.pointerId);
    if (object) this.on.pick(object.id);
    this.on.jump(start);
    const moved = (e) => {
      const now = at(e);
      if (now !== start) this.on.span([Math.min(start, now), Math.max(start, now) + 1]);
      this.on.jump(now);
    };
    const ended = () => {
      band.removeEventListener("pointermove", moved);
      band.removeEventListener("pointerup", ended);
    };
    band.addEventListener("pointermove", moved);
    band.addEventListener("pointerup", ended);
  }

  draw() {
    const { timelines, corrections, frames } = this.facts;
    const ink = getComputedStyle(this.root).color;
    const corrected = new Map(Object.entries(corrections).map(([name, one]) => [frames.indexOf(name), one.ids]));
    for (const { object, canvas } of this.rows) {
      const context = canvas.getContext("2d");
      const step = this.count / canvas.width;
      for (let column = 0; column < canvas.width; column++) {
        const from = Math.floor(column * step);
        const to = Math.max(Math.floor((column + 1) * step), from + 1);
        const range = Array.from({ length: to - from }, (_, n) => from + n);
        if (!object) {
          const most = Math.max(0, ...range.map((t) => timelines.disputed[t] ?? 0));
          const [red, green, blue, alpha] = HEAT[Math.min(Math.ceil(most / 6), 8)];
          context.fillStyle = `rgb(${red} ${green} ${blue} / ${alpha / 255})`;
          context.fillRect(column, 0, 1, HEIGHT);
          continue;
        }
        const name = usedAt(this.facts, object.id, from);
        const number = timelines.candidates.indexOf(name);
        const quality = qualityOf(this.facts, object.id, name);
        const known = range.map((t) => quality[t] ?? -1).filter((v) => v >= 0);
        const height = known.length ? Math.max((Math.min(...known) / 100) * HEIGHT, 2) : HEIGHT;
        context.fillStyle = COLOURS[Math.max(number, 0) % COLOURS.length];
        context.globalAlpha = known.length ? 1 : 0.35;
        context.fillRect(column, HEIGHT - height, 1, height);
        context.globalAlpha = 1;
        if (range.some((t) => corrected.get(t)?.includes(object.id))) {
          context.fillStyle = ink;
          context.fillRect(column, 0, Math.max(canvas.width / 300, 1), HEIGHT / 3);
        }
      }
    }
  }

  at(frame) {
    this.cursor.style.transform = `translateX(${(100 * (frame + 0.5)) / this.count}%)`;
  }

  show(frame, object, span) {
    this.at(frame);
    for (const row of this.rows) {
      const mine = row.object && (object === null || row.object.id === object);
      row.span.hidden = !span || !mine;
      if (span) {
        row.span.style.left = `${(100 * span[0]) / this.count}%`;
        row.span.style.width = `${(100 * (span[1] - span[0])) / this.count}%`;
      }
      if (row.object) row.label.setAttribute("aria-pressed", row.object.id === object);
    }
  }
}
