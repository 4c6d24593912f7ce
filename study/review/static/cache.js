// Frames and masks that were fetched, the latest ones kept; what is asked for twice is fetched once.
import { getBlob, getBytes } from "./api.js";
import { decodeAll } from "./id_runs.js";

class Latest {
  constructor(most, make, drop = () => {}) {
    Object.assign(this, { most, make, drop, kept: new Map() });
  }

  get(key) {
    let value = this.kept.get(key);
    this.kept.delete(key);
    value ??= this.make(key);
    value.catch(() => this.kept.delete(key));
    this.kept.set(key, value);
    for (const old of this.kept.keys()) {
      if (this.kept.size <= this.most) break;
      this.kept.get(old).then(this.drop, () => {});
      this.kept.delete(old);
    }
    return value;
  }

  clear() {
    for (const value of this.kept.values()) value.then(this.drop, () => {});
    this.kept.clear();
  }
}

const BUDGET = 300e6; // bytes of decoded pictures, and as much of masks
export const SHOWN = 720; // height at which frames and masks are shown; drawing is at full size

export class Pictures {
  constructor(page, facts) {
    const height = Math.min(facts.height, SHOWN);
    const width = Math.round((facts.width * height) / facts.height);
    Object.assign(this, { path: `api/videos/${encodeURIComponent(page)}`, height, width, facts });
    const size = { resizeHeight: height, resizeWidth: width, resizeQuality: "medium" };
    const most = Math.min(Math.max(Math.floor(BUDGET / (4 * height * width)), 12), 240);
    this.frames = new Latest(
      most,
      async (index) => {
        const blob = await getBlob(`${this.path}/frames/${index}?height=${height}`);
        return createImageBitmap(blob, height < facts.height ? size : {});
      },
      (bitmap) => bitmap.close(),
    );
    this.kept = new Latest(Math.min(Math.floor(BUDGET / (height * width)), 400), async (key) => {
      const [, index, layer] = key.split("/");
      return (await this.fetched(index, [layer], height))[0];
    });
  }

  async fetched(index, layers, height) {
    return decodeAll(await getBytes(`${this.path}/masks/${index}?layers=${layers.join(",")}&height=${height}`));
  }

  frame(index) {
    return this.frames.get(index);
  }

  // The masks of layers on a frame: those not here yet come in one answer.
  async masks(index, layers) {
    const version = this.facts.version;
    const key = (layer) => `${version}/${index}/${layer}`;
    const missing = layers.filter((layer) => !this.kept.kept.has(key(layer)));
    if (missing.length > 1) {
      const together = this.fetched(index, missing, this.height);
      missing.forEach((layer, n) => {
        const one = together.then((all) => all[n]);
        one.catch(() => this.kept.kept.delete(key(layer)));
        this.kept.kept.set(key(layer), one);
      });
    }
    return Promise.all(layers.map((layer) => this.kept.get(key(layer))));
  }

  async preview(index, { candidate, object, frames }, height = this.height) {
    const wish = new URLSearchParams({ candidate, height });
    if (object !== null) wish.set("object", object);
    if (frames) wish.set("frames", frames.join(","));
    return decodeAll(await getBytes(`${this.path}/preview/${index}?${wish}`))[0];
  }

  forget() {
    this.kept.clear();
  }
}
