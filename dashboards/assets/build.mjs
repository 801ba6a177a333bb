// Builds dist/: every file of src/entries as a bundle with a content hash, the icon sprite, the
// manifest that names them, and compressed copies. `--watch` rebuilds on change.
import * as esbuild from "esbuild";
import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, readdirSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { brotliCompressSync, constants, gzipSync } from "node:zlib";

const here = path.dirname(fileURLToPath(import.meta.url));
const dist = path.join(here, "dist");
const src = path.join(here, "src");
const compressible = new Set([".js", ".css", ".svg"]);

function walk(folder) {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const full = path.join(folder, entry.name);
    return entry.isDirectory() ? walk(full) : [full];
  });
}

function hashed(name, text) {
  const hash = createHash("sha256").update(text).digest("hex").slice(0, 8).toUpperCase();
  const { name: stem, ext } = path.parse(name);
  return `${stem}-${hash}${ext}`;
}

// One <symbol> for each icon; a missing icon stops the build and names itself.
function sprite() {
  const wanted = JSON.parse(readFileSync(path.join(here, "icons.json"), "utf8")).icons;
  const outline = path.join(here, "node_modules/@tabler/icons/icons/outline");
  const files = wanted.map((name) => [name, path.join(outline, `${name}.svg`)]);
  for (const file of readdirSync(path.join(src, "shapes")).sort()) {
    files.push([path.parse(file).name, path.join(src, "shapes", file)]);
  }
  const symbols = files.map(([name, file]) => {
    const inner = readFileSync(file, "utf8")
      .replace(/^[\s\S]*?<svg[^>]*>/, "")
      .replace(/<\/svg>\s*$/, "")
      .replace(/<path stroke="none" d="M0 0h24v24H0z" fill="none"\s*\/>/, "")
      .replace(/\s*\n\s*/g, "");
    return `<symbol id="${name}" viewBox="0 0 24 24">${inner}</symbol>`;
  });
  return `<svg xmlns="http://www.w3.org/2000/svg">${symbols.join("\n")}</svg>\n`;
}

// The sentences that scripts show, for the server to translate: every literal that t is called with.
function messages() {
  const found = new Set();
  for (const file of walk(src).filter((name) => name.endsWith(".ts"))) {
    for (const match of readFileSync(file, "utf8").matchAll(/\bt\(\s*"((?:[^"\\]|\\.)*)"/g)) {
      found.add(JSON.parse(`"${match[1]}"`));
    }
  }
  return [...found].sort();
}

function compress(file) {
  const content = readFileSync(file);
  if (content.length < 1024) return;
  const params = { [constants.BROTLI_PARAM_QUALITY]: 9 };
  writeFileSync(`${file}.br`, brotliCompressSync(content, { params }));
  writeFileSync(`${file}.gz`, gzipSync(content, { level: 9 }));
}

function finish(outputsOfAll) {
  const files = {};
  for (const [output, info] of Object.entries(outputsOfAll)) {
    if (info.entryPoint) files[path.basename(info.entryPoint).replace(/\.ts$/, ".js")] = path.basename(output);
  }
  const icons = sprite();
  files["icons.svg"] = hashed("icons.svg", icons);
  writeFileSync(path.join(dist, files["icons.svg"]), icons);
  for (const name of readdirSync(path.join(src, "static"))) {
    const content = readFileSync(path.join(src, "static", name));
    files[name] = hashed(name, content);
    writeFileSync(path.join(dist, files[name]), content);
  }
  const outputs = Object.keys(outputsOfAll).map((name) => path.basename(name));
  const built = new Set([...outputs, ...Object.values(files), "manifest.json", ".sources"]);
  for (const name of readdirSync(dist)) {
    const plain = name.replace(/\.(br|gz)$/, "");
    if (!built.has(plain)) rmSync(path.join(dist, name));
  }
  for (const name of built) {
    if (compressible.has(path.extname(name))) compress(path.join(dist, name));
  }
  const manifest = JSON.stringify({ files, messages: messages() }, null, 1);
  // Written last and in one step: a web process that reads it finds every file that it names.
  writeFileSync(path.join(dist, "manifest.json.new"), manifest);
  renameSync(path.join(dist, "manifest.json.new"), path.join(dist, "manifest.json"));
  for (const [name, file] of Object.entries(files)) {
    const full = path.join(dist, file);
    let packed = "";
    try {
      packed = ` (${Math.ceil(statSync(`${full}.gz`).size / 1024)} KB packed)`;
    } catch {
      // small files are not packed
    }
    console.log(`  ${name}  ${Math.ceil(statSync(full).size / 1024)} KB${packed}`);
  }
}

// Each kind of page is bundled by itself: the responder's, on a bad network, is one script and no
// chunk that it shares with the console.
const entries = Object.groupBy(
  walk(path.join(src, "entries")).filter((name) => /\.(ts|css)$/.test(name)).sort(),
  (name) => path.parse(name).name,
);
const outputsOf = new Map();

const options = (page, entryPoints) => ({
  absWorkingDir: here,
  entryPoints,
  outdir: dist,
  bundle: true,
  minify: true,
  splitting: true,
  format: "esm",
  target: ["chrome123", "firefox128", "safari17.5"],
  entryNames: "[name]-[hash]",
  chunkNames: "chunk-[name]-[hash]",
  assetNames: "[name]-[hash]",
  loader: { ".png": "file", ".svg": "file" },
  legalComments: "external",
  metafile: true,
  logLevel: "warning",
  plugins: [
    {
      name: "manifest",
      setup(build) {
        build.onEnd((result) => {
          if (result.errors.length || !result.metafile) return;
          outputsOf.set(page, result.metafile.outputs);
          const all = Object.keys(entries).map((name) => outputsOf.get(name));
          if (all.every(Boolean)) finish(Object.assign({}, ...all));
        });
      },
    },
  ],
});

mkdirSync(dist, { recursive: true });
if (process.argv.includes("--watch")) {
  for (const [page, files] of Object.entries(entries)) await (await esbuild.context(options(page, files))).watch();
  console.log("watching src; Ctrl-C ends");
} else {
  for (const [page, files] of Object.entries(entries)) await esbuild.build(options(page, files));
}
