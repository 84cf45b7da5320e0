// That gateway.d.ts names what gateway.js has, and nothing else.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import test from "node:test";

import * as client from "../../arcly_channels/static/arcly_channels/gateway.js";

const FOLDER = new URL("../../arcly_channels/static/arcly_channels/", import.meta.url);
const types = await readFile(new URL("gateway.d.ts", FOLDER), "utf-8");
const gateway = new client.Gateway("wss://example.com/ws/");
const OBJECTS = { gateway, room: gateway.join("tea"), error: new client.GatewayError("a", "b") };

/** The public members that an object has by its classes, up to those of the platform. */
function membersOf(object) {
  const names = new Set(Object.keys(object));
  let each = Object.getPrototypeOf(object);
  for (; ![Object.prototype, Error.prototype].includes(each); each = Object.getPrototypeOf(each)) {
    for (const name of Object.getOwnPropertyNames(each)) names.add(name);
  }
  names.delete("constructor");
  if (object instanceof Error) names.delete("name"); // Every error has it.
  return [...names].filter((name) => !name.startsWith("_")).sort();
}

/** The members that the types say of a class. */
function declaredOf(name) {
  const [, body] = types.match(new RegExp(`^export class ${name}\\b.*?\\{\\n(.*?)^\\}`, "ms"));
  const names = [...body.matchAll(/^ {2}(?:readonly )?(\w+)\??[(:<]/gm)].map(([, each]) => each);
  return [...new Set(names)].filter((each) => each !== "constructor").sort();
}

test("the classes that the types export are those of the module", () => {
  const declared = [...types.matchAll(/^export class (\w+)/gm)].map(([, name]) => name);
  assert.deepEqual(declared.sort(), Object.keys(client).sort());
});

for (const object of Object.values(OBJECTS)) {
  const { name } = object.constructor;
  test(`the members that the types say of ${name} are those that it has`, () => {
    assert.deepEqual(declaredOf(name), membersOf(object));
  });
}

test("the codes that the types say of an error are those that the module makes", async () => {
  const source = await readFile(new URL("gateway.js", FOLDER), "utf-8");
  const [, documented] = types.match(/One of the server's, or (.*?)\*\//s);
  const codes = [...documented.matchAll(/`(\w+)`/g)].map(([, code]) => code);
  for (const code of codes) assert.ok(source.includes(`"${code}"`), code);
  const made = [...source.matchAll(/new GatewayError\("(\w+)"/g)].map(([, code]) => code);
  assert.deepEqual(made.filter((code) => !codes.includes(code)), []);
});
