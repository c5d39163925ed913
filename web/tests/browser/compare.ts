// Hovered numbers against those of `convlens explain --json`.

import type { Page } from "playwright-core";
import { expect } from "vitest";
import { goTo, type Cell } from "./setup";

interface View {
  readonly shape: readonly number[];
  readonly channel: number | null;
}

/** A layer's output, and its first input where a window moves over that. */
interface Views extends View {
  readonly read: View | null;
}

const known = new WeakMap<Page, Map<string, Views>>();

/** The shapes of what a layer reads and gives, and which axes count their maps. */
async function viewsOf(page: Page, layer: string): Promise<Views> {
  let views = known.get(page);
  if (!views) {
    const found: [string, Views][] = await page.evaluate(() => {
      const facts = JSON.parse(document.getElementById("page")?.textContent ?? "");
      const tensors = new Map(facts.tensors.map((item: any) => [item.id, { shape: item.shape, channel: item.channel }]));
      return facts.layers.map((item: any) => [item.name, { ...(tensors.get(item.output) as any), read: item.recipe.form === "window" ? tensors.get(item.inputs[0]) : null }]);
    });
    known.set(page, (views = new Map(found)));
  }
  return views.get(layer) as Views;
}

type Box = readonly [left: number, top: number, right: number, bottom: number];

/** What is marked on each input map, in pixels from the map's corner; and the size of a map. */
function marked(page: Page): Promise<{ boxes: (Box | null)[]; tile: number; tall: number }> {
  return page.evaluate(() => {
    const maps = document.querySelector<HTMLElement>(".maps.inputs")!;
    const canvas = maps.querySelectorAll("canvas")[1];
    const [columns, count] = [Number(maps.dataset.columns), Number(maps.dataset.count)];
    const gap = 3;
    const tile = (maps.clientWidth + gap) / columns - gap;
    const tall = (maps.clientHeight + gap) / Math.ceil(count / columns) - gap;
    const { data, width } = canvas.getContext("2d")!.getImageData(0, 0, canvas.width, canvas.height);
    const boxes = Array.from({ length: count }, (_, n) => {
      const [x, y] = [(n % columns) * (tile + gap), Math.floor(n / columns) * (tall + gap)];
      let box: [number, number, number, number] | null = null;
      for (let row = Math.ceil(y); row < Math.min(canvas.height, Math.floor(y + tall)); row++) {
        for (let column = Math.ceil(x); column < Math.min(width, Math.floor(x + tile)); column++) {
          if (data[4 * (row * width + column) + 3] < 100) continue;
          const [left, top, right, bottom] = [column - x, row - y, column + 1 - x, row + 1 - y];
          box = box ? [Math.min(box[0], left), Math.min(box[1], top), Math.max(box[2], right), Math.max(box[3], bottom)] : [left, top, right, bottom];
        }
      }
      return box;
    });
    return { boxes, tile, tall };
  });
}

/** The window lies where the core says, on the maps that are read, and on no other. */
async function expectWindow(page: Page, cell: Cell, { shape, channel }: View, where: string): Promise<void> {
  const { boxes, tile, tall } = await marked(page);
  const places = shape.map((_, axis) => axis).filter((axis) => axis !== channel);
  const real = shape.map((n, axis) => {
    const [low, high] = cell.window[axis] ?? [0, n - 1];
    return [Math.max(0, low), Math.min(n - 1, high)] as const;
  });
  const [height, width] = [1, ...places.map((axis) => shape[axis])].slice(-2);
  const [rows, columns] = [[0, 0] as const, ...places.map((axis) => real[axis])].slice(-2);
  const [first, last] = channel === null ? [0, 0] : real[channel];
  // Of a third axis a slice in the window is drawn, so that the window is marked wherever it lies.
  const empty = real.some(([low, high]) => high < low);
  // Never less than 3 pixels, and those on its own map.
  const [left, top] = [Math.min((columns[0] * tile) / width, tile - 3), Math.min((rows[0] * tall) / height, tall - 3)];
  const right = Math.max(left + 3, ((columns[1] + 1) * tile) / width);
  const bottom = Math.max(top + 3, ((rows[1] + 1) * tall) / height);
  boxes.forEach((box, map) => {
    if (empty || map < first || map > last) return expect(box, `${where}: nothing is marked on map ${map}`).toBeNull();
    const expected = [left, top, Math.min(tile, right), Math.min(tall, bottom)];
    const off = (box ?? [NaN, NaN, NaN, NaN]).map((n, side) => Math.abs(n - expected[side]));
    // A frame is 2 pixels wide and lies around the window.
    expect(Math.max(...off), `${where}: marked ${box} on map ${map}, not ${expected}`).toBeLessThanOrEqual(3);
  });
}

/** Put the mouse on a cell of the map that is shown large, or on a line of a short row. */
async function hover(page: Page, cell: Cell, { shape, channel }: View): Promise<void> {
  const address = `#/layer/${encodeURIComponent(cell.layer)}?at=${cell.at.join(",")}`;
  const line = page.locator(".units button").nth(cell.at[0]);
  if (shape.length === 1 && (await line.count())) return line.hover();
  const box = await page.locator(".focus-map").boundingBox({ timeout: 1 }).catch(() => null);
  const places = shape.map((_, axis) => axis).filter((axis) => axis !== channel);
  const [height, width] = [1, ...places.map((axis) => shape[axis])].slice(-2);
  const [row, column] = [0, ...places.map((axis) => cell.at[axis])].slice(-2);
  // The mouse knows whole pixels: smaller cells are reached by their address.
  if (!box || Math.min(box.width / width, box.height / height) < 3) return goTo(page, address);
  await page.mouse.move(box.x + ((column + 0.5) / width) * box.width, box.y + ((row + 0.5) / height) * box.height);
}

/** Hover each cell in the page that is open: what it shows is what the core said; how many there were. */
export async function compareAll(page: Page, cells: readonly Cell[]): Promise<number> {
  let compared = 0;
  for (const cell of cells) {
    const view = await viewsOf(page, cell.layer);
    // In the same map and slice, where the mouse comes from there.
    const places = view.shape.map((_, axis) => axis).filter((axis) => axis !== view.channel);
    const parked = cell.at.map((n, axis) => (places.slice(-2).includes(axis) ? 0 : n));
    await goTo(page, `#/layer/${encodeURIComponent(cell.layer)}?at=${parked}`);
    await hover(page, cell, view);
    const where = `${cell.layer} [${cell.at}]`;
    await page.waitForFunction((text) => document.querySelector("[data-live]")?.textContent?.includes(text), where.replace(/,/g, ", ")).catch(async () => {
      throw new Error(`the page does not come to ${where}: ${await page.textContent("[data-live]")}`);
    });
    if (view.read) await expectWindow(page, cell, view.read, where);
    const shown = await page.$eval("[data-value]", (element) => Number(element.getAttribute("data-value")));
    const bound = await page.$("[data-bound]");
    if (bound && cell.rule !== "choice" && !/activation|re_lu/.test(cell.layer)) {
      expect(Math.abs(Number(await bound.getAttribute("data-bound")) - cell.tolerance), `bound of ${where}`).toBeLessThanOrEqual(1e-9 * cell.tolerance);
    }
    if (cell.last_bits) expect(Math.abs(shown - cell.value), where).toBeLessThanOrEqual(cell.last_bits * Math.max(1, Math.abs(cell.value)));
    else expect(shown, where).toBe(cell.value);
    const pre = await page.$("[data-pre]");
    if (pre && cell.rule === "sum") expect(Number(await pre.getAttribute("data-pre")), where).toBe(cell.pre_activation);
    const biased = await page.$("[data-bias]");
    if (biased && cell.bias !== null) expect(Number(await biased.getAttribute("data-bias")), where).toBe(cell.bias);
    if (cell.partial_sums.length > 1 && cell.at.length > 1) {
      const bySize = new Map(cell.partial_sums.map((part) => [String(part.channel), part.sum]));
      const strands = await page.$$eval(".terms > li", (list) => list.map((item) => [item.getAttribute("data-term") ?? "", Number(item.querySelector("[data-sum]")?.getAttribute("data-sum"))] as const));
      for (const [map, sum] of strands) expect(sum, `${where} map ${map}`).toBe(bySize.get(map));
    }
    compared++;
  }
  return compared;
}

