// Bundles the page into src/convlens/static: one script, one style sheet.
// `node build.mjs --check` fails when the committed bundle differs from the source.
import { readFileSync, writeFileSync, mkdirSync } from "node:fs";
import { build, transform } from "esbuild";

const out = new URL("../src/convlens/static/", import.meta.url);
const limit = 100_000;

// jsx.ts gives these one-letter names.
const short = ["abs", "ceil", "exp", "floor", "max", "min", "round", "sqrt"].map((name) => `Math.${name}`);
short.push("Array.from", "Number.isFinite");

const ours = "channelStep|rowStep|columnStep|enginePre|engine|bound|winner|rounding|tall|combos|depth|places|picked|marks|print|lines|others|sorted|sees|jump|taps|perGroup|current|columns|tile|facts|apart|onCell|onPick|onLeave|onKey|narrow|missing|scales|entry|special|hasSpecial|only|most|partials|stage|draw|slots|real|middle|list|below|above|peek|sum|group|fold|zero|undo|work|expression|largest|source|steps|made|word|label|low|high|info|complete|end|channels|partial|ranges|wide|side|rest|even|slices|sliceStep";
const preacts = "props|component[A-Z]\\w+|shouldComponentUpdate|getDerivedState\\w+|getSnapshotBeforeUpdate|getChildContext|contextType|defaultProps|forceUpdate|debounceRendering";

// Names of facts, written `$0`, `$1`, ... in the bundle; the page gives the facts these names as it
// reads them (store.ts). None is the name of a sentence, of a slot in one, or of a setting.
const facts = "channel shape layer inputs recipe output weight activation layers preprocess numbers combine channels_out field axes shared_with channels_in reads n_out divisor answer form rule knobs n_in clipped_from recomputable derivations grids lanes axis padding bias input params macs";
const shorter = Object.fromEntries(facts.split(" ").map((name, n) => [name, `$${n.toString(36)}`]));

async function bundle(entry) {
  const result = await build({
    entryPoints: [new URL(entry, import.meta.url).pathname],
    bundle: true,
    minify: entry.endsWith(".css"),
    minifySyntax: true,
    write: false,
    format: "iife",
    target: ["es2022"],
    jsx: "transform",
    jsxFactory: "h",
    jsxFragment: "Fragment",
    inject: [new URL("jsx.ts", import.meta.url).pathname],
    tsconfigRaw: "{}",
    legalComments: "none",
    define: { ...Object.fromEntries(short.map((name) => [name, `$${name.split(".")[1]}`])), Float32Array: "$numbers", document: "$document", addEventListener: "$on", factNames: JSON.stringify(facts) },
    // Names that never meet JSON, the DOM, a style or a sentence, and those that Preact keeps for
    // itself or calls components by: written shorter.
    mangleProps: new RegExp(`^(${ours}|${facts.replaceAll(" ", "|")}|${preacts}|__[a-zA-Z])$`),
    mangleCache: shorter,
  });
  const [{ text }] = result.outputFiles;
  if (entry.endsWith(".css")) return text;
  // "No attributes" is 0, which Preact takes as it takes null; a class alone is its name (track.ts).
  const element = /\b(h\d*\(("[a-z0-9]+"|[A-Z]\w*),) (null|\{ class: ("[^"]*") \})/g;
  const fewer = text
    .replace(element, (_, head, __, ___, name) => `${head} ${name ?? 0}`)
    // Undefined, null and two attributes by one short name each, which nothing else ever sets.
    .replace(/"aria-(label|hidden)":/g, "[$$$1]:")
    .replace(/\bvoid 0\b/g, "$none")
    .replace(/\bnull\b/g, "$null")
    .replace("{", '{ var $none, $null = null, $label = "aria-label", $hidden = "aria-hidden";');
  return (await transform(fewer, { minify: true, target: "es2022", charset: "utf8", legalComments: "none" })).code;
}

const files = { "page.js": await bundle("src/main.tsx"), "page.css": await bundle("src/style.css") };
let failed = false;
for (const [name, text] of Object.entries(files)) {
  const target = new URL(name, out);
  const bytes = Buffer.byteLength(text);
  console.log(`${name}  ${bytes.toLocaleString("en")} bytes`);
  if (text.includes("</script") || text.includes("<!--")) {
    console.error(`${name} holds text that would end an inline script`);
    failed = true;
  }
  if (name === "page.js" && bytes > limit) {
    console.error(`${name} is larger than ${limit.toLocaleString("en")} bytes`);
    failed = true;
  }
  if (process.argv.includes("--check")) {
    let committed = "";
    try {
      committed = readFileSync(target, "utf8");
    } catch {
      // Reported below as a difference.
    }
    if (committed !== text) {
      console.error(`src/convlens/static/${name} is not what web/src builds: run npm run build`);
      failed = true;
    }
  } else {
    mkdirSync(out, { recursive: true });
    writeFileSync(target, text);
  }
}
process.exit(failed ? 1 : 0);
