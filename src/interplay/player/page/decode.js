// Bytes to columns. The records are described in interplay/trace.py; everything is little-endian.

const KINDS = ["request", "retry", "reply", "error", "rejected", "event", "compensation", "dead letter", "hedge", "cancel"];
const STATUSES = ["ok", "timeout", "error", "rejected", "open"];
const GAUGES = ["busy", "queue", "up", "breaker", "tokens"];
const [REQUEST, RETRY, HEDGE] = [0, 1, 8];
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

/** A run as the kernel sends it, with its four tables decoded. */
function decode(sent) {
  const run = { ...sent };
  for (const name in RECORDS) run[name] = table(sent[name], RECORDS[name]);
  return run;
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
