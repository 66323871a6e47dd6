#!/bin/sh
# Common belief: an entry that was deleted from a Map of JavaScript is garbage at once, and the quick collections of new objects (minor
# collections) free what lived for a moment only, as for an array.
# What happens under Node.js: a program that joins datagrams to messages keeps those that are not complete in a Map, and deletes each one
# when it is complete. The Map is empty, but many of the deleted messages stay in memory, through any number of minor collections, until a
# full one. At gigabits a second, external memory then forces a full collection for each few dozen megabytes.
# V8 replaces the table of a Map or Set when it is full of deleted entries. The old table keeps the entries it had, and points to the
# new one, for iterators (OrderedHashTable::Rehash and SetNextTable in src/objects/ordered-hash-table.cc). Once one table is among the old
# objects, minor collections treat it as alive, and with it all tables after it, and their entries. An array has no such chain. A program
# that keeps large buffers for a moment can take them out of the entry before it deletes the entry.
# Seen with Node.js 20.20.2 (V8 11.3) and 24.22.3. Needs Node.js 20 or later.
set -eu
exec node --expose-gc --input-type=module - <<'END'
const messageBytes = 100_000;
const messages = 1200;

const ways = {
  Map() {
    const incomplete = new Map();
    return { add: (id, data) => incomplete.set(id, data), delete: (id) => incomplete.delete(id), size: () => incomplete.size };
  },
  array() {
    const incomplete = [];
    return {
      add: (id, data) => incomplete.push({ id, data }),
      delete: (id) => incomplete.splice(incomplete.findIndex((entry) => entry.id === id), 1),
      size: () => incomplete.length,
    };
  },
};

/** The number of messages in memory, after three collections of a kind. */
async function inMemory(kind) {
  for (let round = 0; round < 3; round++) {
    if (kind === "minor") gc({ type: "minor" });
    else gc();
    await new Promise((done) => setImmediate(done));
  }
  return Math.round(process.memoryUsage().arrayBuffers / messageBytes);
}

const kept = {};
for (const [name, make] of Object.entries(ways)) {
  const incomplete = make();
  await inMemory("full");
  for (let id = 0; id < messages; id++) {
    incomplete.add(id, Buffer.allocUnsafeSlow(messageBytes));
    // Each is complete when the next one has begun; after 20 of them there is a pause, and none is left.
    if (id % 20 > 0) incomplete.delete(id - 1);
    if (id % 20 < 19) continue;
    incomplete.delete(id);
    await inMemory("minor");
  }
  kept[name] = await inMemory("minor");
  const after = await inMemory("full");
  console.log(
    `${name}: ${messages} messages came and were deleted, ${incomplete.size()} are left. ` +
      `In memory after minor collections: ${kept[name]}; after a full one: ${after}`,
  );
  if (after > 5) process.exit(1);
}
console.log(`Node.js ${process.version}, V8 ${process.versions.v8}`);
if (kept.Map < 200 || kept.array > 5) process.exit(1);
END
