// The sum behind one number, recomputed in the page from the binary float32 tensors.
//
// Products of two float32 numbers are exact in float64, and the sums are correctly rounded, so
// these are the very numbers that `convlens explain --json` prints.

import type { Grids, Layer } from "../schema";
import { ExactSum } from "../sum";
import { activate, type Step } from "./activate";
import { doubles, draft, makers, sumBound, total, unit, type Draft } from "./makers";
import { derived, overrides, ready, tensor, values } from "./store";
import { flat } from "./tensor";

/** The terms of one source channel: places start..end of the term arrays. */
export interface Group {
  readonly channel: number;
  readonly start: number;
  readonly end: number;
  readonly sum: number;
}

export interface NumberFacts {
  readonly layer: Layer;
  readonly at: readonly number[];
  readonly rule: Layer["rule"];
  readonly x: Float64Array;
  readonly w: Float64Array;
  readonly product: Float64Array;
  /** Flat place of each term's input in its source tensor, and which source. */
  readonly input: Int32Array;
  readonly source: Uint8Array;
  /** Flat place of each term's weight, -1 where it is a plain coefficient. */
  readonly weight: Int32Array;
  readonly groups: readonly Group[];
  readonly bias: number | null;
  readonly padding: number;
  readonly divisor: number | null;
  /** The term that a choice takes; -1 for none (a constant, or not a choice). */
  readonly winner: number;
  readonly steps: readonly Step[];
  readonly pre: number;
  readonly value: number;
  readonly enginePre: number | null;
  readonly engine: number | null;
  readonly bound: number | null;
  /** What weights of whole numbers are multiplied by. */
  readonly times: number;
}

function grouped(out: Draft, product: Float64Array): Group[] {
  const groups: Group[] = [];
  for (let start = 0; start < product.length; ) {
    const channel = out.channel[start];
    let end = start;
    const sum = new ExactSum();
    while (end < product.length && out.channel[end] === channel) sum.add(product[end++]);
    groups.push({ channel, start, end, sum: sum.value() });
    start = end;
  }
  return groups;
}

function engineAt(id: string | null, at: readonly number[]): number | null {
  // A picture that the page ran itself has no engine to compare with.
  if (id === null || overrides.value.size) return null;
  const numbers = values(id);
  return ready(numbers) ? numbers[flat(tensor(id).shape, at)] : null;
}

/** A layer's inputs as its recipe takes them: of whole numbers, what they stand for. */
export function inputsOf({ inputs, grids }: Layer): readonly string[] {
  return grids?.sources.map(([scale, zero], n) => {
    const times = grids.kernel ? 1 : scale;
    return derived(inputs[n], `${zero} ${times}`, (numbers) => {
      const given = zero ?? values(inputs[1]);
      const less = ready(given) ? given[0] : given;
      return typeof less === "number" ? Float64Array.from(numbers, (q) => (q - less) * times) : less;
    });
  }) ?? inputs;
}

/** A sum of whole numbers as the real one that it stands for. */
function scaled(out: Draft, { sources, kernel, axis }: Grids, at: readonly number[]): boolean {
  const held = kernel && values(kernel);
  if (!ready(held)) return !kernel;
  const scales = doubles(held);
  const [[first], other] = sources;
  const times = scales[scales.length > 1 ? (at.at(axis) as number) : 0] * (other ? other[0] : 1);
  const real = total(out.x.map((x, n) => x * out.w[n]), out.bias) * first * times;
  out.x = out.x.map((x) => x * first);
  out.w = out.w.map((w) => w * times);
  out.bias = out.bias && out.bias * first * times;
  out.value = real;
  out.times = times;
  out.bound = 8 * unit * Math.abs(real) + 2 ** -149;
  return true;
}

/** The facts of output number `at`; null while arrays load, or when the page cannot know. */
export function explain(layer: Layer, at: readonly number[]): NumberFacts | null {
  const out = draft();
  const { grids, activation } = layer;
  const make = makers[layer.recipe.form];
  if (!make || !make(out, { ...layer, inputs: inputsOf(layer) }, layer.recipe as never, at)) return null;
  if (grids && !scaled(out, grids, at)) return null;
  const x = Float64Array.from(out.x);
  const w = Float64Array.from(out.w);
  const product = x.map((v, n) => v * w[n]);
  const groups = grouped(out, product);
  const pre = out.value ?? total(product, out.bias);
  let magnitude = Math.abs(out.bias ?? 0);
  for (const p of product) magnitude += Math.abs(p);
  const terms = product.length + (out.bias === null ? 0 : 1);
  let value = pre;
  let { steps } = out;
  let bound = out.bound ?? (out.combine === "choice" ? 0 : out.combine === "sum" ? sumBound(terms, magnitude) : null);
  // A sum of whole numbers that stays one is exact.
  if (grids && !activation && !grids.kernel) bound = 0;
  // How far the real number of a function of whole ones may be off: its own bound, and what they
  // stand for. Its slope times x is at most x or the number itself: a sum, a product, a function.
  const off = (bound ?? 0) + 8 * unit * (magnitude + 2 * Math.abs(pre));
  const before = layer.pre ?? (grids && layer.output);
  if (activation && before) {
    const numbers = grids ? null : values(before);
    const made = activate(activation, tensor(before).shape, ready(numbers) ? numbers : null, at, [grids?.kernel ? 0 : off], pre);
    if (made) {
      value = made.value;
      steps = [...(grids ? steps : []), ...made.steps];
      if (grids) bound = made.bound;
    }
  }
  return {
    layer, at, rule: layer.rule, x, w, product, groups, steps, pre, value,
    input: Int32Array.from(out.input), source: Uint8Array.from(out.x, (_, n) => out.source[n] ?? 0),
    weight: Int32Array.from(out.weight), bias: out.bias, padding: out.padding, divisor: out.divisor,
    winner: out.winner, enginePre: engineAt(layer.pre, at), engine: engineAt(layer.output, at),
    times: out.times, bound,
  };
}
