// Checks documents of AsyncAPI by the schema of its own package: `node asyncapi.js FILE…`.

import { readFile } from "node:fs/promises";

import specs from "@asyncapi/specs";
import Ajv from "ajv";

// The schema has that of draft 7 among its definitions, which Ajv brings, too.
const options = { meta: false, validateSchema: false, validateFormats: false, strict: false };
const validate = new Ajv({ ...options, logger: false }).compile(specs.schemas["3.0.0"]);

for (const file of process.argv.slice(2)) {
  if (validate(JSON.parse(await readFile(file, "utf-8")))) continue;
  console.error(file, validate.errors.slice(0, 9));
  process.exitCode = 1;
}
