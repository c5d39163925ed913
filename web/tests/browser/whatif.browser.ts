// What if: every number of the table, for random legal states of every knob, is that of the changed
// network, which Python builds from the line of code beside the table.

import { execFileSync } from "node:child_process";
import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Browser } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { environment, goTo, launch, open, python } from "./setup";

let browser: Browser;
const folder = mkdtempSync(join(tmpdir(), "convlens-changed-"));
const judge = (what: string) => execFileSync(python, [join(import.meta.dirname, "changed.py"), what, folder], { env: environment, encoding: "utf8", stdio: ["ignore", "pipe", "inherit"] });

beforeAll(async () => {
  browser = await launch();
  judge("make");
});
afterAll(() => browser?.close());

test("shapes, parameters, MACs and receptive fields under any state of the knobs are those of the changed network", async () => {
  const states: unknown[] = [];
  const turned = new Set<string>();
  for (const network of ["maps", "row", "volume"]) {
    const { page, wrong, close } = await open(browser, join(folder, `changing_${network}.html`), "#/network/");
    const layers: string[] = await page.evaluate(() => JSON.parse(document.getElementById("page")?.textContent ?? "").layers.map((layer: any) => layer.name));
    for (const layer of layers) {
      await goTo(page, `#/layer/${layer}`);
      const found = await page.evaluate(async (seed) => {
        const roll = (n: number) => (seed = (seed * 48271) % 2147483647) % n;
        const painted = () => new Promise((done) => setTimeout(done, 12));
        const number = (text: string) => (/^[\d,]+$/.test(text) ? Number(text.replace(/,/g, "")) : null);
        const read = (knob: string) => ({
          knob,
          code: document.querySelector("[data-code=keras]")?.textContent ?? "",
          rows: [...document.querySelectorAll(".whatif tbody tr:not(.sum-row)")].map((row) => {
            const [name, , shape, params, macs, sees] = [...row.querySelectorAll("td")].map((cell) => cell.textContent ?? "");
            return { name, shape: shape.startsWith("(") ? (shape.match(/\d+/g) ?? []).map(Number) : null, params: number(params), macs: number(macs), sees: number(sees) };
          }),
        });
        const made = [read("")];
        const knobs = () => [...document.querySelectorAll<HTMLInputElement | HTMLSelectElement>(".knob input, .knob select")];
        for (let n = 0; n < 3 * knobs().length; n++) {
          const all = knobs();
          // Each knob in turn, to its ends and in between; what the others hold stays, or all goes back.
          const knob = all[n % all.length];
          if (knob instanceof HTMLSelectElement) {
            const words = [...knob.options].filter((option) => !option.disabled);
            knob.value = words[roll(words.length)].value;
          } else {
            const [low, high, step] = [knob.min, knob.max, knob.step].map(Number);
            const most = Math.min(high, low + 40 * step);
            knob.value = String(n < all.length ? most : low + step * roll(Math.floor((most - low) / step) + 1));
          }
          knob.dispatchEvent(new Event(knob instanceof HTMLSelectElement ? "change" : "input", { bubbles: true }));
          await painted();
          made.push(read(knob.dataset.knob ?? "word"));
          if (roll(2)) [...document.querySelectorAll<HTMLButtonElement>(".knobs .quiet")].at(-1)?.click();
          await painted();
        }
        return made;
      }, 7 + layer.length);
      for (const state of found) {
        turned.add(state.knob);
        // Stride beside dilation is nothing that Keras takes: the page says so in place of its line.
        if (state.code && !state.code.startsWith("#")) states.push({ network, layer, ...state });
      }
    }
    expect(wrong).toEqual([]);
    await close();
  }
  expect([...turned].sort()).toEqual(["", "dilation", "filters", "kernel", "scale", "stride", "word"]);
  writeFileSync(join(folder, "states.json"), JSON.stringify(states));
  const [differences, counts] = JSON.parse(judge("check"));
  expect(differences).toEqual([]);
  expect(counts.rows).toBeGreaterThan(500);
}, 200_000);
