// One view of a frame with masks over it; zoom and pan are shared by all views of a page.
import { make } from "./dom.js";

export const HEAT = Array.from({ length: 9 }, (_, k) =>
  k ? [255, Math.round(230 - (200 * (k - 1)) / 7), 40, 215] : [0, 0, 0, 0],
);

export const word = ([red, green, blue, alpha]) => ((alpha << 24) | (blue << 16) | (green << 8) | red) >>> 0;

// Colours of ids as 32-bit words, by each object's opacity in [0, 1].
export function table(objects, opacity) {
  const words = new Uint32Array(256);
  for (const { id, colour } of objects) words[id] = word([...colour, Math.round(255 * opacity(id))]);
  return words;
}

export class Stage {
  constructor(label, { height, width }) {
    this.frame = make("canvas", { className: "frame" });
    this.mask = make("canvas", { className: "mask" });
    this.other = make("canvas", { className: "mask", hidden: true });
    this.moved = make("div", { className: "moved" }, this.frame, this.mask, this.other);
    this.element = make("div", { className: "view", role: "img" }, this.moved);
    this.element.setAttribute("aria-label", label);
    this.element.style.aspectRatio = `${width} / ${height}`;
    this.element.style.setProperty("--ratio", width / height);
  }

  showFrame(bitmap) {
    if (this.bitmap === bitmap) return; // only the masks have changed
    this.bitmap = bitmap;
    if (this.frame.width !== bitmap.width || this.frame.height !== bitmap.height) {
      this.frame.width = bitmap.width;
      this.frame.height = bitmap.height;
    }
    this.frame.getContext("2d", { alpha: false }).drawImage(bitmap, 0, 0);
  }

  // ids in the colours of `words`; an outline of one pixel is drawn at full strength.
  showMask(mask, words, canvas = this.mask) {
    const { height, width, ids } = mask;
    const image = this.image(canvas, height, width);
    const pixels = new Uint32Array(image.data.buffer);
    for (let place = 0; place < ids.length; place++) {
      const id = ids[place];
      if (!id) pixels[place] = 0;
      else if (ids[place + 1] !== id || ids[place + width] !== id) pixels[place] = words[id] && words[id] | 0xff000000;
      else pixels[place] = words[id];
    }
    canvas.getContext("2d").putImageData(image, 0, 0);
  }

  // Where members differ from the fused masks: yellow where one does, red where all do.
  showHeat(members, fused) {
    const { height, width, ids } = fused;
    const image = this.image(this.mask, height, width);
    const pixels = new Uint32Array(image.data.buffer);
    const words = HEAT.map(word);
    const levels = members.map((_, n) => words[Math.ceil((8 * (n + 1)) / members.length)]);
    for (let place = 0; place < ids.length; place++) {
      let differ = 0;
      for (const member of members) if (member.ids[place] !== ids[place]) differ++;
      pixels[place] = differ ? levels[differ - 1] : 0;
    }
    this.mask.getContext("2d").putImageData(image, 0, 0);
  }

  image(canvas, height, width) {
    if (canvas.width !== width || canvas.height !== height || !canvas.image) {
      canvas.width = width;
      canvas.height = height;
      canvas.image = canvas.getContext("2d").createImageData(width, height);
    }
    return canvas.image;
  }

  // The first mask to the left of `share`, the other to the right; null: the first alone.
  wipe(share) {
    this.other.hidden = share === null;
    this.mask.style.clipPath = share === null ? "" : `inset(0 ${100 * (1 - share)}% 0 0)`;
    this.other.style.clipPath = share === null ? "" : `inset(0 0 0 ${100 * share}%)`;
    this.element.classList.toggle("wiped", share !== null);
    this.element.style.setProperty("--share", `${100 * (share ?? 0)}%`);
  }

  move({ scale, x, y }) {
    this.moved.style.transform = `translate(${x}px, ${y}px) scale(${scale})`;
  }

  // Where in the frame a pointer is, in pixels of a picture of this size.
  place(event, { height, width }) {
    const box = this.moved.getBoundingClientRect();
    return {
      x: ((event.clientX - box.left) / box.width) * width - 0.5,
      y: ((event.clientY - box.top) / box.height) * height - 0.5,
    };
  }
}

export class Zoom {
  constructor(stages, changed) {
    Object.assign(this, { stages, changed, scale: 1, x: 0, y: 0 });
  }

  by(factor, event = null) {
    const before = this.scale;
    this.scale = Math.min(Math.max(before * factor, 1), 16);
    const box = this.stages()[0].element.getBoundingClientRect();
    const x = event ? event.clientX - box.left : box.width / 2;
    const y = event ? event.clientY - box.top : box.height / 2;
    const ratio = this.scale / before;
    this.x = x - (x - this.x) * ratio;
    this.y = y - (y - this.y) * ratio;
    this.pan(0, 0);
    this.changed();
  }

  pan(right, down) {
    const box = this.stages()[0].element.getBoundingClientRect();
    this.x = Math.min(Math.max(this.x + right, box.width * (1 - this.scale)), 0);
    this.y = Math.min(Math.max(this.y + down, box.height * (1 - this.scale)), 0);
    this.stages().forEach((stage) => stage.move(this));
  }

  reset() {
    this.scale = 1;
    this.pan(0, 0);
  }
}
