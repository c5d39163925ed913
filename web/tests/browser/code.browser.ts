// The code that a reader copies: taken by Keras and PyTorch, it makes what the table beside it says.

import { execFileSync } from "node:child_process";
import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Browser } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { environment, goTo, launch, open, python } from "./setup";

let browser: Browser;
const folder = process.env.CONVLENS_CODE ?? mkdtempSync(join(tmpdir(), "convlens-code-"));
const judge = (what: string) => execFileSync(python, [join(import.meta.dirname, "judge.py"), what, folder], { env: environment, encoding: "utf8", stdio: ["ignore", "pipe", "inherit"] });

/** Whether PyTorch is there; on CI it has to be. */
const torch = (() => {
  try {
    execFileSync(python, ["-c", "import torch"], { env: environment, stdio: "ignore" });
    return true;
  } catch {
    return !!process.env.CI;
  }
})();

beforeAll(async () => {
  browser = await launch();
  if (torch) judge("make");
});
afterAll(() => browser?.close());

test.skipIf(!torch)("Keras and PyTorch take the code of every layer, and make the shape and the parameters that the page says", async () => {
  const cases: unknown[] = [];
  for (const name of ["maps", "row", "volume", "torch"]) {
    const { page, wrong, close } = await open(browser, join(folder, `${name}.html`), "#/network/");
    const known = await page.evaluate(() => {
      const facts = JSON.parse(document.getElementById("page")?.textContent ?? "");
      const channel = (id: string) => facts.tensors.find((item: any) => item.id === id).channel;
      return facts.layers.map((layer: any) => ({
        layer: layer.name, inputs: layer.inputs.length, channel: channel(layer.inputs[0]), channel_out: channel(layer.output),
        as_it_is: layer.recipe.form === "row" || layer.recipe.form === "scatter", shape: layer.output_shape.slice(1), params: layer.params, shared: !!layer.shared_with,
      }));
    });
    for (const layer of known) {
      await goTo(page, `#/layer/${encodeURIComponent(layer.layer)}`);
      // Random legal states: every slider and list anywhere in what it offers, the ends too.
      const states = await page.evaluate(async () => {
        let seed = 11;
        const roll = (n: number) => (seed = (seed * 48271) % 2147483647) % n;
        const painted = () => new Promise((done) => setTimeout(done, 12));
        const read = () => {
          const row = document.querySelector(".whatif tbody tr");
          const code = (library: string) => document.querySelector(`[data-code=${library}]`)?.textContent ?? "";
          const cells = [...(row?.querySelectorAll("td") ?? [])].map((cell) => cell.textContent ?? "");
          const knobs = [...document.querySelectorAll<HTMLInputElement>(".knob input, .knob select")].map((knob) => `${knob.dataset.knob ?? "word"}=${knob.value}`);
          return { keras: code("keras"), torch: code("torch"), then: cells[2], count: cells[3], state: knobs.join(" ") };
        };
        const found = [read()];
        for (let n = 0; n < 4; n++) {
          const knobs = [...document.querySelectorAll<HTMLInputElement | HTMLSelectElement>(".knob input, .knob select")];
          if (!knobs.length) break;
          const knob = knobs[roll(knobs.length)];
          if (knob instanceof HTMLSelectElement) {
            const words = [...knob.options].filter((option) => !option.disabled);
            knob.value = words[roll(words.length)].value;
          } else {
            const [low, high, step] = [knob.min, knob.max, knob.step].map(Number);
            const most = Math.min(high, knob.dataset.knob === "filters" ? low * 24 : 24);
            knob.value = String(low + step * roll(Math.floor((most - low) / step) + 1));
          }
          knob.dispatchEvent(new Event(knob instanceof HTMLSelectElement ? "change" : "input", { bubbles: true }));
          await painted();
          found.push(read());
        }
        return found;
      });
      states.forEach((state, n) => {
        if (!state.keras && !state.torch) return;
        const numbers = (text: string) => (text.match(/\d+/g) ?? []).map(Number);
        const shown = state.then === undefined ? {} : { shape: numbers(state.then), params: Number(state.count.replace(/,/g, "")) };
        cases.push({ ...layer, page: name, keras: state.keras, torch: state.torch, state: state.state, changed: n > 0, ...shown });
      });
    }
    expect(wrong).toEqual([]);
    await close();
  }
  writeFileSync(join(folder, "cases.json"), JSON.stringify(cases));
  expect(cases.length).toBeGreaterThan(250);
  expect(JSON.parse(judge("check"))).toEqual([]);
}, 400_000);
