// Hovered numbers against those of `convlens explain --json`.

import type { Page } from "playwright-core";
import { expect } from "vitest";
import { goTo, type Cell } from "./setup";

/** Put the mouse on a cell of the map that is shown large, or on a line of a short row. */
async function hover(page: Page, cell: Cell): Promise<void> {
  if (cell.at.length === 1) {
    const line = page.locator(".units button").nth(cell.at[0]);
    if (await line.count()) await line.hover();
    else await goTo(page, `#/layer/${cell.layer}?at=${cell.at.join(",")}`);
    return;
  }
  const box = await page.locator(".focus-map, .maps.outputs").first().boundingBox();
  const shape = await page.$eval(".focus-map", (element) => element.getAttribute("aria-label") ?? "").catch(() => "");
  const [height, width] = (/, (\d+) by (\d+) cells/.exec(shape) ?? ["", "1", "1"]).slice(1).map(Number);
  if (!box) throw new Error("no map to hover");
  const [row, column] = cell.at.length === 3 ? cell.at : [0, cell.at[0]];
  // The mouse knows whole pixels: smaller cells are reached by their address.
  if (Math.min(box.width / width, box.height / height) < 3) {
    await goTo(page, `#/layer/${encodeURIComponent(cell.layer)}?at=${cell.at.join(",")}`);
    return;
  }
  await page.mouse.move(box.x + ((column + 0.5) / width) * box.width, box.y + ((row + 0.5) / height) * box.height);
}

/** Hover each cell in the page that is open: what it shows is what the core said; how many there were. */
export async function compareAll(page: Page, cells: readonly Cell[], name: string): Promise<number> {
  let compared = 0;
  for (const cell of cells) {
    const channel = cell.at[cell.at.length - 1];
    const parked = cell.at.length === 3 ? [0, 0, channel].join(",") : "0";
    await goTo(page, `#/layer/${encodeURIComponent(cell.layer)}?at=${parked}`);
    await hover(page, cell);
    const where = `${cell.layer} [${cell.at}]`;
    await page.waitForFunction((text) => document.querySelector("[data-live]")?.textContent?.includes(text), where.replace(/,/g, ", ")).catch(async () => {
      throw new Error(`the page does not come to ${where}: ${await page.textContent("[data-live]")}`);
    });
    const shown = await page.$eval("[data-value]", (element) => Number(element.getAttribute("data-value")));
    const bound = await page.$("[data-bound]");
    if (bound && cell.rule !== "choice" && !/activation|re_lu/.test(cell.layer)) {
      expect(Math.abs(Number(await bound.getAttribute("data-bound")) - cell.tolerance), `bound of ${where}`).toBeLessThanOrEqual(1e-9 * cell.tolerance);
    }
    if (name === "formulas" && /activation|transpose/.test(cell.layer)) {
      expect(Math.abs(shown - cell.value), where).toBeLessThanOrEqual(4e-15 * Math.max(1, Math.abs(cell.value)));
    } else if (name === "residual" && (cell.layer === "conv2d_transpose" || cell.layer === "dense")) {
      // exp differs between libraries in its last bit.
      expect(Math.abs(shown - cell.value), where).toBeLessThanOrEqual(4e-16 * Math.max(1, Math.abs(cell.value)));
    } else if (cell.layer === "dense" || cell.layer === "predictions") expect(Math.abs(shown - cell.value), where).toBeLessThanOrEqual(4e-16);
    else expect(shown, where).toBe(cell.value);
    const pre = await page.$("[data-pre]");
    if (pre && cell.rule === "sum") expect(Number(await pre.getAttribute("data-pre")), where).toBe(cell.pre_activation);
    const biased = await page.$("[data-bias]");
    if (biased && cell.bias !== null) expect(Number(await biased.getAttribute("data-bias")), where).toBe(cell.bias);
    if (cell.partial_sums.length > 1 && cell.at.length === 3) {
      const bySize = new Map(cell.partial_sums.map((part) => [String(part.channel), part.sum]));
      const strands = await page.$$eval(".terms > li", (list) => list.map((item) => [item.getAttribute("data-term") ?? "", Number(item.querySelector("[data-sum]")?.getAttribute("data-sum"))] as const));
      for (const [map, sum] of strands) expect(sum, `${where} map ${map}`).toBe(bySize.get(map));
    }
    compared++;
  }
  return compared;
}

