// A stage: the cards and lanes of one run. A comparison has two of them, one above the other.

const NARROW = 190; // px a column: with less, the shop is drawn from top to bottom

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
    const same = (a, b) => JSON.stringify([a.nodes, a.links, a.gauges.map((g) => [!!g.breaker, !!g.tokens])]) === JSON.stringify([b.nodes, b.links, b.gauges.map((g) => [!!g.breaker, !!g.tokens])]);
    if (!same(this.sight, sight)) return false;
    this.sight = sight;
    return true;
  }

  /** Puts cards and lanes in their places for the present width. */
  arrange() {
    const w = this.area.clientWidth;
    if (!w) return;
    const at = places(this.sight, this.layout);
    const columns = at.map((p) => p[0]), rows = at.map((p) => p[1]);
    const nc = Math.max(...columns) + 1, nr = Math.max(...rows) + 1, upright = w / nc < NARROW;
    const across = upright ? nr : nc, down = upright ? nc : nr;
    const cw = Math.max(96, Math.min(176, w / across - (upright ? 10 : 76)));
    this.brief = !upright && across > 1 && (w - cw) / (across - 1) - cw < 150; // no room for a sentence
    for (const card of this.cards) card.element.style.width = `${cw}px`;
    const ch = Math.max(...this.cards.map((card) => card.element.offsetHeight));
    const pitch = ch + (upright ? 46 : 26), hgt = pitch * (down - 1) + ch + 12;
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

  /** Lanes between the cards' ports. A card's links leave it side by side, in the order of where they go. */
  #connect(boxes, upright) {
    const along = upright ? "x" : "y", across = upright ? "y" : "x", deep = upright ? "h" : "w", wide = upright ? "w" : "h";
    const port = (from, to) => {
      const side = Math.sign(boxes[to][across] - boxes[from][across]) || 1;
      const others = this.sight.links.filter((l) => l.includes(from)).map(([a, b]) => (a === from ? b : a))
        .filter((other) => (Math.sign(boxes[other][across] - boxes[from][across]) || 1) === side).sort((a, b) => boxes[a][along] - boxes[b][along]);
      const apart = Math.min(44, (boxes[from][wide] - 36) / Math.max(1, others.length - 1));
      const shift = (others.indexOf(to) - (others.length - 1) / 2) * apart;
      const end = { [along]: boxes[from][along] + shift, [across]: boxes[from][across] + (side * boxes[from][deep]) / 2 };
      return [end.x, end.y];
    };
    this.lanes = new Map();
    this.sight.links.forEach(([a, b], i) => {
      const from = port(a, b), to = port(b, a);
      this.lanes.set(a * 256 + b, laneBetween(from, to, upright));
      this.lanes.set(b * 256 + a, laneBetween(to, from, upright));
      const bent = Math.abs(upright ? to[0] - from[0] : to[1] - from[1]) > 20;
      const { x, y } = spotOn(this.lanes.get(a * 256 + b), bent ? 0.74 : 0.5);
      this.notes[i].classList.toggle("ip-beside", upright);
      this.notes[i].style.transform = upright ? `translate(${Math.round(x + 16)}px, ${Math.round(y)}px) translateY(-50%)` : `translate(${Math.round(x)}px, ${Math.round(y - (bent ? 24 : 20))}px) translate(-50%, -100%)`;
    });
  }

  /** Draws the run at t. `only` is the number of a followed request, or null. Returns how many are in flight. */
  draw(t, scale, theme, only) {
    if (!this.size) return this.sight.inFlight(t);
    const { count, followed, spots } = drawLanes(this.context, this.size, this.sight, t, this.lanes, theme, only);
    this.spots = spots;
    this.cards.forEach((card) => card.draw(this.sight, t, scale));
    this.sight.links.forEach(([, to], i) => this.#note(this.notes[i], to, t));
    mark(this.element, "data-in-flight", count);
    mark(this.element, "data-followed", only === null ? null : followed);
    mark(this.element, "data-time", t);
    return count;
  }

  #note(note, to, t) {
    const [text, mix] = note.children, [first, again] = mix.children;
    const rate = this.sight.callRates(to, t), all = rate.first + rate.again, share = all ? rate.again / all : 0;
    if (this.brief) say(text, `${rounded(all)}/s`);
    else say(text, `${rounded(all)} calls/s` + (share >= 0.005 ? `, ${Math.round(100 * share)} % retries` : ""));
    first.style.width = `${all ? 100 * (1 - share) : 0}%`;
    again.style.width = `${100 * share}%`;
  }
}
