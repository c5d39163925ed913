// Networks that are not a chain over one picture, windows of any size, text of any size.

import { join } from "node:path";
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { goTo, launch, makePages, open, root, serve, settled } from "./setup";

let browser: Browser;
let folder: string;

beforeAll(async () => {
  folder = makePages("odd");
  browser = await launch();
}, 120_000);
afterAll(() => browser?.close());

const page = (name: string, hash = "", look = {}) => open(browser, join(folder, `${name}.html`), hash, look);
const wide = (on: Page) => on.evaluate(() => document.documentElement.scrollWidth);

test("of several inputs each has its name, and a layer shows the one that it comes from", async () => {
  const { page: on, wrong, close } = await page("two", "#/layer/b");
  expect(await on.$$eval(".chip.ghost", (list) => list.map((item) => item.textContent))).toEqual(["left (16, 16, 3)", "right (16, 16, 1)"]);
  expect(await on.textContent(".input-column figcaption")).toBe("right (16, 16, 1)");
  expect(await on.textContent(".walk-text p")).toContain("in the input it sees a patch of 3×3.");
  await goTo(on, "#/number/add");
  expect((await on.textContent("[aria-label='The picture as text']"))?.replace(/−?\d+\.\d+/g, "#")).toContain("a adds #b adds #");
  await goTo(on, "#/number/c");
  expect(await on.$$eval(".trail bdi", (list) => list.map((item) => item.textContent))).toEqual(["add", "b", "a", "right", "left"]);
  expect(wrong).toEqual([]);
  await close();
});

test("of many inputs the one that is read is among the three that are drawn", async () => {
  const { page: on, close } = await page("many", "#/number/joined?at=0,0,14");
  const drawn = () => on.$$eval(".input-column figcaption b", (list) => list.map((item) => item.textContent));
  expect(await drawn()).toEqual(["1 map", "2 maps", "5 maps"]);
  await goTo(on, "#/number/joined?at=0,0,0");
  expect(await drawn()).toEqual(["1 map", "2 maps", "3 maps"]);
  await close();
});

test("strands start at the maps that they come from", async () => {
  const { page: on, close } = await page("two", "#/layer/c");
  // Maps in two columns or more: some strand begins left of the last of them.
  const found = await on.evaluate(() => {
    const maps = document.querySelector<HTMLElement>(".maps.inputs")!;
    const canvas = document.querySelector<HTMLCanvasElement>(".strands")!;
    const columns = Number(maps.getAttribute("data-columns"));
    const width = Math.round((maps.getBoundingClientRect().width / columns) * (columns - 1) * (canvas.width / canvas.getBoundingClientRect().width));
    const { data } = canvas.getContext("2d")!.getImageData(0, 0, width, canvas.height);
    return { columns, drawn: data.some((byte) => byte > 0) };
  });
  expect(found.columns).toBeGreaterThan(1);
  expect(found.drawn).toBe(true);
  await close();
});

test("a Dense layer behind a ReLU and a Flatten has its sum", async () => {
  const { page: on, close } = await page("two", "#/number/one");
  expect(await on.textContent("h1")).toBe("1 number, from all 400");
  expect(await on.locator("[data-pre]").count()).toBe(1);
  await goTo(on, "#/number/flat");
  expect(await on.textContent(".verdict small")).toBe("engine: equal, bit for bit");
  await close();
});

test("what is no picture is called an input, one product is no products, and 3 axes have 3 places", async () => {
  const { page: on, close } = await page("sound", "#/number/one");
  expect(await on.textContent(".picture-column figcaption")).toBe("input (60, 2)");
  expect(await on.textContent(".knob span")).toBe("units 1");
  expect(await on.textContent("[aria-label='The picture as text'] li")).toMatch(/^number \d adds/);
  await goTo(on, "#/network/");
  expect(await on.textContent(".answer")).toContain("MACs for one input.");
  await goTo(on, "#/number/conv?at=3,1");
  expect(await on.textContent(".walk-text p")).toContain("position 3");
  await goTo(on, "#/number/top");
  expect(await wide(on)).toBe(1280);
  await close();
  const cube = await page("cube", "#/layer/conv?at=1,2,3,0");
  expect(await cube.page.textContent(".walk-text p")).toBe(
    "The 1st layer looks at its input through a window of 3×3×3, here at slice 1, row 2, column 3; in the input it sees a patch of 3×3×3.",
  );
  await cube.close();
});

test("of a sequence a number sees positions, of a row numbers", async () => {
  const { page: on, close } = await page("sound", "#/layer/conv?at=3,1");
  expect(await on.textContent(".walk-text p")).toContain("in the input it sees 5 positions.");
  await close();
  const row = await page("row", "#/layer/second");
  expect(await row.page.getAttribute(".maps.picture", "aria-label")).toBe("the input; of it this number sees 64 numbers");
  await row.close();
});

test("of many layers behind it what if lists the first, and all when asked", async () => {
  const { page: on, close } = await page("tall", "#/layer/conv2d");
  const rows = on.locator(".whatif tbody tr:not(.sum-row)");
  expect(await rows.count()).toBe(30);
  await on.click("text=show 10 layers more");
  expect(await rows.count()).toBe(40);
  expect(await on.locator("text=/show .* more/").count()).toBe(0);
  await close();
});

/** The colour in the middle of the first map, and what stands below the maps. */
function drawn(on: Page, name: string): Promise<{ colour: string; words: string }> {
  return on.$eval(name, (maps) => {
    const canvas = maps.querySelector("canvas")!;
    const { data } = canvas.getContext("2d")!.getImageData(canvas.width >> 1, canvas.height >> 1, 1, 1);
    return { colour: [...data].join(), words: /slice \d+ of 0 to \d+/.exec(maps.closest("figure")?.textContent ?? "")?.[0] ?? "" };
  });
}

test("the slice that is drawn is that of the cell, before and behind the plus, and the mouse moves none", async () => {
  const { page: on, wrong, close } = await page("ramp", "#/layer/next?at=0,2,1,0");
  const seen: string[][] = [];
  for (let slice = 0; slice < 5; slice++) {
    await goTo(on, `#/layer/next?at=${slice},2,1,0`);
    const [input, output] = [await drawn(on, ".maps.inputs"), await drawn(on, ".focus-map")];
    expect([input.words, output.words]).toEqual([`slice ${slice} of 0 to 5`, `slice ${slice} of 0 to 4`]);
    seen.push([input.colour, output.colour]);
    const box = (await on.locator(".focus-map").boundingBox())!;
    await on.mouse.move(box.x + box.width / 8, box.y + box.height / 10);
    expect(await on.getAttribute("[data-value]", "data-value")).toBe(`${slice + 1}`);
    expect(await drawn(on, ".focus-map")).toEqual(output);
    await on.mouse.move(1, 1);
  }
  // The pool takes the larger of two slices, which is the next: drawn after it, as drawn before.
  expect(new Set(seen.map(([input]) => input)).size).toBe(5);
  for (let slice = 0; slice < 4; slice++) expect(seen[slice][1]).toBe(seen[slice + 1][0]);
  expect(wrong).toEqual([]);
  await close();
});

test("an input cell lights up what it feeds in the slice that is drawn", async () => {
  const { page: on, close } = await page("ramp", "#/layer/next?at=2,2,1,0");
  const lit = () => on.$eval(".focus-map canvas:last-child", (canvas: HTMLCanvasElement) => {
    const { data } = canvas.getContext("2d")!.getImageData(canvas.width / 8, canvas.height * 0.9, 1, 1);
    return data[3] > 0;
  });
  const box = (await on.locator(".maps.inputs").boundingBox())!;
  expect(await lit()).toBe(false);
  await on.mouse.move(box.x + box.width / 8, box.y + box.height * 0.9);
  await settled(on);
  expect(await lit()).toBe(true);
  await close();
});

test("along four axes every slice is reached, by keys and by the slider", async () => {
  const { page: on, wrong, close } = await page("ramp", "#/layer/same?at=0,0,3,2,0");
  const here = async () => [await on.getAttribute("[data-value]", "data-value"), on.url().split("at=")[1], (await drawn(on, ".focus-map")).words];
  await on.focus(".focus-map");
  for (let slice = 1; slice < 6; slice++) {
    await on.keyboard.press(slice % 2 ? ">" : ".");
    // The last slice is padding.
    expect(await here()).toEqual([`${slice < 5 ? slice + 1 : 0}`, `${Math.floor(slice / 3)},${slice % 3},3,2,0`, `slice ${slice} of 0 to 5`]);
  }
  await on.focus("input[type=range]");
  await on.keyboard.press("Home");
  expect(await here()).toEqual(["1", "0,0,3,2,0", "slice 0 of 0 to 5"]);
  await on.keyboard.press("ArrowRight");
  expect(await here()).toEqual(["2", "0,1,3,2,0", "slice 1 of 0 to 5"]);
  expect(wrong).toEqual([]);
  await close();
});

test("numbers without end and no numbers are said as such, and widen nothing", async () => {
  const { page: on, wrong, close } = await page("overflow", "#/number/exp?at=0,0,0");
  expect(await on.textContent(".verdict")).toBe("infengine: equal, bit for bit");
  expect(await wide(on)).toBe(1280);
  await goTo(on, "#/number/mean");
  for (const hash of ["#/number/conv", "#/number/mean", "#/network/"]) {
    await goTo(on, hash);
    expect(await on.textContent("main")).not.toMatch(/off by (NaN|inf|∞|not)|bound (NaN|inf|∞)|undefined/);
    expect(await wide(on)).toBe(1280);
  }
  expect(wrong).toEqual([]);
  await close();
});

test("a file that cannot be read is said so, and the next one takes its word back", async () => {
  const { address, stop } = await serve();
  const on = await (await browser.newContext({ reducedMotion: "reduce" })).newPage();
  const wrong: string[] = [];
  on.on("pageerror", (error) => wrong.push(error.message));
  const give = (name: string, mimeType: string, text: string) => on.setInputFiles(".file input", { name, mimeType, buffer: Buffer.from(text) });
  const says = (text: string) => on.waitForFunction((want) => document.querySelector(".inputs-panel [role=status]")?.textContent === want, text);
  await on.goto(address);
  await settled(on);
  await on.click("text=Pictures");
  await give("broken.png", "image/png", "no picture");
  await says("this picture cannot be read");
  await give("model.keras", "", "PK\x03\x04");
  await says("model.keras: this begins like a zip file but is cut short or damaged\n  hint:   was the download or the copy interrupted? Get the file again");
  await on.setInputFiles(".file input", join(root, "src/convlens/samples/data/digits/3-0.png"));
  await on.waitForFunction(() => document.querySelector("[data-answer]")?.textContent === "3");
  await says("");
  expect(await on.textContent(".tag")).toBe("trained weights · what you gave it");
  expect(wrong).toEqual([]);
  await on.context().close();
  stop();
});

test("an exported page that cannot run its network offers no other input", async () => {
  const { page: on, close } = await page("two");
  await on.click("text=Inputs");
  expect(await on.textContent(".inputs-panel")).toBe("this page cannot run this network on another input: use convlens open");
  await close();
});

test("a link with a key held opens beside, and the page stays", async () => {
  const { page: on, close } = await page("two", "#/layer/c");
  const [beside] = await Promise.all([on.context().waitForEvent("page"), on.click(".chip >> text=add", { modifiers: ["Control"] })]);
  expect(beside.url()).toMatch(/#\/layer\/add$/);
  expect(on.url()).toMatch(/#\/layer\/c$/);
  await on.click(".chip >> text=add");
  expect(on.url()).toMatch(/#\/layer\/add$/);
  await close();
});

test("what if: what did not move is what it is, followed or not", async () => {
  const { page: on, close } = await page("two", "#/layer/a");
  const rows = await on.$$eval(".whatif tbody tr:not(.sum-row)", (list) => list.map((row) => [...row.querySelectorAll("td")].map((cell) => cell.textContent)));
  expect(rows.map((row) => row[1])).toEqual(rows.map((row) => row[2]));
  expect(rows.flat()).not.toContain("does not fit");
  await close();
});

/** Whether the ledger stands left of the output maps, or above them. */
function apart(): boolean {
  const [ledger, maps] = [".ledger", ".output-column"].map((name) => document.querySelector(name)!.getBoundingClientRect());
  const text = [...document.querySelectorAll(".ledger dd")].map((item) => item.getBoundingClientRect().right);
  return ledger.bottom <= maps.top || Math.max(ledger.right, ...text) <= maps.left;
}

test("at any width the sum stands beside the maps or above them, never over them", async () => {
  for (const width of [360, 768, 899, 901, 1024, 1199, 1201, 1280, 1920]) {
    const { page: on, close } = await page("two", "#/layer/c", { width });
    expect(await on.evaluate(apart), `${width}`).toBe(true);
    expect(await wide(on), `${width}`).toBe(width);
    await close();
  }
}, 60_000);

test("on a narrow screen every line of a sum has its name, and no formula is cut off", async () => {
  const { page: on, close } = await page("two", "#/number/c", { width: 360, height: 4000 });
  const table = await on.locator(".terms-table").first().evaluate((element) => ({
    heads: [...element.querySelectorAll("th")].map((cell) => cell.getBoundingClientRect().width > 0 && cell.textContent),
    last: [...element.querySelectorAll(".sum-row td")].filter((cell) => cell.getBoundingClientRect().width > 0).map((cell) => [cell.textContent, cell.getBoundingClientRect().right]),
    product: [...element.querySelectorAll("tbody td:nth-child(6)")].map((cell) => cell.getBoundingClientRect().right)[0],
  }));
  expect(table.heads).toEqual([false, "weight", "input", "×", "weight", "product"]);
  expect(table.last[0][0]).toBe("adds");
  expect(table.last[1][1]).toBe(table.product);
  expect(await on.$$eval(".derive dd", (list) => list.filter((item) => item.scrollWidth > item.clientWidth).length)).toBe(0);
  await close();
});

test("text follows the size that the browser is set to, and the page with it", async () => {
  for (const size of [16, 20, 32]) {
    const context = await browser.newContext({ viewport: { width: 1280, height: 720 }, reducedMotion: "reduce", offline: true });
    const on = await context.newPage();
    const session = await context.newCDPSession(on);
    await session.send("Page.setFontSizes", { fontSizes: { standard: size } });
    for (const hash of ["#/layer/c", "#/number/one", "#/network/"]) {
      await on.goto(`file://${join(folder, "two.html")}${hash}`);
      await settled(on);
      expect(await on.evaluate(() => parseFloat(getComputedStyle(document.body).fontSize))).toBe(0.875 * size);
      expect(await wide(on), `${size} ${hash}`).toBe(1280);
      if (hash !== "#/network/") expect(await on.evaluate(apart), `${size} ${hash}`).toBe(true);
      else expect(await on.$$eval(".net-body .net-row", (rows) => rows.every((row) => [...row.querySelectorAll(".net-name, .net-shape")].every((part) => part.scrollHeight <= row.clientHeight)))).toBe(true);
    }
    await context.close();
  }
}, 60_000);

test("a window of any height is filled with layers", async () => {
  const { page: on, close } = await page("tall", "#/network/", { height: 600 });
  const last = () => on.$$eval(".net-body .net-row", (rows) => Math.max(...rows.map((row) => row.getBoundingClientRect().bottom)));
  expect(await last()).toBeGreaterThanOrEqual(600);
  await on.setViewportSize({ width: 1280, height: 2000 });
  await on.waitForFunction(() => [...document.querySelectorAll(".net-body .net-row")].some((row) => row.getBoundingClientRect().bottom >= 2000));
  await close();
});

test("rows that scroll away come in again at the other end, in order and with their own layer", async () => {
  const { page: on, close } = await page("tall", "#/network/", { height: 300 });
  await on.evaluate(() => document.querySelectorAll(".net-body .net-row").forEach((row) => row.setAttribute("data-seen", "")));
  await on.evaluate(() => scrollTo({ top: 1000, behavior: "instant" }));
  await on.waitForFunction(() => document.querySelector(".net-name a")?.textContent !== "conv2d");
  const rows = await on.$$eval(".net-body .net-row", (list) => list.map((row) => [row.hasAttribute("data-seen"), row.querySelector(".net-name a")?.textContent, parseFloat((row as HTMLElement).style.top) / 62]));
  expect(rows.map((row) => row[0])).toEqual(rows.map(() => true));
  expect(rows.map((row) => row[1])).toEqual(rows.map((row) => `conv2d_${row[2]}`));
  expect(rows.map((row) => row[2])).toEqual(rows.map((_, n) => Number(rows[0][2]) + n));
  await close();
});
