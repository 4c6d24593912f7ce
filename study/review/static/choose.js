// Take the masks that are shown: for the video, an object, some frames.
import { button, byId, make, range } from "./dom.js";

export function chooser(work) {
  const shown = () => work.facts.layers.find((layer) => layer.number === work.player.layer);

  // What would be taken now, null where the shown masks are no candidate.
  const wish = () => {
    const layer = shown();
    if (!layer || layer.kind !== "candidate") return null;
    return { candidate: layer.name, object: work.object, frames: work.span };
  };

  // Whether nothing is left to take.
  const take = async () => {
    const wanted = wish();
    if (!wanted) return true;
    const taken = await work.act("choose", wanted, `Taking ${wanted.candidate}`);
    if (taken) work.player.show(0);
    return Boolean(taken);
  };

  const number = (label, value, change) => {
    const field = make("input", { type: "number", min: 0, max: work.facts.frames.length - 1, value });
    field.addEventListener("change", () => change(Number(field.value)));
    return make("label", {}, label, field);
  };

  const draw = () => {
    const wanted = wish();
    const { span } = work;
    const last = work.facts.frames.length - 1;
    const [from, to] = span ? [span[0], span[1] - 1] : [0, last];
    const set = (first, end) => work.choose({ span: [Math.max(Math.min(first, end), 0), Math.min(Math.max(first, end), last) + 1] });
    const what = work.object === null ? "all objects" : work.facts.objects.find((one) => one.id === work.object).name;
    const when = span ? range(from, to) : "all frames";
    byId("choose").replaceChildren(
      make("p", {}, wanted ? `${wanted.candidate} for ${what}, ${when}: this is how it would be.` : "Show a candidate to see what would be taken."),
      make("div", { className: "controls" }, number("from", from, (value) => set(value, to)), number("to", to, (value) => set(from, value)), button("All frames", () => work.choose({ span: null }), "", { disabled: !span })),
      make("div", { className: "tools" }, button("Take it", take, "c", { disabled: !wanted, id: "take" })),
    );
  };

  return { wish, take, draw };
}
