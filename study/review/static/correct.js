// Draw the mask of an object on a frame. Every stroke is kept in this browser until it is saved, so
// that a crash, here or of the server, loses at most the stroke in hand.
import { attempt, put } from "./api.js";
import { button, byId, make, tell } from "./dom.js";
import { decodeAll, encode } from "./id_runs.js";
import * as paint from "./paint.js";
import { table } from "./stage.js";

const TOOLS = { brush: ["Brush", "b"], eraser: ["Eraser", "e"], polygon: ["Polygon", "g"], fill: ["Fill", "f"] };

export function corrector(work) {
  const self = { tool: "", radius: 12, snap: false, mask: null, past: [], future: [], corners: [], pattern: null, coming: null };
  const { facts } = work;
  const mine = `drawing/${facts.run}/${facts.video}/`; // what this browser keeps of this video begins so
  const key = () => `${mine}${work.player.frame}/${work.object}`;
  const full = (index, layer) => work.pictures.fetched(index, [layer], facts.height).then((all) => all[0]);

  // Begin with the selected mask of the object, at the size of the video; whether the page is still
  // there when it has come.
  const begin = async () => {
    const of = key();
    if (self.mask && self.of === of) return true;
    const mask = await full(work.player.frame, 0);
    if (of !== key()) return false;
    if (self.mask && self.of === of) return true; // asked for twice
    Object.assign(self, { mask, of, past: [], future: [], corners: [], pattern: null, changed: false });
    return true;
  };

  const wanting = () => {
    if (work.object === null) return "Choose one object to draw.";
    const given = work.facts.given[work.object];
    return work.player.frame > given ? "" : `Object ${work.object} is given on frame ${given}: draw after it.`;
  };

  const pick = async (tool) => {
    const trouble = wanting();
    if (trouble) return tell(trouble, true);
    self.tool = self.tool === tool ? "" : tool;
    if (self.tool) {
      if (!(await begin())) return undefined;
      if (work.player.how !== "one") work.player.mode("one");
    } else if (!self.changed) self.mask = null;
    show();
    draw();
    return undefined;
  };

  const allowed = (at) => {
    if (!self.snap || !self.pattern) return undefined;
    const { width, height } = self.mask;
    const x = Math.min(Math.max(Math.round(at.x), 0), width - 1);
    const y = Math.min(Math.max(Math.round(at.y), 0), height - 1);
    const same = self.pattern[y * width + x];
    return (pixel) => self.pattern[pixel] === same;
  };

  const know = async () => {
    if (self.pattern || !self.snap) return;
    const members = work.facts.layers.filter((layer) => layer.kind === "candidate" && layer.there).slice(0, 31);
    const masks = await work.pictures.fetched(work.player.frame, members.map((layer) => layer.number), facts.height);
    self.pattern = paint.pattern(masks, work.object);
  };

  // Change the mask by a function of it; one step of undo.
  const change = (how) => {
    self.past.push(self.mask.ids.slice());
    if (self.past.length > 40) self.past.shift();
    self.future = [];
    how(self.mask);
    kept();
  };

  const kept = () => {
    self.changed = true;
    show();
    draw();
    try {
      const words = encode(only());
      localStorage.setItem(key(), btoa(Array.from(new Uint8Array(words.buffer), (byte) => String.fromCharCode(byte)).join("")));
    } catch {
      tell("this browser keeps no drawings: save often", true);
    }
  };

  const step = (from, to) => {
    if (!from.length) return;
    to.push(self.mask.ids.slice());
    self.mask.ids.set(from.pop());
    kept();
  };

  // The mask with the pixels of the chosen object alone.
  const only = () => ({ ...self.mask, ids: self.mask.ids.map((id) => (id === work.object ? id : 0)) });

  const show = () => {
    const [stage] = work.player.stages;
    if (!self.mask || work.player.how !== "one") return;
    const words = table(work.facts.objects, (id) => (id === work.object ? 0.7 : work.colour(id) / 2));
    stage.showMask(self.mask, words);
    if (self.corners.length) {
      const context = stage.mask.getContext("2d");
      context.strokeStyle = "#fff";
      context.lineWidth = Math.max(self.mask.width / 600, 1);
      context.beginPath();
      self.corners.forEach(({ x, y }, n) => (n ? context.lineTo(x, y) : context.moveTo(x, y)));
      context.stroke();
    }
  };

  const erase = (mask) => mask.ids.forEach((id, n) => id === work.object && (mask.ids[n] = 0));

  const take = (number) => {
    const trouble = wanting();
    if (trouble) return tell(trouble, true);
    const taken = async () => {
      if (!(await begin())) return;
      const other = await full(work.player.frame, number);
      if (self.of !== key()) return;
      change((mask) => {
        erase(mask);
        other.ids.forEach((id, n) => id === work.object && (mask.ids[n] = id));
      });
    };
    self.coming = taken().catch((error) => tell(error.message, true));
    return self.coming;
  };

  const absent = async () => {
    const trouble = wanting();
    if (trouble) return tell(trouble, true);
    if (!(await begin())) return undefined;
    change(erase);
    return save();
  };

  // Whether nothing is left to save.
  const save = async () => {
    await self.coming; // a mask that was taken and is not here yet
    if (!self.mask || !self.changed) return true;
    const frame = work.player.frame;
    const of = key();
    const name = work.facts.frames[frame];
    const before = encodeURIComponent(work.facts.corrections[name]?.label ?? "");
    const path = `${work.path}/masks/${frame}?objects=${work.object}&before=${before}`;
    const words = encode(only());
    const saved = await attempt("Saving the drawing", () => put(path, words));
    if (!saved) return false;
    localStorage.removeItem(of);
    if (of === key()) leave();
    work.player.layer = 0;
    await work.reload();
    return true;
  };

  const forget = async () => {
    localStorage.removeItem(key());
    leave();
    draw();
    await work.player.draw();
  };

  // A drawing that was left behind, by a crash or for another frame, comes back.
  const restore = async () => {
    const stored = work.object !== null && !self.changed && localStorage.getItem(key());
    if (!stored || wanting()) return;
    const bytes = Uint8Array.from(atob(stored), (letter) => letter.charCodeAt(0));
    const [drawn] = decodeAll(bytes.buffer);
    if (!(await begin()) || self.changed || drawn.ids.length !== self.mask.ids.length) return;
    if (work.player.how !== "one") work.player.mode("one");
    change((mask) => {
      erase(mask);
      drawn.ids.forEach((id, n) => id && (mask.ids[n] = id));
    });
    tell("A drawing that was not saved is back.");
  };

  // Where a drawing waits that was left behind: its frame and object.
  const waiting = () => {
    const found = Object.keys(localStorage).find((name) => name.startsWith(mine));
    if (!found) return null;
    const [frame, object] = found.slice(mine.length).split("/").map(Number);
    return frame < facts.frames.length && facts.objects.some(({ id }) => id === object) ? { frame, object } : null;
  };

  const leave = () => {
    Object.assign(self, { mask: null, of: null, changed: false, corners: [], tool: "", past: [], future: [] });
  };

  // Close the polygon in hand; whether there was one.
  const close = () => {
    if (!self.corners.length) return false;
    if (self.corners.length < 3) {
      tell("A polygon needs three corners.", true);
      return true;
    }
    const points = self.corners;
    self.corners = [];
    change((mask) => paint.polygon(mask, points, work.object));
    return true;
  };

  const down = async (event, stage) => {
    if (!self.tool || !self.mask || event.button) return;
    event.preventDefault();
    stage.element.setPointerCapture(event.pointerId);
    await know();
    const start = stage.place(event, self.mask);
    const where = allowed(start);
    if (self.tool === "polygon") {
      self.corners.push(start);
      return event.detail > 1 ? close() : show();
    }
    if (self.tool === "fill") return change((mask) => paint.fill(mask, start.x, start.y, work.object, where));
    const id = self.tool === "eraser" ? 0 : work.object;
    const meant = (pixel) => (!id ? self.mask.ids[pixel] === work.object : true) && (!where || where(pixel));
    self.past.push(self.mask.ids.slice());
    self.future = [];
    let last = start;
    const mark = (now) => {
      paint.stroke(self.mask, last, now, self.radius, id, meant);
      last = now;
      self.dirty ||= requestAnimationFrame(() => {
        self.dirty = 0;
        show();
      });
    };
    mark(start);
    const move = (e) => (e.getCoalescedEvents?.() ?? [e]).forEach((one) => mark(stage.place(one, self.mask)));
    const up = () => {
      stage.element.removeEventListener("pointermove", move);
      stage.element.removeEventListener("pointerup", up);
      kept();
    };
    stage.element.addEventListener("pointermove", move);
    stage.element.addEventListener("pointerup", up);
    return undefined;
  };

  const attach = () => {
    const [stage] = work.player.stages;
    stage.element.addEventListener("pointerdown", (event) => down(event, stage));
  };

  const draw = () => {
    const trouble = wanting();
    const tools = Object.entries(TOOLS).map(([tool, [text, letter]]) => {
      const element = button(text, () => pick(tool), letter);
      element.setAttribute("aria-pressed", self.tool === tool);
      return element;
    });
    const size = make("input", { type: "range", min: 1, max: 80, value: self.radius });
    size.addEventListener("input", () => (self.radius = Number(size.value)));
    const snap = make("input", { type: "checkbox", checked: self.snap });
    snap.addEventListener("change", () => (self.snap = snap.checked));
    const layer = work.facts.layers.find((one) => one.number === work.player.layer);
    const name = work.facts.frames[work.player.frame];
    const saved = work.facts.corrections[name]?.ids.includes(work.object);
    byId("correct").replaceChildren(
      make("p", { className: "small" }, trouble || `Object ${work.object} on frame ${name}.`),
      make("div", { className: "tools", role: "group", "aria-label": "tools" }, ...tools),
      make("div", { className: "controls" }, make("label", {}, "size", size), make("label", { className: "tick" }, snap, "stop where members differ")),
      make(
        "div",
        { className: "tools" },
        button(`Take ${layer?.name ?? "these"} here`, () => take(layer.number), "", { disabled: Boolean(trouble) || !layer || !layer.number }),
        button("Absent here", absent, "", { disabled: Boolean(trouble) }),
      ),
      make(
        "div",
        { className: "tools" },
        button("Save", save, "s", { disabled: !self.changed, id: "save" }),
        button("Stroke back", () => step(self.past, self.future), "z", { disabled: !self.past.length }),
        button("Stroke again", () => step(self.future, self.past), "y", { disabled: !self.future.length }),
        button("Leave it", forget, "", { disabled: !self.changed }),
        button("Remove the correction", () => work.act("leave", { frame: work.player.frame, object: work.object }, "Removing"), "", { disabled: !saved }),
      ),
    );
    byId("views").classList.toggle("painting", Boolean(self.tool));
  };

  const keys = Object.fromEntries(Object.entries(TOOLS).map(([tool, [, letter]]) => [letter, () => pick(tool)]));
  Object.assign(keys, { s: save, z: () => step(self.past, self.future), y: () => step(self.future, self.past), Escape: () => { self.corners = []; show(); } });
  attach();
  return { draw, keys, attach, restore, waiting, save, leave, close, get tool() { return self.tool; } };
}
