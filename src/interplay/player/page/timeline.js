// The time line: play, step, scrub, speed, and the moments.

const SPEEDS = [[0, "message by message"], [0.02, "1/50 speed"], [0.1, "1/10 speed"], [0.25, "1/4 speed"], [0.5, "half speed"], [1, "real time"], [2, "2 × faster"], [5, "5 × faster"], [10, "10 × faster"]];
const MOMENT_SIGNS = { fault: "⚡", queue: "≡", full: "▣", drop: "⊘", breaker: "◧", budget: "◔", retries: "↻", tips: "▼", recovers: "▲", fails: "✗", again: "↺", dead: "✉", lag: "≫", rebalance: "⇄", commit: "✎" };

class Timeline {
  /** `on` has play(), go(t), step(direction), moment(direction), speed(factor). */
  constructor(on) {
    const button = (name, label, act, what = "button.ip-button.ip-round") => h(what, { type: "button", "aria-label": label, title: label, onclick: act }, icon(name));
    this.on = on;
    this.playButton = button("play", "Play", () => on.play(), "button.ip-button.ip-play");
    this.speed = h("select.ip-select", { onchange: (event) => on.speed(+event.target.value) }, SPEEDS.map(([v, words]) => h("option", { value: v, text: words, selected: v === 1 })));
    this.scrub = h("input.ip-scrub", { type: "range", min: 0, max: 1, step: 0.1, value: 0, "aria-label": "Time", oninput: (event) => on.go(this.times ? timeAt(this.times, +event.target.value) : +event.target.value) });
    this.scrub.addEventListener("keydown", (event) => this.#keys(event));
    this.flags = h("div.ip-flags", { "aria-hidden": "true" });
    this.clock = h("output.ip-clock", { "aria-live": "off" });
    this.now = h("div.ip-now", { "aria-hidden": "true" });
    this.list = h("ol.ip-moments", { "aria-label": "Moments" });
    this.window = h("span.ip-window");
    this.transport = h("div.ip-transport", { role: "group", "aria-label": "Player" }, this.clock,
      button("previousMoment", "Previous moment", () => on.moment(-1)), button("previous", "One message back", () => on.step(-1)),
      this.playButton, button("next", "One message on", () => on.step(1)), button("nextMoment", "Next moment", () => on.moment(1)),
      this.window, h("label.ip-speed", {}, h("span.ip-hidden", { text: "Speed" }), this.speed));
    this.line = h("div.ip-panel.ip-timeline", {}, h("div.ip-gutter"), h("div.ip-track", {}, this.flags, this.scrub));
  }

  #keys(event) {
    const far = { PageUp: 1, PageDown: -1, ...(this.times && { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1 }) }[event.key];
    if (!far) return;
    event.preventDefault();
    if (this.times) this.on.step(far);
    else this.on.go(+this.scrub.value + far);
  }

  /** The moments of an answer: numbered flags on the line, and the same as a list of buttons. */
  take(until, moments, times) {
    const fine = times !== null;
    this.until = until;
    this.times = times; // where messages take no time to speak of, the line goes from one thing that happens to the next
    this.scrub.step = fine ? 0.01 : 0.1;
    this.scrub.max = fine ? times.length - 1 : until;
    this.window.hidden = fine;
    this.moments = moments;
    this.flagged = moments.map((m, i) => h("span.ip-flag", { class: `ip-is-${m.kind}`, title: `${seconds(m.time, fine)} ${m.what}`, text: i + 1, onclick: () => this.on.go(m.time) }));
    this.flags.replaceChildren(...moments.map((m) => h("span.ip-tick", { style: `left:${100 * this.#share(m.time)}%` })), ...this.flagged);
    this.arrange();
    this.buttons = moments.map((m, i) => h("button.ip-moment", { type: "button", class: `ip-is-${m.kind}`, onclick: () => this.on.go(m.time) },
      h("span.ip-number", { text: i + 1 }), h("span.ip-when", { text: seconds(m.time, fine) }), h("span", {}, h("span.ip-sign", { "aria-hidden": "true", text: MOMENT_SIGNS[m.kind] || "•" }), ` ${m.what}`, m.why && h("small", { text: ` ${m.why}` }), m.row && h("em", { text: ` · ${m.row}` }))));
    this.list.replaceChildren(...(moments.length ? this.buttons.map((b) => h("li", {}, b)) : [h("li.ip-none", { text: "Nothing happens in this run that stands out. That is good news, or a reason to turn a control." })]));
  }

  /** How far along the line a time is, from 0 to 1. */
  #share(t) {
    return this.times ? placeOf(this.times, t) / (this.times.length - 1) : t / this.until;
  }

  /** Puts the flags where their moments are, side by side where they would cover each other. */
  arrange() {
    const width = this.flags.clientWidth, apart = Math.min(19, (width - 10) / Math.max(1, this.moments?.length || 0));
    if (!width || !this.moments) return;
    const groups = [], half = ({ n }) => ((n - 1) / 2) * apart;
    const middle = (group) => Math.max(half(group), Math.min(width - half(group), group.sum / group.n)); // none leaves the line
    for (const { time } of this.moments) {
      groups.push({ sum: this.#share(time) * width, n: 1 });
      for (let [a, b] = groups.slice(-2); b && middle(b) - middle(a) < ((a.n + b.n) / 2) * apart; [a, b] = groups.slice(-2))
        groups.splice(-2, 2, { sum: a.sum + b.sum, n: a.n + b.n });
    }
    let i = 0;
    for (const group of groups) {
      for (let k = 0; k < group.n; k++) this.flagged[i++].style.left = `${middle(group) - half(group) + k * apart}px`;
    }
  }

  playing(is) {
    this.playButton.replaceChildren(icon(is ? "pause" : "play"));
    for (const name of ["aria-label", "title"]) mark(this.playButton, name, is ? "Pause" : "Play");
  }

  draw(t) {
    say(this.clock, seconds(t, this.times));
    this.scrub.value = this.times ? placeOf(this.times, t) : t;
    mark(this.scrub, "aria-valuetext", `${t.toFixed(this.times ? 3 : 1)} seconds`);
    this.now.style.setProperty("--at", this.#share(t));
    const current = this.moments.findLastIndex((m) => m.time <= t + 1e-6);
    this.buttons.forEach((button, i) => mark(button, "aria-current", i === current ? "step" : null));
    this.flagged.forEach((flag, i) => mark(flag, "data-current", i === current ? "" : null));
  }
}
