// Follow one request: its messages alone on the stage, and its spans as a waterfall.

const SORTS = [["slowest", "slowest"], ["failed", "failed"], ["retried", "retried"]];
const ENDINGS = { ok: "answered", timeout: "no answer in time", error: "an error", rejected: "rejected", open: "still open" };

class Follow {
  /** `on` has follow(number or null), go(t), replay(from, to). */
  constructor(on) {
    this.on = on;
    this.number = null;
    this.count = h("span.ip-which");
    const button = (words, act, label) => h("button.ip-button", { type: "button", onclick: act, "aria-label": label, text: words });
    this.choose = SORTS.map(([sort, words]) => h("button.ip-button", { type: "button", "aria-pressed": "false", onclick: () => this.#start(sort), text: words }));
    this.more = h("span.ip-group", { hidden: true }, button("‹", () => this.#move(-1), "Previous request"), this.count, button("›", () => this.#move(1), "Next request"),
      button("Replay slowly", () => this.#replay()), button("Show all", () => this.stop()));
    this.bar = h("div.ip-follow", { role: "group", "aria-label": "Follow one request" }, h("span.ip-label", { text: "Follow one request:" }), this.choose, this.more);
    this.waterfalls = h("div.ip-waterfalls");
    this.sort = "";
    this.numbers = [];
  }

  take(sights) {
    this.sights = sights;
    this.choose.at(-1).hidden = this.sort !== "retried" && !sights.some((s) => s.retries); // the word waits for the thing
    if (this.sort) this.numbers = sights[0].pick(this.sort);
    if (this.number !== null) this.show(this.number, true);
  }

  #start(sort) {
    if (this.sort === sort) { this.stop(); return; }
    this.sort = sort;
    this.numbers = this.sights[0].pick(sort);
    if (this.numbers.length) this.show(this.numbers[0]);
    else { this.number = null; this.on.follow(null); this.#buttons(); this.waterfalls.replaceChildren(h("p.ip-none", { text: `No request of this run is ${sort}.` })); }
  }

  #move(by) {
    const here = this.numbers.indexOf(this.number), n = this.numbers.length;
    if (n) this.show(this.numbers[(here + by + n) % n]);
  }

  #replay() {
    const stories = this.sights.map((s) => s.story(this.number)).filter(Boolean);
    this.on.replay(Math.max(0, Math.min(...stories.map((s) => s.start)) - 0.02), Math.max(...stories.map((s) => lastOf(s, this.sights[0].until))));
  }

  /** Follows a request by its number (a click on a message comes here too). */
  show(number, stay = false) {
    if (!this.numbers.includes(number)) { this.sort = ""; this.numbers = []; }
    this.number = number;
    this.#buttons();
    const falls = this.sights.map((sight) => waterfall(sight, number, this.on.go, this.sights.length > 1)).filter(Boolean);
    this.waterfalls.replaceChildren(...falls);
    const story = this.sights[0].story(number);
    this.on.follow(number, story && !stay ? story.start + Math.min(0.05, ((Number.isNaN(story.end) ? this.sights[0].until : story.end) - story.start) / 2) : null);
  }

  stop() {
    this.number = null;
    this.sort = "";
    this.waterfalls.replaceChildren();
    this.#buttons();
    this.on.follow(null);
  }

  #buttons() {
    this.choose.forEach((button, i) => mark(button, "aria-pressed", String(SORTS[i][0] === this.sort)));
    this.more.hidden = this.number === null;
    const place = this.numbers.indexOf(this.number);
    say(this.count, place >= 0 ? `request ${this.number} (${place + 1} of ${this.numbers.length})` : `request ${this.number}`);
  }

  draw(t) {
    for (const fall of this.waterfalls.children) fall.style.setProperty("--now", (t - fall.dataset.from) / (fall.dataset.to - fall.dataset.from));
  }
}

/** When the last work for a request ended. */
function lastOf(story, until) {
  const ends = story.spans.map((s) => (Number.isNaN(s.ended) ? until : s.ended));
  return Math.max(Number.isNaN(story.end) ? until : story.end, ...ends);
}

/** One request as bars over time: waiting (striped) and work (solid), attempt by attempt. */
function waterfall(sight, number, go, named) {
  const story = sight.story(number);
  if (!story) return null;
  const from = story.start, to = Math.max(from + 1e-3, lastOf(story, sight.until)), length = to - from;
  const left = (t) => `${(100 * (t - from)) / length}%`, wide = (a, b) => `${Math.max(0.3, (100 * (b - a)) / length)}%`;
  const end = Number.isNaN(story.end) ? sight.until : story.end;
  const row = (name, depth, bars, words, t) => h("li", {}, h("button.ip-fall", { type: "button", onclick: () => go(t) },
    h("span.ip-who", { style: `padding-left:${depth * 12}px` }, name), h("span.ip-bars", { "aria-hidden": "true" }, bars), h("span.ip-end-word", { text: words })));
  const users = sight.nodes[0].name;
  const rows = [row(users, 0, [h("i.ip-bar.ip-user", { style: `left:0;width:${wide(from, end)}` })], `${ENDINGS[story.status]} after ${exact(end - from)}`, from)];
  for (const s of story.spans) {
    const ended = Number.isNaN(s.ended) ? sight.until : s.ended, started = Number.isNaN(s.started) ? ended : s.started, vain = s.over < ended - 1e-6;
    const bars = [h("i.ip-bar.ip-wait", { style: `left:${left(s.arrived)};width:${wide(s.arrived, started)}`, hidden: started - s.arrived < 1e-6 })];
    if (!Number.isNaN(s.started)) bars.push(h("i.ip-bar.ip-work", { class: vain ? "ip-vain" : "ip-wanted", style: `left:${left(started)};width:${wide(started, ended)}` }));
    const words = [started - s.arrived > 0.0005 && `waits ${exact(started - s.arrived)}`, !Number.isNaN(s.started) && ended > started && `works ${exact(ended - started)}`, s.status === "ok" ? (vain ? "too late" : "ok") : s.status === "timeout" ? "cancelled" : s.status === "rejected" && Number.isNaN(s.started) ? "dropped" : ENDINGS[s.status]];
    rows.push(row([sight.nodes[s.node].name, sight.retries && h("small", { text: ` attempt ${s.attempt}` })].filter(Boolean), s.depth + 1, bars, words.filter(Boolean).join(", "), Math.max(s.arrived, 0)));
  }
  const title = `Request ${number}${named ? `, ${sight.label || "this run"}` : ""}: ${ENDINGS[story.status]} after ${exact(end - from)}`;
  const gone = to - end > 1e-3 && h("div.ip-gone", { style: `--end:${(end - from) / length}`, "aria-hidden": "true" });
  const fall = h("section.ip-waterfall", { "aria-label": title, "data-from": from, "data-to": to },
    h("div.ip-fall-head", {}, h("strong", { text: title }), h("span.ip-fall-key", {}, h("i.ip-bar.ip-wait"), "waits", h("i.ip-bar.ip-work.ip-wanted"), "works", h("i.ip-bar.ip-work.ip-vain"), "works for nobody")),
    h("ol", {}, rows), gone, h("div.ip-fall-now", { "aria-hidden": "true" }));
  return fall;
}
