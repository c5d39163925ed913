// The maps before the plus: added up they are the layer's own, along one, two and three axes.

import { beforeAll, expect, test, vi } from "vitest";
import type { Layer, Tensor } from "../src/schema";

vi.stubGlobal("document", { getElementById: () => ({ textContent: '{"layers":[],"tensors":[]}' }) });
vi.stubGlobal("location", { search: "" });

let store: typeof import("../src/data/store");
let partial: typeof import("../src/data/partial");
let number: typeof import("../src/data/number");
let tensors: typeof import("../src/data/tensor");
beforeAll(async () => {
  store = await import("../src/data/store");
  partial = await import("../src/data/partial");
  number = await import("../src/data/number");
  tensors = await import("../src/data/tensor");
});

const made = (id: string, shape: number[], channel: number | null): Tensor => ({ id, shape, axes: [], channel, blob: null, preview: null, clipped_from: null });
const axis = (n_in: number, kernel: number, stride: number, pad: number) => ({
  kind: "window", n_in, n_out: Math.floor((n_in + 2 * pad - kernel) / stride) + 1, kernel, stride, dilation: 1, pad, up: 1,
});

test("no more partial maps are made than a screen has room for", () => {
  const one = axis(2, 1, 1, 0);
  const layer = {
    name: "l", inputs: ["x"], output: "y", pre: null, activation: null, rule: "sum",
    recipe: { form: "window", combine: "sum", axes: [one], channels_in: 200, channels_out: 400, groups: 1, weight: "w", bias: null, divisor: null },
  } as unknown as Layer;
  store.page.value = { layers: [layer], tensors: [made("x", [2, 200], 1), made("y", [2, 400], 1), made("w", [400, 200, 1], null)], words: {} } as never;
  store.overrides.value = new Map([["x", new Float32Array(400)], ["w", new Float32Array(80_000)]]);
  const { filters, channels, complete } = partial.partialMaps(layer, 0)!;
  expect([filters, channels, complete]).toEqual([300, 120, false]);
});

test.each([[[9]], [[7, 5]], [[5, 6, 7]]])("the partial maps of a filter over sizes %j add up to what each number's sum is", (sizes) => {
  const axes = sizes.map((n, at) => axis(n, 3, at ? 2 : 1, 1));
  const outs = axes.map((one) => one.n_out);
  const [maps, filters] = [3, 2];
  const layer = {
    name: "l", inputs: ["x"], output: "y", pre: null, activation: null, rule: "sum",
    recipe: { form: "window", combine: "sum", axes, channels_in: maps, channels_out: filters, groups: 1, weight: "w", bias: null, divisor: null },
  } as unknown as Layer;
  const list = [made("x", [...sizes, maps], sizes.length), made("y", [...outs, filters], sizes.length), made("w", [filters, maps, 3 ** sizes.length], null)];
  store.page.value = { layers: [layer], tensors: list, words: {} } as never;
  // Whole numbers: every order of adding them gives the same.
  const filled = (info: Tensor, step: number) => Float32Array.from({ length: tensors.size(info.shape) }, (_, n) => ((n * step) % 11) - 5);
  store.overrides.value = new Map([["x", filled(list[0], 7)], ["w", filled(list[2], 3)]]);
  for (let slice = 0; slice < (sizes.length > 2 ? outs[0] : 1); slice++) {
    const found = partial.partialMaps(layer, slice)!;
    const [rows, columns] = found.info.shape.slice(1);
    for (let f = 0; f < filters; f++) {
      const alone = partial.partialsOf(layer, f, slice)!.numbers;
      expect(alone).toEqual(found.numbers.slice(f * alone.length, (f + 1) * alone.length));
      for (let cell = 0; cell < rows * columns; cell++) {
        const place = [slice, Math.floor(cell / columns), cell % columns].slice(-sizes.length);
        let sum = 0;
        for (let c = 0; c < maps; c++) sum += found.numbers[(f * maps + c) * rows * columns + cell];
        expect(sum).toBe(number.explain(layer, [...place, f])!.pre);
      }
    }
  }
});
