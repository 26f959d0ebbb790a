// Bytes to columns. The records are described in interplay/trace.py; everything is little-endian.

const KINDS = ["request", "retry", "reply", "error", "rejected", "event", "compensation", "dead letter", "hedge", "cancel"];
const STATUSES = ["ok", "timeout", "error", "rejected", "open"];
const GAUGES = ["busy", "queue", "up", "breaker", "tokens", "leased", "dead"];
const [REQUEST, RETRY, EVENT, COMPENSATION, DEAD_LETTER, HEDGE] = [0, 1, 5, 6, 7, 8];
const [END, START, FIRST_GROUP] = [0, 1, 2]; // in the column "group" of offsets
const BROKERS = ["queue", "topic", "log"];
const CHORES = ["ack", "nack", "extend", "offset"]; // what consumers tell a broker about their messages
const OPEN = 4;

const READERS = {
  f4: [4, Float32Array, (view, at) => view.getFloat32(at, true)],
  u4: [4, Uint32Array, (view, at) => view.getUint32(at, true)],
  u2: [2, Uint16Array, (view, at) => view.getUint16(at, true)],
  u1: [1, Uint8Array, (view, at) => view.getUint8(at)],
};

const RECORDS = {
  messages: { sent: "f4", arrives: "f4", source: "u1", target: "u1", kind: "u1", attempt: "u1", request: "u4" },
  spans: { arrived: "f4", started: "f4", ended: "f4", request: "u4", span: "u4", parent: "u4", node: "u1", status: "u1", attempt: "u2" },
  requests: { start: "f4", end: "f4", request: "u4", status: "u1", attempts: "u1", unused: "u2" },
  states: { time: "f4", value: "f4", node: "u1", gauge: "u1", unused: "u2" },
  offsets: { time: "f4", offset: "u4", node: "u1", partition: "u1", group: "u1", owner: "u1" },
};

/** One table: {length, <field>: typed array}. */
function table(view, record) {
  const fields = Object.entries(record);
  const size = fields.reduce((sum, [, type]) => sum + READERS[type][0], 0);
  const length = Math.floor(view.byteLength / size);
  const columns = { length };
  let offset = 0;
  for (const [name, type] of fields) {
    const [width, Column, read] = READERS[type];
    const column = (columns[name] = new Column(length));
    for (let i = 0, at = offset; i < length; i++, at += size) column[i] = read(view, at);
    offset += width;
  }
  return columns;
}

/** A run as the kernel sends it, with its tables decoded; `named[i]` is what message i is called, "" if nothing. */
function decode(sent) {
  const run = { ...sent };
  for (const name in RECORDS) run[name] = table(sent[name], RECORDS[name]);
  const words = ["", ...sent.words], names = sent.names.byteLength ? table(sent.names, { word: "u2" }).word : [];
  run.named = Array.from(names, (word) => words[word]);
  return run;
}

/** Where t lies among times: 2.5 is half-way between the third and the fourth. */
function placeOf(times, t) {
  const i = Math.max(0, upTo(times, t + 1e-9) - 1);
  return i + 1 < times.length ? i + Math.max(0, t - times[i]) / (times[i + 1] - times[i]) : i;
}

/** The time at such a place. */
function timeAt(times, place) {
  const at = Math.max(0, Math.min(times.length - 1, place)), i = Math.min(times.length - 2, Math.floor(at));
  return i < 0 ? times[0] : times[i] + (at - i) * (times[i + 1] - times[i]);
}

/** How many of the sorted values are <= x. */
function upTo(sorted, x) {
  let low = 0, high = sorted.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (sorted[middle] <= x) low = middle + 1;
    else high = middle;
  }
  return low;
}
