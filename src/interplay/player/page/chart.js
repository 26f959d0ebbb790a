// The chart: panels over one time axis. Drawn once for each answer as SVG, so colours follow the theme by themselves.

const PLOT = 1000; // the width of the drawing's own units; it is stretched to the page

/** A round number at or above x, for an axis. */
function roundUp(x) {
  if (!(x > 0)) return 1;
  const power = 10 ** Math.floor(Math.log10(x));
  return [1, 2, 3, 4, 5, 6, 8, 10].find((step) => step * power >= x * 0.9999) * power;
}

/** A path through points; a missing value breaks it. */
function pathOf(times, values, x, y) {
  let path = "", pen = "M";
  values.forEach((value, i) => {
    if (value === null) pen = "M";
    else { path += `${pen}${x(times[i]).toFixed(1)} ${y(value).toFixed(1)}`; pen = "L"; }
  });
  return path;
}

/** An area between two lines. */
function areaOf(times, low, high, x, y) {
  const there = times.map((t, i) => `${i ? "L" : "M"}${x(t).toFixed(1)} ${y(high[i]).toFixed(1)}`).join("");
  const back = times.map((_, i) => i).reverse().map((i) => `L${x(times[i]).toFixed(1)} ${y(low[i]).toFixed(1)}`).join("");
  return there + back + "Z";
}

const at = (times, values, window, t) => values[Math.max(0, Math.min(values.length - 1, Math.floor(t / window)))];

/** The panels for these runs: [{title, unit, lines: [{words, className, times, values}], areas}]. */
function panelsFor(sights, difference) {
  const one = sights[0], beside = sights.length > 1, panels = [];
  const name = (s, words) => (beside ? s.label || "this run" : words);
  const m = one.measures, zero = m.time.map(() => 0);
  const line = (s, k, words, className, values, times = s.measures.time, window = s.measures.window) => ({ words, className: `${className}${k ? " ip-second" : ""}`, times, values, window });
  panels.push({
    title: beside ? "Users served" : "Users", unit: "/s", height: 68,
    areas: beside ? [] : [
      { className: "ip-area-good", low: zero, high: m.goodput },
      { className: "ip-area-lost", low: m.goodput.map((g, i) => Math.min(g, m.offered[i])), high: m.offered }],
    lines: [line(one, 0, "offered", "ip-line-offered", m.offered), ...sights.map((s, k) => line(s, k, name(s, "goodput"), "ip-line-good", s.measures.goodput))],
  });
  const node = busiest(sights);
  if (node !== null) {
    const first = m.first[node], all = first.map((f, i) => f + m.again[node][i]);
    panels.push({
      title: `Calls to ${one.nodes[node].name}`, unit: "/s", height: 60,
      areas: beside ? [] : [{ className: "ip-area-first", low: zero, high: first }, { className: "ip-area-again", low: first, high: all }],
      lines: beside ? sights.map((s, k) => line(s, k, name(s), "ip-line-again", s.measures.first[node].map((f, i) => f + s.measures.again[node][i])))
        : [line(one, 0, "retries", "ip-line-again", m.again[node]), line(one, 0, "first tries", "ip-line-first", first)].map((l, k) => ({ ...l, hidden: k === 0, key: k ? "ip-key-first" : "ip-key-again" })).filter((l) => !l.hidden || Math.max(...l.values) > 0),
    });
    const crowded = Object.keys(m.queue).filter((i) => sights.some((s) => Math.max(...s.measures.queue[i]) >= 3)).slice(0, 3);
    const waits = (crowded.length ? crowded : [String(node)]).flatMap((i, nth) => sights.map((s, k) => {
      const step = s.measures.window / 4;
      return line(s, k, name(s, one.nodes[i].name) + (beside && crowded.length > 1 ? ` · ${one.nodes[i].name}` : ""), `ip-line-queue-${nth}`, s.measures.queue[i], s.measures.queue[i].map((_, j) => j * step), step);
    }));
    panels.push({ title: "Waiting calls", unit: "", height: 56, areas: [], lines: waits });
  }
  panels.push({ title: "Slowest answers (p99)", unit: " s", height: 50, areas: [], lines: sights.map((s, k) => line(s, k, name(s, "p99"), "ip-line-slow", s.measures.p99)) });
  if (beside && difference) {
    const gain = difference.goodput.slice(0, m.time.length);
    panels.push({
      title: `Goodput won by ${sights[1].label}`, unit: "/s", height: 56, signed: true,
      areas: [{ className: "ip-area-good", low: zero, high: gain.map((g) => Math.max(0, g)) }, { className: "ip-area-lost", low: gain.map((g) => Math.min(0, g)), high: zero }],
      lines: [line(one, 0, "difference", "ip-line-gain", gain)],
    });
  }
  return panels;
}

/** The service that gets the longest queue, else the most calls. */
function busiest(sights) {
  let best = null, most = -1;
  for (const s of sights)
    for (const i of Object.keys(s.measures.queue)) {
      const score = Math.max(...s.measures.queue[i]) * 1e6 + s.messages.length / 1e9 + s.calls[i].first.length + s.calls[i].again.length;
      if (score > most) { most = score; best = i; }
    }
  return best;
}

class Chart {
  constructor(onScrub) {
    this.element = h("div.ip-chart");
    this.readings = [];
    const scrub = (event) => {
      const box = this.element.querySelector(".ip-plot")?.getBoundingClientRect();
      if (box) onScrub(((event.clientX - box.left) / box.width) * this.until);
    };
    this.element.addEventListener("pointerdown", (event) => {
      if (event.button !== 0 || !event.target.closest(".ip-plot")) return;
      this.element.setPointerCapture(event.pointerId);
      scrub(event);
    });
    this.element.addEventListener("pointermove", (event) => {
      if (this.element.hasPointerCapture(event.pointerId)) scrub(event);
    });
  }

  /** Draws the panels of an answer. */
  take(sights, difference) {
    this.until = sights[0].until;
    this.readings = [];
    const broken = sights[0].nodes.flatMap((_, i) => sights[0].broken(i));
    const panels = panelsFor(sights, difference).map((panel) => this.#panel(panel, broken));
    this.element.replaceChildren(...panels, this.#axis());
  }

  #panel({ title, unit, height, areas, lines, signed }, broken) {
    const values = [...lines.filter((l) => !l.hidden).flatMap((l) => l.values), ...areas.flatMap((a) => [...a.high, ...a.low])].filter((v) => v !== null);
    const top = roundUp(Math.max(signed ? 1 : 0, ...values)), bottom = signed ? -roundUp(Math.max(0, -Math.min(0, ...values)) || top / 4) : 0;
    const x = (t) => (t / this.until) * PLOT, y = (v) => height - 3 - ((v - bottom) / (top - bottom)) * (height - 9);
    const times = lines[0].times;
    const svg = h("svg.ip-svg", { viewBox: `0 0 ${PLOT} ${height}`, preserveAspectRatio: "none", height, "aria-hidden": "true" },
      broken.map(([from, to]) => h("rect.ip-broken", { x: x(from), width: Math.max(1, x(to) - x(from)), y: 0, height })),
      h("line.ip-grid", { x1: 0, x2: PLOT, y1: y(top), y2: y(top) }), h("line.ip-base", { x1: 0, x2: PLOT, y1: y(0), y2: y(0) }),
      areas.map((a) => h("path", { class: a.className, d: areaOf(times, a.low, a.high, x, y) })),
      lines.filter((l) => !l.hidden).map((l) => h("path.ip-line", { class: l.className, d: pathOf(l.times, l.values, x, y) })));
    const key = (l) => h("svg.ip-key", { viewBox: "0 0 22 8", width: 22, height: 8, "aria-hidden": "true" }, h(l.key ? "rect" : "path", l.key ? { class: l.key, width: 22, height: 8 } : { class: `ip-line ${l.className}`, d: "M0 4H22" }));
    const legend = lines.map((l) => {
      const reading = h("b");
      this.readings.push((t) => {
        const value = at(l.times, l.values, l.window, t);
        say(reading, value === null ? "none" : `${value < 1 && value > 0 ? value.toFixed(2) : rounded(value)}${unit}`);
      });
      return h("div.ip-reading", {}, key(l), h("span", { text: l.words }), reading);
    });
    const most = `${Number.isInteger(top) ? top : top.toFixed(top < 0.1 ? 2 : 1)}${unit}`;
    return h("div.ip-panel", {}, h("div.ip-gutter", {}, h("div.ip-title", { text: title }), legend),
      h("div.ip-plot", { style: `height:${height}px` }, svg, h("span.ip-top", { text: most, "aria-hidden": "true" })));
  }

  #axis() {
    const rough = this.until / 7, power = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 5, 10].find((s) => s * power >= rough * 0.999) * power, marks = [];
    for (let t = 0; t <= this.until + 1e-9; t += step) marks.push(h("span", { text: `${+t.toFixed(3)}${t === 0 ? " s" : ""}`, style: `left:${(100 * t) / this.until}%` }));
    return h("div.ip-panel.ip-axis", { "aria-hidden": "true" }, h("div.ip-gutter"), h("div.ip-ticks", {}, marks));
  }

  /** The numbers in the margin at t. */
  draw(t) {
    for (const reading of this.readings) reading(t);
  }
}
