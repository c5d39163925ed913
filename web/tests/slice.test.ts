// Tensors with three spatial axes and more: which slice is drawn, and where its cells lie.

import { beforeAll, expect, test, vi } from "vitest";
import type { Tensor } from "../src/schema";

vi.stubGlobal("document", { getElementById: () => ({ textContent: '{"layers":[],"tensors":[]}' }) });
vi.stubGlobal("location", { search: "" });

let store: typeof import("../src/data/store");
let reach: typeof import("../src/data/reach");
let tensors: typeof import("../src/data/tensor");
beforeAll(async () => {
  store = await import("../src/data/store");
  reach = await import("../src/data/reach");
  tensors = await import("../src/data/tensor");
});

const made = (shape: number[], channel: number | null): Tensor => ({ id: "x", shape, axes: [], channel, blob: null, preview: null, clipped_from: null });

test.each([
  ["a picture, maps last", [4, 5, 2], 2, [4, 5], 1],
  ["a picture, maps first", [2, 4, 5], 0, [4, 5], 1],
  ["a volume, maps last", [3, 4, 5, 2], 3, [4, 5], 3],
  ["a volume, maps first", [2, 3, 4, 5], 0, [4, 5], 3],
  ["a volume without maps", [3, 4, 5], null, [4, 5], 3],
  ["four axes, maps in between", [3, 2, 6, 4, 5], 2, [4, 5], 6],
  ["a sequence", [7, 3], 1, [1, 7], 1],
  ["maps of no size", [3], 0, [1, 3], 1],
] as const)("every cell of %s is drawn once, in its own slice", (_, shape, channel, [height, width], slices) => {
  const info = made([...shape], channel);
  const seen = new Set<string>();
  for (let slice = 0; slice < slices; slice++) {
    const view = tensors.mapView(info, slice);
    expect([view.height, view.width, view.slices, view.slice]).toEqual([height, width, slices, slice]);
    for (let c = 0; c < view.channels; c++) {
      for (let y = 0; y < height; y++) {
        for (let x = 0; x < width; x++) {
          const at = tensors.cellAt(info, c, y, x, slice);
          expect(tensors.atCell(info, at)).toEqual([c, y, x, slice]);
          expect(tensors.flat(info.shape, at)).toBe(view.offset + c * view.channelStep + y * view.rowStep + x * view.columnStep);
          seen.add(at.join());
        }
      }
    }
  }
  expect(seen.size).toBe(tensors.size(info.shape));
});

test("without a cell the middle slice is drawn, along every axis", () => {
  expect(tensors.mapView(made([7, 4, 5, 2], 3)).slice).toBe(3);
  // (1, 3) of 3×6.
  expect(tensors.mapView(made([3, 6, 4, 5], null)).slice).toBe(9);
});

test("a window is marked in the slice in its middle, over the edge in one that is there", () => {
  const info = made([8, 4, 5, 2], 3);
  store.page.value = { layers: [], tensors: [info], words: {} } as never;
  store.overrides.value = new Map([["x", new Float32Array(320)]]);
  const slices = (low: number, high: number) => {
    const { slice, rows } = reach.rectangle("x", [[low, high], [1, 2], [3, 3], [0, 1]])!;
    return [slice, rows];
  };
  expect(slices(2, 4)).toEqual([3, 2]);
  expect(slices(4, 5)).toEqual([4, 2]);
  expect(slices(-1, 1)).toEqual([0, 2]);
  expect(slices(-3, 0)).toEqual([0, 2]);
  expect(slices(6, 8)).toEqual([7, 2]);
  // All of it lies on padding: no rows, in the slice beside it.
  expect(slices(8, 9)).toEqual([7, 0]);
  expect(slices(-2, -1)).toEqual([0, 0]);
  expect(reach.rectangle("x", [[-4, -3], [1, 2], [3, 3], [0, 1]])!.sides).toBe("0×2×1");
  expect(reach.rectangle("x", [[-1, 1], [-1, 1], [3, 5], [0, 1]])).toEqual({ row: -1, column: 3, rows: 3, columns: 3, sides: "2×2×2", slice: 0 });
});

test("where only small pictures are there, the middle is drawn and nothing beside it is marked", () => {
  const info = made([8, 4, 5, 2], 3);
  store.page.value = { layers: [], tensors: [info], words: {} } as never;
  store.overrides.value = new Map();
  const mark = (low: number, high: number) => reach.rectangle("x", [[low, high], [1, 2], [3, 3], [0, 1]]);
  expect(mark(3, 5)).toMatchObject({ slice: 4, rows: 2 });
  expect(mark(2, 3)).toMatchObject({ slice: 4, rows: 0 });
});
