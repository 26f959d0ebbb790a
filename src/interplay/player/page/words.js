// Numbers and sentences.

const seconds = (t, fine = false) => `${t.toFixed(fine ? 3 : 1)} s`;
const exact = (t) => (Number.isFinite(t) ? (t < 1 ? `${Math.round(t * 1000)} ms` : `${t.toFixed(2)} s`) : "–");
const rounded = (x) => (Math.abs(x) >= 9.95 || Number.isInteger(x) ? String(Math.round(x)) : x.toFixed(1));
const many = (n, one, more = one + "s") => `${n} ${n === 1 ? one : more}`;

/** A share of things in words that can be pictured: "3 of 4 attempts", else a percentage of them. */
function shareInWords(share, things) {
  if (share >= 0.985) return `all ${things}`;
  for (const [a, b] of [[1, 2], [1, 3], [2, 3], [1, 4], [3, 4], [1, 5], [4, 5], [1, 10], [9, 10]])
    if (Math.abs(share - a / b) < 0.02) return b === 2 ? `half of the ${things}` : `${a} of ${b} ${things}`;
  return `${Math.round(share * 100)} % of the ${things}`;
}

/** Which time the numbers are of, once for the page. */
const windowInWords = (sight) => `Per second and p99: over the last ${sight.window === 1 ? "second" : `${sight.window} s`}. All else: now.`;

/** What is true of a run at t, in two sentences. `label` names the run of a comparison; `named`: with what is on its way. */
function sentence(sight, t, label = "", withTime = true, named = false) {
  const parts = [];
  let worst = null;
  sight.nodes.forEach((node, i) => {
    if (node.kind === "users") return;
    const waits = sight.gauge(i, "queue", t), up = sight.gauge(i, "up", t);
    if (up < 1) parts.push(`${node.name} is ${brokenWord(sight, i, t)}`);
    if (BROKERS.includes(node.kind)) return;
    const full = sight.gauge(i, "busy", t) >= node.workers;
    if (!worst || waits > worst.waits || (waits === worst.waits && full && !worst.full)) worst = { i, node, waits, full, up };
  });
  if (worst && (worst.full || worst.waits)) {
    const { node, waits, full, i } = worst, waste = sight.wasted(i, t), gone = waste.working;
    if (full && !(worst.up === 0 && !sight.gauge(i, "busy", t))) {
      const who = node.workers === 1 ? `the worker of ${node.name} is busy` : `${node.workers === 2 ? "both" : `all ${node.workers}`} workers of ${node.name} are busy`;
      parts.push(who + (gone ? `, ${gone === node.workers ? (gone === 1 ? "" : "all ") : `${gone} `}for callers who have given up` : ""));
    }
    if (waits) parts.push(`${many(waits, ...(node.kind === "process" ? ["message waits", "messages wait"] : ["call waits", "calls wait"]))}${full ? "" : worst.up < 1 ? " for it" : ` at ${node.name}`}`);
  }
  parts.push(...brokersInWords(sight, t));
  const under = named ? sight.under(t) : [];
  if (under.length && under.length <= 3) parts.push(`on the way: ${under.map(([what, from, to]) => `${what} from ${from} to ${to}`).join(", ")}`);
  if (!parts.length) parts.push("nothing waits anywhere");
  let first = 0, again = 0;
  sight.nodes.forEach((_, i) => { const rate = sight.callRates(i, t); first += rate.first; again += rate.again; });
  const share = again / (first + again || 1);
  if (share >= 0.05) parts.push(`${shareInWords(share, "attempts")} are retries`);
  const users = sight.users(t), some = (x, one, more) => (x < 0.05 ? `none ${one}` : `${rounded(x)} ${rounded(x) === "1" ? one : more}`);
  const served = `${rounded(users.asked)} ${rounded(users.asked) === "1" ? "user a second asks" : "users a second ask"}, ${some(users.served, "is", "are")} served, ${some(users.failed, "fails", "fail")}.`;
  const text = parts.join("; "), so = sight.soFar(t);
  const counted = `${many(so.asked, "user has", "users have")} asked, ${so.served || "none"} ${so.served > 1 ? "are" : "is"} served, ${so.failed || "none"} failed.`;
  const start = [withTime && `At ${seconds(t, sight.fine)}`, label].filter(Boolean).join(", ");
  return `${start}${label ? ":" : ""} ${text}. ${sight.fine ? counted : served}`;
}

/** What the fullest queue holds, and the log whose slowest group is furthest behind. */
function brokersInWords(sight, t) {
  const of = (kind, holds) => sight.nodes.flatMap((node, i) => (node.kind === kind && holds(i) ? [{ name: node.name, i, n: holds(i) }] : [])).sort((a, b) => b.n - a.n)[0];
  const queue = of("queue", (i) => sight.gauge(i, "queue", t) + sight.gauge(i, "leased", t) + sight.gauge(i, "dead", t)), log = of("log", (i) => sight.gauge(i, "queue", t)), said = [];
  if (queue) {
    const [ready, leased, dead] = ["queue", "leased", "dead"].map((gauge) => sight.gauge(queue.i, gauge, t));
    said.push(`${queue.name} holds ${[ready && `${ready} ready`, leased && `${leased} on lease`, dead && `${dead} dead`].filter(Boolean).join(", ")}`);
  }
  if (log) {
    const slow = sight.logs[log.i]?.groups.map((group) => [sight.lag(log.i, group, t).behind, sight.groups[group - FIRST_GROUP]]).sort((a, b) => b[0] - a[0])[0];
    if (slow) said.push(`${slow[1]} is ${many(slow[0], "record")} behind at ${log.name}`);
  }
  return said;
}

/** How a broken node is called: the fault's own word from the markers, else "down" or "impaired". */
function brokenWord(sight, node, t) {
  const words = [];
  for (const m of sight.moments) {
    if (m.kind !== "fault" || m.node !== node || m.time > t) continue;
    const word = m.what.split(": ").pop();
    const [, fault, , begins] = word.match(/^(.*) ((starts?)|ends?)$/) || [];
    if (begins) words.push(fault);
    else if (fault) words.splice(words.indexOf(fault), 1);
  }
  const said = { outage: "down", crash: "crashed", slow: "slow", errors: "failing" };
  const last = words.pop();
  return said[last] || last || (sight.gauge(node, "up", t) > 0 ? "impaired" : sight.is(node, "process") ? "crashed" : "down");
}
