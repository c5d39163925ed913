// Formulas as the programs that Python sends: named steps in float64, one after the other.

import { reads } from "../axis";
import type { FormulaRecipe, Program, Reads, ScatterRecipe } from "../schema";
import { fsum } from "../sum";
import { flat } from "./tensor";

export interface Step {
  readonly name: string;
  readonly expression: string;
  readonly value: number;
}

export interface Activated {
  readonly value: number;
  readonly steps: readonly Step[];
  readonly bound: number | null;
}

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

type Numbers = readonly number[];

/** Operations on numbers, beside those of Math; recipe/program.py has the same names. */
const operations: Record<string, (...x: Numbers) => number> = {
  "+": (a, b) => a + b,
  "-": (a, b) => a - b,
  "*": (a, b) => a * b,
  "/": (a, b) => a / b,
  "^": (a, b) => a ** b,
  "<": (a, b, yes, no) => (a < b ? yes : no),
  "=": (a, b, yes, no) => (a === b ? yes : no),
  square: (a) => a * a,
  // To the nearest whole number, a half to the even one.
  round: (a) => Math.round(a) - ([0.5, -1.5].includes(a % 2) ? 1 : 0),
  erfc,
};

/** What takes all numbers at once. */
const together: Record<string, (x: Numbers, more?: any) => number | Numbers> = {
  "sum": fsum,
  mean: (x) => fsum(x) / x.length,
  "most": (x) => x.reduce((a, b) => Math.max(a, b)),
  least: (x) => x.reduce((a, b) => Math.min(a, b)),
  product: (x) => x.reduce((a, b) => a * b),
  order: (x) => (x.some(isNaN) ? [] : [...x.keys()].sort((a, b) => x[b] - x[a])),
  item: (x, place) => (place.map ? place.map((n: number) => x[n]) : (x[place] ?? NaN)),
  running: (x, total = 0) => x.map((n) => (total += n)),
};

/** A program's number, or one for each of the numbers read; `given` holds what it may name. */
export function run(program: Program, given: Readonly<Record<string, number | Numbers>>): number | Numbers {
  if (typeof program === "string") return given[program];
  if (!Array.isArray(program)) return program as number;
  const [name, ...parts] = program as [string, ...Program[]];
  const values = parts.map((part) => run(part, given));
  if (together[name]) return together[name](...(values as [Numbers, number]));
  const work = operations[name] ?? (Math as never)[name];
  const many = values.find((value) => typeof value === "object");
  if (!many) return work(...(values as number[]));
  // Of one, two or four operands; spread out anew for each of many numbers they take four times as long.
  const [a, b, c, d] = values.map((value) => (typeof value === "number" ? () => value : (n: number) => value[n]));
  return many.map((_, n) => (c ? work(a(n), b(n), c(n), d(n)) : work(a(n), b?.(n))));
}

/** Flat places that output position `at` reads in a tensor of that shape, each with its coefficient. */
export function gather(shape: Numbers, { order, axes, per }: Reads, at: Numbers): [number, number][] {
  let found: [number, number][] = [[0, 1]];
  axes.forEach((axis, n) => {
    const real = reads(axis, Math.floor((at[order[n] as number] ?? 0) / per[n])).filter((read) => read.real);
    found = found.flatMap(([place, c]) => real.map((read): [number, number] => [place * shape[n] + read.i, c * read.c]));
  });
  return found;
}

/** The flat place that a copy by digits of its own flat place takes. */
export function moved({ digits }: ScatterRecipe, shape: Numbers, at: Numbers): number {
  let rest = flat(shape, at);
  let place = 0;
  for (const [size, step] of digits) {
    place += (rest % size) * step;
    rest = Math.floor(rest / size);
  }
  return place;
}

/** Apply `recipe` at `at`; `stored` are its constants there, `x` replaces the number there by our own sum. */
export function activate(
  recipe: FormulaRecipe, shape: Numbers, numbers: Float32Array | null, at: Numbers,
  stored: readonly (number | null)[], x?: number,
): Activated | null {
  const place = flat(shape, at);
  const own = x ?? numbers?.[place];
  const given: Record<string, number | Numbers> = { x: own ?? NaN, k: at[recipe.axis] };
  stored.forEach((number, n) => (given[`c${n}`] = number ?? NaN));
  if (!numbers && (recipe.reads || x === undefined)) return null;
  if (recipe.reads) {
    const all = gather(shape, recipe.reads, at).map(([from]) => (from === place && x !== undefined ? x : numbers![from]));
    Object.assign(given, { X: all, "n": all.length });
  }
  const steps = recipe["steps"].map(([name, expression, program], n, { length }) => {
    let value = run(program, given) as number;
    // The value is infinite where float32 has no such number; a step on the way to it need not be.
    const held = Math.fround(value);
    if (n === length - 1 && held - held !== 0) value = held;
    given[`s${n}`] = given["y"] = value;
    return { name, expression: expression.replace("{n}", String(given["n"])), value };
  });
  return { steps, value: given["y"] as number, bound: recipe["bound"] === null ? null : (run(recipe["bound"], given) as number) };
}
