// For everyone: axe on pages of many models, open panels and messages; real zoom.

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { launch, makePages, open, settled } from "./setup";

let browser: Browser;
let folder: string;
const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

beforeAll(async () => {
  folder = makePages();
  browser = await launch();
});
afterAll(() => browser?.close());

/** Model, name of the view, its address, what is opened there. */
const views: [string, string, string, ((page: Page) => Promise<void>)?][] = [
  ["residual", "network", "#/network/"],
  ["residual", "merge", "#/layer/add_1"],
  ["residual", "batch norm", "#/layer/batch_normalization"],
  ["residual", "transposed", "#/number/conv2d_transpose?at=3,3,2"],
  ["residual", "padding", "#/layer/zero_padding2d"],
  ["formulas", "group norm", "#/layer/group_normalization"],
  ["formulas", "layer norm", "#/layer/layer_normalization"],
  ["formulas", "resize", "#/layer/up_sampling2d"],
  ["hostile", "network", "#/network/"],
  ["hostile", "long name", `#/number/${"a_very_long_name_".repeat(12)}`],
  ["hostile", "right to left", `#/layer/${encodeURIComponent("שכבה_ראשונה")}`],
  ["digits", "pictures", "#/layer/conv2d_1", async (page) => {
    await page.click("text=Pictures");
    await page.click("text=draw one");
    await page.click("text=preprocessing");
  }],
  ["digits", "walk", "#/layer/conv2d_1?step=5"],
  ["digits", "softmax", "#/layer/dense?at=3"],
  ["digits", "a word", "#/layer/conv2d_1", async (page) => page.click(".count-line .word >> nth=0")],
  ["digits", "an error", "#/layer/conv2d_1", async (page) => {
    await page.click("text=Pictures");
    await page.setInputFiles(".file input", { name: "model.onnx", mimeType: "application/octet-stream", buffer: Buffer.from("no") });
    await page.waitForFunction(() => document.querySelector(".inputs-panel [role=status]")?.textContent?.includes("convlens open"));
  }],
];

/** Words below 12 px. */
function small(): string[] {
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const list: string[] = [];
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    const parent = node.parentElement;
    if (!parent || !node.textContent?.trim() || !parent.getClientRects().length || parent.closest("math, script, noscript")) continue;
    if (parseFloat(getComputedStyle(parent).fontSize) < 12) list.push(`small text ${node.textContent}`);
  }
  return list;
}

for (const dark of [false, true]) {
  test(`axe finds nothing serious on other models, open panels and messages (${dark ? "dark" : "light"})`, async () => {
    const found: string[] = [];
    for (const [model, name, hash, act] of views) {
      const { page, wrong, close } = await open(browser, join(folder, `${model}.html`), hash, { dark });
      await page.evaluate(axe);
      await act?.(page);
      const result = await page.evaluate(() => (globalThis as any).axe.run(document, { resultTypes: ["violations"] }));
      for (const item of result.violations) {
        if (item.impact === "serious" || item.impact === "critical") found.push(`${model}, ${name}: ${item.id} ${item.nodes.slice(0, 2).map((node: any) => node.html.slice(0, 140)).join(" | ")}`);
      }
      found.push(...(await page.evaluate(small)).map((text) => `${model}, ${name}: ${text}`), ...wrong);
      await close();
    }
    expect(found).toEqual([]);
  }, 240_000);
}

test("at 200 % zoom of a window of 1280x720 the page scrolls down only, and nothing is cut off", async () => {
  const found: string[] = [];
  for (const [model, name, hash, act] of views) {
    const context = await browser.newContext({ viewport: { width: 640, height: 360 }, deviceScaleFactor: 2, reducedMotion: "reduce", offline: true });
    const page = await context.newPage();
    await page.goto(`file://${join(folder, `${model}.html`)}${hash}`);
    await settled(page);
    await act?.(page);
    const over = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
    if (over > 0) found.push(`${model}, ${name}: ${over} px too wide`);
    const cut = await page.evaluate(() => [...document.querySelectorAll<HTMLElement>("h1, h2, .answer, .walk p, .count-line, .switch label, .ledger dt, .ledger dd, .head a, .head button, .inputs-panel label")]
      .filter((element) => element.getClientRects().length && (element.getBoundingClientRect().right > innerWidth + 1 || element.scrollWidth > element.clientWidth + 2) && getComputedStyle(element).display !== "inline")
      .map((element) => `${element.className || element.tagName} ${element.textContent?.slice(0, 40)}`));
    found.push(...cut.map((what) => `${model}, ${name}: cut off ${what}`));
    await context.close();
  }
  expect(found).toEqual([]);
}, 240_000);
