// Members run again from the corrections, and the verdict on what they made.
import { getJson, post, attempt } from "./api.js";
import { button, byId, make, tell } from "./dom.js";

const PAUSE = 700; // milliseconds between two looks at the progress
const TRIAL = 1001;

export function continuing(work) {
  let timer = 0;

  const look = async () => {
    timer = 0;
    try {
      const told = await getJson(`${work.path}/continuation`);
      if (told.stage === "running") draw(told);
      else await work.reload();
    } catch (error) {
      tell(error.message, true);
      timer = setTimeout(look, 5 * PAUSE);
    }
  };

  const start = async (whole) => {
    const told = await attempt("Starting the members", () => post(`${work.path}/continue`, { whole }));
    if (told) draw(told);
  };
  const drop = async () => {
    await attempt("Dropping it", () => post(`${work.path}/drop`));
    await work.reload();
  };
  const compare = () => {
    work.player.layer = 0;
    work.player.against = TRIAL;
    work.player.versus.value = TRIAL;
    work.player.mode("wipe");
  };

  const running = (told) => {
    const bar = make("progress", { max: Math.max(told.total, 1), value: told.done, "aria-label": "members that have run" });
    const left = told.left === null ? "" : `, about ${Math.ceil(told.left)} s to go`;
    timer = timer || setTimeout(look, PAUSE);
    return [make("p", {}, told.total ? `${told.done} of ${told.total} members have run${left}.` : "The members are starting."), bar, button("Cancel", drop)];
  };

  function draw(told) {
    const corrected = Object.keys(work.facts.corrections).length;
    const content = {
      none: () => [
        make("p", {}, corrected ? `${corrected} corrected frame${corrected > 1 ? "s" : ""}. The members go on from the first that is new; over the whole video they take longer and know more.` : "Correct a frame first. The members then follow it through the video."),
        button("Continue from there", () => start(false), "", { disabled: !corrected, id: "start" }),
        button("Run over the whole video", () => start(true), "", { disabled: !corrected }),
      ],
      running: () => running(told),
      ready: () => [
        make("p", {}, "The members have run. Compare, then accept or drop what they made."),
        button("Compare", compare),
        button("Accept", () => work.act("accept", {}, "Accepting"), "", { id: "accept" }),
        button("Drop", drop),
      ],
      failed: () => [make("p", { className: "bad" }, told.trouble), button("Drop", drop)],
    }[told.stage]();
    const [words, ...rest] = content;
    byId("continue").replaceChildren(words, make("div", { className: "tools" }, ...rest));
  }

  return { draw };
}
