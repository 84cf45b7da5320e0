// What importing the module does: nothing.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import test from "node:test";
import { promisify } from "node:util";

const FOLDER = new URL("../../arcly_channels/static/arcly_channels/", import.meta.url);

// Each look at what is there of a browser is written down; nothing is to be written but the end.
const PROGRAM = `
  const names = ["WebSocket", "document", "location", "addEventListener", "setTimeout",
    "setInterval", "fetch", "localStorage", "navigator", "reportError"];
  for (const name of names) {
    Object.defineProperty(globalThis, name, { get() { console.log("touched", name); } });
  }
  const before = Object.getOwnPropertyNames(globalThis).length;
  const exported = Object.keys(await import(process.argv[1])).sort();
  const after = Object.getOwnPropertyNames(globalThis).length;
  console.log(JSON.stringify({ names: exported, added: after - before }));
`;

for (const [module, names] of [
  ["gateway.js", ["Gateway", "GatewayError", "Room"]],
  ["event-stream.js", ["withEventStream"]],
]) {
  test(`importing ${module} touches nothing, adds nothing, and gives ${names}`, async () => {
    const run = promisify(execFile);
    const { stdout } = await run(process.execPath, [
      "--input-type=module",
      "--eval",
      PROGRAM,
      new URL(module, FOLDER).href,
    ]);
    assert.deepEqual(JSON.parse(stdout), { names, added: 0 });
  });
}
