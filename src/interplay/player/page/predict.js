// Predict: choose, commit, and read why each option is right or wrong.

function render({ model, el }) {
  const [options, answer] = [model.get("options"), model.get("answer")], name = newId("predict");
  const told = h("p.ip-verdict", { role: "status" });
  const whys = new Map();
  const inputs = options.map(([letter, text, why]) => {
    const id = `${name}-${letter}`;
    const reason = h("p.ip-why", { id: `${id}-why`, hidden: true }, h("strong", { text: letter === answer ? "Right. " : "Not so. " }), withCode(why));
    const input = h("input", { type: "radio", name, id, value: letter, onchange: () => { commit.disabled = false; } });
    const item = h("li", {}, h("label", { for: id }, input, h("span.ip-letter", { text: letter }), h("span", {}, withCode(text))), reason);
    whys.set(letter, { reason, item, input });
    return item;
  });
  const commit = h("button.ip-button.ip-strong", { type: "button", text: "That is my prediction", disabled: true, onclick: () => {
    model.set("choice", [...whys].find(([, { input }]) => input.checked)[0]);
    model.save_changes();
    reveal();
  } });
  const root = h("div.ip.ip-predict", {}, h("fieldset", {}, h("legend", {}, h("span.ip-tag", { text: "Predict" }), withCode(model.get("question"))), h("ul", {}, inputs), commit, told));
  for (const event of ["keydown", "keyup", "keypress"]) root.addEventListener(event, (e) => e.stopPropagation());

  function reveal() {
    const choice = model.get("choice");
    if (!choice) return;
    for (const [letter, { reason, item, input }] of whys) {
      reason.hidden = false;
      input.checked = letter === choice;
      input.setAttribute("aria-describedby", reason.id);
      item.classList.toggle("ip-right", letter === answer);
      item.classList.toggle("ip-chosen", letter === choice);
    }
    commit.textContent = "Change my mind";
    commit.disabled = false; // also where the choice is from before, and the page is new
    commit.classList.remove("ip-strong");
    say(told, choice === answer ? `You chose ${choice}: that is right.` : `You chose ${choice}; the answer is ${answer}. Now see it in the run.`);
  }
  model.on("change:choice", reveal);
  reveal();
  el.append(root);
  return () => model.off("change:choice", reveal);
}

export default { render };
