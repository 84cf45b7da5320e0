// How large the modules are when they are minified, and then compressed; it fails above the bounds.

import { readFileSync } from "node:fs";
import { gzipSync } from "node:zlib";
import { minify } from "terser";

const FOLDER = new URL("../../arcly_channels/static/arcly_channels/", import.meta.url);
const BOUNDS = {
  "gateway.js": { minified: 10 * 1024, gzipped: 4 * 1024 }, // In bytes.
  "event-stream.js": { minified: 4.5 * 1024, gzipped: 2 * 1024 },
};

for (const [name, bounds] of Object.entries(BOUNDS)) {
  const { code } = await minify(readFileSync(new URL(name, FOLDER), "utf-8"), {
    module: true,
    compress: { passes: 3, ecma: 2020 },
  });
  const sizes = { minified: code.length, gzipped: gzipSync(code, { level: 9 }).length };
  for (const [what, bytes] of Object.entries(sizes)) {
    console.log(`${name} ${what}: ${bytes} bytes, at most ${bounds[what]}`);
    if (bytes > bounds[what]) process.exitCode = 1;
  }
}
