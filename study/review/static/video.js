// The page of a video: what it shows, and the keys. Choosing, correcting and continuing are beside.
import { attempt, getJson, post, root } from "./api.js";
import { Pictures } from "./cache.js";
import { chooser } from "./choose.js";
import { continuing } from "./continue.js";
import { corrector } from "./correct.js";
import { button, byId, forPage, make, range, rgb, swatch, tell, when } from "./dom.js";
import { Player } from "./player.js";
import { Timeline } from "./timeline.js";

const page = decodeURIComponent(location.pathname.split("/").at(-1));
const path = `api/videos/${encodeURIComponent(page)}`;

class Work {
  constructor(facts) {
    this.facts = facts;
    this.path = path;
    this.object = null; // the one that is chosen, null: all
    this.span = null; // [start, stop], null: all frames
    this.opacity = new Map();
    this.pictures = new Pictures(page, facts);
    this.player = new Player(this);
    this.timeline = new Timeline(byId("rows"), {
      jump: (frame) => this.player.go(frame),
      span: (span) => this.choose({ span }),
      pick: (object) => this.choose({ object, span: null }),
      object: (object) => this.choose({ object: this.object === object ? null : object }),
    });
    this.chooser = chooser(this);
    this.corrector = corrector(this);
    this.continuing = continuing(this);
  }

  colour(id) {
    return this.opacity.get(id) ?? 0.55;
  }

  choose({ object = this.object, span = this.span }) {
    if (object !== this.object) this.corrector.leave();
    this.object = object;
    this.span = span;
    this.objects();
    this.chooser.draw();
    this.corrector.draw();
    this.mark();
    this.player.draw();
    this.corrector.restore();
  }

  mark() {
    this.timeline.show(this.player.frame, this.object, this.span);
  }

  // Read the video again, after something was written.
  async reload() {
    this.facts = await getJson(path);
    this.pictures.facts = this.facts;
    this.pictures.forget();
    this.draw();
    await this.player.draw();
  }

  // Do something to the video, one after the other: each knows what the one before it has made.
  act(what, sent, doing) {
    const one = async () => {
      const answer = await attempt(doing, () => post(`${path}/${what}`, { version: this.facts.version, ...sent }));
      await this.reload();
      return answer;
    };
    this.latest = (this.latest ?? Promise.resolve()).then(one, one);
    return this.latest;
  }

  draw() {
    const { facts } = this;
    byId("name").textContent = facts.video;
    document.title = facts.video;
    byId("why").textContent = `${facts.winner}: ${facts.reason}`;
    this.timeline.build(facts);
    this.player.layers();
    this.objects();
    this.log();
    this.chooser.draw();
    this.corrector.draw();
    this.continuing.draw(facts.continuation);
    this.mark();
  }

  objects() {
    const every = make("button", { type: "button", className: "button name" }, "all objects");
    every.setAttribute("aria-pressed", this.object === null);
    every.addEventListener("click", () => this.choose({ object: null }));
    const rows = this.facts.objects.map(({ id, colour, name: title }) => {
      const name = button(title, () => this.choose({ object: id }), "", { className: "button name" });
      name.prepend(swatch(rgb(colour)));
      name.setAttribute("aria-pressed", this.object === id);
      const opacity = make("input", { type: "range", min: 0, max: 1, step: 0.05, value: this.colour(id), "aria-label": `opacity of object ${id}` });
      opacity.addEventListener("input", () => {
        this.opacity.set(id, Number(opacity.value));
        this.player.draw();
      });
      return make("div", { className: "object" }, name, opacity);
    });
    byId("objects").replaceChildren(make("div", { className: "object" }, every), ...rows);
  }

  log() {
    const { facts } = this;
    byId("done").replaceChildren(
      button("Undo", () => this.act("undo", {}, "Undoing"), "u", { disabled: !facts.undo }),
      button("Have it back", () => this.act("redo", {}, "Having it back"), "r", { disabled: !facts.redo }),
    );
    byId("log").replaceChildren(
      ...facts.log.map((line) => {
        const parts = [line.kind, line.candidate, line.object && `object ${line.object}`];
        if (line.frames) parts.push(range(line.frames[0], line.frames[1] - 1));
        return make("li", {}, parts.filter(Boolean).join(", "), " ", make("span", { className: "small" }, `${line.by}, ${when(line.time)}`));
      }),
    );
  }
}

// The list that this video is in, for next and previous; the page does not wait for it.
async function near(work) {
  const { rows } = await getJson("api/run");
  const at = rows.findIndex((row) => row.page === page);
  const link = (row, text, rel) => {
    const frame = row.object_id === null ? "" : `#frame=${row.frame}&object=${row.object_id}`;
    return make("a", { href: new URL(`videos/${encodeURIComponent(row.page)}${frame}`, root).href, rel }, text);
  };
  work.previous = rows[at - 1] && link(rows[at - 1], "Previous", "prev");
  work.next = rows[at + 1] && link(rows[at + 1], "Next", "next");
  byId("near").replaceChildren(...[work.previous, work.next].filter(Boolean).flatMap((element) => [element, " "]));
  const looked = rows.filter((row) => row.mark === "done").length;
  byId("progress").textContent = `${looked} of ${rows.length} looked at`;
}

// What is drawn and what is shown is taken, and the next video opens; not after something failed.
async function accept(work) {
  if (!(await work.corrector.save()) || !(await work.chooser.take())) return;
  const done = await attempt("Done", () => post(`${path}/mark`, { mark: "done" }));
  if (done && work.next) location.href = work.next.href;
  else if (done) near(work);
}

function keys(work, event) {
  if (!forPage(event) || (event.target.type === "range" && event.key.startsWith("Arrow"))) return;
  const { player } = work;
  const far = event.shiftKey ? 10 : 1;
  const act = {
    ArrowRight: () => player.go(player.frame + far),
    ArrowLeft: () => player.go(player.frame - far),
    " ": () => player.film.toggle(),
    Enter: () => !work.corrector.close() && accept(work),
    c: () => work.chooser.take(),
    n: () => work.next && (location.href = work.next.href),
    p: () => work.previous && (location.href = work.previous.href),
    u: () => work.act("undo", {}, "Undoing"),
    r: () => work.act("redo", {}, "Having it back"),
    w: () => player.mode(player.how === "wipe" ? "one" : "wipe"),
    m: () => player.mode(player.how === "all" ? "one" : "all"),
    h: () => player.mode(player.how === "heat" ? "one" : "heat"),
    q: () => player.mode(player.how === "quality" ? "one" : "quality"),
    "+": () => player.zoom.by(1.5),
    "-": () => player.zoom.by(1 / 1.5),
    ...work.corrector.keys,
  }[event.key];
  if (act) act();
  else if (/^[0-9]$/.test(event.key)) player.pick(Number(event.key));
  else return;
  event.preventDefault();
}

async function begin() {
  const work = new Work(await getJson(path));
  const asked = new URLSearchParams(location.hash.slice(1));
  const left = work.corrector.waiting();
  const object = left?.object ?? asked.get("object");
  if (object !== null) work.object = Number(object);
  work.draw();
  document.addEventListener("keydown", (event) => keys(work, event));
  near(work).catch(() => {});
  await work.player.go(Number(left?.frame ?? asked.get("frame") ?? work.facts.suggestion?.frame ?? 0));
}

begin().catch((error) => tell(error.message, true));
