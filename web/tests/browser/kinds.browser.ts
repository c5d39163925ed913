// Networks of other kinds than those in make.py: ONNX and PyTorch, sequences and volumes, wide windows, no pictures,
// numbers left out, several inputs, seventy layers.

import { existsSync } from "node:fs";
import { join } from "node:path";
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { compareAll } from "./compare";
import { cellsOf, goTo, launch, makePages, open, settled, type Cell } from "./setup";

let browser: Browser;
let folder: string;
let cells: Record<string, Cell[]>;

beforeAll(async () => {
  folder = makePages("kinds");
  cells = cellsOf(folder);
  browser = await launch();
});
afterAll(() => browser?.close());

const file = (name: string) => join(folder, `${name}.html`);

async function compare(name: string): Promise<number> {
  const { page, wrong, close } = await open(browser, file(name));
  const compared = await compareAll(page, cells[name]);
  expect(wrong).toEqual([]);
  await close();
  return compared;
}

test.each(["onnx_maps", "onnx_row", "onnx_formulas", "steps", "onnx_listed", "onnx_quantised", "onnx_several", "onnx_grids", "onnx_products", "torch_maps", "torch_row", "wide_row", "wide_maps", "volume", "onnx_volume", "plain", "inputs", "onnx_opaque"])("hovered numbers of %s are those of explain --json, borders included", async (name) => {
  if (name.startsWith("torch") && !process.env.CI && !existsSync(file(name))) return;
  expect(await compare(name)).toBe(cells[name].length);
}, 200_000);

test("the first and the last slice of a volume are reached by keys, by the slider and by the mouse", async () => {
  const { page, wrong, close } = await open(browser, file("volume"));
  const known = cells["volume"].filter((cell) => cell.at.length === 4);
  expect(new Set(known.map((cell) => cell.layer)).size).toBe(3);
  const shows = async ({ layer, at, value }: Cell, how: string) => {
    const where = `${layer} [${at.join(", ")}]`;
    await page.waitForFunction((text) => document.querySelector("[data-live]")?.textContent?.startsWith(text), `${where} = `);
    expect(await page.$eval("[data-value]", (element) => Number(element.getAttribute("data-value"))), `${where} by ${how}`).toBe(value);
  };
  for (const layer of new Set(known.map((cell) => cell.layer))) {
    const all = known.filter((cell) => cell.layer === layer);
    await goTo(page, `#/layer/${layer}`);
    const size = all.reduce((most, { at }) => at.map((n, axis) => Math.max(most[axis], n)), [0, 0, 0, 0]);
    for (const [cell, keys] of [[all[0], ["<", "ArrowUp", "ArrowLeft", "PageUp"]], [all.at(-1)!, [">", "ArrowDown", "ArrowRight", "PageDown"]]] as const) {
      // By keys alone, and none goes beyond the end.
      await page.focus(".focus-map");
      for (const [axis, key] of keys.entries()) for (let n = 0; n <= size[axis]; n++) await page.keyboard.press(key);
      expect(page.url()).toContain(`at=${cell.at.join()}`);
      await shows(cell, "keys");
      expect(await page.getAttribute(".focus-map", "aria-label")).toMatch(new RegExp(`the keys < and > change the slice; slice ${cell.at[0]} of 0 to ${size[0]}; now at ${cell.at.join(", ")}$`));
      // From the other end by the slider, then by the mouse.
      await goTo(page, `#/layer/${layer}?at=${size[0] - cell.at[0]},${size[1] >> 1},${size[2] >> 1},${cell.at[3]}`);
      await page.focus(".output-column input[type=range]");
      await page.keyboard.press(cell.at[0] ? "End" : "Home");
      expect(page.url()).toContain(`at=${cell.at[0]},`);
      const box = (await page.locator(".focus-map").boundingBox())!;
      await page.mouse.move(box.x + ((cell.at[2] + 0.5) / (size[2] + 1)) * box.width, box.y + ((cell.at[1] + 0.5) / (size[1] + 1)) * box.height);
      await shows(cell, "mouse");
      await page.mouse.move(1, 1);
    }
  }
  expect(wrong).toEqual([]);
  await close();
});

test("every layer of a page that keeps some numbers shows its own or says that they are left out", async () => {
  const { page, wrong, close } = await open(browser, file("budget"));
  const facts = await page.evaluate(() => JSON.parse(document.getElementById("page")?.textContent ?? "").layers.map((layer: any) => [layer.name, layer.left_out]));
  const left = facts.filter(([, said]: [string, string | null]) => said);
  expect(left.length).toBeGreaterThan(0);
  expect(left.length).toBeLessThan(facts.length);
  for (const [name, said] of facts) {
    await goTo(page, `#/number/${encodeURIComponent(name)}`);
    await page.waitForSelector("[data-value], .middle .note", { state: "attached" });
    if (!(await page.$("[data-value]"))) expect(await page.textContent(".middle .note")).toBe(said);
  }
  expect(wrong).toEqual([]);
  await close();
});

test("a key that the browser has a use for with another key is left to it", async () => {
  const { page, close } = await open(browser, file("volume"), "#/layer/conv3d?at=1,2,3,0");
  await page.focus(".focus-map");
  for (const key of ["Control+.", "Alt+ArrowDown", "Meta+,"]) await page.keyboard.press(key);
  expect(page.url()).toContain("at=1,2,3,0");
  await close();
});

test("every layer of these networks that is explained is compared", () => {
  const compared = (name: string) => new Set(cells[name].map((cell) => cell.layer)).size;
  expect([compared("onnx_maps"), compared("onnx_row"), compared("onnx_opaque"), compared("onnx_formulas"), compared("onnx_several"), compared("onnx_grids")]).toEqual([21, 11, 2, 23, 22, 12]);
});

const whole = (text: string) => BigInt(text.replace("−", "-").replace(".", ""));

test("more products than the table has rows add up in it, as printed", async () => {
  const { page, wrong, close } = await open(browser, file("wide_maps"), "#/number/conv2d?at=22,20,1");
  const column = await page.locator(".terms-table").first().locator("tbody td:last-child").allTextContents();
  const words = await page.locator(".terms-table").first().locator("tbody td[colspan]").allTextContents();
  // 37×37 = 1,369 products of one map: 400 rows, and the other 969 in one.
  expect(words.slice(0, 1)).toEqual(["969 more"]);
  expect(words.at(-1)).toBe("adds");
  expect(column.length).toBe(400 + words.length);
  expect(column.slice(0, -1).reduce((sum, text) => sum + whole(text), 0n)).toBe(whole(column.at(-1) ?? ""));
  const largest = await page.$eval(".terms .num", (element) => Number(element.getAttribute("data-sum")));
  expect(Math.abs(Number(column.at(-1)?.replace("−", "-")) - largest)).toBeLessThanOrEqual(1e-6);
  for (const row of [0, 17, 399]) {
    const cells = await page.locator(".terms-table").first().locator("tbody tr").nth(row).locator("td").allTextContents();
    const [x, w, product] = [cells[2], cells[4], cells[5]].map((text) => Number(text.replace("−", "-")));
    expect(Math.abs(x * w - product)).toBeLessThan(1e-6);
  }
  expect(wrong).toEqual([]);
  await close();
});

test("a slice of any size lies in its place, weight by weight", async () => {
  const { page, wrong, close } = await open(browser, file("wide_maps"));
  // Kernel, the columns in which its slice is drawn, and what a cell measures.
  for (const [layer, kernel, columns, side] of [["conv2d", [37, 37], 37, 33 / 37], ["conv2d_1", [34, 40], 40, 33 / 40], ["conv2d_2", [64, 1], 8, 4]] as const) {
    await goTo(page, `#/layer/${layer}`);
    const box = await page.locator(".terms canvas").boundingBox();
    const taps = kernel[0] * kernel[1];
    const rows = Math.ceil(taps / columns);
    const top = Math.max(2, (39 - side * rows) / 2);
    for (const tap of [0, columns - 1, columns + 3, Math.floor(taps / 2), taps - 1]) {
      // The mouse knows whole pixels, a cell may be less than one.
      const corner = [(box?.x ?? 0) + 60, (box?.y ?? 0) + top];
      const [x, y] = [tap % columns, Math.floor(tap / columns)].map((n, axis) => Math.max(Math.ceil(corner[axis]), Math.floor(corner[axis] + (n + 0.5) * side)));
      await page.mouse.move(x, y);
      const hit = Math.floor((y - corner[1]) / side) * columns + Math.floor((x - corner[0]) / side);
      expect(Math.abs(hit - tap)).toBeLessThanOrEqual(columns + 1);
      expect(await page.textContent("[data-uses]"), `${layer} ${tap}`).toContain(`(${Math.floor(hit / kernel[1])}, ${hit % kernel[1]})`);
    }
    const inked = await page.$eval(".terms canvas", (element) => {
      const canvas = element as HTMLCanvasElement;
      const { data, width } = canvas.getContext("2d")!.getImageData(0, 0, canvas.width, 76);
      const ink = (x: number, y: number) => data[4 * (y * width + x) + 3] > 0;
      const free = (left: number, right: number, high: number, low: number) => !Array.from({ length: right - left }, (_, x) => x + left).some((x) => Array.from({ length: low - high }, (_, y) => y + high).some((y) => ink(x, y)));
      // Nothing between the slices of two maps, nor beside a slice.
      return free(0, 96, 37, 39) && free(94, 95, 0, 76);
    });
    expect(inked, layer).toBe(true);
  }
  expect(wrong).toEqual([]);
  await close();
});

test("at a border the numbers of a pool's window stand as they lie in the map", async () => {
  const { page, close } = await open(browser, file("onnx_maps"));
  const columns = () => page.$eval(".pool-grid", (grid) => [getComputedStyle(grid).gridTemplateColumns.split(" ").length, grid.children.length]);
  // 3×3 with one row of padding above and below, and one column to the right of 15.
  for (const [at, wide, numbers] of [["0,4,5", 3, 9], ["0,0,0", 3, 6], ["0,0,13", 2, 4], ["0,4,13", 2, 6], ["0,8,13", 2, 4]] as const) {
    await goTo(page, `#/layer/largest?at=${at}`);
    expect(await columns(), at).toEqual([wide, numbers]);
  }
  await close();
});

test("a column that has no pictures has no heading", async () => {
  for (const [name, layer, there] of [["volume", "conv3d", true], ["wide_maps", "conv2d", false], ["onnx_maps", "grouped", true]] as const) {
    const { page, close } = await open(browser, file(name), `#/layer/${layer}`);
    expect((await page.textContent(".terms-head"))?.includes("its map"), name).toBe(there);
    await close();
  }
});

/** The chip of the present layer, and how much of it one sees. */
async function chip(page: Page): Promise<{ name: string; seen: boolean }> {
  return page.$eval(".strip [aria-current]", (element) => {
    const [own, strip] = [element, element.parentElement as HTMLElement].map((it) => it.getBoundingClientRect());
    const seen = own.left >= Math.max(0, strip.left) - 1 && own.right <= Math.min(innerWidth, strip.right) + 1 && own.top >= 0;
    return { name: element.querySelector("bdi")?.textContent ?? "", seen };
  });
}

for (const width of [1280, 360]) {
  test(`the strip shows the present layer of seventy, by address, keyboard and the back button (${width} pixels)`, async () => {
    const { page, wrong, close } = await open(browser, file("deep"), "#/layer/layer_1", { width });
    expect(await chip(page)).toEqual({ name: "layer_1", seen: true });
    await goTo(page, "#/layer/layer_60");
    expect(await chip(page)).toEqual({ name: "layer_60", seen: true });
    // Three layers on by the keyboard alone: to the next chip, and in.
    await page.focus(".strip [aria-current]");
    for (const name of ["layer_61", "layer_62", "layer_63"]) {
      await page.keyboard.press("Tab");
      await page.keyboard.press("Enter");
      await page.waitForURL(new RegExp(`#/layer/${name}`));
      await settled(page);
      expect(await chip(page)).toEqual({ name, seen: true });
      expect(await page.evaluate(() => document.activeElement?.getAttribute("aria-current"))).toBe("true");
    }
    for (const name of ["layer_62", "layer_61", "layer_60", "layer_1"]) {
      await page.goBack();
      await page.waitForURL(new RegExp(`#/layer/${name}$`));
      await settled(page);
      expect(await chip(page)).toEqual({ name, seen: true });
    }
    expect(wrong).toEqual([]);
    await close();
  });
}

test("the network's view comes down to the layer that one comes from, or to what it is folded in", async () => {
  for (const [layer, row] of [["layer_60", "layer_60"], ["same_4b", "the 2 layers above repeat: ×7"]]) {
    const { page, close } = await open(browser, file("deep"), `#/layer/${layer}`);
    await page.keyboard.press("Escape");
    await page.waitForSelector(".network");
    await page.waitForFunction((wanted) => [...document.querySelectorAll(".net-name bdi, .fold-words button")].some((name) => {
      const { top, bottom } = name.getBoundingClientRect();
      return name.textContent?.includes(wanted) && top >= 0 && bottom <= innerHeight;
    }), row).catch(async () => {
      throw new Error(`${row} is not in sight: ${await page.textContent(".net-body")}`);
    });
    await page.goBack();
    await settled(page);
    expect(await page.evaluate(() => scrollY)).toBe(0);
    expect(await chip(page)).toEqual({ name: layer, seen: true });
    await close();
  }
});

test.each(["onnx_maps", "onnx_formulas", "onnx_several", "steps", "onnx_listed", "onnx_quantised", "onnx_grids", "onnx_volume", "inputs"])("no layer of %s is wider than a narrow screen, and every number is shown", async (name) => {
  const { page, wrong, close } = await open(browser, file(name));
  await page.setViewportSize({ width: 360, height: 740 });
  for (const layer of new Set(cells[name].map((cell) => cell.layer))) {
    await goTo(page, `#/number/${encodeURIComponent(layer)}`);
    await page.waitForSelector("[data-value]", { state: "attached" });
    expect(await page.evaluate(() => document.documentElement.scrollWidth), layer).toBe(360);
  }
  expect(wrong).toEqual([]);
  await close();
}, 60_000);
