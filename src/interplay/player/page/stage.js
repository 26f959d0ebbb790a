// A stage: the cards and lanes of one run. A comparison has two of them, one above the other.

const NARROW = 140; // px a column: with less, a row of services is folded, and other shops are drawn from top to bottom

/** Where each node stands, [column, row]: as the author said, else by the distance from the users. */
function places(sight, layout) {
  const column = sight.nodes.map(() => null);
  column[0] = 0;
  for (let round = 0; round < sight.nodes.length; round++)
    for (const [from, to] of sight.links) if (column[from] !== null && column[to] === null) column[to] = column[from] + 1;
  const used = new Map();
  const auto = column.map((c, i) => {
    const col = c ?? 1 + (i > 0), row = used.get(col) || 0;
    used.set(col, row + 1);
    return [col, row];
  });
  const tallest = Math.max(...used.values());
  return sight.nodes.map((node, i) => layout[node.name] || [auto[i][0], auto[i][1] + (tallest - used.get(auto[i][0])) / 2]);
}

/** A row of services as lines of `wide`, to and fro as one ploughs; null where it is more than a row. */
function folded(at, wide) {
  if (wide < 2 || at.some(([, row]) => row !== at[0][1]) || at.some(([column]) => !Number.isInteger(column))) return null;
  return at.map(([column]) => {
    const row = Math.floor(column / wide), along = column % wide;
    return [row % 2 ? wide - 1 - along : along, row];
  });
}

/** From top to bottom, a level with more nodes than `fit` beside each other takes several lines. */
function stacked(at, fit) {
  const lines = [];
  for (const level of [...new Set(at.map(([column]) => column))].sort((a, b) => a - b)) {
    const here = at.map(([, row], i) => ({ row, i })).filter(({ i }) => at[i][0] === level).sort((a, b) => a.row - b.row);
    const each = Math.ceil(here.length / Math.ceil(here.length / fit));
    while (here.length) lines.push(here.splice(0, each));
  }
  const found = [];
  lines.forEach((line, n) => line.forEach(({ i }, k) => { found[i] = [n, k + (fit - line.length) / 2]; }));
  return found;
}

class Stage {
  constructor(sight, layout, label, onPick) {
    this.sight = sight;
    this.layout = layout;
    this.canvas = h("canvas.ip-lanes", { "aria-hidden": "true" });
    this.notes = sight.links.map(() => h("div.ip-note", { "aria-hidden": "true" }, h("span"), h("span.ip-mix", {}, h("b"), h("u"))));
    this.cards = sight.nodes.map((_, i) => makeCard(sight, i));
    this.area = h("div.ip-stage", {}, this.canvas, this.notes, this.cards.map((card) => card.element));
    this.element = h("section.ip-row", { "aria-label": label || "the shop" }, label && h("h3.ip-row-name", { text: label }), this.area);
    this.context = this.canvas.getContext("2d");
    this.spots = [];
    this.canvas.addEventListener("click", (event) => {
      const near = this.#nearest(event.offsetX, event.offsetY);
      if (near) onPick(near.request);
    });
    this.canvas.addEventListener("pointermove", (event) => {
      this.canvas.style.cursor = this.#nearest(event.offsetX, event.offsetY) ? "pointer" : "default";
    });
  }

  /** The width (px) from which on it need not be folded. */
  get room() {
    return NARROW * (Math.max(...places(this.sight, this.layout).map((p) => p[0])) + 1) + 30;
  }

  #nearest(x, y) {
    let best = null, least = 13;
    for (const spot of this.spots) {
      const far = Math.hypot(spot.x - x, spot.y - y);
      if (far < least) { best = spot; least = far; }
    }
    return best;
  }

  /** Another run of the same shop: the same cards go on. False when the shop is built differently. */
  take(sight) {
    const built = (s) => JSON.stringify([s.nodes, s.links, s.groups, s.gauges.map((g) => [!!g.breaker, !!g.tokens]), s.logs.map((log) => log && [log.partitions, log.groups])]);
    if (built(this.sight) !== built(sight)) return false;
    this.sight = sight;
    return true;
  }

  /** Puts cards and lanes in their places for the present width. */
  arrange() {
    const w = this.area.clientWidth;
    if (!w) return;
    let at = places(this.sight, this.layout);
    const most = (k) => Math.max(...at.map((p) => p[k])) + 1, tight = w / most(0) < NARROW;
    const fold = tight && folded(at, Math.floor(w / NARROW));
    if (fold) at = fold;
    else if (tight && w / most(1) < 108) at = stacked(at, Math.max(1, Math.floor(w / 108)));
    const nc = most(0), nr = most(1), upright = tight && !fold;
    const sideways = upright && this.sight.links.some(([a, b]) => at[a][0] === at[b][0]);
    const brokers = this.sight.nodes.some((_, i) => this.sight.is(i, ...BROKERS)); // their cards have more to say
    const across = upright ? nr : nc, down = upright ? nc : nr;
    const cw = Math.max(96, Math.min(176, w / across - (sideways || fold ? 50 : upright ? 10 : brokers && w / across < 194 ? 46 : 76)));
    this.brief = !upright && across > 1 && (w - cw) / (across - 1) - cw < 150; // no room for a sentence
    const falls = upright || this.sight.links.some(([a, b]) => at[a][0] === at[b][0]); // a link goes downwards
    this.area.classList.toggle("ip-brief", this.brief);
    for (const card of this.cards) card.element.style.width = `${cw}px`;
    const ch = Math.max(...this.cards.map((card) => card.element.offsetHeight));
    const pitch = ch + (falls ? 46 : 26), hgt = pitch * (down - 1) + ch + 12;
    this.area.style.height = `${hgt}px`;
    const boxes = at.map(([column, row], i) => {
      const [a, d] = upright ? [row, column] : [column, row];
      const x = across === 1 ? w / 2 : cw / 2 + 1 + (a * (w - cw - 2)) / (across - 1);
      const y = 6 + ch / 2 + d * pitch, own = this.cards[i].element;
      own.style.transform = `translate(${Math.round(x - cw / 2)}px, ${Math.round(y - own.offsetHeight / 2)}px)`;
      return { x, y, w: cw, h: own.offsetHeight };
    });
    this.#connect(boxes, upright);
    const ratio = window.devicePixelRatio || 1;
    this.size = { w, h: hgt };
    this.canvas.width = Math.round(w * ratio);
    this.canvas.height = Math.round(hgt * ratio);
    this.canvas.style.width = `${w}px`;
    this.canvas.style.height = `${hgt}px`;
    this.context.setTransform(ratio, 0, 0, ratio, 0, 0);
  }

  /** Lanes between the cards' ports. A card's links leave each of its sides in the order of where they go. */
  #connect(boxes, upright) {
    const apart = (from, to, axis) => Math.round(boxes[to][axis] - boxes[from][axis]);
    const downward = (from, to) => (upright ? apart(from, to, "y") !== 0 : apart(from, to, "x") === 0);
    const port = (from, to) => {
      const tall = downward(from, to), [along, across, deep, wide] = tall ? ["x", "y", "h", "w"] : ["y", "x", "w", "h"];
      const side = (other) => Math.sign(apart(from, other, across)) || 1;
      const others = this.sight.links.filter((l) => l.includes(from)).map(([a, b]) => (a === from ? b : a))
        .filter((other) => downward(from, other) === tall && side(other) === side(to)).sort((a, b) => boxes[a][along] - boxes[b][along]);
      const gap = Math.min(44, (boxes[from][wide] - 36) / Math.max(1, others.length - 1));
      const shift = (others.indexOf(to) - (others.length - 1) / 2) * gap;
      const end = { [along]: boxes[from][along] + shift, [across]: boxes[from][across] + (side(to) * boxes[from][deep]) / 2 };
      return [end.x, end.y];
    };
    this.lanes = new Map();
    this.short = [];
    this.sight.links.forEach(([a, b], i) => {
      const from = port(a, b), to = port(b, a), tall = downward(a, b), note = this.notes[i];
      this.short.push(this.brief || (upright && (!tall || this.sight.nodes.some((_, k) => this.sight.is(k, ...BROKERS)))));
      this.lanes.set(a * 256 + b, laneBetween(from, to, tall));
      this.lanes.set(b * 256 + a, laneBetween(to, from, tall));
      const bent = Math.abs(tall ? to[0] - from[0] : to[1] - from[1]) > 20;
      const { x, y } = spotOn(this.lanes.get(a * 256 + b), bent ? 0.74 : 0.5);
      note.classList.toggle("ip-beside", tall);
      const left = tall && x > this.area.clientWidth / 2 + 20; // so that it stays within the frame
      note.style.transform = tall ? `translate(${Math.round(x + (left ? -22 : 22))}px, ${Math.round(y)}px) translate(${left ? -100 : 0}%, -50%)` : `translate(${Math.round(x)}px, ${Math.round(y - (bent ? 24 : 20))}px) translate(-50%, -100%)`;
    });
  }

  /** Draws the run at t. `only` is the number of a followed request, or null; `named` messages have their names beside
   * them where there is room. Returns how many are in flight. */
  draw(t, scale, theme, only, named) {
    if (!this.size) return this.sight.inFlight(t);
    const { count, followed, spots } = drawLanes(this.context, this.size, this.sight, t, this.lanes, theme, only, named);
    this.spots = spots;
    this.cards.forEach((card) => card.draw(this.sight, t, scale));
    this.sight.links.forEach(([from, to], i) => this.#note(i, from, to, t));
    mark(this.element, "data-in-flight", count);
    mark(this.element, "data-followed", only === null ? null : followed);
    mark(this.element, "data-time", t);
    return count;
  }

  #note(i, from, to, t) {
    const [text, mix] = this.notes[i].children, [first, again] = mix.children;
    const rate = this.sight.callRates(to, t, from), all = rate.first + rate.again, share = all ? rate.again / all : 0;
    const told = [from * 256 + to, to * 256 + from].some((key) => this.lanes.get(key)?.labelled);
    mark(this.notes[i], "data-hidden", told || this.sight.fine ? "" : null);
    mix.hidden = !this.sight.is(to, "service");
    if (this.short?.[i]) say(text, `${rounded(all)}/s`);
    else say(text, `${rounded(all)} ${this.sight.is(to, "service") ? "calls" : "messages"}/s` + (share >= 0.005 ? `, ${Math.round(100 * share)} % retries` : ""));
    first.style.width = `${all ? 100 * (1 - share) : 0}%`;
    again.style.width = `${100 * share}%`;
  }
}
