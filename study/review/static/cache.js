// Frames and masks that were fetched, the latest ones kept; what is asked for twice is fetched once.
import { getBlob, getBytes } from "./api.js";
import { decodeAll } from "./id_runs.js";

class Latest {
  constructor(drop = () => {}) {
    Object.assign(this, { drop, kept: new Map(), held: 0 });
  }

  has(key) {
    return this.kept.has(key);
  }

  // The value under a key; without one, `make` makes a promise of it that takes `bytes`.
  get(key, bytes, make) {
    const one = this.kept.get(key) ?? this.added(key, bytes, make());
    this.kept.delete(key);
    this.kept.set(key, one);
    return one.value;
  }

  added(key, bytes, value) {
    const one = { value, bytes };
    this.kept.set(key, one);
    this.held += bytes;
    value.catch(() => this.kept.get(key) === one && this.remove(key));
    for (const old of this.kept.keys()) {
      if (this.held <= BUDGET || old === key) break;
      this.remove(old);
    }
    return one;
  }

  remove(key) {
    const { value, bytes } = this.kept.get(key);
    this.kept.delete(key);
    this.held -= bytes;
    value.then(this.drop, () => {});
  }

  clear() {
    for (const key of [...this.kept.keys()]) this.remove(key);
  }
}

const BUDGET = 300e6; // bytes of decoded pictures, and as much of masks
const MOST = 32; // masks that the server puts into one answer

// The height at which a video is fetched for a view of so many pixels: the whole, or a half, a
// quarter, an eighth, to which a JPEG is decoded for less. A view may enlarge it by a quarter.
export function fitting(full, seen) {
  const part = [8, 4, 2].find((n) => Math.ceil(full / n) >= 0.8 * seen);
  return part ? Math.ceil(full / part) : full;
}

export class Pictures {
  constructor(page, facts) {
    Object.assign(this, { path: `api/videos/${encodeURIComponent(page)}`, facts });
    this.frames = new Latest((bitmap) => bitmap.close());
    this.kept = new Latest();
  }

  bytes(height) {
    return (height * height * this.facts.width) / this.facts.height;
  }

  frame(index, height) {
    return this.frames.get(`${height}/${index}`, 4 * this.bytes(height), async () =>
      createImageBitmap(await getBlob(`${this.path}/frames/${index}?height=${height}`)),
    );
  }

  // Frames in a row, which come in one answer: each behind its length.
  async film(first, height, count, step) {
    const buffer = await getBytes(`${this.path}/film/${first}?height=${height}&count=${count}&step=${step}`);
    const frames = [];
    for (let at = 0; at < buffer.byteLength; ) {
      const size = new DataView(buffer).getUint32(at, true);
      frames.push(new Blob([new Uint8Array(buffer, at + 4, size)], { type: "image/jpeg" }));
      at += 4 + size;
    }
    return frames;
  }

  // Masks of frames as the server has them now: frame after frame, for each its sources. These are
  // numbers of layers, or one wish (a query) whose outcome is asked for.
  async fetched(first, sources, height, count = 1, step = 1) {
    const [source] = sources;
    const what = typeof source === "string" ? `preview/${first}?${source}` : `masks/${first}?layers=${sources.join(",")}`;
    return decodeAll(await getBytes(`${this.path}/${what}&height=${height}&count=${count}&step=${step}`));
  }

  key(index, source, height) {
    return `${this.facts.version}/${height}/${index}/${source}`;
  }

  // The masks of a frame: those not here yet come in one answer.
  masks(index, sources, height) {
    const missing = sources.filter((source) => !this.kept.has(this.key(index, source, height)));
    if (missing.length) this.ask(index, missing, height, 1, 1);
    return Promise.all(sources.map((source) => this.kept.get(this.key(index, source, height))));
  }

  ask(first, sources, height, count, step) {
    const together = this.fetched(first, sources, height, count, step);
    for (let n = 0; n < count; n++) {
      sources.forEach((source, k) => {
        const key = this.key(first + n * step, source, height);
        const one = together.then((all) => all[n * sources.length + k]);
        if (!this.kept.has(key)) this.kept.added(key, this.bytes(height), one);
        else one.catch(() => {});
      });
    }
  }

  // How many frames' masks one answer holds.
  most(sources) {
    return Math.max(Math.floor(MOST / Math.max(sources.length, 1)), 1);
  }

  askFrames(frames, height, step) {
    const missing = frames.filter((index) => !this.frames.has(`${height}/${index}`));
    if (missing.length < 2) return; // one frame has an address of its own, and is kept by the browser
    const together = this.film(frames[0], height, frames.length, step);
    for (const index of missing) {
      const one = together.then((all) => createImageBitmap(all[frames.indexOf(index)]));
      this.frames.added(`${height}/${index}`, 4 * this.bytes(height), one);
    }
  }

  // Fetch frames that come next and their masks: one answer for the frames, and one for the masks.
  ahead(first, sources, height, count, step) {
    const frames = Array.from({ length: count }, (_, n) => first + n * step);
    this.askFrames(frames, height, step);
    const missing = frames.some((index) => sources.some((source) => !this.kept.has(this.key(index, source, height))));
    if (missing && sources.length) this.ask(first, sources, height, count, step);
    return Promise.allSettled([...frames.map((index) => this.frame(index, height)), ...frames.map((index) => this.masks(index, sources, height))]);
  }

  forget() {
    this.kept.clear();
  }
}
