// Makes the pictures of docs/page.md: node web/screenshots.mjs (CONVLENS_PYTHON, CHROMIUM as in the tests).
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { chromium } from "playwright-core";

const root = resolve(import.meta.dirname, "..");
const images = join(root, "docs/images");
const file = join(mkdtempSync(join(tmpdir(), "convlens-shots-")), "digits.html");
const env = { ...process.env, PYTHONPATH: join(root, "src") };
execFileSync(process.env.CONVLENS_PYTHON ?? "python3", ["-m", "convlens", "export", "-o", file], { env, stdio: "ignore" });
mkdirSync(images, { recursive: true });
const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: ["--no-sandbox", "--disable-gpu"] });
const shots = [
  ["page-first", "", {}],
  ["page-first-dark", "", { colorScheme: "dark" }],
  ["page-first-narrow", "", { viewport: { width: 400, height: 860 } }],
  ["page-apart", "#/layer/conv2d_1?apart=1", {}],
  ["page-number", "#/number/conv2d_1?at=5,12,27", { viewport: { width: 1280, height: 1180 } }],
  ["page-dense", "#/layer/dense", {}],
  ["page-network", "#/network/", {}],
];
for (const [name, hash, look] of shots) {
  const page = await browser.newPage({ viewport: { width: 1280, height: 720 }, colorScheme: "light", reducedMotion: "reduce", ...look });
  await page.goto(`file://${file}${hash}`);
  await page.waitForFunction(() => document.documentElement.dataset.ready && !document.body.innerText.includes("reading the numbers"));
  await page.waitForTimeout(1500);
  await page.screenshot({ path: join(images, `${name}.png`) });
  await page.close();
}
await browser.close();
