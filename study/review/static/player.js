// Which frame is shown, under which masks, and in how many views.
import { fitting } from "./cache.js";
import { button, byId, make, tell } from "./dom.js";
import { Play } from "./play.js";
import { shades } from "./quality.js";
import { Stage, Zoom, table } from "./stage.js";
import { COLOURS } from "./timeline.js";

const MODES = { one: "One", wipe: "Wipe", all: "Side by side", heat: "Disagreement", quality: "Quality" };
const LEGENDS = {
  heat: "Where members differ from the fused masks: yellow where one does, red where all do.",
  quality: "How good each mask is expected to be: green where it is right, red where it is not.",
};

export class Player {
  constructor(work) {
    Object.assign(this, { work, frame: -1, how: "one", layer: 0, against: 0, share: 0.5 });
    this.stages = [new Stage("frame", work.facts)];
    this.zoom = new Zoom(() => this.stages, () => this.sharpen());
    this.film = new Play(this);
    const { frames } = work.facts;
    byId("scrub").max = frames.length - 1;
    byId("scrub").addEventListener("input", () => this.go(Number(byId("scrub").value)));
    this.playing = button("Play", () => this.film.toggle(), "space");
    byId("play").append(this.playing);
    window.addEventListener("resize", () => this.sharpen());
    this.controls();
    this.arrange();
    byId("views").addEventListener("wheel", (event) => {
      if (!event.ctrlKey && this.zoom.scale === 1 && event.deltaY > 0) return;
      event.preventDefault();
      this.zoom.by(event.deltaY < 0 ? 1.2 : 1 / 1.2, event);
    }, { passive: false });
    byId("views").addEventListener("pointermove", (event) => {
      if (event.buttons && (this.zoom.scale > 1) && !this.work.corrector.tool) this.zoom.pan(event.movementX, event.movementY);
    });
  }

  controls() {
    this.modes = Object.entries(MODES).map(([how, text]) => {
      const element = button(text, () => this.mode(how), { wipe: "w", all: "m", heat: "h", quality: "q" }[how] ?? "");
      element.dataset.how = how;
      return element;
    });
    this.versus = make("select", { id: "versus" });
    this.versus.addEventListener("change", () => {
      this.against = Number(this.versus.value);
      this.draw();
    });
    this.slider = make("input", { type: "range", min: 0, max: 1, step: 0.005, value: 0.5, "aria-label": "where the wipe is" });
    this.slider.addEventListener("input", () => {
      this.share = Number(this.slider.value);
      this.stages[0].wipe(this.share);
    });
    this.wiping = make("span", { className: "wiping" }, make("label", {}, "against", this.versus), this.slider);
    const group = make("div", { className: "tools", role: "group", "aria-label": "view" }, ...this.modes);
    const zooms = make("div", { className: "tools", role: "group", "aria-label": "zoom" }, button("Closer", () => this.zoom.by(1.5), "+"), button("Away", () => this.zoom.by(1 / 1.5), "-"));
    this.legend = make("p", { className: "small" });
    byId("how").append(group, zooms, this.wiping, this.legend);
  }

  // The layers whose masks are stored, in the order of their keys.
  stored() {
    return this.work.facts.layers.filter((layer) => layer.there);
  }

  layers() {
    const stored = this.stored();
    if (!stored.some((layer) => layer.number === this.layer)) this.layer = 0;
    const elements = this.work.facts.layers.map((layer) => {
      const key = stored.indexOf(layer) + 1;
      const element = button(layer.name, () => this.show(layer.number), key > 0 && key < 10 ? String(key) : "", { disabled: !layer.there });
      if (layer.kind === "candidate") {
        const mark = make("i", { className: "swatch" });
        mark.style.background = COLOURS[(layer.number - 1) % COLOURS.length];
        element.prepend(mark);
      }
      element.dataset.layer = layer.number;
      return element;
    });
    const none = this.work.facts.layers.some((layer) => !layer.there);
    const note = make("p", { className: "small" }, "Members' masks are there after a run with --keep-soft.");
    byId("layers").replaceChildren(...elements, ...(none ? [note] : []));
    this.versus.replaceChildren(...stored.map((layer) => make("option", { value: layer.number }, layer.name)));
    if (!stored.some((layer) => layer.number === this.against)) this.against = stored[1]?.number ?? 0;
    this.versus.value = this.against;
    this.pressed();
  }

  pressed() {
    for (const element of byId("layers").querySelectorAll("button")) {
      element.setAttribute("aria-pressed", Number(element.dataset.layer) === this.layer);
    }
    for (const element of this.modes) element.setAttribute("aria-pressed", element.dataset.how === this.how);
    this.wiping.hidden = this.how !== "wipe";
    this.legend.textContent = LEGENDS[this.how] ?? "";
  }

  pick(key) {
    const layer = key ? this.stored()[key - 1] : { number: -1 };
    if (layer) this.show(layer.number);
  }

  show(number) {
    this.layer = number;
    this.pressed();
    this.work.chooser.draw();
    this.work.corrector.draw();
    return this.draw();
  }

  mode(how) {
    this.how = how;
    this.arrange();
    this.pressed();
    return this.draw();
  }

  arrange() {
    const shown = this.how === "all" ? this.stored() : [null];
    this.stages = shown.map((layer) => new Stage(layer ? layer.name : "frame", this.work.facts));
    const views = this.stages.map((stage, n) => {
      if (!shown[n]) return stage.element;
      return make("figure", {}, stage.element, make("figcaption", {}, shown[n].name));
    });
    byId("views").replaceChildren(...views);
    byId("views").classList.toggle("many", this.how === "all");
    this.work.corrector?.attach();
  }

  // What is laid over a frame: numbers of layers, or the outcome of the choice that is shown.
  wanted() {
    if (this.how === "all") return this.stored().map((layer) => layer.number);
    if (this.how === "heat") return this.stored().filter((layer) => layer.kind === "candidate").map((layer) => layer.number);
    const wish = this.how === "one" ? this.work.chooser.wish() : null;
    if (wish) return [asked(wish)];
    const layers = this.layer < 0 ? [] : [this.layer];
    return this.how === "wipe" ? [...layers, this.against] : layers;
  }

  // The height at which pictures are fetched: no more than the view shows.
  height() {
    const { element } = this.stages[0];
    return fitting(this.work.facts.height, element.clientHeight * this.zoom.scale * devicePixelRatio);
  }

  // Draw again where the view now shows more, or less, than what was fetched.
  sharpen() {
    if (this.frame >= 0 && this.height() !== this.fetched) this.draw();
  }

  // Show a frame; of several asked for while one is drawn, the last. Whoever jumps stops the film.
  async go(frame, playing = false) {
    if (!playing && this.film.running) this.film.stop();
    const count = this.work.facts.frames.length;
    frame = Math.min(Math.max(frame, 0), count - 1);
    if (frame !== this.frame) this.work.corrector.leave();
    this.frame = frame;
    if (!playing) this.point();
    await this.draw();
    if (playing || frame !== this.frame) return; // what comes after a frame that was passed by is not fetched
    this.work.corrector.draw();
    this.work.corrector.restore();
    if (frame + 1 < count) this.work.pictures.ahead(frame + 1, this.wanted(), this.height(), 1, 1);
  }

  // Say which frame is shown, on the slider and over the timelines.
  point() {
    const name = `frame ${this.work.facts.frames[this.frame]}`;
    byId("scrub").value = this.frame;
    byId("scrub").setAttribute("aria-valuetext", name);
    byId("where").textContent = name;
    this.work.timeline.at(this.frame);
  }

  async draw() {
    this.asked ??= performance.now();
    if (this.drawing) {
      this.again = true;
      return this.drawing;
    }
    const { asked } = this;
    this.asked = null;
    this.drawing = this.drawn();
    try {
      await this.drawing;
    } catch (error) {
      tell(error.message, true);
    } finally {
      this.drawing = null;
    }
    performance.measure("frame", { start: asked });
    if (this.again) {
      this.again = false;
      return this.draw();
    }
    byId("views").dataset.shown = this.frame; // for whoever waits for it
    return undefined;
  }

  async drawn() {
    if (this.frame < 0) return;
    const { pictures, facts } = this.work;
    const index = this.frame;
    this.fetched = this.height();
    const [bitmap, all] = await Promise.all([pictures.frame(index, this.fetched), pictures.masks(index, this.wanted(), this.fetched)]);
    const words = table(facts.objects, (id) => this.work.colour(id));
    this.stages.forEach((stage) => stage.showFrame(bitmap));
    const [first] = this.stages;
    if (this.how === "all") this.stages.forEach((stage, n) => stage.showMask(all[n], words));
    else if (this.how === "heat") first.showHeat(all.slice(0, -1), all.at(-1));
    else if (this.how === "quality" && all.length) first.showMask(all[0], shades(facts, this.layer, index));
    else if (all.length) first.showMask(all[0], words);
    else first.mask.width = 0;
    if (this.how === "wipe" && all.length > 1) first.showMask(all[1], words, first.other);
    first.wipe(this.how === "wipe" ? this.share : null);
    this.zoom.pan(0, 0);
  }
}

// A choice as the server is asked for its outcome.
function asked({ candidate, object, frames }) {
  const wish = new URLSearchParams({ candidate });
  if (object !== null) wish.set("object", object);
  if (frames) wish.set("frames", frames.join(","));
  return String(wish);
}
