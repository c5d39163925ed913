// A real residual network: ResNet-50 of keras.applications, built by Keras, exported and served.

import { join } from "node:path";
import type { Browser } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { compareAll } from "./compare";
import { cellsOf, goTo, launch, makePages, open, serve, settled, type Cell } from "./setup";

let browser: Browser;
let folder: string;
let cells: Record<string, Cell[]>;

beforeAll(async () => {
  folder = makePages("resnet50");
  cells = cellsOf(folder);
  browser = await launch();
});
afterAll(() => browser?.close());

const file = () => join(folder, "resnet50.html");

test("the exported ResNet-50 opens on the network, says what was left out, and leads through all depths", async () => {
  const { page, wrong, close } = await open(browser, file());
  expect(page.url()).not.toContain("#");
  await page.waitForSelector(".network");
  expect(await page.textContent("main")).toContain("The numbers of ");
  expect(await page.textContent("main")).toContain("23,608,202");
  await page.fill(".net-tools input", "conv3_block1_2_conv");
  await page.click(".net-name >> text=conv3_block1_2_conv");
  await settled(page);
  expect(await page.textContent("h1")).toBe("128 maps, not 128 × 128 = 16,384");
  await page.click(".depths >> text=Number");
  await settled(page);
  expect(await page.textContent("#sum h2")).toContain("conv3_block1_2_conv[");
  await page.keyboard.press("Escape");
  await page.keyboard.press("Escape");
  await page.waitForSelector(".network");
  expect(wrong).toEqual([]);
  await close();
});

test("a layer whose numbers were left out says so, and keeps its shape, counts and derivations", async () => {
  const { page, wrong, close } = await open(browser, file(), "#/layer/conv5_block2_2_conv");
  expect(await page.textContent("main")).toContain("The numbers of this layer were left out of this file to keep it small.");
  expect(await page.textContent("main")).toContain("2,359,808");
  expect(await page.$("[data-pre]")).toBeNull();
  expect(wrong).toEqual([]);
  await close();
});

test("hovered numbers of the exported ResNet-50 are those of explain --json, borders included", async () => {
  expect(Math.max(...cells.exported.map((cell) => cell.terms))).toBe(2304);
  const { page, wrong, close } = await open(browser, file());
  expect(await compareAll(page, cells.exported)).toBeGreaterThan(60);
  expect(wrong).toEqual([]);
  await close();
}, 240_000);

test("the served ResNet-50 has the numbers of every layer, sums of 4,608 products too", async () => {
  expect(Math.max(...cells.served.map((cell) => cell.terms))).toBe(4608);
  const { address, stop } = await serve(join(folder, "resnet50.keras"));
  const page = await (await browser.newContext({ reducedMotion: "reduce" })).newPage();
  const wrong: string[] = [];
  page.on("pageerror", (error) => wrong.push(error.message));
  await page.goto(address);
  await settled(page);
  await page.waitForSelector(".network");
  expect(await page.textContent("main")).not.toContain("left out");
  expect(await compareAll(page, cells.served)).toBeGreaterThan(40);
  await goTo(page, "#/layer/conv5_block2_2_conv");
  await page.waitForSelector("[data-pre]");
  expect(wrong).toEqual([]);
  await page.context().close();
  stop();
}, 240_000);
