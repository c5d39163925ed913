// How each recipe makes a number: what it reads, what that is multiplied by, and what becomes of it.

import { reads, type Axis } from "../axis";
import type { FormulaRecipe, GatherRecipe, Layer, ListedRecipe, MergeRecipe, OverTimeRecipe, Recipe, RowRecipe, ScatterRecipe, WindowRecipe } from "../schema";
import { ExactSum } from "../sum";
import { activate, gather, moved, type Step } from "./activate";
import { derived, ready, tensor, unflattened, values, type Values } from "./store";
import { finalOf, flat, size, strides } from "./tensor";

/** A number in the making: its terms, one after the other, and what is known of it. */
export interface Draft {
  x: number[];
  w: number[];
  input: number[];
  source: number[];
  weight: number[];
  channel: number[];
  bias: number | null;
  padding: number;
  divisor: number | null;
  combine: "sum" | "choice" | "formula";
  winner: number;
  steps: readonly Step[];
  value: number | null;
  /** A tighter bound than a sum's, where the layer has one. */
  bound: number | null;
  times: number;
}

export const unit = 2 ** -24;

/** count*u/(1-count*u)*magnitude + count*2^-149: Higham's bound for any order of summation. */
export function sumBound(terms: number, magnitude: number): number {
  return ((terms * unit) / (1 - terms * unit)) * magnitude + terms * 2 ** -149;
}

export function draft(): Draft {
  return {
    x: [], w: [], input: [], source: [], weight: [], channel: [], bias: null, padding: 0,
    divisor: null, combine: "sum", winner: -1, steps: [], value: null, bound: null, times: 1,
  };
}

/** Every combination of the real reads of each axis: kernel places and input positions. */
export function windowReads(axes: readonly Axis[], position: readonly number[]) {
  let combos: { k: number[]; i: number[]; c: number }[] = [{ k: [], i: [], c: 1 }];
  let all = 1;
  axes.forEach((axis, n) => {
    const list = reads(axis, position[n]);
    all *= list.length;
    const real = list.filter((read) => read.real);
    combos = combos.flatMap((combo) =>
      real.map((read) => ({ k: [...combo.k, read.k], i: [...combo.i, read.i], c: combo.c * read.c })),
    );
  });
  return { combos, padding: all - combos.length };
}

function window(out: Draft, layer: Layer, recipe: WindowRecipe, at: readonly number[]): boolean {
  const info = tensor(layer.inputs[0]);
  const numbers = values(layer.inputs[0]);
  const weights = recipe.weight === null ? null : values(recipe.weight);
  const bias = recipe.bias === null ? null : values(recipe.bias);
  if (!ready(numbers) || (recipe.weight !== null && !ready(weights))) return false;
  if (recipe.bias !== null && !ready(bias)) return false;
  const outInfo = tensor(layer.output);
  const pooled = outInfo.channel === null && at.length === 1;
  const place = pooled ? 0 : (outInfo.channel ?? -1);
  const filter = place < 0 ? 0 : at[place];
  const position = pooled ? recipe.axes.map(() => 0) : at.filter((_, n) => n !== place);
  const { combos, padding } = windowReads(recipe.axes, position);
  const steps = strides(info.shape);
  const channelStep = info.channel === null ? 0 : steps[info.channel];
  const spatialSteps = steps.filter((_, n) => n !== info.channel);
  const perGroup = recipe.channels_in / recipe.groups;
  const first = Math.floor(filter / (recipe.channels_out / recipe.groups)) * perGroup;
  const kernelSizes = recipe.axes.map((axis) => axis.kernel);
  const taps = size(kernelSizes);
  const places = combos.map((combo) => combo.i.reduce((sum, i, n) => sum + i * spatialSteps[n], 0));
  const tapPlaces = combos.map((combo) => flat(kernelSizes, combo.k));
  const mean = recipe.combine === "mean";
  const divisor = recipe.divisor === "all" ? combos.length + padding : combos.length;
  for (let c = 0; c < perGroup; c++) {
    for (let n = 0; n < combos.length; n++) {
      const input = places[n] + (first + c) * channelStep;
      const weight = weights ? (filter * perGroup + c) * taps + tapPlaces[n] : -1;
      out.x.push((numbers as Values)[input]);
      out.w.push(ready(weights) ? weights[weight] : mean ? combos[n].c / divisor : combos[n].c);
      out.input.push(input);
      out.weight.push(weight);
      out.channel.push(first + c);
    }
  }
  out.padding = padding * perGroup;
  if (ready(bias)) out.bias = bias[filter];
  if (mean) averaged(out, divisor);
  if (recipe.combine === "max") choose(out, Math.max);
  return true;
}

/** A mean of `divisor` numbers: its bound is (n + 1)*u*(sum of |terms|) + 2^-149; 2*n for a sum of products. */
function averaged(out: Draft, divisor: number | null, roundings = out.x.length + 1): void {
  out.divisor = divisor;
  out.bound = roundings * unit * sizeOf(out) + 2 ** -149;
}

function sizeOf({ x, w }: Draft): number {
  return x.reduce((sum, v, n) => sum + Math.abs(v * w[n]), 0);
}

function choose(out: Draft, better: (a: number, b: number) => number): void {
  out.combine = "choice";
  let best = out.x.length ? 0 : -1;
  for (let n = 1; n < out.x.length; n++) {
    if (out.x[n] !== out.x[best] && better(out.x[n], out.x[best]) === out.x[n]) best = n;
  }
  out.winner = best;
  out.value = best < 0 ? -Infinity : out.x[best];
}

function row(out: Draft, layer: Layer, { weight: weightId, bias: biasId }: RowRecipe, at: readonly number[]): boolean {
  const info = tensor(layer.inputs[0]);
  const numbers = values(layer.inputs[0]);
  const weights = values(weightId);
  const bias = biasId === null ? null : values(biasId);
  if (!ready(numbers) || !ready(weights) || (biasId !== null && !ready(bias))) return false;
  const n = finalOf(info.shape);
  const unitAt = finalOf(at);
  const start = flat(info.shape.slice(0, -1), at.slice(0, -1)) * n;
  const maps = unflattened(layer.inputs[0]);
  const step = maps.channel === null || info.shape.length > 1 ? 1 : strides(maps.shape)[maps.channel];
  const channels = maps.channel === null || info.shape.length > 1 ? n : maps.shape[maps.channel];
  const channelOf = (i: number) => Math.floor(i / step) % channels;
  const order = Array.from({ length: n }, (_, i) => i);
  if (channels < n) order.sort((a, b) => channelOf(a) - channelOf(b) || a - b);
  for (const i of order) {
    out.x.push(numbers[start + i]);
    out.w.push(weights[unitAt * n + i]);
    out.input.push(start + i);
    out.weight.push(unitAt * n + i);
    out.channel.push(channelOf(i));
  }
  if (ready(bias)) out.bias = bias[unitAt];
  return true;
}

function scatter(out: Draft, layer: Layer, recipe: ScatterRecipe, at: readonly number[]): boolean {
  const info = tensor(layer.inputs[0]);
  const numbers = values(layer.inputs[0]);
  const table = recipe.table === null ? null : values(recipe.table);
  if (!ready(numbers) || (recipe.table !== null && !ready(table))) return false;
  const outShape = tensor(layer.output).shape;
  out.combine = "choice";
  const place = recipe.reads ? (gather(info.shape, recipe.reads, at)[0]?.[0] ?? -1) : moved(recipe, outShape, at);
  if (place < 0) {
    out.value = recipe.fill;
    return true;
  }
  push(out, 0, place, numbers[place], 1);
  out.winner = ready(table) ? -1 : 0;
  out.value = ready(table) ? table[Math.trunc(numbers[place]) * finalOf(outShape) + finalOf(at)] : numbers[place];
  return true;
}

/** Numbers of one input in one, or the products of those of two inputs. */
function gathered(out: Draft, layer: Layer, { reads, combine, factors: [alpha, beta], roundings }: GatherRecipe, at: readonly number[]): boolean {
  const slots = layer.inputs.map(values);
  if (!slots.every(ready)) return false;
  const [own, other, added] = reads.map((read, n) => gather(tensor(layer.inputs[n]).shape, read, at));
  const mean = combine === "mean";
  own.forEach(([place, c], n) => {
    push(out, 0, place, slots[0][place], other ? slots[1][other[n][0]] * (alpha ?? 1) : mean ? 1 / own.length : c);
    if (other) out.channel[n] = n;
  });
  if (mean) averaged(out, own.length, own.length + roundings);
  else if (combine !== "sum") choose(out, Math[combine]);
  if (alpha !== undefined) {
    added?.forEach(([place]) => {
      push(out, 2, place, slots[2][place], beta);
      out.channel[own.length] = own.length;
    });
    out.bound = sumBound(own.length + 2, sizeOf(out)) + 2 * unit * sizeOf(out);
  }
  return true;
}

/** Float64 numbers that came as the bytes of pairs of float32. */
export function doubles(held: Values): Float64Array {
  return new Float64Array(held.buffer);
}

/** Where output number `at` of a listed layer reads: which input, and the flat place there (-1: a stored number). */
export function listedReads(layer: Layer, { lists }: ListedRecipe, at: readonly number[]): [number, number][] | null {
  const [starts, places] = lists.map(values);
  if (!ready(starts) || !ready(places)) return null;
  const n = flat(tensor(layer.output).shape, at);
  return Array.from(places.subarray(starts[n], starts[n + 1]), (place) => {
    let source = 0;
    for (const id of layer.inputs) {
      const many = size(tensor(id).shape);
      if (place < many) break;
      place -= many;
      source++;
    }
    return [source, place];
  });
}

/** What Python wrote down of this number; its products are added up here. */
function listed(out: Draft, layer: Layer, recipe: ListedRecipe, at: readonly number[]): boolean {
  const slots = layer.inputs.map(values);
  const [starts, , factors, facts] = recipe.lists.map(values);
  const all = listedReads(layer, recipe, at);
  if (!all || !ready(starts) || !ready(factors) || !ready(facts) || !slots.every(ready)) return false;
  const n = flat(tensor(layer.output).shape, at);
  const wide = facts.length / 2 / (starts.length - 1);
  const times = doubles(factors).subarray(starts[n]);
  all.forEach(([source, place], i) => {
    // Of a formula's sum, what only says where to read adds nothing.
    if (layer.rule === "formula" && recipe.summed && !times[i]) return;
    push(out, source, place, place < 0 ? 1 : slots[source][place], times[i]);
    out.channel[out.x.length - 1] = i;
  });
  const [bias, bound, padding, winner, value, ...steps] = doubles(facts).subarray(n * wide, (n + 1) * wide);
  Object.assign(out, { bias: bias || null, bound, padding, winner });
  out.steps = steps.map((number, i) => ({ name: recipe["steps"][i][0], expression: recipe["steps"][i][1], value: number }));
  if (layer.rule === "choice" || !recipe.summed) out.value = winner < 0 ? value : out.x[winner];
  return true;
}

/** The recipe of a number: over time that of one position. */
export function inside({ recipe }: Layer): Recipe {
  return recipe.form === "over_time" ? recipe.inner : recipe;
}

/** A layer over time as it is at one position. */
export function atStep(layer: Layer, { inner }: OverTimeRecipe, step: number): Layer {
  const one = (id: string) => {
    const { shape: [, ...shape], channel } = tensor(id);
    const many = size(shape);
    return derived(id, `${step}`, (numbers) => numbers.subarray(step * many, (step + 1) * many), { shape, channel: channel && channel - 1 });
  };
  return { ...layer, recipe: inner, inputs: layer.inputs.map(one), output: one(layer.output) };
}

function overTime(out: Draft, layer: Layer, recipe: OverTimeRecipe, [step, ...at]: readonly number[]): boolean {
  const one = atStep(layer, recipe, step);
  if (!makers[recipe.inner.form]!(out, one, recipe.inner as never, at)) return false;
  // A stored number has no place.
  out.input = out.input.map((place, n) => (place < 0 ? place : place + step * size(tensor(one.inputs[out.source[n] ?? 0]).shape)));
  return true;
}

function push(out: Draft, source: number, input: number, x: number, w: number): void {
  out.x.push(x);
  out.w.push(w);
  out.input.push(input);
  out.source[out.x.length - 1] = source;
  out.weight.push(-1);
  out.channel.push(source);
}

function merge(out: Draft, layer: Layer, { op, axis, factors }: MergeRecipe, at: readonly number[]): boolean {
  const slots = layer.inputs.map((id) => values(id));
  if (!slots.every(ready)) return false;
  if (op === "concat") {
    let start = 0;
    for (let s = 0; s < slots.length; s++) {
      const shape = tensor(layer.inputs[s]).shape;
      const inside = at[axis] - start;
      if (inside < shape[axis]) {
        const place = flat(shape, at.map((v, n) => (n === axis ? inside : v)));
        push(out, s, place, (slots[s] as Values)[place], 1);
        break;
      }
      start += shape[axis];
    }
    choose(out, Math.max);
    return true;
  }
  slots.forEach((numbers, s) => {
    const place = spread(tensor(layer.inputs[s]).shape, at);
    push(out, s, place, (numbers as Values)[place], factors[s] ?? 1);
  });
  const many = slots.length;
  if (op === "maximum") choose(out, Math.max);
  if (op === "minimum") choose(out, Math.min);
  if (op === "average") averaged(out, many);
  if (op === "weighted") averaged(out, null, 2 * many);
  if (op === "multiply" || op === "divide") {
    out.combine = "formula";
    out.value = out.x.reduce((a, b) => (op === "divide" ? a / b : a * b));
    out.bound = 2 * (many - 1) * unit * Math.abs(out.value) + 2 ** -149;
  }
  return true;
}

function formula(out: Draft, layer: Layer, recipe: FormulaRecipe, at: readonly number[]): boolean {
  const id = layer.inputs[0];
  const info = tensor(id);
  const numbers = values(id);
  if (!ready(numbers)) return false;
  const place = flat(info.shape, at);
  const stored: (number | null)[] = [];
  for (const name of recipe.constants) {
    // A number names an input.
    const from = typeof name === "number" ? layer.inputs[name] : name;
    const slot = from === null ? from : values(from);
    if (from !== null && !ready(slot)) return false;
    const own = from === null ? 0 : spread(tensor(from).shape, at);
    const number = ready(slot) ? slot[own] : null;
    stored.push(number);
    if (from !== name) push(out, name as number, own, number as number, 1);
  }
  if (layer.rule === "sum") return addends(out, recipe, stored, place, numbers[place]);
  const made = activate(recipe, info.shape, numbers, at, stored);
  if (!made) return false;
  if (!out.x.length && info.shape.join() === tensor(layer.output).shape.join()) push(out, 0, place, numbers[place], 1);
  Object.assign(out, made, { combine: "formula" });
  if (recipe.name === "choice") {
    const taken = recipe.constants[made.steps.at(-2)!.value];
    if (typeof taken === "number") out.winner = taken;
  }
  return true;
}

/** The flat place that position `at` has in an array that broadcasts to its own. */
function spread(shape: readonly number[], at: readonly number[]): number {
  return flat(shape, at.slice(at.length - shape.length).map((v, n) => (shape[n] === 1 ? 0 : v)));
}

/** x*scale + offset, x*scale + (-zero*scale), or x*k + (-mean*k) + beta with k = gamma / sqrt(variance + epsilon), or 1 / max(sqrt(variance), epsilon): a sum of addends. */
function addends(out: Draft, { name, numbers }: FormulaRecipe, [gamma, beta, mean, variance]: (number | null)[], place: number, x: number): boolean {
  const grid = name === "dequantise";
  const plain = grid || name === "affine";
  const epsilon = numbers[0] ?? 0;
  const k = (gamma ?? 1) / (plain ? 1 : name === "batch_norm" ? Math.sqrt(variance! + epsilon) : Math.max(Math.sqrt(variance!), epsilon));
  push(out, 0, place, x, k);
  if (!plain) push(out, 0, -1, mean ?? 0, -k);
  out.bias = grid ? (0 - (beta ?? 0)) * k : (beta ?? 0);
  const size = grid ? Math.abs(x * k + out.bias) : Math.abs(x * k) + Math.abs((mean ?? 0) * k) + Math.abs(out.bias);
  out.bound = (plain ? (numbers[0] ?? 2) : 6) * unit * size + 2 ** -149;
  return true;
}

export const makers: { [F in Recipe["form"]]?: (out: Draft, layer: Layer, recipe: never, at: readonly number[]) => boolean } = {
  window: window as never,
  row: row as never,
  scatter: scatter as never,
  gather: gathered as never,
  merge: merge as never,
  formula: formula as never,
  listed: listed as never,
  over_time: overTime as never,
};

/** The correctly rounded sum of products and a bias. */
export function total(product: ArrayLike<number> & Iterable<number>, bias: number | null): number {
  const sum = new ExactSum();
  for (const p of product) sum.add(p);
  if (bias !== null) sum.add(bias);
  return sum.value();
}
