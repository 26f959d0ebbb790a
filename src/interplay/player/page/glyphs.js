// The shapes of messages, one for each kind. Their colours (Okabe-Ito) are in tokens.css.

const GLYPHS = [
  { kind: "request", shape: "circle", words: "first try" },
  { kind: "retry", shape: "triangle", words: "retry" },
  { kind: "reply", shape: "square", words: "answer" },
  { kind: "error", shape: "cross", words: "error" },
  { kind: "rejected", shape: "diamond", words: "rejection" },
  { kind: "event", shape: "star", words: "event" },
  { kind: "compensation", shape: "chevron", words: "compensation" },
  { kind: "dead letter", shape: "envelope", words: "dead letter" },
  { kind: "hedge", shape: "pentagon", words: "hedge" },
  { kind: "cancel", shape: "bar", words: "cancellation" },
];

/** The outline of a shape around 0, 0 with radius r, as points (or null for a circle). */
function outline(shape, r) {
  const turn = (n, from) => Array.from({ length: n }, (_, i) => {
    const a = from + (i * 2 * Math.PI) / n;
    return [r * Math.cos(a), r * Math.sin(a)];
  });
  const q = r * 0.86, w = r * 0.42;
  switch (shape) {
    case "triangle": return turn(3, -Math.PI / 2).map(([x, y]) => [x * 1.2, y * 1.2 + r * 0.12]);
    case "square": return [[-q, -q], [q, -q], [q, q], [-q, q]];
    case "diamond": return turn(4, 0).map(([x, y]) => [x * 1.15, y * 1.15]);
    case "pentagon": return turn(5, -Math.PI / 2).map(([x, y]) => [x * 1.1, y * 1.1]);
    case "star": return [...turn(5, -Math.PI / 2), ...turn(5, -Math.PI / 2 + Math.PI / 5)].map(([x, y], i) => [x, y, i % 5, i >= 5]).sort((p, o) => p[2] - o[2] || p[3] - o[3]).map(([x, y, , inner]) => (inner ? [x * 0.6, y * 0.6] : [x * 1.3, y * 1.3]));
    case "cross": return [[-r, -r + w], [-r + w, -r], [0, -w], [r - w, -r], [r, -r + w], [w, 0], [r, r - w], [r - w, r], [0, w], [-r + w, r], [-r, r - w], [-w, 0]];
    case "chevron": return [[r, -r], [0, -r], [-r, 0], [0, r], [r, r], [0, 0]];
    case "envelope": return [[-r * 1.2, -q], [0, 0], [r * 1.2, -q], [r * 1.2, q], [-r * 1.2, q]];
    case "bar": return [[-w, -r * 1.2], [w, -r * 1.2], [w, r * 1.2], [-w, r * 1.2]];
    default: return null;
  }
}

/** Draws one message. `hollow`: nobody waits for it any more. */
function drawGlyph(context, kind, x, y, r, theme, hollow, alpha = 1) {
  const { shape } = GLYPHS[kind], points = outline(shape, r);
  context.globalAlpha = alpha;
  context.beginPath();
  if (points) {
    points.forEach(([dx, dy], i) => (i ? context.lineTo(x + dx, y + dy) : context.moveTo(x + dx, y + dy)));
    context.closePath();
  } else context.arc(x, y, r, 0, 2 * Math.PI);
  context.fillStyle = hollow ? theme.ground : theme.colours[kind];
  context.fill();
  context.lineWidth = hollow ? 1.6 : 1;
  context.strokeStyle = hollow ? theme.colours[kind] : theme.edge;
  context.stroke();
  context.globalAlpha = 1;
}

/** The same shape as a small picture in the legend. */
function legendGlyph(kind) {
  const { shape } = GLYPHS[kind], points = outline(shape, 5), style = `fill:var(--ip-kind-${kind});stroke:var(--ip-edge)`;
  return h("svg.ip-glyph", { viewBox: "-7 -7 14 14", width: 14, height: 14, "aria-hidden": "true" },
    points ? h("polygon", { points: points.map((p) => p.map((v) => v.toFixed(2)).join()).join(" "), style }) : h("circle", { r: 5, style }));
}
