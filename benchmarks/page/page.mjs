// How long the page takes, measured in Chromium and printed.
//
//     node benchmarks/page/page.mjs [MODEL ...]
//
// Hover: from the mouse's own time stamp to the end of the frame that shows the sum (a screen shows
// one each 16.7 ms, so about 8 ms of it is waiting), for digits (288 terms) and for the models given;
// work: what the page's main thread does for it, in processor time. Moves within one cell, which
// change nothing, do not count. First picture: from asking for
// the address to the first maps drawn. Memory: resident size of the page's own process. CONVLENS_PYTHON names the Python that has convlens.

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

/** For `count` moves of the mouse: milliseconds until painted, and of work on the main thread. */
async function hover(page, count = 60) {
  const session = await page.context().newCDPSession(page);
  await session.send("Performance.enable", { timeDomain: "threadTicks" });
  const work = async () => (await session.send("Performance.getMetrics")).metrics.find((item) => item.name === "TaskDuration").value * 1000;
  await page.evaluate(() => {
    window.painted = [];
    // Only moves that bring another sum count; this listener is before the page's own.
    const sum = () => document.querySelector("[data-pre], [data-value]")?.textContent;
    window.watch ??= addEventListener("mousemove", (event) => {
      const before = sum();
      requestAnimationFrame(() => {
        const channel = new MessageChannel();
        channel.port1.onmessage = () => { if (sum() !== before) window.painted.push(performance.now() - event.timeStamp); };
        channel.port2.postMessage(0);
      });
    }, true) ?? true;
  });
  const map = page.locator(".focus-map, .maps.outputs").first();
  await map.scrollIntoViewIfNeeded();
  const box = await map.boundingBox();
  const move = (n) => page.mouse.move(box.x + (((n * 37) % 97) + 1) / 99 * box.width, box.y + (((n * 53) % 89) + 1) / 91 * box.height);
  for (let n = 0; n < 20; n++) await move(n);
  await page.waitForTimeout(200);
  await page.evaluate(() => { window.painted = []; });
  const before = await work();
  for (let n = 20; n < 20 + count; n++) {
    await move(n);
    await page.waitForTimeout(20 + (n * 7) % 23);
  }
  await page.waitForTimeout(50);
  const painted = await page.evaluate(() => window.painted);
  return { painted, work: ((await work()) - before) / painted.length };
}

function median(list) {
  const sorted = [...list].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)];
}

async function measure(name, address, hash, words) {
  const page = await browser.newPage({ viewport: { width: 1280, height: 720 }, reducedMotion: "reduce" });
  // The first map that is drawn from numbers, on the page's own clock, which starts when it is asked for.
  await page.addInitScript(() => {
    const { drawImage } = CanvasRenderingContext2D.prototype;
    CanvasRenderingContext2D.prototype.drawImage = function (...rest) {
      window.firstDrawn ??= performance.now();
      return drawImage.apply(this, rest);
    };
  });
  await page.goto(address + (hash ?? ""));
  await page.waitForFunction(() => window.firstDrawn);
  const first = await page.evaluate(() => window.firstDrawn);
  console.log(`${name.padEnd(12)} first picture ${first.toFixed(0).padStart(6)} ms`);
  for (const [what, place] of words) {
    await page.evaluate((next) => { location.hash = next; }, place);
    await page.waitForFunction(() => document.querySelector("[data-pre], [data-value]") && document.querySelector(".focus-map, .maps.outputs"), null, { timeout: 60000 });
    const { painted, work } = await hover(page);
    const tail = [...painted].sort((a, b) => a - b)[Math.floor(painted.length * 0.95)];
    console.log(`${name.padEnd(12)} hover, ${what.padEnd(24)} painted ${median(painted).toFixed(1).padStart(6)} ms   95 % ${tail.toFixed(1).padStart(6)} ms   work ${work.toFixed(1)} ms`);
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
