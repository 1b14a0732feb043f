// Build the asset: node build.mjs. One script and one style, which begin with the hash of the sources.

import { createHash } from "node:crypto";
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

import { build } from "esbuild";

const here = dirname(fileURLToPath(import.meta.url));
const asset = join(here, "..", "asset");

/** Return the hash of the sources; `tests/test_page_asset.py` computes it too. */
function hash() {
  const names = ["build.mjs", "package-lock.json", "tsconfig.json"];
  names.push(...readdirSync(join(here, "src")).map((name) => `src/${name}`));
  const digest = createHash("sha256");
  for (const name of names.sort()) {
    digest.update(`${name}\0`).update(readFileSync(join(here, name))).update("\0");
  }
  return digest.digest("hex");
}

/** Return the licences of the packages that are in the bundle, each text once. */
function licences(inputs) {
  const folders = new Set();
  for (const path of Object.keys(inputs)) {
    const found = /^(.*node_modules\/(?:@[^/]+\/)?[^/]+)\//.exec(path);
    if (found) folders.add(found[1]);
  }
  const texts = new Map();
  for (const folder of [...folders].sort()) {
    const about = JSON.parse(readFileSync(join(here, folder, "package.json"), "utf8"));
    const file = readdirSync(join(here, folder)).find((name) => /^licen[cs]e/i.test(name));
    const text = file ? readFileSync(join(here, folder, file), "utf8").trim() : about.license;
    texts.set(text, [...(texts.get(text) ?? []), `${about.name} ${about.version}`]);
  }
  const parts = [...texts].map(([text, names]) => `${names.join(", ")}\n\n${text}`);
  return parts.join("\n\n").replaceAll("*/", "* /").replaceAll("</", "< /");
}

const common = { absWorkingDir: here, bundle: true, minify: true, write: false, charset: "utf8", legalComments: "none" };
const script = await build({
  ...common, entryPoints: ["src/main.ts"], format: "iife", target: "es2022", metafile: true,
});
const style = await build({ ...common, entryPoints: ["src/page.css"], target: "chrome123" });
const head = `/* sources ${hash()} */\n`;
const notices = `/* This script contains:\n\n${licences(script.metafile.inputs)}\n*/\n`;
mkdirSync(asset, { recursive: true });
const text = script.outputFiles[0].text.replaceAll("</script", "<\\/script");
writeFileSync(join(asset, "page.js"), head + notices + text);
writeFileSync(join(asset, "page.css"), head + style.outputFiles[0].text);
