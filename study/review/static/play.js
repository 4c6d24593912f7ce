// Playing: which frame is due, and what is fetched before it is. A machine that cannot keep up shows
// every second frame, or every third, instead of fetching what it will not show.
const RATE = 24; // frames per second
const AHEAD = 16; // frames fetched before they are shown
const BLOCK = 8; // frames whose masks come in one answer
const LOOK = 12; // frames after which the step is looked at again
const MOST_MISSED = 3; // of them
const LARGEST_STEP = 6;
const POINTED = 4; // frames after which slider and cursor follow: moving them costs a tenth of a frame

export class Play {
  constructor(player) {
    Object.assign(this, { player, running: false, step: 1 });
  }

  toggle() {
    return this.running ? this.stop() : this.start();
  }

  async start() {
    const { player } = this;
    const last = player.work.facts.frames.length - 1;
    const from = player.frame >= last ? 0 : player.frame;
    Object.assign(this, { running: true, from, last, next: from, shown: 0, missed: 0 });
    player.playing.firstChild.textContent = "Stop";
    const film = (this.film = {});
    await Promise.all([this.fill(from), player.go(from, true)]);
    if (!this.running || this.film !== film) return; // it was stopped meanwhile
    this.began = performance.now();
    this.soon();
  }

  soon() {
    this.timer = requestAnimationFrame((now) => this.tick(now));
  }

  stop() {
    this.running = false;
    cancelAnimationFrame(this.timer);
    this.player.playing.firstChild.textContent = "Play";
    this.player.point();
    this.player.work.corrector.draw();
    this.player.work.corrector.restore();
  }

  // Fetch what comes after a frame and was not asked for yet; ends with the first of it.
  fill(frame) {
    const { player, step, from, last } = this;
    const { pictures } = player.work;
    const sources = player.wanted();
    this.next = Math.max(this.next, frame);
    this.next += (step - ((this.next - from) % step)) % step;
    let first = null;
    while (this.next <= Math.min(frame + AHEAD * step, last)) {
      const count = Math.min(BLOCK, pictures.most(sources), Math.floor((last - this.next) / step) + 1);
      const asked = pictures.ahead(this.next, sources, player.height(), count, step);
      first ??= asked;
      this.next += count * step;
    }
    return first;
  }

  tick(now) {
    const { player, from, last, step } = this;
    const due = Math.min(from + Math.floor(((now - this.began) * RATE) / 1000), last);
    const frame = due === last ? last : due - ((due - from) % step);
    if (!player.drawing && frame > player.frame) {
      this.count(Math.max((frame - player.frame) / step - 1, 0));
      player.go(frame, true);
      if (this.shown % POINTED === 0) player.point();
      this.fill(frame);
    }
    if (player.frame === last && !player.drawing) this.stop();
    else this.soon();
  }

  // Take larger steps where frames were missed, and smaller ones where none was.
  count(missed) {
    this.shown += 1;
    this.missed += missed;
    if (this.shown < LOOK) return;
    if (this.missed > MOST_MISSED) this.step = Math.min(this.step + 1, LARGEST_STEP);
    else if (this.missed < 1 && this.step > 1) this.step -= 1;
    Object.assign(this, { shown: 0, missed: 0 });
  }
}
