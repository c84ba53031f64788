// Copies the browser libraries from node_modules/ into lib/, as plain ES modules.
//
// The console has no bundler and its content security policy allows no inline import map, so the
// bare specifiers inside the packages ("preact") become relative ones. Nothing else is changed.
// Run by `npm run lib` (which `make setup` calls after `npm ci`); writes below lib/ only.
import { mkdir, readFile, readdir, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));

/** File in lib/, and where it comes from: [package, path inside it]. */
const MODULES = {
  "preact.js": ["preact", "dist/preact.module.js"],
  "hooks.js": ["preact", "hooks/dist/hooks.module.js"],
  "htm.js": ["htm", "dist/htm.module.js"],
  // Read by the pages with a map only. The map starts its worker from the file beside it.
  "maplibre-gl.mjs": ["maplibre-gl", "dist/maplibre-gl.mjs"],
  "maplibre-gl-worker.mjs": ["maplibre-gl", "dist/maplibre-gl-worker.mjs"],
  "maplibre-gl.css": ["maplibre-gl", "dist/maplibre-gl.css"],
};

/** What a bare specifier becomes. */
const RELATIVE = { preact: "./preact.js" };

/** Names of the licence's file. */
const LICENSES = ["LICENSE", "LICENSE.txt"];

const BARE = /\bfrom\s*(["'])([^."'/][^"']*)\1/g;

await mkdir(join(here, "lib"), { recursive: true });
for (const [target, [name, path]] of Object.entries(MODULES)) {
  const root = join(here, "node_modules", name);
  const { version, license } = JSON.parse(await readFile(join(root, "package.json"), "utf8"));
  const source = await readFile(join(root, path), "utf8");
  const imports = target.endsWith(".css") ? /(?!)/g : BARE;
  const code = source
    .replace(imports, (_match, quote, specifier) => {
      if (!(specifier in RELATIVE)) throw new Error(`${name}: imports ${specifier}, not known here`);
      return `from${quote}${RELATIVE[specifier]}${quote}`;
    })
    .replace(/\n?\/\/# sourceMappingURL=.*\s*$/, "\n");
  await writeFile(join(here, "lib", target), `/* ${name} ${version}, ${license} */\n${code}`);
}
for (const name of new Set(Object.values(MODULES).map(([packageName]) => packageName))) {
  const root = join(here, "node_modules", name);
  const file = (await readdir(root)).find((one) => LICENSES.includes(one));
  if (!file) throw new Error(`${name}: has no licence file`);
  const text = await readFile(join(root, file), "utf8");
  await writeFile(join(here, "lib", `LICENSE.${name}.txt`), text);
}
