// The whole page by keyboard alone: no mouse, no click, no focus() from outside.

import { join } from "node:path";
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { launch, makePages, open } from "./setup";

let browser: Browser;
let folder: string;

beforeAll(async () => {
  folder = makePages();
  browser = await launch();
});
afterAll(() => browser?.close());

/** The element that has the keyboard, and whether one sees that it has. */
async function focused(page: Page): Promise<{ what: string; ring: boolean; top: number }> {
  await page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done(0)))));
  return page.evaluate(() => {
    const element = document.activeElement as HTMLElement;
    const outlined = (it: Element | null) => {
      if (!it) return false;
      const style = getComputedStyle(it);
      return style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2 && it.getClientRects().length > 0;
    };
    const name = element.getAttribute("aria-label") ?? element.textContent ?? "";
    return {
      what: `${element.tagName.toLowerCase()} ${name.trim().slice(0, 60)}`,
      ring: outlined(element) || outlined(element.closest(".switch label")),
      top: element.getBoundingClientRect().top + scrollY,
    };
  });
}

/** Tab until the selector has the keyboard; every stop on the way shows its ring. */
async function reach(page: Page, selector: string, key = "Tab", most = 160): Promise<void> {
  const way: string[] = [];
  for (let n = 0; n < most; n++) {
    if (await page.evaluate((wanted) => !!document.activeElement?.matches(wanted), selector)) return;
    await page.keyboard.press(key);
    const { what, ring } = await focused(page);
    way.push(what);
    if (!what.startsWith("body")) expect(ring, `a ring around ${what}`).toBe(true);
  }
  throw new Error(`Tab does not reach ${selector}; on the way: ${way.join(" | ")}`);
}

/** Press keys where the keyboard is; it must still be somewhere. */
async function press(page: Page, ...keys: string[]): Promise<void> {
  for (const key of keys) await page.keyboard.press(key);
  expect((await focused(page)).what, `after ${keys.join(" ")}`).not.toMatch(/^body/);
}

const text = (page: Page, selector: string) => page.textContent(selector);

test("every part of the page is reached and worked by keyboard alone", async () => {
  const { page, wrong, close } = await open(browser, join(folder, "digits.html"), "#/network/");
  await page.waitForSelector(".network");
  // Search and sort on the network's view.
  await reach(page, "input[type=search]");
  await page.keyboard.type("conv");
  await page.waitForFunction(() => document.querySelectorAll(".net-body .net-row").length === 2);
  await press(page, "Control+A", "Delete");
  await reach(page, ".net-tools select");
  await press(page, "ArrowDown");
  expect(await text(page, ".net-body .net-name")).toContain("dense");
  await press(page, "ArrowUp");
  // Open a layer from its row.
  await reach(page, ".net-body .net-row:nth-child(2) .net-name a");
  await press(page, "Enter");
  await page.waitForSelector(".stage");
  expect(page.url()).toContain("#/layer/conv2d_1");
  // Another cell, another map; the row of the other maps.
  await reach(page, ".rest");
  await press(page, "Enter");
  expect(await page.locator(".terms > li").count()).toBe(32);
  await press(page, "Enter");
  await reach(page, ".focus-map");
  const before = await text(page, "[data-value]");
  await press(page, "ArrowRight", "ArrowDown", "PageDown");
  await page.waitForURL(/at=\d+,\d+,\d+/);
  expect(await text(page, "[data-value]")).not.toBe(before);
  // A word explains itself, and is put away.
  await reach(page, ".count-line .word", "Tab");
  await press(page, "Enter");
  expect(await text(page, ".word-line")).toContain("One learnt number");
  await press(page, "Escape");
  expect(page.url()).toContain("#/layer/conv2d_1");
  expect(await page.isHidden(".word-line")).toBe(true);
  // Keep the maps apart, and add them again.
  await reach(page, ".switch input");
  await press(page, "ArrowRight");
  expect(await page.getAttribute("[data-burst]", "data-burst")).toBe("2048");
  await press(page, "ArrowLeft");
  expect(await page.$("[data-burst]")).toBeNull();
  // Five steps there, one back.
  await reach(page, ".walk-nav .primary");
  for (let step = 2; step <= 5; step++) {
    await press(page, step % 2 ? "Enter" : "Space");
    expect(await text(page, ".walk h2")).toContain(`${step} of 5`);
  }
  await reach(page, ".walk-nav button:first-child", "Shift+Tab");
  await press(page, "Enter");
  expect(await text(page, ".walk h2")).toContain("4 of 5");
  // What if the window were wider?
  await reach(page, "[data-knob=kernel]");
  await press(page, "ArrowRight", "ArrowRight");
  expect(await text(page, ".whatif tbody tr")).toContain("(22, 22, 64)");
  // One number, term by term.
  await reach(page, ".depths a:nth-child(3)", "Shift+Tab");
  await press(page, "Enter");
  await page.waitForSelector("#sum");
  await reach(page, ".walker input");
  await press(page, "Home", "ArrowRight", "ArrowRight", "ArrowRight");
  expect(await text(page, ".walker p")).toContain("3.");
  await reach(page, ".groups details:nth-child(3) summary");
  await press(page, "Enter");
  expect(await page.locator(".groups details:nth-child(3) tbody tr").count()).toBeGreaterThan(8);
  // Other colours, and back up.
  await reach(page, ".head button:last-child", "Shift+Tab");
  await press(page, "Enter");
  expect(await page.getAttribute("html", "data-theme")).toBe("dark");
  await press(page, "Escape");
  expect(page.url()).toContain("#/layer/conv2d_1");
  await press(page, "Escape");
  expect(page.url()).toContain("#/network/");
  expect(wrong).toEqual([]);
  await close();
}, 120_000);

test("a digit is chosen, drawn and taken back by keyboard alone", async () => {
  const { page, wrong, close } = await open(browser, join(folder, "digits.html"));
  await reach(page, ".head button[aria-expanded]");
  await press(page, "Enter");
  await reach(page, ".gallery button[aria-label='a handwritten 3']");
  await press(page, "Enter");
  await page.waitForFunction(() => document.querySelector("[data-answer]")?.textContent === "3");
  await reach(page, ".inputs-panel input[type=checkbox]");
  await press(page, "Space");
  await reach(page, ".pad");
  // Up to the pen's start, then one stroke down: a one.
  await press(page, ...Array(8).fill("ArrowUp"), "Space", ...Array(16).fill("ArrowDown"), "Space");
  expect(await text(page, ".inputs-panel figure [role=status]")).toBe("pen up at row 22, column 14");
  await page.waitForFunction(() => document.querySelector("[data-answer]")?.textContent === "1");
  const inked = await page.$eval(".pad", (pad: HTMLCanvasElement) => {
    const { data } = pad.getContext("2d")?.getImageData(0, 0, pad.width, pad.height) ?? { data: [] };
    return [...data].filter((value, n) => n % 4 === 0 && value > 200).length;
  });
  expect(inked).toBeGreaterThan(16);
  await reach(page, ".inputs-panel figure button");
  await press(page, "Enter");
  await page.keyboard.press("Escape");
  expect(wrong).toEqual([]);
  await close();
}, 120_000);

test("the keyboard goes down the page as the eye does", async () => {
  const { page, close } = await open(browser, join(folder, "digits.html"), "#/number/conv2d_1?at=5,12,27");
  const tops: number[] = [];
  for (let n = 0; n < 60; n++) {
    await page.keyboard.press("Tab");
    const { what, top } = await focused(page);
    if (what.startsWith("body")) break;
    tops.push(top);
  }
  expect(tops.length).toBeGreaterThan(30);
  // Columns of the picture lie side by side, so a step up inside them is allowed, never beyond.
  const up = tops.map((top, n) => Math.max(...tops.slice(0, n), 0) - top);
  expect(Math.max(...up)).toBeLessThan(420);
  await close();
});
