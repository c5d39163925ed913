// The maps before the plus: each input map under its own slice of each filter, not yet added.

import { reads } from "../axis";
import type { Layer } from "../schema";
import { tensor, values } from "./store";
import { size, strides } from "./tensor";

export interface Partial {
  readonly filters: number;
  readonly channels: number;
  readonly height: number;
  readonly width: number;
  /** (filter, channel of its group, row, column), float32 for drawing. */
  readonly numbers: Float32Array;
  readonly complete: boolean;
}

const most = 4_000_000;

/** All partial maps of a layer that sums over windows with one or two spatial axes. */
export function partialMaps(layer: Layer): Partial | null {
  const { recipe } = layer;
  if (recipe.form !== "window" || recipe.combine !== "sum" || recipe.weight === null) return null;
  const numbers = values(layer.inputs[0]);
  const weights = values(recipe.weight);
  if (!(numbers instanceof Float32Array) || !(weights instanceof Float32Array) || recipe.axes.length > 2) return null;
  const info = tensor(layer.inputs[0]);
  const steps = strides(info.shape);
  const channelStep = info.channel === null ? 0 : steps[info.channel];
  const spatial = steps.filter((_, n) => n !== info.channel);
  const two = recipe.axes.length === 2;
  const lines = recipe.axes.map((axis) =>
    Array.from({ length: axis.n_out }, (_, o) => reads(axis, o).filter((read) => read.real)));
  const [rows, columns] = two ? lines : [[[{ k: 0, i: 0, real: true, c: 1 }]], lines[0]];
  const [rowStep, columnStep] = two ? spatial : [0, spatial[0]];
  const kernel = recipe.axes.map((axis) => axis.kernel);
  const taps = size(kernel);
  const wide = kernel[kernel.length - 1];
  const height = rows.length;
  const width = columns.length;
  const perGroup = recipe.channels_in / recipe.groups;
  const filters = Math.max(1, Math.min(recipe.channels_out, Math.floor(most / (perGroup * height * width)) || 1));
  const channels = Math.min(perGroup, Math.max(1, Math.floor(most / (filters * height * width))));
  const out = new Float32Array(filters * channels * height * width);
  let to = 0;
  for (let f = 0; f < filters; f++) {
    const first = Math.floor(f / (recipe.channels_out / recipe.groups)) * perGroup;
    for (let c = 0; c < channels; c++) {
      const base = (f * perGroup + c) * taps;
      const plane = (first + c) * channelStep;
      for (let y = 0; y < height; y++) {
        for (let x = 0; x < width; x++) {
          let sum = 0;
          for (const r of rows[y]) {
            for (const q of columns[x]) {
              sum += numbers[plane + r.i * rowStep + q.i * columnStep] * weights[base + r.k * wide + q.k];
            }
          }
          out[to++] = sum;
        }
      }
    }
  }
  return { filters, channels, height, width, numbers: out, complete: filters === recipe.channels_out && channels === perGroup };
}
