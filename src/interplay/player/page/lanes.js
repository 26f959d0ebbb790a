// Lanes: messages on their way, drawn on one canvas. Calls keep to one side of a link, answers to the other. A lane with
// more messages than fit becomes a density: bars whose height is the number of messages, by kind.

const RADIUS = 5, SIDE = 9, ROAD = 14, BIN = 9, PIECES = 24;

/** The way from one port to another: leaves and arrives straight on, so that several do not cross. Calls keep to one
 * side of its middle, answers to the other. Ports are [x, y]; `upright` ways leave downwards instead of sideways. */
function laneBetween([ax, ay], [bx, by], upright) {
  const [cx, cy] = upright ? [ax, (ay + by) / 2] : [(ax + bx) / 2, ay], [ex, ey] = upright ? [bx, (ay + by) / 2] : [(ax + bx) / 2, by];
  const path = [];
  let length = 0;
  for (let k = 0; k <= PIECES; k++) {
    const s = k / PIECES, r = 1 - s;
    const mix = (p, q, u, v) => r * r * r * p + 3 * r * r * s * q + 3 * r * s * s * u + s * s * s * v;
    const slope = (p, q, u, v) => r * r * (q - p) + 2 * r * s * (u - q) + s * s * (v - u);
    const angle = Math.atan2(slope(ay, cy, ey, by), slope(ax, cx, ex, bx));
    const x = mix(ax, cx, ex, bx) + SIDE * Math.sin(angle), y = mix(ay, cy, ey, by) - SIDE * Math.cos(angle);
    if (k) length += Math.hypot(x - path[k - 1].x, y - path[k - 1].y);
    path.push({ x, y, angle, length });
  }
  return { path, length };
}

/** Where a message is after this share of the way: {x, y, angle}. */
function spotOn({ path, length }, share) {
  const way = share * length;
  let k = Math.min(PIECES, Math.max(1, Math.ceil(share * PIECES)));
  while (k > 1 && path[k - 1].length > way) k--;
  while (k < PIECES && path[k].length < way) k++;
  const a = path[k - 1], b = path[k], f = (way - a.length) / (b.length - a.length || 1);
  return { x: a.x + (b.x - a.x) * f, y: a.y + (b.y - a.y) * f, angle: b.angle };
}

/** Draws all lanes at t; returns how many messages are in flight, and remembers where, so that one can be clicked. */
function drawLanes(context, size, sight, t, lanes, theme, only, named) {
  context.clearRect(0, 0, size.w, size.h);
  for (const lane of lanes.values()) {
    drawRoad(context, lane, theme);
    lane.shown = [];
    lane.labelled = false;
  }
  let count = 0, followed = 0;
  const { source, target, kind, request } = sight.messages;
  sight.eachInFlight(t, (i, share, lost) => {
    if (!lost) count++;
    if (only !== null && request[i] !== only) return;
    if (!lost) followed++;
    const lane = lanes.get(source[i] * 256 + target[i]);
    const calls = ![source[i], target[i]].some((node) => sight.is(node, "process", ...BROKERS)); // others wait for nobody
    if (lane) lane.shown.push({ i, kind: kind[i], share, lost, hollow: calls && sight.isOver(request[i], t), name: sight.named[i] || "" });
  });
  const spots = [];
  for (const lane of lanes.values()) {
    if (lane.shown.length * BIN > lane.length * 1.4) drawDensity(context, lane, theme, spots, request);
    else drawOneByOne(context, lane, theme, spots, request);
  }
  if (named) drawNames(context, size, [...lanes.values()], theme);
  return { count, followed, spots };
}

/** The way itself, with a mark at its end for the direction. */
function drawRoad(context, { path }, theme) {
  context.lineWidth = ROAD;
  context.strokeStyle = theme.road;
  context.beginPath();
  for (const { x, y } of path) context.lineTo(x, y);
  context.stroke();
  const { x, y, angle } = path[PIECES];
  context.save();
  context.translate(x, y);
  context.rotate(angle);
  context.lineWidth = 1.5;
  context.strokeStyle = theme.line;
  context.beginPath();
  context.moveTo(-9, -4);
  context.lineTo(-4, 0);
  context.lineTo(-9, 4);
  context.stroke();
  context.restore();
}

function drawOneByOne(context, lane, theme, spots, request) {
  for (const { i, kind, share, lost, hollow, name } of lane.shown.reverse()) {
    const { x, y } = spotOn(lane, share);
    drawGlyph(context, kind, x, y, CHORES.includes(name) ? RADIUS * 0.62 : RADIUS, theme, hollow, lost ? Math.max(0, 1 - share * 2) : 1);
    spots.push({ x, y, request: request[i] });
  }
}

/** What messages are called, beside them, where no more than a few are on a lane. Those at one spot share a line. */
function drawNames(context, size, lanes, theme) {
  const taken = [];
  context.font = `600 11.5px ${theme.font}`;
  context.textBaseline = "middle";
  for (const lane of lanes) {
    const spots = new Map();
    for (const { name, share, lost } of lane.shown) {
      if (!name) continue;
      const key = Math.round(share * 12), words = `${name}${lost ? ", lost" : ""}`, spot = spots.get(key) || { share, names: new Map() };
      spot.names.set(words, (spot.names.get(words) || 0) + 1);
      spots.set(key, spot);
    }
    if (!spots.size || spots.size > 3) continue;
    lane.labelled = true;
    for (const { share, names } of spots.values()) {
      const text = [...names].map(([words, n]) => (n > 1 ? `${words} × ${n}` : words)).join(", "), edge = lane.length < 120 ? 0.5 : 0.25, { x, y, angle } = spotOn(lane, Math.max(edge, Math.min(1 - edge, share))); // not below a card
      const wide = context.measureText(text).width + 8, level = Math.abs(Math.cos(angle)) > 0.5, side = level ? Math.sign(Math.cos(angle)) : -Math.sign(Math.sin(angle));
      const left = Math.max(0, Math.min(size.w - wide, level ? x - wide / 2 : x + (side > 0 ? 9 : -9 - wide)));
      let top = Math.max(0, Math.min(size.h - 16, level ? y - side * 17 - 8 : y - 8));
      while (taken.some((o) => left < o.left + o.wide && o.left < left + wide && top < o.top + 16 && o.top < top + 16)) top += 17;
      if (level && wide > lane.length + 8) continue; // it would be below a card; the sentence has it
      taken.push({ left, top, wide });
      context.globalAlpha = 0.86;
      context.fillStyle = theme.ground;
      context.fillRect(left, top, wide, 16);
      context.globalAlpha = 1;
      context.fillStyle = theme.ink;
      context.fillText(text, left + 4, top + 8.5);
    }
  }
}

function drawDensity(context, lane, theme, spots, request) {
  const bins = Math.max(4, Math.round(lane.length / BIN)), width = lane.length / bins;
  const counts = Array.from({ length: bins }, () => new Map());
  let tallest = 4;
  for (const { i, kind, share, lost } of lane.shown) {
    if (lost) continue;
    const bin = counts[Math.min(bins - 1, Math.floor(share * bins))];
    bin.set(kind, (bin.get(kind) || 0) + 1);
    bin.total = (bin.total || 0) + 1;
    if (bin.total > tallest) tallest = bin.total;
    spots.push({ ...spotOn(lane, share), request: request[i] });
  }
  const unit = Math.min(4, 26 / tallest);
  counts.forEach((bin, k) => {
    const { x, y, angle } = spotOn(lane, (k + 0.5) / bins);
    let height = 0;
    context.save();
    context.translate(x, y);
    context.rotate(angle);
    for (const kind of [...bin.keys()].sort()) {
      const part = bin.get(kind) * unit;
      context.fillStyle = theme.colours[kind];
      context.fillRect(0.75 - width / 2, ROAD / 2 - height - part, width - 1.5, part);
      height += part;
    }
    context.restore();
  });
}
