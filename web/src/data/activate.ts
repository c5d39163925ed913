// Activations and softmax as named steps, in float64: one elementary function each.

import type { FormulaRecipe } from "../schema";
import { fsum } from "../sum";
import { flat } from "./tensor";

export interface Step {
  readonly name: string;
  readonly expression: string;
  readonly value: number;
}

export function step(name: string, expression: string, value: number): Step {
  return { name, expression, value };
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
const share = (x: number) => Math.min(1, Math.max(0, x));

/** The complementary error function: a series of positive terms near 0, a continued fraction far off. */
export function erfc(x: number): number {
  if (x < 0) return 2 - erfc(-x);
  const bell = Math.exp(-x * x) / Math.sqrt(Math.PI);
  if (x < 1.5) {
    let sum = x;
    for (let n = 1, term = x; n < 60; n++) sum += term *= (2 * x * x) / (2 * n + 1);
    return 1 - 2 * bell * sum;
  }
  let fraction = x;
  for (let n = 120; n > 0; n--) fraction = x + n / 2 / fraction;
  return bell / fraction;
}

/** The functions that page/recipe knows, by the same names. */
const simple: Record<string, Simple> = {
  linear: (x) => x,
  negative: (x) => -x,
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
  hard_sigmoid: (x, [a, b]) => share((a ?? 0) * x + (b ?? 0)),
  hard_silu: (x) => x * share(x / 6 + 0.5),
  mish: (x) => x * Math.tanh(softplus(x)),
  gelu: (x) => (x * erfc(-x / Math.SQRT2)) / 2,
  gelu_tanh: (x) => x * sigmoid(Math.sqrt(8 / Math.PI) * (x + 0.044715 * x ** 3)),
  selu: (x) => 1.0507009873554805 * (x > 0 ? x : 1.6732632423543772 * Math.expm1(x)),
  celu: (x, [p]) => (x > 0 ? x : (p ?? 1) * Math.expm1(x / (p ?? 1))),
  log_sigmoid: (x) => -softplus(-x),
  erf: (x) => 1 - erfc(x),
};

function softmax({ axis }: FormulaRecipe, shape: readonly number[], numbers: Float32Array, at: readonly number[], own: number): Activated {
  const row = Array.from({ length: shape[axis] }, (_, n) => (n === at[axis] ? own : numbers[flat(shape, at.map((i, m) => (m === axis ? n : i)))]));
  const top = Math.max(...row);
  const total = fsum(row.map((x) => Math.exp(x - top)));
  const mine = Math.exp(own - top);
  const value = mine / total;
  return {
    value,
    steps: [
      step("largest of the row", `max of ${row.length} numbers`, top),
      step(`exp of number ${at[axis]}`, "exp(x - largest)", mine),
      step("sum of the row", `sum of ${row.length} exps`, total),
      step("share", "exp / sum", value),
    ],
  };
}

/** Flat places of the numbers that a norm compares, and which of them is the one at `at`. */
export function groupOf(recipe: FormulaRecipe, shape: readonly number[], at: readonly number[]): { places: number[]; own: number } {
  const [, width, ...over] = recipe.numbers as readonly number[];
  let places = [0];
  shape.forEach((size, n) => {
    const first = n === recipe.axis && width > 1 ? at[n] - (at[n] % width) : over.includes(n) ? 0 : at[n];
    const count = n === recipe.axis && width > 1 ? width : over.includes(n) ? size : 1;
    places = places.flatMap((place) => Array.from({ length: count }, (_, i) => place * size + first + i));
  });
  return { places, own: places.indexOf(flat(shape, at)) };
}

/** Which number of gamma and beta belongs to `at`: its map's, or its place on the axes taken whole. */
export function scaleAt(recipe: FormulaRecipe, shape: readonly number[], at: readonly number[]): number {
  if (recipe.name === "group_norm") return at[recipe.axis];
  return recipe.numbers.slice(2).reduce<number>((place, n) => place * shape[n as number] + at[n as number], 0);
}

/** Norms by measured statistics, step by step and with their bound, as groupnorm.py has them. */
export function norm(recipe: FormulaRecipe, x: ArrayLike<number>, own: number, gamma: number, beta: number): Activated & { bound: number } {
  const n = x.length;
  const epsilon = recipe.numbers[0] ?? 0;
  // A float32's own digits: 1e-5 is not 0.000009999999747378752 to anybody.
  const written = Number(epsilon.toPrecision(6));
  const mean = (each: (v: number) => number) => fsum(Array.from(x, each)) / n;
  const u = 2 ** -24;
  if (recipe.name === "rms_norm") {
    const square = mean((v) => v * v);
    const root = Math.sqrt(square + epsilon);
    const value = (x[own] / root) * gamma;
    return {
      value, bound: (n + 16) * u * Math.abs(value) + 2 ** -149,
      steps: [
        step("square", `mean of x² of ${n}`, square),
        step("root", `√(square + ${written})`, root),
        step("value", "x / root × gamma", value),
      ],
    };
  }
  const middle = mean((v) => v);
  const variance = mean((v) => (v - middle) ** 2);
  const sigma = Math.sqrt(variance + epsilon);
  const scale = gamma / sigma;
  const value = (x[own] - middle) * scale + beta;
  const off = (n + 4) * u * (Array.from(x, Math.abs).reduce((a, b) => a + b, 0) / n);
  const wrong = 4 * u * (Math.abs(x[own]) + Math.abs(middle)) + off;
  const stretched = (Math.abs(x[own] - middle) * ((n + 8) * u + (off / sigma) ** 2)) / 2;
  return {
    value, bound: Math.abs(scale) * (wrong + stretched) + 2 * u * (Math.abs(value) + Math.abs(beta)) + 2 ** -149,
    steps: [
      step("mean", `mean of ${n}`, middle),
      step("variance", "mean of (x − mean)²", variance),
      step("sigma", `√(variance + ${written})`, sigma),
      step("value", "(x − mean) / sigma × gamma + beta", value),
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
  return { value, steps: [step(recipe.name, recipe.written, value)] };
}
