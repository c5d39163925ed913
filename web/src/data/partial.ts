// The maps before the plus: each input map under its own slice of each filter, not yet added.

import { reads, type Read } from "../axis";
import type { Layer, WindowRecipe } from "../schema";
import { ready, tensor, values, type Values } from "./store";
import { size, strides } from "./tensor";

export interface Partial {
  readonly filters: number;
  readonly channels: number;
  readonly height: number;
  readonly width: number;
  /** (filter, channel of its group, row, column), float32 for drawing. */
  readonly numbers: Values;
  readonly complete: boolean;
}

const most = 4_000_000;

/** What a loop over a window layer of one or two spatial axes runs over; null for other layers. */
export function loops(layer: Layer) {
  const recipe = layer.recipe as WindowRecipe;
  const info = tensor(layer.inputs[0]);
  if (recipe.form !== "window" || recipe.axes.length > 2 || info.channel === null) return null;
  const steps = strides(info.shape);
  const spatial = steps.filter((_, n) => n !== info.channel);
  const lines = recipe.axes.map((axis) => Array.from({ length: axis.n_out }, (_, o) => reads(axis, o)));
  const once: Read[][] = [[{ k: 0, i: 0, real: true, c: 1 }]];
  const kernel = recipe.axes.map((axis) => axis.kernel);
  const perGroup = recipe.channels_in / recipe.groups;
  return {
    recipe, perGroup,
    rows: lines.length === 2 ? lines[0] : once,
    columns: lines[lines.length - 1],
    rowStep: lines.length === 2 ? spatial[0] : 0,
    columnStep: spatial[spatial.length - 1],
    channelStep: steps[info.channel],
    taps: size(kernel),
    wide: kernel[kernel.length - 1],
    /** The first input map of a filter's group. */
    first: (filter: number) => Math.floor(filter / (recipe.channels_out / recipe.groups)) * perGroup,
  };
}

/** All partial maps of a layer that sums over windows with one or two spatial axes. */
export function partialMaps(layer: Layer): Partial | null {
  const { recipe } = layer;
  if (recipe.form !== "window" || recipe.combine !== "sum" || recipe.weight === null) return null;
  const numbers = values(layer.inputs[0]);
  const weights = values(recipe.weight);
  const run = loops(layer);
  if (!ready(numbers) || !ready(weights) || !run) return null;
  const { rows, columns, rowStep, columnStep, perGroup, taps, wide } = run;
  const height = rows.length;
  const width = columns.length;
  const filters = Math.max(1, Math.min(recipe.channels_out, Math.floor(most / (perGroup * height * width)) || 1));
  const channels = Math.min(perGroup, Math.max(1, Math.floor(most / (filters * height * width))));
  const out = new Float32Array(filters * channels * height * width);
  let to = 0;
  for (let f = 0; f < filters; f++) {
    for (let c = 0; c < channels; c++) {
      const base = (f * perGroup + c) * taps;
      const plane = (run.first(f) + c) * run.channelStep;
      for (const row of rows) {
        for (const column of columns) {
          let sum = 0;
          for (const r of row) {
            for (const q of column) {
              if (r.real && q.real) sum += numbers[plane + r.i * rowStep + q.i * columnStep] * weights[base + r.k * wide + q.k];
            }
          }
          out[to++] = sum;
        }
      }
    }
  }
  return { filters, channels, height, width, numbers: out, complete: filters === recipe.channels_out && channels === perGroup };
}
