// What a learner sets: sliders and choices, faults, the comparison; and the call that says it all again.

class Controls {
  /** `on` has change(), stop(). `now()` gives the present time. */
  constructor(setup, on, now) {
    this.setup = setup;
    this.values = {};
    this.faults = [];
    this.compare = "";
    this.on = on;
    this.inputs = new Map();
    const fields = setup.controls.map((control) => (control.kind === "slider" ? this.#slider(control) : this.#choice(control)));
    this.compareWith = setup.compare.length ? h("select.ip-select", { onchange: (event) => { this.compare = event.target.value; on.change(); } },
      h("option", { value: "", text: "nothing" }), setup.compare.map((label) => h("option", { value: label, text: label }))) : null;
    this.broken = h("ul.ip-faults", { "aria-label": "Faults you added" });
    this.copied = h("span.ip-copied", { role: "status" });
    this.call = h("textarea.ip-call", { readonly: true, rows: 2, hidden: true, "aria-label": "The call that gives this run" });
    this.again = h("button.ip-button.ip-again", { type: "button", title: "Copy the Python call that gives this run", "aria-label": "Copy this run", onclick: () => this.#copy() }, icon("copy"), h("span", { text: "Copy this run" }));
    const breakers = setup.faults.map((label) => h("button.ip-button.ip-break", { type: "button", onclick: () => this.#break(label, now()) }, h("span.ip-sign", { "aria-hidden": "true", text: "⚡" }), h("span", { text: label })));
    this.element = h("div.ip-controls", {},
      setup.tryThis && h("p.ip-try", {}, h("strong", { text: "Try this" }), h("span", { text: setup.tryThis })),
      fields.length > 0 && h("div.ip-fields", { role: "group", "aria-label": "Controls" }, fields),
      h("div.ip-actions", {},
        breakers.length > 0 && h("div.ip-group", { role: "group", "aria-label": "Break it now" }, h("span.ip-label", { "aria-hidden": "true", text: "Break it now" }), breakers),
        this.compareWith && h("label.ip-group", {}, h("span.ip-label", { text: "Compare with" }), this.compareWith),
        this.status = h("div.ip-group.ip-end", {}, this.copied)),
      this.broken, this.call);
    mark(this.element, "data-bare", !setup.tryThis && !fields.length && !breakers.length && !this.compareWith ? "" : null);
  }

  #slider({ name, label, low, high, step, value, unit }) {
    const id = newId("slider"), shown = h("output", { for: id });
    const input = h("input.ip-range", { id, type: "range", min: low, max: high, step });
    const show = () => {
      const words = `${+(+input.value).toFixed(6)}${unit ? ` ${unit}` : ""}`;
      say(shown, words);
      mark(input, "aria-valuetext", words);
      input.style.setProperty("--filled", (input.value - low) / (high - low));
    };
    const set = (v) => { input.value = v; this.values[name] = +input.value; show(); };
    input.addEventListener("input", () => { set(input.value); this.on.change(); });
    set(value);
    this.inputs.set(name, set);
    return h("div.ip-field", {}, h("label", { for: id, text: label }), shown, input);
  }

  #choice({ name, label, options, value }) {
    const id = newId("choice");
    const select = h("select.ip-select", { id, onchange: () => { this.values[name] = +select.value; this.on.change(); } }, options.map((words, i) => h("option", { value: i, text: words })));
    const set = (v) => { select.value = v; this.values[name] = +v; };
    set(value);
    this.inputs.set(name, set);
    return h("div.ip-field", {}, h("label", { for: id, text: label }), select);
  }

  #break(label, at) {
    this.faults.push({ label, at: Math.round(at * 10) / 10 });
    this.on.change();
    this.#listFaults();
  }

  #listFaults() {
    this.broken.replaceChildren(...this.faults.map((fault, i) => {
      const words = `${fault.label}, at ${seconds(fault.at)}`;
      const remove = h("button.ip-remove", { type: "button", "aria-label": `Remove: ${words}`, title: "Remove", text: "×", onclick: () => {
        this.faults.splice(i, 1);
        this.#listFaults();
        (this.broken.querySelectorAll("button")[Math.max(0, i - 1)] || this.element.querySelector(".ip-break"))?.focus();
        this.on.change();
      } });
      return h("li", {}, h("span.ip-sign", { "aria-hidden": "true", text: "⚡ " }), words, remove);
    }));
  }

  async #copy() {
    const text = this.text || "";
    try {
      await navigator.clipboard.writeText(text);
      this.call.hidden = true;
      say(this.copied, "Copied");
    } catch {
      this.call.hidden = false;
      this.call.value = text;
      this.call.rows = text.split("\n").length;
      this.call.focus();
      this.call.select();
      say(this.copied, "Copy it from the box");
    }
    setTimeout(() => say(this.copied, ""), 3000);
  }

  /** Shows what an answer was made with. */
  take({ values, faults, compare, call }) {
    for (const [name, value] of Object.entries(values)) this.inputs.get(name)?.(value);
    this.faults = faults.map((fault) => ({ ...fault }));
    this.compare = compare;
    if (this.compareWith) this.compareWith.value = compare;
    this.text = call;
    if (!this.call.hidden) this.call.value = call;
    this.#listFaults();
  }

  /** What is asked of the kernel. */
  asked() {
    return { values: { ...this.values }, faults: this.faults, compare: this.compare };
  }
}
