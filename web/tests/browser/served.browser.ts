import { join } from "node:path";
import type { Browser } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { goTo, launch, root, serve, settled } from "./setup";

let browser: Browser;
let address: string;
let stop: (() => void) | undefined;

beforeAll(async () => {
  browser = await launch();
  ({ address, stop } = await serve());
});
afterAll(async () => {
  await browser?.close();
  stop?.();
});

test("the served page asks its own address only, and opens on the second layer", async () => {
  const page = await (await browser.newContext({ reducedMotion: "reduce" })).newPage();
  const wrong: string[] = [];
  page.on("request", (request) => {
    if (!request.url().startsWith(new URL(address).origin)) wrong.push(request.url());
  });
  page.on("pageerror", (error) => wrong.push(error.message));
  await page.goto(address);
  await settled(page);
  await page.waitForSelector("[data-pre]");
  expect(await page.textContent("h1")).toBe("64 maps, not 32 × 64 = 2,048");
  await goTo(page, "#/layer/dense");
  await page.waitForSelector(".units .own");
  expect(await page.textContent(".units .own .who")).toBe("7");
  expect(wrong).toEqual([]);
  await page.context().close();
});

test("without its token the server answers nothing", async () => {
  expect((await fetch(new URL("/", address))).status).toBe(403);
});

test("a picture given to the served page is run", async () => {
  const page = await (await browser.newContext({ reducedMotion: "reduce" })).newPage();
  await page.goto(address);
  await settled(page);
  await page.click("text=Pictures");
  await page.setInputFiles(".file input", join(root, "src/convlens/samples/data/digits/3-0.png"));
  await page.waitForFunction(() => document.querySelector("[data-answer]")?.textContent === "3");
  await page.click("text=question");
  await page.waitForFunction(() => document.querySelector(".model")?.textContent === "question");
  await page.context().close();
});
