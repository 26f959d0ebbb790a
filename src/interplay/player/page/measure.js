// What is true of a run at a time. A Sight answers in a few steps of bisection, so it can be asked at each frame.
// Boxes, sentence, links and chart all ask here, so at one instant they say the same: whatever is said per second, and
// p99, is of the `window` seconds up to t; what waits, works and is broken is of t itself.

class Sight {
  constructor(sent) {
    Object.assign(this, decode(sent));
    this.links = this.links.filter(([a, b], i) => a !== b && !this.links.slice(0, i).some(([c, d]) => c === b && d === a));
    this.#messages();
    this.#requests();
    this.#states();
    this.#logs();
    this.#work();
  }

  /** Every time at which something happens, once. */
  get times() {
    const { messages, flights, moments, gauges } = this;
    const all = [0, ...messages.sent, ...flights.arrives, ...moments.map((m) => m.time), ...gauges.flatMap((g) => g.up?.times || []), this.until];
    return [...new Set(all.map(Math.fround))].filter((x) => x <= this.until).sort((a, b) => a - b);
  }

  /** Whether a node is of one of these kinds. */
  is(node, ...kinds) {
    return kinds.includes(this.nodes[node].kind);
  }

  // -- messages ---------------------------------------------------------------------------------

  #messages() {
    const { sent, arrives, source, target, kind, length } = this.messages;
    const there = arrives.filter(Number.isFinite).sort();
    const kept = sent.filter((_, i) => Number.isFinite(arrives[i]));
    this.flights = { sent: kept, arrives: there };
    this.longest = 0;
    const sums = new Map();
    this.calls = this.nodes.map(() => ({ first: [], again: [] }));
    this.callsOn = new Map(this.links.map(([from, to]) => [from * 256 + to, { first: [], again: [] }]));
    for (let i = 0; i < length; i++) {
      if (Number.isFinite(arrives[i])) {
        const takes = arrives[i] - sent[i], key = source[i] * 256 + target[i];
        if (takes > this.longest) this.longest = takes;
        const sum = sums.get(key) || [0, 0];
        sum[0] += takes; sum[1] += 1;
        sums.set(key, sum);
      }
      const sentOn = [EVENT, COMPENSATION, DEAD_LETTER].includes(kind[i]) && !CHORES.includes(this.named[i]);
      const what = kind[i] === REQUEST || sentOn ? "first" : kind[i] === RETRY || kind[i] === HEDGE ? "again" : null;
      if (!what) continue;
      this.calls[target[i]][what].push(sent[i]);
      this.callsOn.get(source[i] * 256 + target[i])?.[what].push(sent[i]);
    }
    this.retries = this.calls.some(({ again }) => again.length > 0);
    this.usual = new Map([...sums].map(([key, [sum, n]]) => [key, sum / n]));
    // A few messages that take no time to speak of: time goes on from one thing that happens to the next.
    this.fine = length > 0 && length <= 400 && this.named.length > 0 && arrives.filter((x) => x < this.until).length * this.until > 300 * [...sums.values()].reduce((all, [sum]) => all + sum, 0);
  }

  /** How many messages are between two nodes at time t (lost ones do not count). */
  inFlight(t) {
    return upTo(this.flights.sent, t) - upTo(this.flights.arrives, t);
  }

  /** Calls each visit(i, share of the way, lost) for what is on its way at t; lost ones are seen half-way. */
  eachInFlight(t, visit) {
    const { sent, arrives, source, target } = this.messages;
    for (let i = upTo(sent, t) - 1, since = t - this.longest * 1.001 - 1e-6; i >= 0 && sent[i] >= since; i--) {
      if (Number.isFinite(arrives[i])) {
        if (arrives[i] > t) visit(i, (t - sent[i]) / (arrives[i] - sent[i]), false);
      } else {
        const share = (t - sent[i]) / (this.usual.get(source[i] * 256 + target[i]) || this.longest || 0.1);
        if (share < 0.5) visit(i, share, true);
      }
    }
  }

  /** The names of what is on its way at t, with where from and where to: [[name, from, to], …]. */
  under(t) {
    const found = [], { source, target } = this.messages;
    this.eachInFlight(t, (i, share, lost) => { if (this.named[i]) found.push([this.named[i] + (lost ? " (lost)" : ""), this.nodes[source[i]].name, this.nodes[target[i]].name]); });
    return found.reverse();
  }

  /** How many of the sorted times are in the window up to t, per second. Before the first window is over, it is
   * from the start of the run on (and not of so short a time that one event is a crowd). */
  rate(times, t) {
    const since = t < this.window ? -1 : t - this.window;
    return (upTo(times, t) - upTo(times, since)) / Math.min(this.window, Math.max(this.window / 4, t));
  }

  /** First tries and retries that are sent to a node (or only those `from` another), per second. */
  callRates(node, t, from = null) {
    const { first, again } = from === null ? this.calls[node] : this.callsOn.get(from * 256 + node);
    return { first: this.rate(first, t), again: this.rate(again, t) };
  }

  // -- what users see ---------------------------------------------------------------------------

  #requests() {
    const { start, end, status, request, length } = this.requests;
    const ends = [[], [], [], [], []];
    this.rowOf = new Map();
    for (let i = 0; i < length; i++) {
      this.rowOf.set(request[i], i);
      if (status[i] !== OPEN) ends[status[i]].push(end[i]);
    }
    this.ends = ends.map((times) => Float32Array.from(times).sort());
    this.starts = start;
    const good = [...Array(length).keys()].filter((i) => status[i] === 0).sort((a, b) => end[a] - end[b]);
    this.took = Float32Array.from(good, (i) => end[i] - start[i]); // in the order of ends[0]
  }

  /** Users per second: asked, served, failed; and how many wait at t. */
  users(t) {
    const [ok, ...bad] = this.ends;
    const waiting = upTo(this.starts, t) - this.ends.reduce((sum, times) => sum + upTo(times, t), 0);
    return { asked: this.rate(this.starts, t), served: this.rate(ok, t), failed: bad.reduce((sum, x) => sum + this.rate(x, t), 0), waiting };
  }

  /** Users so far at t: asked, served, failed; and how many wait. */
  soFar(t) {
    const [served, ...bad] = this.ends.map((times) => upTo(times, t)), asked = upTo(this.starts, t), failed = bad.reduce((a, b) => a + b, 0);
    return { asked, served, failed, waiting: asked - served - failed };
  }

  /** The nearest-rank 99th percentile (s) of what was answered in the window up to t; null where nothing was. */
  p99(t) {
    const [ok] = this.ends, took = this.took.slice(upTo(ok, t < this.window ? -1 : t - this.window), upTo(ok, t)).sort();
    return took.length ? took[Math.max(0, Math.ceil(0.99 * took.length - 1e-9) - 1)] : null;
  }

  /** Whether the user of this request has an answer (or gave up) by time t. */
  isOver(request, t) {
    const row = this.rowOf.get(request);
    return row !== undefined && this.requests.end[row] <= t;
  }

  /** How services say no: some are "full" and reject, some "drop" what has waited (its span never started). */
  get refusals() {
    const { status, started, length } = this.spans, found = { full: false, drop: false };
    for (let i = 0; i < length; i++) if (STATUSES[status[i]] === "rejected") found[Number.isNaN(started[i]) ? "drop" : "full"] = true;
    return found;
  }

  // -- gauges -----------------------------------------------------------------------------------

  #states() {
    const { time, value, node, gauge, length } = this.states;
    this.gauges = this.nodes.map(() => ({}));
    for (let i = 0; i < length; i++) {
      const steps = (this.gauges[node[i]][GAUGES[gauge[i]]] ||= { times: [], values: [], most: 0 });
      steps.times.push(time[i]);
      steps.values.push(value[i]);
      if (value[i] > steps.most) steps.most = value[i];
    }
  }

  /** The gauge's value at t; undefined when the node has no such gauge and no natural start. */
  gauge(node, name, t) {
    const steps = this.gauges[node][name];
    const start = { busy: 0, queue: 0, up: 1, leased: 0, dead: 0 }[name];
    if (!steps) return start;
    const n = upTo(steps.times, t);
    return n ? steps.values[n - 1] : start ?? (name === "breaker" ? 0 : steps.most);
  }

  /** The most that a gauge ever shows. */
  most(node, name) {
    return this.gauges[node][name]?.most || 0;
  }

  /** From when to when a node is broken: [[start, end], …]. */
  broken(node) {
    const { times = [], values = [] } = this.gauges[node].up || {};
    const found = [];
    let since = null;
    times.forEach((time, i) => {
      if (values[i] < 1 && since === null) since = time;
      if (values[i] === 1 && since !== null) { found.push([since, time]); since = null; }
    });
    if (since !== null) found.push([since, this.until]);
    return found;
  }

  // -- logs -------------------------------------------------------------------------------------

  /** For each log its partitions, its groups, and the steps of each place in it. */
  #logs() {
    const { time, offset, node, partition, group, owner, length } = this.offsets;
    this.logs = this.nodes.map(() => null);
    for (let i = 0; i < length; i++) {
      const log = (this.logs[node[i]] ||= { partitions: 0, groups: [], steps: new Map(), most: 1 });
      log.partitions = Math.max(log.partitions, partition[i] + 1);
      if (group[i] >= FIRST_GROUP && !log.groups.includes(group[i])) log.groups.push(group[i]);
      const key = partition[i] * 256 + group[i], steps = log.steps.get(key) || { times: [], rows: [] };
      steps.times.push(time[i]);
      steps.rows.push({ offset: offset[i], owner: owner[i] });
      log.steps.set(key, steps);
      if (group[i] === END && offset[i] > log.most) log.most = offset[i];
    }
    for (const log of this.logs) log?.groups.sort((a, b) => a - b);
  }

  /** A place in a log at t: the end of a partition, its start, or what a group has committed: {offset, owner}. */
  place(node, partition, group, t) {
    const steps = this.logs[node].steps.get(partition * 256 + group), n = steps ? upTo(steps.times, t) : 0;
    return n ? steps.rows[n - 1] : { offset: 0, owner: 0 };
  }

  /** How many records a group has still to commit at t, and how many members share its partitions. */
  lag(node, group, t) {
    const readers = new Set();
    let behind = 0;
    for (let p = 0; p < this.logs[node].partitions; p++) {
      const { offset, owner } = this.place(node, p, group, t);
      behind += this.place(node, p, END, t).offset - Math.max(offset, this.place(node, p, START, t).offset);
      if (owner) readers.add(owner);
    }
    return { behind, readers: readers.size };
  }

  // -- work for callers who have given up -------------------------------------------------------

  /** For each span the time from which nobody waits for it: the next attempt of the same call has begun, the
   * caller's own work has ended, or the user is gone; and so for everything below it. With a backoff, the next
   * attempt begins a little later than the caller gave up. */
  #work() {
    const { arrived, started, ended, request, span, parent, node, attempt, length } = this.spans;
    const row = new Map();
    const next = new Map();
    for (let i = 0; i < length; i++) {
      row.set(span[i], i);
      next.set(`${request[i]} ${parent[i]} ${node[i]} ${attempt[i]}`, arrived[i]);
    }
    const over = (this.over = new Float32Array(length)), sent = []; // sent: nobody waits for what a message sets going
    for (let i = 0; i < length; i++) {
      const user = this.rowOf.get(request[i]);
      let gone = user === undefined || Number.isNaN(this.requests.end[user]) ? Infinity : this.requests.end[user];
      const again = next.get(`${request[i]} ${parent[i]} ${node[i]} ${attempt[i] + 1}`);
      if (again < gone) gone = again;
      const above = row.get(parent[i]);
      sent[i] = this.is(node[i], "process") || (above < i && sent[above]);
      if (sent[i]) { over[i] = Infinity; continue; }
      if (above !== undefined) {
        const end = ended[above] > arrived[i] ? ended[above] : Infinity;
        gone = Math.min(gone, end, above < i ? over[above] : Infinity);
      }
      over[i] = gone;
    }
    const lists = this.nodes.map(() => ({ waitFrom: [], waitTo: [], workFrom: [], workTo: [] }));
    for (let i = 0; i < length; i++) {
      const list = lists[node[i]];
      const begins = Number.isNaN(started[i]) ? Infinity : started[i], ends = Number.isNaN(ended[i]) ? Infinity : ended[i];
      const until = Math.min(begins, ends);
      const waits = Math.max(arrived[i], over[i]), works = Math.max(begins, over[i]);
      if (waits < until) { list.waitFrom.push(waits); list.waitTo.push(until); }
      if (works < ends) { list.workFrom.push(works); list.workTo.push(ends); }
    }
    this.waste = lists.map((list) => Object.fromEntries(Object.entries(list).map(([k, v]) => [k, Float32Array.from(v).sort()])));
  }

  /** How much of a node's waiting and working at t is for callers who have given up. */
  wasted(node, t) {
    const { waitFrom, waitTo, workFrom, workTo } = this.waste[node];
    const waiting = Math.min(upTo(waitFrom, t) - upTo(waitTo, t), this.gauge(node, "queue", t));
    const working = Math.min(upTo(workFrom, t) - upTo(workTo, t), this.gauge(node, "busy", t));
    return { waiting: Math.max(0, waiting), working: Math.max(0, working) };
  }

  // -- one request ------------------------------------------------------------------------------

  /** The requests of a sort, by number: "slowest", "failed", "retried". */
  pick(sort) {
    const { start, end, status, request, attempts, length } = this.requests;
    const rows = [...Array(length).keys()];
    const slow = (i) => (Number.isNaN(end[i]) ? this.until : end[i]) - start[i];
    const chosen = {
      slowest: () => rows.filter((i) => status[i] === 0).sort((a, b) => slow(b) - slow(a)).slice(0, 50),
      failed: () => rows.filter((i) => status[i] > 0 && status[i] < OPEN),
      retried: () => this.#retried(rows, attempts),
    }[sort]();
    return chosen.map((i) => request[i]);
  }

  #retried(rows, attempts) {
    const again = new Set();
    const { kind, request, length } = this.messages;
    for (let i = 0; i < length; i++) if (kind[i] === RETRY) again.add(request[i]);
    return rows.filter((i) => attempts[i] > 1 || again.has(this.requests.request[i]));
  }

  /** One request with its spans, parents before children: {request, start, end, status, attempts, spans}. */
  story(number) {
    const row = this.rowOf.get(number);
    if (row === undefined) return null;
    const { arrived, started, ended, request, span, parent, node, status, attempt, length } = this.spans;
    const own = [];
    for (let i = 0; i < length; i++) {
      if (request[i] === number)
        own.push({ arrived: arrived[i], started: started[i], ended: ended[i], span: span[i], parent: parent[i], node: node[i],
          status: STATUSES[status[i]], attempt: attempt[i], over: this.over[i] });
    }
    const spans = [];
    const add = (parentSpan, depth) => {
      for (const one of own.filter((s) => s.parent === parentSpan && !s.seen)) {
        one.seen = true;
        spans.push({ ...one, depth });
        add(one.span, depth + 1);
      }
    };
    const known = new Set(own.map((s) => s.span));
    for (const top of new Set(own.filter((s) => !known.has(s.parent)).map((s) => s.parent))) add(top, 0);
    const r = this.requests;
    return { request: number, start: r.start[row], end: r.end[row], status: STATUSES[r.status[row]], attempts: r.attempts[row], spans };
  }
}
