// Running a small network in the page itself, on a picture that somebody draws or drops.
//
// Sums are float64, stored as float32 after each layer. The engine has not seen such a picture,
// and the page says so.

import { effect } from "@preact/signals-core";
import type { Layer } from "../schema";
import { activate } from "./activate";
import { loops } from "./partial";
import { overrides, page, tensor, values, type Values } from "./store";
import { size, strides, unflat } from "./tensor";
import { explain } from "./number";

type Held = Map<string, Values>;

function windowPass(layer: Layer, x: Values, out: Values): boolean {
  const run = loops(layer);
  const made = tensor(layer.pre ?? layer.output);
  if (!run || run.recipe.axes.length > 2 || made.channel === null) return false;
  const { recipe, rows, columns, rowStep, columnStep, perGroup, taps, wide } = run;
  const weights = recipe.weight === null ? null : values(recipe.weight);
  const bias = recipe.bias === null ? null : values(recipe.bias);
  if (weights === "absent" || bias === "absent") return false;
  const steps = strides(made.shape);
  const spatial = steps.filter((_, n) => n !== made.channel);
  const [outRow, outColumn] = spatial.length === 2 ? spatial : [0, spatial[0]];
  for (let f = 0; f < recipe.channels_out; f++) {
    rows.forEach((row, y) => columns.forEach((column, x_) => {
      let total = bias ? bias[f] : 0;
      let best = -Infinity;
      let real = 0;
      for (let c = 0; c < perGroup; c++) {
        const plane = (run.first(f) + c) * run.channelStep;
        const base = (f * perGroup + c) * taps;
        for (const r of row) {
          if (!r.real) continue;
          for (const q of column) {
            if (!q.real) continue;
            const v = x[plane + r.i * rowStep + q.i * columnStep];
            real++;
            if (v > best) best = v;
            total += v * (weights ? weights[base + r.k * wide + q.k] : r.c * q.c);
          }
        }
      }
      const all = recipe.divisor === "all" ? row.length * column.length : real;
      out[y * outRow + x_ * outColumn + f * steps[made.channel as number]] =
        recipe.combine === "max" ? best : recipe.combine === "mean" ? total / all : total;
    }));
  }
  return true;
}

function rowPass(layer: Layer, x: Values, out: Values): boolean {
  const { recipe } = layer;
  if (recipe.form !== "row") return false;
  const weights = values(recipe.weight);
  const bias = recipe.bias === null ? null : values(recipe.bias);
  if (!(weights instanceof Float32Array) || bias === "absent") return false;
  const n = tensor(layer.inputs[0]).shape.at(-1) as number;
  const units = out.length / (x.length / n);
  for (let place = 0; place < out.length; place++) {
    const u = place % units;
    const start = Math.floor(place / units) * n;
    let total = bias ? bias[u] : 0;
    for (let i = 0; i < n; i++) total += x[start + i] * weights[u * n + i];
    out[place] = total;
  }
  return true;
}

let next: Values | null = null;

/** Run the network on `picture`, the last one asked for, as soon as its weights are there. */
export function forward(picture: Values): void {
  const waiting = next !== null;
  next = picture;
  if (waiting) return;
  const stop = effect(() => {
    const names = page.value.layers.flatMap(({ recipe }) =>
      recipe.form === "window" || recipe.form === "row" ? [recipe.weight, recipe.bias] : recipe.form === "formula" ? recipe.constants : recipe.form === "scatter" ? [recipe.table] : []);
    const slots = names.map((name) => (typeof name === "string" ? values(name) : "absent"));
    if (slots.includes(null)) return;
    requestAnimationFrame(() => {
      stop();
      const last = next;
      next = null;
      if (last) pass(last);
    });
  });
}

/** The network on `picture`; its numbers go before the page's own until `overrides` is emptied. */
function pass(picture: Values): void {
  const now = page.value;
  const held: Held = new Map([[now.input, picture]]);
  overrides.value = held;
  for (const layer of now.layers) {
    const target = tensor(layer.pre ?? layer.output);
    const out = new Float32Array(size(target.shape));
    const x = held.get(layer.inputs[0]);
    if (!x) continue;
    if (layer.recipe.form === "scatter" && layer.recipe.how === "reshape") out.set(x);
    else if (!windowPass(layer, x, out) && !rowPass(layer, x, out)) {
      // Merges, borders and formulas, number by number, by the same code that explains them.
      const plain = { ...layer, activation: null };
      for (let place = 0; place < out.length; place++) out[place] = explain(plain, unflat(target.shape, place))?.value ?? NaN;
    }
    held.set(target.id, out);
    if (layer.pre && layer.activation) {
      const after = new Float32Array(out.length);
      for (let place = 0; place < out.length; place++) {
        const at = unflat(target.shape, place);
        after[place] = activate(layer.activation, target.shape, out, at, [])?.value ?? NaN;
      }
      held.set(layer.output, after);
    }
  }
  overrides.value = new Map(held);
}
