// Lanes: messages on their way, drawn on one canvas. Calls keep to one side of a link, answers to the other. A lane with
// more messages than fit becomes a density: bars whose height is the number of messages, by kind.

const RADIUS = 4.5, SIDE = 8, BIN = 9;

/** The lane from card a to card b (rectangles {x, y, w, h} by centre): its two ends, moved to its side. */
function laneBetween(a, b, upright) {
  const ends = upright
    ? [[a.x, a.y + (Math.sign(b.y - a.y) || 1) * a.h / 2], [b.x, b.y - (Math.sign(b.y - a.y) || 1) * b.h / 2]]
    : [[a.x + (Math.sign(b.x - a.x) || 1) * a.w / 2, a.y], [b.x - (Math.sign(b.x - a.x) || 1) * b.w / 2, b.y]];
  const [[x0, y0], [x1, y1]] = ends, length = Math.hypot(x1 - x0, y1 - y0) || 1;
  const nx = -(y1 - y0) / length, ny = (x1 - x0) / length;
  const side = -SIDE; // traffic keeps to the same side of its own direction, so the two directions do not meet
  return { x0: x0 + nx * side, y0: y0 + ny * side, dx: x1 - x0, dy: y1 - y0, length, nx, ny };
}

/** Draws all lanes at t; returns how many messages are in flight, and remembers where, so that one can be clicked. */
function drawLanes(context, size, sight, t, lanes, theme, only) {
  context.clearRect(0, 0, size.w, size.h);
  context.lineWidth = 1;
  for (const lane of lanes.values()) {
    context.strokeStyle = theme.line;
    context.beginPath();
    context.moveTo(lane.x0, lane.y0);
    context.lineTo(lane.x0 + lane.dx, lane.y0 + lane.dy);
    context.stroke();
    lane.shown = [];
  }
  let count = 0, followed = 0;
  const { source, target, kind, request } = sight.messages;
  sight.eachInFlight(t, (i, share, lost) => {
    if (!lost) count++;
    if (only !== null && request[i] !== only) return;
    if (!lost) followed++;
    const lane = lanes.get(source[i] * 256 + target[i]);
    if (lane) lane.shown.push({ i, kind: kind[i], share, lost, hollow: sight.isOver(request[i], t) });
  });
  const spots = [];
  for (const lane of lanes.values()) {
    if (lane.shown.length * BIN > lane.length * 1.4) drawDensity(context, lane, theme, spots, request);
    else drawOneByOne(context, lane, theme, spots, request);
  }
  return { count, followed, spots };
}

function drawOneByOne(context, lane, theme, spots, request) {
  for (const { i, kind, share, lost, hollow } of lane.shown.reverse()) {
    const x = lane.x0 + lane.dx * share, y = lane.y0 + lane.dy * share;
    drawGlyph(context, kind, x, y, RADIUS, theme, hollow, lost ? Math.max(0, 1 - share * 2) : 1);
    spots.push({ x, y, request: request[i] });
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
    spots.push({ x: lane.x0 + lane.dx * share, y: lane.y0 + lane.dy * share, request: request[i] });
  }
  context.save();
  context.translate(lane.x0, lane.y0);
  context.rotate(Math.atan2(lane.dy, lane.dx));
  const unit = Math.min(4, 26 / tallest);
  counts.forEach((bin, k) => {
    let height = 0;
    for (const kind of [...bin.keys()].sort()) {
      const part = bin.get(kind) * unit;
      context.fillStyle = theme.colours[kind];
      context.fillRect(k * width + 0.75, -height - part, width - 1.5, part);
      height += part;
    }
  });
  context.restore();
}
