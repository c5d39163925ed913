// How long the page takes, measured in Chromium and printed.
//
//     node benchmarks/page/page.mjs [MODEL ...]
//
// Hover: from the mouse event to the frame that shows the sum, for digits (288 terms) and for the
// models given; first picture: from opening the address to the first maps on the screen; memory:
// resident size of the page's own process. CONVLENS_PYTHON names the Python that has convlens.

import { execFileSync, spawn } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";

const root = resolve(import.meta.dirname, "../..");
const { chromium } = createRequire(join(root, "web/package.json"))("playwright-core");
const python = process.env.CONVLENS_PYTHON ?? "python3";
const env = { ...process.env, PYTHONPATH: join(root, "src") };

const server = await chromium.launchServer({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"],
});
const browser = await chromium.connect(server.wsEndpoint());

/** Resident megabytes of the largest renderer below the browser's process. */
function memory() {
  const all = readdirSync("/proc").filter((name) => /^\d+$/.test(name));
  const parent = new Map();
  const size = new Map();
  for (const pid of all) {
    try {
      const status = readFileSync(`/proc/${pid}/status`, "utf8");
      parent.set(pid, /PPid:\s+(\d+)/.exec(status)[1]);
      const line = readFileSync(`/proc/${pid}/cmdline`, "utf8");
      if (line.includes("--type=renderer")) size.set(pid, Number(/RssAnon:\s+(\d+)/.exec(status)[1]) / 1000);
    } catch {
      // It ended while we looked.
    }
  }
  const below = (pid) => pid !== undefined && (pid === String(server.process().pid) || below(parent.get(pid)));
  return Math.max(0, ...[...size].filter(([pid]) => below(pid)).map(([, mb]) => mb));
}

/** Milliseconds from each of `count` mouse events to the frame after it: [script alone, painted]. */
async function hover(page, count = 60) {
  return page.evaluate(async (times) => {
    const map = document.querySelector(".focus-map") ?? document.querySelector(".maps.outputs");
    const box = map.getBoundingClientRect();
    const painted = () => new Promise((done) => requestAnimationFrame(() => {
      const channel = new MessageChannel();
      channel.port1.onmessage = () => done(performance.now());
      channel.port2.postMessage(0);
    }));
    const found = [];
    for (let n = 0; n < times; n++) {
      await painted();
      const start = performance.now();
      map.dispatchEvent(new MouseEvent("mousemove", {
        bubbles: true, clientX: box.left + ((n * 37) % 97 + 1) / 99 * box.width, clientY: box.top + ((n * 53) % 89 + 1) / 91 * box.height,
      }));
      await Promise.resolve();
      const script = performance.now() - start;
      found.push([script, (await painted()) - start]);
    }
    return found;
  }, count);
}

function median(list) {
  const sorted = [...list].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)];
}

async function measure(name, address, hash, words) {
  const page = await browser.newPage({ viewport: { width: 1280, height: 720 }, reducedMotion: "reduce" });
  const start = performance.now();
  await page.goto(address + (hash ?? ""));
  await page.waitForSelector(".maps canvas");
  await page.waitForFunction(() => [...document.querySelectorAll(".maps canvas")].some((canvas) => {
    const data = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
    for (let n = 3; n < data.length; n += 4) if (data[n]) return true;
    return false;
  }));
  const first = performance.now() - start;
  console.log(`${name.padEnd(12)} first picture ${first.toFixed(0).padStart(6)} ms`);
  for (const [what, place] of words) {
    await page.evaluate((next) => { location.hash = next; }, place);
    await page.waitForFunction(() => document.querySelector("[data-pre], [data-value]") && document.querySelector(".focus-map, .maps.outputs"), null, { timeout: 60000 });
    const times = await hover(page);
    const tail = [...times.map(([, b]) => b)].sort((a, b) => a - b)[Math.floor(times.length * 0.95)];
    console.log(`${name.padEnd(12)} hover, ${what.padEnd(24)} script ${median(times.map(([a]) => a)).toFixed(1).padStart(6)} ms   painted ${median(times.map(([, b]) => b)).toFixed(1).padStart(6)} ms   95 % ${tail.toFixed(1)} ms`);
  }
  console.log(`${name.padEnd(12)} memory of the page ${memory().toFixed(0)} MB`);
  await page.close();
}

/** Serve a model until `use` is done with its address. */
async function served(model, use) {
  const child = spawn(python, ["-m", "convlens", "open", model, "--no-browser"], { env, stdio: ["ignore", "ignore", "pipe"] });
  try {
    const address = await new Promise((found, failed) => {
      let text = "";
      child.stderr.on("data", (data) => {
        text += data;
        const match = /http:\S+/.exec(text);
        if (match) found(match[0]);
      });
      child.on("exit", () => failed(new Error(text)));
    });
    await use(address);
  } finally {
    child.kill("SIGINT");
  }
}

const folder = mkdtempSync(join(tmpdir(), "convlens-bench-"));
execFileSync(python, ["-m", "convlens", "export", "-o", join(folder, "digits.html")], { env, stdio: "ignore" });
await measure("digits, file", `file://${join(folder, "digits.html")}`, "", [["288 terms", "#/layer/conv2d_1"]]);
await served("digits", (address) => measure("digits", address, "", [["288 terms", "#/layer/conv2d_1"]]));
for (const model of process.argv.slice(2)) {
  await served(model, async (address) => {
    const page = await browser.newPage();
    await page.goto(address);
    const layers = await page.evaluate(() => JSON.parse(document.getElementById("page").textContent).layers
      .filter((layer) => layer.recipe.form === "window" && layer.recipe.weight)
      .map((layer) => [layer.name, layer.recipe.channels_in / layer.recipe.groups * layer.recipe.axes.reduce((a, axis) => a * axis.kernel, 1)]));
    await page.close();
    layers.sort((a, b) => a[1] - b[1]);
    const pick = [layers[Math.floor(layers.length / 2)], layers[layers.length - 1]];
    await measure(model.split("/").pop().slice(0, 12), address, "", pick.map(([name, terms]) => [`${terms.toLocaleString("en")} terms`, `#/layer/${encodeURIComponent(name)}`]));
  });
}
await browser.close();
await server.close();
