// Drawing on a mask: pure functions over {height, width, ids}. `allowed(place)` says where.
const everywhere = () => true;

export function disc(mask, x, y, radius, id, allowed = everywhere) {
  const { height, width, ids } = mask;
  const top = Math.max(Math.ceil(y - radius), 0);
  const bottom = Math.min(Math.floor(y + radius), height - 1);
  for (let row = top; row <= bottom; row++) {
    const half = Math.sqrt(Math.max(radius * radius - (row - y) * (row - y), 0));
    const left = Math.max(Math.ceil(x - half), 0);
    const right = Math.min(Math.floor(x + half), width - 1);
    for (let column = left; column <= right; column++) {
      const place = row * width + column;
      if (allowed(place)) ids[place] = id;
    }
  }
}

export function stroke(mask, from, to, radius, id, allowed = everywhere) {
  const steps = Math.max(Math.ceil(Math.hypot(to.x - from.x, to.y - from.y) / Math.max(radius / 2, 0.5)), 1);
  for (let step = 0; step <= steps; step++) {
    const share = step / steps;
    disc(mask, from.x + share * (to.x - from.x), from.y + share * (to.y - from.y), radius, id, allowed);
  }
}

// The even-odd inside of a polygon, by the centres of pixels.
export function polygon(mask, points, id, allowed = everywhere) {
  const { height, width, ids } = mask;
  for (let row = 0; row < height; row++) {
    const cuts = [];
    points.forEach((one, n) => {
      const two = points[(n + 1) % points.length];
      if (one.y <= row !== two.y <= row) cuts.push(one.x + ((row - one.y) / (two.y - one.y)) * (two.x - one.x));
    });
    cuts.sort((a, b) => a - b);
    for (let n = 0; n + 1 < cuts.length; n += 2) {
      const left = Math.max(Math.ceil(cuts[n]), 0);
      const right = Math.min(Math.ceil(cuts[n + 1]), width);
      for (let column = left; column < right; column++) {
        const place = row * width + column;
        if (allowed(place)) ids[place] = id;
      }
    }
  }
}

// All pixels that hang together with (x, y), are as it is, and are allowed.
export function fill(mask, x, y, id, allowed = everywhere) {
  const { height, width, ids } = mask;
  const start = Math.round(y) * width + Math.round(x);
  const old = ids[start];
  if (old === id || !allowed(start)) return;
  const open = [start];
  ids[start] = id;
  while (open.length) {
    const place = open.pop();
    const column = place % width;
    const next = [place - width, place + width, column > 0 ? place - 1 : -1, column < width - 1 ? place + 1 : -1];
    for (const near of next) {
      if (near >= 0 && near < height * width && ids[near] === old && allowed(near)) {
        ids[near] = id;
        open.push(near);
      }
    }
  }
}

// Which members have an object at each pixel, as bits: its edges are where they begin to differ.
export function pattern(members, id) {
  const bits = new Uint32Array(members[0].ids.length);
  members.forEach(({ ids }, n) => {
    for (let place = 0; place < bits.length; place++) if (ids[place] === id) bits[place] |= 1 << n;
  });
  return bits;
}
