// Activations and softmax as named steps, in float64: one elementary function each.

import type { FormulaRecipe } from "../schema";
import { fsum } from "../sum";

export interface Step {
  readonly name: string;
  readonly expression: string;
  readonly value: number;
}

export interface Activated {
  readonly value: number;
  readonly steps: readonly Step[];
}

type Simple = (x: number, p: readonly (number | null)[]) => number;

const sigmoid = (x: number) => (x >= 0 ? 1 / (1 + Math.exp(-x)) : Math.exp(x) / (1 + Math.exp(x)));
const softplus = (x: number) => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x)));
const clip: Simple = (x, [low, high]) => {
  if (low !== null && low !== undefined && x <= low) return low;
  return high !== null && high !== undefined && x >= high ? high : x;
};
const sixth = (x: number) => Math.min(1, Math.max(0, x / 6 + 0.5));

/** The functions that page_recipe.py knows, by the same names. */
const simple: Record<string, Simple> = {
  linear: (x) => x,
  relu: clip,
  clip,
  leaky_relu: (x, [p]) => (x >= 0 ? x : x * (p ?? 0)),
  sigmoid,
  tanh: Math.tanh,
  silu: (x) => x * sigmoid(x),
  softplus,
  softsign: (x) => x / (1 + Math.abs(x)),
  elu: (x, [p]) => (x > 0 ? x : (p ?? 1) * Math.expm1(x)),
  exponential: Math.exp,
  hard_sigmoid: sixth,
  hard_silu: (x) => x * sixth(x),
  mish: (x) => x * Math.tanh(softplus(x)),
};

const words: Record<string, string> = { relu: "max(x, 0)", clip: "x between its limits", linear: "x" };

function rowOf(shape: readonly number[], numbers: Float32Array, at: readonly number[], axis: number): number[] {
  const real = axis < 0 ? axis + shape.length : axis;
  let step = 1;
  for (let n = real + 1; n < shape.length; n++) step *= shape[n];
  let start = 0;
  let whole = 1;
  for (let n = shape.length - 1; n >= 0; n--) {
    if (n !== real) start += at[n] * whole;
    whole *= shape[n];
  }
  return Array.from({ length: shape[real] }, (_, n) => numbers[start + n * step]);
}

function softmax(recipe: FormulaRecipe, shape: readonly number[], numbers: Float32Array, at: readonly number[], own: number): Activated {
  const row = rowOf(shape, numbers, at, recipe.axis);
  row[at[recipe.axis < 0 ? recipe.axis + shape.length : recipe.axis]] = own;
  const top = Math.max(...row);
  const exps = row.map((x) => Math.exp(x - top));
  const total = fsum(exps);
  const axis = recipe.axis < 0 ? recipe.axis + shape.length : recipe.axis;
  const mine = Math.exp(own - top);
  const value = mine / total;
  return {
    value,
    steps: [
      { name: "largest of the row", expression: `max of ${row.length} numbers`, value: top },
      { name: `exp of number ${at[axis]}`, expression: "exp(x - largest)", value: mine },
      { name: "sum of the row", expression: `sum of ${row.length} exps`, value: total },
      { name: "share", expression: "exp / sum", value },
    ],
  };
}

/** Apply `recipe` to the number at `place`; `x` replaces it where our own sum is at hand. */
export function activate(
  recipe: FormulaRecipe, shape: readonly number[], numbers: Float32Array | null, at: readonly number[],
  place: number, x?: number,
): Activated | null {
  const own = x ?? numbers?.[place];
  if (own === undefined) return null;
  if (recipe.name === "softmax") return numbers && softmax(recipe, shape, numbers, at, own);
  const f = simple[recipe.name];
  if (!f) return null;
  const value = f(own, recipe.numbers);
  const expression = words[recipe.name] ?? recipe.written;
  return { value, steps: [{ name: recipe.name, expression, value }] };
}
