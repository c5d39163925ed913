// For everyone: no serious finding of axe and no small text on any kind of layer, nothing lost at
// 200 %.

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { goTo, launch, makePages, open } from "./setup";

let browser: Browser;
let folder: string;
let others: string;
const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

beforeAll(async () => {
  folder = makePages();
  others = makePages("kinds");
  browser = await launch();
});
afterAll(() => browser?.close());

/** One view of every kind of layer: pages, and the layers of each that are looked at. */
const views: Record<string, readonly string[]> = {
  residual: ["conv2d", "batch_normalization", "activation", "add", "depthwise_conv2d", "max_pooling2d", "concatenate", "conv2d_transpose", "zero_padding2d", "global_average_pooling2d", "dense"],
  formulas: ["group_normalization", "p_re_lu", "up_sampling2d"],
  line: ["conv1d", "max_pooling1d", "lstm", "dense"],
  hostile: ["<img src=x onerror=document.title='owned'>", "שכבה_ראשונה"],
};

const long = "very_long_".repeat(15);
/** The same of networks of other kinds, looked at one number at a time: that is all the rest, and the sum. */
const kinds: Record<string, readonly string[]> = {
  onnx_opaque: ["before", `ﺱﺅﺎﻟ_nobody_can_explain_${"this_".repeat(30)}`, "behind"],
  onnx_row: ["strided", "largest", "transposed", "gemm", "softmax"],
  plain: ["الطبقة_الأولى", "batch_normalization", long, "dense"],
  volume: ["conv3d", "max_pooling3d", "global_average_pooling3d"],
  onnx_formulas: ["response", "shuffled", "mean_of_columns", "products", "logarithms"],
  onnx_several: ["below", "either", "with_stored", "in_order", "product"],
  onnx_grids: ["to_grid", "from_grid", "dynamic_2", "dynamic"],
  budget: ["conv2d", "add", "conv2d_transpose"],
  inputs: ["conv2d", "conv1d", "concatenate"],
  wide_maps: ["conv2d_1", "conv2d_2"],
  hostile: ["<script>document.title='owned'<!--", "a_very_long_name_".repeat(12)],
};

/** The addresses of a page that are looked at, from the whole network down. */
function depths(layers: readonly string[]): string[] {
  const names = layers.map(encodeURIComponent);
  return ["#/network/", `#/layer/${names[0]}`, ...names.map((name) => `#/number/${name}`)];
}

/** Words below 12 px. */
function small(): string[] {
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const found: string[] = [];
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    const parent = node.parentElement;
    if (!parent || !node.textContent?.trim() || !parent.getClientRects().length || parent.closest("math, script, noscript")) continue;
    if (parseFloat(getComputedStyle(parent).fontSize) < 12) found.push(`small text ${node.textContent}`);
  }
  return found;
}

async function serious(page: Page, where: string): Promise<string[]> {
  const tiny = (await page.evaluate(small)).map((text) => `${where}: ${text}`);
  const result = await page.evaluate(() => (globalThis as any).axe.run(document, { resultTypes: ["violations"] }));
  return tiny.concat(result.violations
    .filter((item: any) => item.impact === "serious" || item.impact === "critical")
    .map((item: any) => `${where}: ${item.id} ${item.nodes.slice(0, 2).map((node: any) => node.html.slice(0, 100)).join(" | ")}`));
}

for (const dark of [false, true]) {
  test(`axe finds nothing serious on any kind of layer (${dark ? "dark" : "light"})`, async () => {
    const found: string[] = [];
    for (const [name, layers] of Object.entries(views)) {
      const { page, wrong, close } = await open(browser, join(folder, `${name}.html`), "", { dark });
      await page.evaluate(axe);
      for (const layer of layers) {
        await goTo(page, `#/${layer === "dense" ? "number" : "layer"}/${encodeURIComponent(layer)}`);
        found.push(...(await serious(page, `${name} ${layer}`)));
      }
      await goTo(page, "#/network/");
      found.push(...(await serious(page, `${name} network`)));
      expect(wrong, name).toEqual([]);
      await close();
    }
    expect(found).toEqual([]);
  }, 300_000);
}

for (const dark of [false, true]) {
  test(`axe finds nothing serious at any depth of other kinds of networks (${dark ? "dark" : "light"})`, async () => {
    const found: string[] = [];
    for (const [name, layers] of Object.entries(kinds)) {
      const { page, wrong, close } = await open(browser, join(name === "hostile" ? folder : others, `${name}.html`), "", { dark });
      await page.evaluate(axe);
      for (const hash of depths(layers)) {
        await goTo(page, hash);
        expect(decodeURIComponent(page.url()), "the page has that layer").toContain(decodeURIComponent(hash));
        found.push(...(await serious(page, `${name} ${decodeURIComponent(hash)}`)));
      }
      expect(wrong, name).toEqual([]);
      await close();
    }
    expect(found).toEqual([]);
  }, 300_000);
}

test("a screen of 360 pixels scrolls down only, and nothing is lost, at any depth of other kinds of networks", async () => {
  const found: string[] = [];
  for (const [name, layers] of Object.entries(kinds)) {
    const { page, wrong, close } = await open(browser, join(name === "hostile" ? folder : others, `${name}.html`), "", { width: 360, height: 780 });
    for (const hash of depths(layers)) {
      await goTo(page, hash);
      const wide = await page.evaluate(() => document.documentElement.scrollWidth);
      if (wide > 360) found.push(`${name} ${decodeURIComponent(hash)}: ${wide} wide`);
      found.push(...(await cut(page)).map((text) => `${name} ${decodeURIComponent(hash)}: ${text}`));
    }
    expect(wrong, name).toEqual([]);
    await close();
  }
  expect(found).toEqual([]);
}, 200_000);

test("axe finds nothing serious with the pictures, the pad and a word open, at each step", async () => {
  const { page, close } = await open(browser, join(folder, "digits.html"));
  await page.evaluate(axe);
  const found: string[] = [];
  for (let step = 1; step <= 5; step++) {
    found.push(...(await serious(page, `step ${step}`)));
    if (step < 5) await page.click("text=Next");
  }
  await page.click("text=Pictures");
  await page.click("text=draw one");
  await page.click(".prep summary");
  found.push(...(await serious(page, "pictures")));
  await page.click("text=Pictures");
  await page.click(".ledger .word >> nth=0");
  found.push(...(await serious(page, "a word")));
  await page.click("text=Pictures");
  await page.setInputFiles(".file input", { name: "model.onnx", mimeType: "application/octet-stream", buffer: Buffer.from("no") });
  await page.waitForFunction(() => document.querySelector(".inputs-panel [role=status]")?.textContent?.includes("convlens open"));
  found.push(...(await serious(page, "an error")));
  expect(found).toEqual([]);
  await close();
}, 120_000);

/** Text that reaches beyond the screen, but for what scrolls by itself. */
function cut(page: Page): Promise<string[]> {
  return page.evaluate(() => {
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    const found: string[] = [];
    for (let node = walker.nextNode(); node; node = walker.nextNode()) {
      const parent = node.parentElement;
      if (!parent || !node.textContent?.trim() || parent.closest(".scroll-x, .strip, .net-scroll, .groups, .hidden, script, noscript, code, .derive dd")) continue;
      const range = document.createRange();
      range.selectNodeContents(node);
      for (const box of range.getClientRects()) {
        if (box.width && (box.right > innerWidth + 1 || box.left < -1)) found.push(node.textContent.trim().slice(0, 60));
      }
    }
    return found;
  });
}

test("at 200 % of a window of 1280 by 720 nothing is lost and the page scrolls down only", async () => {
  const context = await browser.newContext({ viewport: { width: 640, height: 360 }, deviceScaleFactor: 2, reducedMotion: "reduce" });
  const page = await context.newPage();
  const found: string[] = [];
  for (const [name, layers] of Object.entries({ digits: ["conv2d_1", "dense", "flatten"], ...views })) {
    await page.goto(`file://${join(folder, `${name}.html`)}`);
    await page.waitForSelector("html[data-ready]");
    for (const hash of [...layers.map((layer) => `#/number/${encodeURIComponent(layer)}`), "#/network/"]) {
      await goTo(page, hash);
      const wide = await page.evaluate(() => document.documentElement.scrollWidth);
      if (wide > 640) found.push(`${name} ${hash}: ${wide} wide`);
      found.push(...(await cut(page)).map((text) => `${name} ${hash}: ${text}`));
    }
  }
  expect(found).toEqual([]);
  await context.close();
}, 200_000);
