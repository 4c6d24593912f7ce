// Masks as they travel: height, width, number of runs, then runs of (length << 8 | id).
const LONGEST = (1 << 24) - 1;

// All masks of an answer: [{height, width, ids: Uint8Array}].
export function decodeAll(buffer) {
  const words = new Uint32Array(buffer);
  const masks = [];
  for (let at = 0; at < words.length; ) {
    const [height, width, count] = words.subarray(at, at + 3);
    const ids = new Uint8Array(height * width);
    let place = 0;
    at += 3;
    for (const stop = at + count; at < stop; at++) {
      const id = words[at] & 255;
      const end = place + (words[at] >>> 8);
      if (id) ids.fill(id, place, end);
      place = end;
    }
    masks.push({ height, width, ids });
  }
  return masks;
}

export function encode({ height, width, ids }) {
  const runs = [];
  for (let start = 0; start < ids.length; ) {
    const id = ids[start];
    let stop = start + 1;
    while (stop < ids.length && ids[stop] === id && stop - start < LONGEST) stop++;
    runs.push((((stop - start) << 8) | id) >>> 0);
    start = stop;
  }
  const words = new Uint32Array(runs.length + 3);
  words.set([height, width, runs.length]);
  words.set(runs, 3);
  return words;
}
