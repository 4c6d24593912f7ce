// How good masks are expected to be, per object and frame, and the colours that tell it.
import { word } from "./stage.js";

// The candidate from which the selected masks have an object on a frame.
export function usedAt(facts, object, frame) {
  return facts.plan[object].filter(([start]) => start <= frame).at(-1)[1];
}

// Percents of a candidate's masks of an object, frame by frame; none where nothing is known.
export function qualityOf(facts, object, candidate) {
  const { candidates, quality } = facts.timelines;
  return quality[object]?.[candidates.indexOf(candidate)] ?? [];
}

// From red over yellow to green; grey where nothing is known.
export function shade(percent) {
  if (percent < 0) return [128, 128, 128];
  const share = Math.min(Math.max((percent - 30) / 65, 0), 1);
  return [Math.round(255 * Math.min(2 - 2 * share, 1)), Math.round(220 * Math.min(2 * share, 1)), 40];
}

// Colours of ids by how good their masks on a layer are expected to be.
export function shades(facts, number, frame) {
  const words = new Uint32Array(256);
  const layer = facts.layers.find((one) => one.number === number);
  for (const { id } of facts.objects) {
    const name = layer?.kind === "selected" ? usedAt(facts, id, frame) : layer?.name;
    words[id] = word([...shade(qualityOf(facts, id, name)[frame] ?? -1), 190]);
  }
  return words;
}
