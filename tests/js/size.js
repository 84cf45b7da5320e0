// How large gateway.js is when it is minified, and then compressed; it fails above its bounds.

import { readFileSync } from "node:fs";
import { gzipSync } from "node:zlib";
import { minify } from "terser";

const FILE = new URL("../../arcly_channels/static/arcly_channels/gateway.js", import.meta.url);
const BOUNDS = { minified: 10 * 1024, gzipped: 4 * 1024 }; // In bytes.

const { code } = await minify(readFileSync(FILE, "utf-8"), {
  module: true,
  compress: { passes: 3, ecma: 2020 },
});
const sizes = { minified: code.length, gzipped: gzipSync(code, { level: 9 }).length };
for (const [what, bytes] of Object.entries(sizes)) {
  const isTooLarge = bytes > BOUNDS[what];
  console.log(`gateway.js ${what}: ${bytes} bytes, at most ${BOUNDS[what]}`);
  if (isTooLarge) process.exitCode = 1;
}
