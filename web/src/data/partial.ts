// The maps before the plus: each input map under its own slice of each filter, not yet added.

import { reads, type Read } from "../axis";
import type { Layer, Tensor, WindowRecipe } from "../schema";
import { inputsOf } from "./number";
import { ready, tensor, values, type Values } from "./store";
import { finalOf, size, strides } from "./tensor";

/** Partial maps as a tensor of maps: those of one filter after those of the one before. */
export interface Partial {
  readonly filters: number;
  readonly channels: number;
  readonly info: Tensor;
  /** float32, for drawing. */
  readonly numbers: Values;
  readonly complete: boolean;
}

/** The most numbers to hold, and multiply-adds that a hovered number may wait for. */
const most = 4_000_000;

/** What a loop over a window layer runs over, of three spatial axes over one slice; null for other layers. */
export function loops(layer: Layer, slice = 0) {
  const recipe = layer.recipe as WindowRecipe;
  const info = tensor(layer.inputs[0]);
  if (recipe.form !== "window" || recipe.axes.length > 3 || info.channel === null) return null;
  const steps = strides(info.shape);
  const spatial = steps.filter((_, n) => n !== info.channel);
  const lines = recipe.axes.map((axis) => Array.from({ length: axis.n_out }, (_, o) => reads(axis, o)));
  const once: Read[][] = [[{ k: 0, i: 0, real: true, c: 1 }]];
  const kernel = recipe.axes.map((axis) => axis.kernel);
  const perGroup = recipe.channels_in / recipe.groups;
  return {
    recipe, perGroup,
    slices: lines.length > 2 ? lines[0][slice] : once[0],
    sliceStep: lines.length > 2 ? spatial[0] : 0,
    rows: lines.at(-2) ?? once,
    columns: finalOf(lines),
    rowStep: spatial.at(-2) ?? 0,
    columnStep: finalOf(spatial),
    channelStep: steps[info.channel],
    taps: size(kernel),
    flat: size(kernel.slice(-2)),
    wide: finalOf(kernel),
    /** The first input map of a filter's group. */
    first: (filter: number) => Math.floor(filter / (recipe.channels_out / recipe.groups)) * perGroup,
  };
}

/** What the partial maps of a layer that sums over windows are made of; null for others, and while arrays load. */
function parts(layer: Layer, slice: number) {
  const { recipe } = layer;
  if (recipe.form !== "window" || recipe.combine !== "sum" || recipe.weight === null) return null;
  const numbers = values(inputsOf(layer)[0]);
  const weights = values(recipe.weight);
  const run = loops(layer, slice);
  return ready(numbers) && ready(weights) && run ? { layer, numbers, weights, run } : null;
}

/** Each of the first `channels` input maps under its own slice of each filter first..first+filters-1. */
function add({ numbers, weights, run, layer }: NonNullable<ReturnType<typeof parts>>, first: number, filters: number, channels: number): Partial {
  const { slices, sliceStep, rows, columns, rowStep, columnStep, perGroup, taps, flat, wide, recipe } = run;
  const out = new Float32Array(filters * channels * rows.length * columns.length);
  let to = 0;
  for (let f = first; f < first + filters; f++) {
    for (let c = 0; c < channels; c++) {
      const base = (f * perGroup + c) * taps;
      const plane = (run.first(f) + c) * run.channelStep;
      for (const row of rows) {
        for (const column of columns) {
          let sum = 0;
          for (const s of slices) {
            for (const r of row) {
              for (const q of column) {
                if (s.real && r.real && q.real) sum += numbers[plane + s.i * sliceStep + r.i * rowStep + q.i * columnStep] * weights[base + s.k * flat + r.k * wide + q.k];
              }
            }
          }
          out[to++] = sum;
        }
      }
    }
  }
  const info = { ...tensor(layer.output), id: "partial", shape: [filters * channels, rows.length, columns.length], channel: 0 };
  return { filters, channels, info, numbers: out, complete: filters === recipe.channels_out && channels === perGroup };
}

/** All partial maps of a layer that sums over windows, a slice of them, as far as memory and a screen go. */
export function partialMaps(layer: Layer, slice: number): Partial | null {
  const made = parts(layer, slice);
  if (!made) return null;
  const { recipe, perGroup, rows, columns } = made.run;
  const each = rows.length * columns.length;
  // At two pixels a map, a screen has room for 120 rows and 300 columns.
  const channels = Math.min(perGroup, 120);
  const filters = Math.max(1, Math.min(recipe.channels_out, 300, Math.floor(most / (channels * each))));
  return add(made, 0, filters, Math.min(channels, Math.max(1, Math.floor(most / (filters * each)))));
}

let last: { layer: Layer; filter: number; slice: number; from: Values; made: Partial } | null = null;

/** A slice of the partial maps of one filter, kept while it is looked at; null where they would take long. */
export function partialsOf(layer: Layer, filter: number, slice: number): Partial | null {
  const made = parts(layer, slice);
  if (!made) return null;
  const { run, numbers: from } = made;
  if (last?.layer !== layer || last.filter !== filter || last.slice !== slice || last.from !== from) {
    if (run.perGroup * run.rows.length * run.columns.length * run.taps > most) return null;
    last = { layer, filter, slice, from, made: add(made, filter, 1, run.perGroup) };
  }
  return last.made;
}
