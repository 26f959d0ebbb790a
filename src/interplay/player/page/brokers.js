// Brokers look like what they are: a queue is a pipe with what is ready and what is on lease, a log has a lane for each
// partition with the place of each group, a topic keeps nothing.

const SIGNS = ["▲", "◆", "●", "■"]; // of groups, which have a colour each, too
const LANES = 12; // more partitions than this are not drawn one by one

function brokerCard(sight, i, ...parts) {
  const { name, kind } = sight.nodes[i], state = h("span.ip-state"), tag = h("span.ip-kind", { text: kind });
  const element = h("div.ip-card.ip-broker", { role: "group", "aria-label": `${name}, a ${kind}`, "data-kind": kind },
    h("div.ip-name", {}, h("strong", { text: name }), tag, state), ...parts);
  const draw = (now, t) => {
    const up = now.gauge(i, "up", t);
    mark(element, "data-up", up);
    say(state, up === 1 ? "" : brokenWord(now, i, t));
  };
  return { element, draw };
}

function queueCard(sight, i) {
  const pipe = h("div.ip-pipe", { "aria-hidden": "true" }, h("b"), h("u")), [ready, leased] = pipe.children;
  const words = ["ready", "on lease", "dead"].map((word) => h("span", { class: `ip-of-${word.split(" ").pop()}` }));
  const card = brokerCard(sight, i, pipe, h("div.ip-gets", {}, words));

  function draw(now, t, scale) {
    card.draw(now, t);
    const counts = ["queue", "leased", "dead"].map((gauge) => now.gauge(i, gauge, t));
    [ready, leased].forEach((part, k) => { part.style.width = `${(100 * counts[k]) / scale}%`; mark(part, "data-some", counts[k] > 0); });
    words.forEach((word, k) => { say(word, `${counts[k]} ${["ready", "on lease", "dead"][k]}`); });
    words[2].hidden = !now.most(i, "dead");
    ["ready", "leased", "dead"].forEach((name, k) => mark(card.element, `data-${name}`, counts[k]));
  }
  return { element: card.element, draw };
}

function logCard(sight, i) {
  const { partitions, groups } = sight.logs[i] || { partitions: 0, groups: [] }, shown = Math.min(partitions, LANES);
  const sign = (k) => h("i.ip-place", { class: `ip-group-${k % SIGNS.length}`, "aria-hidden": "true", text: SIGNS[k % SIGNS.length] });
  const lanes = Array.from({ length: shown }, (_, p) => ({ kept: h("b"), places: groups.map((_, k) => sign(k)), end: h("span.ip-offset"), p }));
  const rows = lanes.map(({ kept, places, end, p }) => h("div.ip-lane", {}, h("span.ip-offset", { text: p }), h("span.ip-track-of", {}, kept, places), end));
  const lags = groups.map(() => h("span"));
  const card = brokerCard(sight, i, h("div.ip-partitions", { "aria-hidden": "true", class: shown > 4 ? "ip-tight" : "ip-wide" }, rows),
    partitions > shown && h("div.ip-soft", { text: `and ${partitions - shown} more partitions` }),
    groups.map((_, k) => h("div.ip-reads", {}, sign(k), lags[k])));

  function draw(now, t) {
    card.draw(now, t);
    if (!now.logs[i]) return;
    const share = (offset) => `${(100 * offset) / now.logs[i].most}%`;
    for (const { kept, places, end, p } of lanes) {
      const last = now.place(i, p, END, t).offset, first = now.place(i, p, START, t).offset;
      kept.style.left = share(first);
      kept.style.width = share(last - first);
      say(end, String(last));
      places.forEach((place, k) => { place.style.left = share(now.place(i, p, groups[k], t).offset); });
    }
    groups.forEach((group, k) => {
      const { behind, readers } = now.lag(i, group, t);
      say(lags[k], `${now.groups[group - FIRST_GROUP]}: ${behind ? `${behind} behind` : "all read"}${readers === 1 ? "" : `, ${readers || "no"} readers`}`);
    });
    mark(card.element, "data-ends", lanes.map(({ p }) => now.place(i, p, END, t).offset).join());
    mark(card.element, "data-places", groups.map((group) => lanes.map(({ p }) => now.place(i, p, group, t).offset).join()).join(";"));
  }
  return { element: card.element, draw };
}

function topicCard(sight, i) {
  const comes = h("span"), goes = h("span"), card = brokerCard(sight, i, h("div.ip-gets", {}, comes, goes));
  function draw(now, t) {
    card.draw(now, t);
    const out = now.links.flat().filter((other, k, all) => other !== i && all.indexOf(other) === k)
      .reduce((sum, other) => sum + (now.callsOn.has(i * 256 + other) ? now.callRates(other, t, i).first : 0), 0);
    say(comes, `${rounded(now.callRates(i, t).first)}/s in`);
    say(goes, `${rounded(out)}/s copies`);
  }
  return { element: card.element, draw };
}
