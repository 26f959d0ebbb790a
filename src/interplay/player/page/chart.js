// The chart: panels over one time axis. Drawn once for each answer as SVG, so colours follow the theme by themselves.

const FINE = 4; // points of a line in each window
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

/** The panels for these runs: [{title, unit, times, lines: [{words, className, values, read}], areas}]. A line is what
 * `read` says, window by window; the number beside it is what `read` says now. */
function panelsFor(sights) {
  const one = sights[0], beside = sights.length > 1, panels = [];
  const step = one.window / FINE, times = Array.from({ length: Math.floor(one.until / step + 1e-6) + 1 }, (_, j) => j * step);
  const name = (s, words) => (beside ? s.label || "this run" : words), zero = times.map(() => 0);
  const line = (k, words, className, read) => ({ words, className: `${className}${k ? " ip-second" : ""}`, read, values: times.map(read) });
  const each = (words, className, read) => sights.map((s, k) => line(k, name(s, words), className, (t) => read(s, t)));
  const add = (title, unit, height, lines, areas = [], more = {}) => panels.push({ title, unit, height, times, lines, areas: beside && !more.signed ? [] : areas, ...more });

  const offered = line(0, "offered", "ip-line-offered", (t) => one.users(t).asked), good = each("goodput", "ip-line-good", (s, t) => s.users(t).served), [{ values: got }] = good;
  add(beside ? "Users served" : "Users", "/s", 68, [offered, ...good], [
    { className: "ip-area-good", low: zero, high: got },
    { className: "ip-area-lost", low: got.map((g, i) => Math.min(g, offered.values[i])), high: offered.values }]);
  const there = (s, i) => s.nodes.findIndex(({ name }) => name === one.nodes[i].name); // -1: the other shop has no such service
  const waits = (s, i, t) => (there(s, i) < 0 ? null : s.gauge(there(s, i), "queue", t));
  const queues = one.nodes.flatMap((node, i) => (!["users", "topic"].includes(node.kind) ? [{ i, lines: sights.map((s, k) => line(k, "", "", (t) => waits(s, i, t))) }] : []));
  for (const queue of queues) queue.most = Math.max(...queue.lines.flatMap((l) => l.values));
  if (queues.length) {
    const calls = ({ i }) => one.calls[i].first.length + one.calls[i].again.length;
    const busiest = queues.reduce((best, queue) => (queue.most > best.most || (queue.most === best.most && calls(queue) > calls(best)) ? queue : best));
    const rates = (s, t) => (there(s, busiest.i) < 0 ? { first: null, again: null } : s.callRates(there(s, busiest.i), t));
    const all = (s, t) => (rates(s, t).first === null ? null : rates(s, t).first + rates(s, t).again);
    const called = one.is(busiest.i, "service") ? "calls" : "messages", title = `${called === "calls" ? "Calls" : "Messages"} to ${one.nodes[busiest.i].name}`;
    if (beside) add(title, "/s", 60, each("", "ip-line-again", all));
    else {
      const first = line(0, one.retries ? "first tries" : called, "ip-line-first", (t) => rates(one, t).first), total = times.map((t) => all(one, t));
      const again = { ...line(0, "retries", "ip-line-again", (t) => rates(one, t).again), key: "ip-key-again", hidden: true };
      add(title, "/s", 60, [...(one.retries ? [again] : []), { ...first, key: "ip-key-first" }],
        [{ className: "ip-area-first", low: zero, high: first.values }, { className: "ip-area-again", low: first.values, high: total }]);
    }
    const crowded = beside ? [] : queues.filter(({ most }) => most >= 3).sort((a, b) => b.most - a.most).slice(0, 3), where = ({ i }) => `${one.is(i, "log") ? "lag of " : ""}${one.nodes[i].name}`;
    add(beside ? `Waiting at ${where(busiest)}` : one.nodes.every(({ kind }) => kind === "users" || kind === "service") ? "Waiting calls" : "Waiting", "", 56, (crowded.length ? crowded : [busiest]).flatMap((queue, nth) =>
      queue.lines.map((l, k) => ({ ...l, className: `ip-line-queue-${nth}${k ? " ip-second" : ""}`, words: name(sights[k], where(queue)) }))));
  }
  const graves = one.nodes.flatMap((node, i) => (sights.some((s) => there(s, i) >= 0 && s.most(there(s, i), "dead")) ? [i] : []));
  if (graves.length) {
    const dead = (s, t) => graves.reduce((sum, i) => sum + (there(s, i) < 0 ? 0 : s.gauge(there(s, i), "dead", t)), 0);
    add("Dead letters", "", 40, each(graves.map((i) => one.nodes[i].name).join(", "), "ip-line-slow", dead));
  }
  const waited = sights.some((s) => s.took.some((x) => x > 0)) || one.is(one.nodes.length - 1, "service");
  if (waited) add("Slowest answers (p99)", " s", 50, each("p99", "ip-line-slow", (s, t) => s.p99(t)));
  if (beside) {
    const gain = line(0, "difference", "ip-line-gain", (t) => sights[1].users(t).served - one.users(t).served);
    add(`Goodput won by ${sights[1].label}`, "/s", 56, [gain], [
      { className: "ip-area-good", low: zero, high: gain.values.map((g) => Math.max(0, g)) },
      { className: "ip-area-lost", low: gain.values.map((g) => Math.min(0, g)), high: zero }], { signed: true });
  }
  return panels;
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
  take(sights) {
    this.until = sights[0].until;
    this.readings = [];
    const broken = sights[0].nodes.flatMap((_, i) => sights[0].broken(i));
    const panels = panelsFor(sights).map((panel) => this.#panel(panel, broken));
    this.element.replaceChildren(...panels, this.#axis());
  }

  #panel({ title, unit, height, times, areas, lines, signed }, broken) {
    const values = [...lines.filter((l) => !l.hidden).flatMap((l) => l.values), ...areas.flatMap((a) => [...a.high, ...a.low])].filter((v) => v !== null);
    const top = roundUp(Math.max(signed ? 1 : 0, ...values)), bottom = signed ? -roundUp(Math.max(0, -Math.min(0, ...values)) || top / 4) : 0;
    const x = (t) => (t / this.until) * PLOT, y = (v) => height - 3 - ((v - bottom) / (top - bottom)) * (height - 9);
    const svg = h("svg.ip-svg", { viewBox: `0 0 ${PLOT} ${height}`, preserveAspectRatio: "none", height, "aria-hidden": "true" },
      broken.map(([from, to]) => h("rect.ip-broken", { x: x(from), width: Math.max(1, x(to) - x(from)), y: 0, height })),
      h("line.ip-grid", { x1: 0, x2: PLOT, y1: y(top), y2: y(top) }), h("line.ip-base", { x1: 0, x2: PLOT, y1: y(0), y2: y(0) }),
      areas.map((a) => h("path", { class: a.className, d: areaOf(times, a.low, a.high, x, y) })),
      lines.filter((l) => !l.hidden).map((l) => h("path.ip-line", { class: l.className, d: pathOf(times, l.values, x, y) })));
    const key = (l) => h("svg.ip-key", { viewBox: "0 0 22 8", width: 22, height: 8, "aria-hidden": "true" }, h(l.key ? "rect" : "path", l.key ? { class: l.key, width: 22, height: 8 } : { class: `ip-line ${l.className}`, d: "M0 4H22" }));
    const legend = lines.map((l) => {
      const reading = h("b");
      this.readings.push((t) => {
        const value = l.read(t);
        say(reading, value === null ? "none" : `${unit === " s" && value < 1 ? value.toFixed(2) : rounded(value)}${unit}`);
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
