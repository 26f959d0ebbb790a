// Cards: a service or process with its workers, its queue and what protects it; and the users' side with what they get.

const CELLS = 24; // more workers than this are shown as a bar
const BREAKER = ["closed", "open", "half-open"];

/** A card for node `i`: {element, draw(sight, t, scale)}. `scale` is the longest queue of all, for one common length. */
function makeCard(sight, i) {
  const kinds = { users: usersCard, queue: queueCard, topic: topicCard, log: logCard };
  return (kinds[sight.nodes[i].kind] || serviceCard)(sight, i);
}

function serviceCard(sight, i) {
  const { name, workers } = sight.nodes[i];
  const state = h("span.ip-state"), few = workers <= CELLS;
  const cells = few ? Array.from({ length: workers }, () => h("i")) : [h("b"), h("u")];
  const busy = h(few ? "div.ip-cells" : "div.ip-crowd", { "aria-hidden": "true" }, cells);
  const bar = h("div.ip-queue", { "aria-hidden": "true" }, h("b"), h("u"));
  const [fresh, stale] = bar.children;
  const working = h("span"), waiting = h("span"), guards = makeGuards(sight, i);
  const element = h("div.ip-card", { role: "group", "aria-label": name },
    h("div.ip-name", {}, h("strong", { text: name }), state),
    h("div.ip-workers", {}, busy, working),
    h("div.ip-waiting", {}, bar, waiting), guards.element);

  function draw(now, t, scale) {
    const up = now.gauge(i, "up", t), n = now.gauge(i, "busy", t), waits = now.gauge(i, "queue", t), waste = now.wasted(i, t);
    mark(element, "data-up", up);
    say(state, up === 1 ? "" : brokenWord(now, i, t));
    mark(element, "data-busy", n);
    mark(element, "data-queue", waits);
    if (few) cells.forEach((cell, k) => mark(cell, "class", k < n - waste.working ? "on" : k < n ? "vain" : null));
    else [n - waste.working, waste.working].forEach((k, j) => { cells[j].style.width = `${(100 * k) / workers}%`; });
    say(working, `${n} of ${workers} busy`);
    fresh.style.width = `${(100 * (waits - waste.waiting)) / scale}%`;
    stale.style.width = `${(100 * waste.waiting) / scale}%`;
    mark(bar, "data-some", waits > 0);
    say(waiting, waits ? `${waits} wait` : "none waits");
    guards.draw(now, t);
  }
  return { element, draw };
}

function usersCard(sight, i) {
  const name = sight.nodes[i].name;
  const bar = h("div.ip-served", { "aria-hidden": "true" }, h("b"), h("u")), [good, bad] = bar.children;
  const asked = h("span"), served = h("span"), failed = h("span"), waiting = h("span"), guards = makeGuards(sight, i);
  const element = h("div.ip-card.ip-users", { role: "group", "aria-label": name },
    h("div.ip-name", {}, h("strong", { text: name }), asked), bar,
    h("div.ip-gets", {}, served, failed), h("div.ip-gets", {}, waiting), guards.element);

  function draw(now, t) {
    const users = now.fine ? now.soFar(t) : now.users(t), ended = users.served + users.failed || 1, unit = now.fine ? "" : "/s";
    say(asked, now.fine ? `${users.asked} asked` : `${rounded(users.asked)}/s ask`);
    good.style.width = `${(100 * users.served) / ended}%`;
    bad.style.width = `${(100 * users.failed) / ended}%`;
    say(served, `${rounded(users.served)}${unit} served`);
    say(failed, `${rounded(users.failed)}${unit} ${now.fine ? "failed" : "fail"}`);
    say(waiting, many(users.waiting, "user waits", "users wait"));
    guards.draw(now, t);
  }
  return { element, draw };
}

/** What protects the calls of a node, where the trace tells: its breaker, its retry budget. */
function makeGuards(sight, i) {
  const has = (name) => sight.gauges[i][name];
  const breaker = has("breaker") && h("span.ip-breaker"), tokens = has("tokens") && h("span.ip-tokens");
  const level = tokens && h("b"), most = sight.most(i, "tokens") || 1;
  const element = h("div.ip-guards", { hidden: !breaker && !tokens }, breaker, tokens && h("span.ip-level", { "aria-hidden": "true" }, level), tokens);
  function draw(now, t) {
    if (breaker) {
      const state = BREAKER[now.gauge(i, "breaker", t)];
      say(breaker, `breaker ${state}`);
      mark(breaker, "data-state", state);
    }
    if (tokens) {
      const left = now.gauge(i, "tokens", t);
      say(tokens, `${rounded(left)} retry tokens`);
      level.style.width = `${Math.min(100, (100 * left) / most)}%`;
    }
  }
  return { element, draw };
}
