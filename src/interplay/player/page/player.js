// All of it together: asks the kernel, keeps the time, draws.

const EACH = 0.7; // s: message by message, from one thing that happens to the next
const STILL = 0.5; // s: with reduced motion, time goes on in steps of this length (of the viewer's time)

class PlayerView {
  constructor(model, root) {
    this.model = model;
    this.t = null;
    this.speed = 1;
    this.isPlaying = false;
    this.until = model.get("setup").until;
    this.asking = null; // the number of the question that is under way
    this.again = false; // something changed meanwhile
    this.visible = true;
    this.sights = [];
    this.stages = [];
    this.still = matchMedia("(prefers-reduced-motion: reduce)");
    const on = { play: () => this.play(!this.isPlaying), go: (t) => this.go(t), step: (d) => this.step(d), moment: (d) => this.moment(d), speed: (f) => { this.speed = f; },
      follow: (number, t) => this.follow(number, t), replay: (from, to) => this.replay(from, to), change: () => this.ask(), stop: () => this.model.send({ do: "stop" }) };
    this.controls = new Controls(model.get("setup"), on, () => this.t || 0);
    this.timeline = new Timeline(on);
    this.follower = new Follow(on);
    this.chart = new Chart(on.go);
    this.alert = h("div.ip-alert", { role: "alert" });
    this.share = h("progress", { max: 1, value: 0, "aria-label": "Simulating" });
    this.busy = h("div.ip-busy", { hidden: true }, h("span", { text: "Simulating" }), this.share, h("button.ip-button", { type: "button", text: "Stop", onclick: on.stop }));
    this.said = h("div.ip-said", { hidden: true });
    this.note = h("div.ip-kernel", { role: "status" });
    this.rows = h("div.ip-rows");
    this.truth = h("p.ip-truth");
    this.told = h("div.ip-hidden", { role: "status", "aria-live": "polite" });
    this.legend = h("div.ip-legend", { "aria-label": "Legend" });
    this.paired = h("p.ip-paired");
    this.root = h("div.ip.ip-player", { role: "region", "aria-label": `${model.get("setup").name}: a live simulation` },
      this.controls.element, this.alert, this.note, this.said, h("div.ip-screen", {}, this.rows, h("div.ip-under", {}, this.legend, this.follower.bar), this.follower.waterfalls), this.truth, this.told,
      h("div.ip-time", {}, this.timeline.transport, h("div.ip-axes", {}, this.timeline.line, this.chart.element, this.timeline.now)), this.paired,
      h("div.ip-story", {}, h("h3", { text: "Moments" }), this.timeline.list));
    this.controls.status.append(this.busy);
    this.timeline.transport.append(this.controls.again);
    root.append(this.root);
    this.#keys();
    this.#watch();
    this.take();
    this.problem();
  }

  // -- the kernel -------------------------------------------------------------------------------

  /** Asks for a run with the present values; only one question at a time is under way. */
  ask() {
    if (this.asking !== null) { this.again = true; return; }
    this.again = false;
    this.asking = Date.now() + Math.random();
    this.model.send({ do: "run", number: this.asking, ...this.controls.asked() });
    clearTimeout(this.patience);
    this.patience = setTimeout(() => {
      say(this.note, "No answer from the kernel: it is busy or not running. The last run stays here and can still be played.");
      this.asking = null;
    }, 4000);
  }

  /** An answer or a problem came. */
  answered(number) {
    if (number !== this.asking) return;
    clearTimeout(this.patience);
    this.asking = null;
    this.busy.hidden = true;
    say(this.note, "");
    if (this.again) this.ask();
  }

  progress(message) {
    if (message.progress === undefined || message.number !== this.asking) return;
    clearTimeout(this.patience);
    this.busy.hidden = false;
    this.share.value = message.progress;
  }

  problem() {
    const { kind, title, message, where, line, number } = this.model.get("problem");
    const parts = [];
    if (kind === "error") {
      parts.push(h("strong", { text: title }), h("p", { text: message }), where && h("p.ip-where", {}, h("span", { text: where }), line && h("code", { text: line })));
      if (this.sights.length) parts.push(h("p.ip-soft", { text: "The picture below is still the last run that worked." }));
    } else if (kind === "stopped") parts.push(h("p", { text: "Stopped. The picture below is still the run before." }));
    this.alert.replaceChildren(...parts.filter(Boolean));
    mark(this.root, "data-problem", kind || null);
    if (kind) this.answered(number);
  }

  take() {
    const answer = this.model.get("answer");
    if (!answer.runs) return;
    this.sights = answer.runs.map((run) => new Sight(run));
    this.until = this.sights[0].until;
    const pending = this.again;
    if (!pending) this.controls.take(answer);
    else this.controls.text = answer.call;
    this.#stages();
    this.scale = Math.max(10, ...this.sights.flatMap((s) => s.nodes.map((_, i) => (s.is(i, "log") ? 0 : s.most(i, "queue") + s.most(i, "leased")))));
    this.chart.take(this.sights);
    this.fine = this.sights.every((s) => s.fine);
    this.all = null;
    this.chart.element.hidden = this.timeline.now.hidden = this.fine; // a handful of messages make no rates
    this.timeline.take(this.until, this.#moments(), this.fine ? this.times : null);
    if (this.t === null) {
      this.t = answer.start;
      if (this.fine) this.speed = this.timeline.speed.value = 0;
    }
    this.t = Math.min(this.t, this.until);
    this.follower.take(this.sights);
    this.#legend();
    this.#paired(answer.difference);
    this.#says(answer.says || []);
    this.draw();
    this.tell();
    mark(this.root, "data-number", answer.number);
    requestAnimationFrame(() => this.root.dispatchEvent(new CustomEvent("ip-painted", { bubbles: true, detail: answer.number })));
    this.answered(answer.number);
  }

  #stages() {
    const { layout } = this.model.get("setup"), two = this.sights.length > 1;
    const names = this.sights.map((s, i) => (two ? s.label || "this run" : ""));
    const same = this.stages.length === this.sights.length && this.stages.every((stage, i) => stage.take(this.sights[i]));
    if (!same || this.names !== names.join()) {
      this.stages = this.sights.map((s, i) => new Stage(s, layout, names[i], (number) => this.follower.show(number)));
      this.rows.replaceChildren(...this.stages.map((stage) => stage.element));
      this.rows.style.setProperty("--row", `${Math.max(...this.stages.map((stage) => stage.room))}px`); // side by side where there is room
      this.names = names.join();
      this.arrange();
    }
  }

  /** The moments of all rows in order of time; what happens in both at the same time is named once. */
  #moments() {
    const all = this.sights.flatMap((s, row) => s.moments.map((m) => ({ ...m, row: this.sights.length > 1 ? s.label || "this run" : "" })));
    all.sort((a, b) => a.time - b.time);
    return all.filter((m, i) => {
      const twin = all.findIndex((o) => o.what === m.what && Math.abs(o.time - m.time) < 1e-3);
      if (twin < i) return false;
      if (all.some((o, j) => j > i && o.what === m.what && Math.abs(o.time - m.time) < 1e-3)) m.row = "";
      return true;
    });
  }

  #legend() {
    const kinds = new Set(this.sights.flatMap((s) => [...new Set(s.messages.kind)]));
    const retries = this.sights.some((s) => s.retries), { full, drop } = this.sights.map((s) => s.refusals).reduce((a, b) => ({ full: a.full || b.full, drop: a.drop || b.drop }));
    const own = { request: !retries && "request", rejected: drop && (full ? "rejected or dropped" : "dropped unserved") };
    this.legend.replaceChildren(...[...kinds].sort().map((kind) => h("span", {}, legendGlyph(kind), own[GLYPHS[kind].kind] || GLYPHS[kind].words)),
      ...(this.sights.some((s) => s.nodes.some(({ kind }) => kind === "service")) ? [h("span", {}, h("i.ip-swatch.ip-hollow"), "hollow: user gone"), h("span", {}, h("i.ip-swatch.ip-striped"), "work for nobody")] : []));
    say(this.timeline.window, windowInWords(this.sights[0]));
  }

  /** What the notebook has to say beside this run: sentences, and rows of a table whose first row is its head. */
  #says(lines) {
    const said = JSON.stringify(lines), parts = [];
    if (said === this.lines) return;
    this.lines = said;
    for (const line of lines) {
      if (typeof line === "string") { parts.push(h("p", {}, ...withCode(line))); continue; }
      if (parts.at(-1)?.localName !== "table") parts.push(h("table", {}, h("thead"), h("tbody")));
      const [top, body] = parts.at(-1).children, head = !top.childElementCount;
      (head ? top : body).append(h("tr", {}, ...line.map((cell, i) => h(head || !i ? "th" : "td", { scope: head ? "col" : !i && "row", text: cell }))));
    }
    this.said.replaceChildren(...parts);
    this.said.hidden = !parts.length;
    this.news = lines.filter((line) => typeof line === "string").join(" ");
  }

  #paired(difference) {
    this.paired.hidden = !difference;
    if (!difference) return;
    const label = this.sights[1].label, seconds = this.until, gain = (difference.only_other - difference.only_one) / seconds;
    say(this.paired, `The same users in both rows: ${many(difference.only_other, "is", "are")} served only with ${label}, ${difference.only_one} only without. That is ${Math.abs(gain) < 0.05 ? "less than 0.1" : `${gain > 0 ? "+" : "−"}${Math.abs(gain).toFixed(1)}`} a second.`);
  }

  // -- time -------------------------------------------------------------------------------------

  go(t) {
    this.play(false);
    this.#at(t);
    this.tell();
  }

  #at(t) {
    this.t = Math.max(0, Math.min(this.until, t));
    this.draw();
  }

  /** To the next (or previous) time at which a message is sent or arrives. */
  step(direction) {
    let best = direction > 0 ? this.until : 0;
    if (this.fine) { const place = placeOf(this.times, this.t); return this.go(timeAt(this.times, direction > 0 ? Math.floor(place + 1e-6) + 1 : Math.ceil(place - 1e-6) - 1)); }
    for (const { flights, messages } of this.sights)
      for (const times of [messages.sent, flights.arrives]) {
        const i = upTo(times, direction > 0 ? this.t : this.t - 1e-5);
        const time = times[direction > 0 ? i : i - 1];
        if (time !== undefined && (direction > 0 ? time < best : time > best)) best = time;
      }
    this.go(best);
  }

  moment(direction) {
    const times = this.timeline.moments.map((m) => m.time);
    const next = direction > 0 ? times.find((x) => x > this.t + 1e-6) : times.findLast((x) => x < this.t - 1e-6);
    if (next !== undefined) this.go(next);
  }

  play(is, stopAt = null) {
    if (!is && !this.isPlaying) return;
    this.isPlaying = is;
    this.stopAt = stopAt;
    this.timeline.playing(is);
    mark(this.root, "data-playing", String(is));
    cancelAnimationFrame(this.frame);
    clearInterval(this.steps);
    if (!is) { this.draw(); this.tell(); return; }
    if (this.t >= this.until - 1e-6) this.t = 0;
    if (this.still.matches) {
      this.steps = setInterval(() => this.#advance(STILL * this.speed, EACH), STILL * 1000);
      return;
    }
    let last = performance.now();
    const tick = (time) => {
      const passed = Math.min(0.1, (time - last) / 1000);
      last = time;
      this.#advance(passed * this.speed, passed);
      if (this.isPlaying) this.frame = requestAnimationFrame(tick);
    };
    this.frame = requestAnimationFrame(tick);
  }

  #advance(by, passed) {
    const end = this.stopAt ?? this.until;
    this.t = Math.min(end, this.speed ? this.t + Math.max(0, by) : this.#along(passed / EACH));
    if (this.visible) this.draw();
    if (this.t >= end) this.play(false);
  }

  /** Every time at which something happens in one of the rows; looked for when it is asked for. */
  get times() {
    return (this.all ||= [...new Set(this.sights.flatMap((s) => s.times))].sort((a, b) => a - b));
  }

  /** The time after `steps` (or a part of one) from now, where each step is from one thing that happens to the next. */
  #along(steps) {
    return timeAt(this.times, placeOf(this.times, this.t) + steps);
  }

  replay(from, to) {
    this.play(false);
    this.t = from;
    this.speed = Math.min(1, Math.max(0.02, (to - from) / 8));
    const near = SPEEDS.map(([v]) => v).reduce((a, b) => (Math.abs(b - this.speed) < Math.abs(a - this.speed) ? b : a));
    this.speed = near;
    this.timeline.speed.value = near;
    this.play(true, to);
  }

  follow(number, t = null) {
    this.only = number;
    mark(this.root, "data-following", number);
    if (t !== null) this.go(t);
    else this.draw();
  }

  // -- drawing ----------------------------------------------------------------------------------

  #watch() {
    this.sizes = new ResizeObserver(() => { this.#theme(); this.arrange(); this.draw(); });
    this.sizes.observe(this.rows);
    this.themes = new MutationObserver(() => { this.#theme(); this.draw(); });
    this.themes.observe(document.body, { attributes: true, attributeFilter: ["data-jp-theme-light", "data-jp-theme-name", "class"] });
    this.views = new IntersectionObserver((entries) => { this.visible = entries.at(-1).isIntersecting; });
    this.views.observe(this.root);
    const model = this.model;
    this.heard = [["change:answer", () => this.take()], ["change:problem", () => this.problem()], ["msg:custom", (message) => this.progress(message)]];
    for (const [name, act] of this.heard) model.on(name, act);
  }

  #theme() {
    const style = getComputedStyle(this.root), read = (name) => style.getPropertyValue(name).trim();
    this.theme = { colours: GLYPHS.map((_, i) => read(`--ip-kind-${i}`)), ground: read("--ip-canvas"), road: read("--ip-road"), line: read("--ip-lane"), edge: read("--ip-edge"), ink: read("--ip-ink"), font: style.fontFamily };
  }

  arrange() {
    for (const stage of this.stages) stage.arrange();
    this.timeline.arrange();
  }

  draw() {
    if (!this.sights.length || this.t === null) return;
    if (!this.theme) this.#theme();
    const t = this.t, named = !this.isPlaying || !this.speed || (this.only ?? null) !== null;
    const counts = this.stages.map((stage) => stage.draw(t, this.scale, this.theme, this.only ?? null, named));
    this.timeline.draw(t);
    this.follower.draw(t);
    mark(this.root, "data-time", t);
    mark(this.root, "data-in-flight", counts[0]);
    mark(this.root, "data-playing", String(this.isPlaying));
    const now = performance.now();
    if (this.isPlaying && now - (this.saidAt || 0) < 250) return;
    this.saidAt = now;
    this.chart.draw(t);
    this.#say(t);
  }

  #say(t) {
    const two = this.sights.length > 1;
    say(this.truth, this.sights.map((s, i) => sentence(s, t, two ? s.label || "this run" : "", i === 0, !this.isPlaying || !this.speed)).join("\n"));
  }

  /** Tells a screen reader what is true now, once it is quiet. */
  tell() {
    clearTimeout(this.telling);
    this.telling = setTimeout(() => {
      say(this.told, [this.news, this.truth.textContent].filter(Boolean).join("\n")); // what is new is said once
      this.news = "";
    }, 500);
  }

  /** Keys stay inside, so that JupyterLab's own shortcuts do not act on the notebook. */
  #keys() {
    for (const name of ["keydown", "keyup", "keypress"]) this.root.addEventListener(name, (event) => event.stopPropagation());
    this.root.addEventListener("keydown", (event) => {
      const typing = event.target.closest("button, select, textarea, summary");
      if (event.key === " " && !typing) { event.preventDefault(); this.play(!this.isPlaying); }
    });
  }

  close() {
    this.play(false);
    clearTimeout(this.patience);
    clearTimeout(this.telling);
    for (const [name, act] of this.heard) this.model.off(name, act);
    for (const watcher of [this.sizes, this.themes, this.views]) watcher.disconnect();
  }
}

function render({ model, el }) {
  const view = new PlayerView(model, el);
  return () => view.close();
}

export { decode, upTo, placeOf, timeAt, Sight, sentence, shareInWords, places, roundUp, laneBetween };
export default { render };
