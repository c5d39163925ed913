// What if: every later shape, count and receptive field, from the same relation with other numbers.

import { bind, pairs, type Padding, type Window } from "../axis";
import type { Knobs, Layer, WindowRecipe } from "../schema";
import { page, tensor } from "./store";

export type Change = Partial<Record<"kernel" | "stride" | "dilation" | "filters" | "groups", number>> & { padding?: "valid" | "same" };

/** One layer after a change; `shape` null from where it does not fit (or is not known). */
export interface Then {
  readonly shape: readonly number[] | null;
  readonly params: number;
  readonly macs: number | null;
  readonly sees: readonly { size: number; jump: number; n: number }[];
}

/** The knobs of a layer with a change laid over them. */
export function changed(knobs: Knobs, change: Change): Knobs {
  const each = (old: readonly number[] | null, now: number | undefined) => (old && now !== undefined ? old.map(() => now) : old);
  return {
    ...knobs,
    kernel: each(knobs.kernel, change.kernel),
    stride: each(knobs.stride, change.stride),
    dilation: each(knobs.dilation, change.dilation),
    padding: change.padding ?? knobs.padding,
    filters: change.filters ?? knobs.filters,
    groups: change.groups ?? knobs.groups,
  };
}

export function windowOf(knobs: Knobs, axis: number): Window {
  const { padding } = knobs;
  return {
    kernel: knobs.kernel?.[axis] ?? 1,
    stride: knobs.stride?.[axis] ?? 1,
    dilation: knobs.dilation?.[axis] ?? 1,
    padding: (typeof padding === "string" || padding === null ? (padding ?? "valid") : padding[axis]) as Padding,
    ceil: knobs.ceil,
  };
}

/** Every axis read from end to end, as a global pool does. */
function whole(recipe: WindowRecipe): boolean {
  return recipe.axes.every((axis) => axis.n_out === 1 && axis.kernel === axis.n_in);
}

function one(layer: Layer, knobs: Knobs | null, shapes: readonly (readonly number[])[]): Pick<Then, "shape" | "params" | "macs"> {
  const { recipe } = layer;
  const [shape] = shapes;
  const before = tensor(layer.inputs[0]).shape;
  const out = tensor(layer.output);
  const none = { shape: null, params: 0, macs: null };
  if (recipe.form === "row") {
    const units = knobs?.filters ?? out.shape[out.shape.length - 1];
    const n = shape[shape.length - 1];
    const places = shape.slice(0, -1).reduce((a, b) => a * b, 1);
    return { shape: [...shape.slice(0, -1), units], params: n * units + (layer.weights.length > 1 ? units : 0), macs: places * n * units };
  }
  if (recipe.form === "window" && knobs?.kernel) {
    const place = tensor(layer.inputs[0]).channel ?? shape.length - 1;
    const channels = shape[place];
    const axes = shape.filter((_, n) => n !== place).map((n, axis) => bind(windowOf(knobs, axis), n));
    const filters = knobs.filters ?? channels;
    const groups = knobs.groups ?? channels;
    if (axes.includes(null) || (recipe.weight && (channels % groups || filters % groups))) return none;
    const made = axes.map((axis) => axis?.n_out ?? 0);
    made.splice(place, 0, filters);
    if (!recipe.weight) return { shape: made, params: 0, macs: 0 };
    const each = (channels / groups) * filters;
    const taps = knobs.kernel.reduce((a, b) => a * b, 1);
    return { shape: made, params: taps * each + (knobs.bias ? filters : 0), macs: axes.reduce((a, axis) => a * (axis ? pairs(axis) : 0), each) };
  }
  if (recipe.form === "window" && whole(recipe)) {
    const place = tensor(layer.inputs[0]).channel ?? 0;
    return { shape: out.shape.length === 1 ? [shape[place]] : shape.map((n, axis) => (axis === place ? n : 1)), params: 0, macs: 0 };
  }
  if (recipe.form === "scatter" && recipe.how === "reshape" && out.shape.length === 1) return { shape: [shape.reduce((a, b) => a * b, 1)], params: 0, macs: 0 };
  if (recipe.form === "scatter" && recipe.how === "axes" && recipe.order.every((axis) => axis !== null)) {
    const made: number[] = [];
    recipe.order.forEach((axis, n) => {
      const ratio = out.shape[axis as number] / before[n];
      const whole = Number.isInteger(ratio) && ratio > 1;
      made[axis as number] = whole ? shape[n] * ratio : shape[n] + out.shape[axis as number] - before[n];
    });
    return made.every((n) => n > 0) ? { shape: made, params: 0, macs: 0 } : none;
  }
  if (recipe.form === "merge") {
    const others = shapes.every((other) => other.length === shape.length && other.every((n, axis) => n === shape[axis] || (recipe.op === "concat" && axis === recipe.axis)));
    if (!others) return none;
    return { shape: shape.map((n, axis) => (recipe.op === "concat" && axis === recipe.axis ? shapes.reduce((a, other) => a + other[axis], 0) : n)), params: 0, macs: 0 };
  }
  if (recipe.form === "formula") return { shape, params: layer.params && recipe.axis >= 0 ? (layer.params * shape[recipe.axis]) / before[recipe.axis] : layer.params, macs: 0 };
  return shape.join() === before.join() ? { shape: out.shape, params: layer.params, macs: layer.macs } : none;
}

/** Every layer after `change` of the layer `index`. */
export function rederive(index: number, change: Change): readonly Then[] {
  const { layers, input } = page.value;
  const picture = tensor(input);
  const first: Then = { shape: picture.shape, params: 0, macs: 0, sees: picture.shape.filter((_, n) => n !== picture.channel).map((n) => ({ size: 1, jump: 1, n })) };
  const made: Then[] = [];
  const source = (id: string, from: number): Then => (from < 0 ? { ...first, shape: tensor(id).shape } : made[from]);
  layers.forEach((layer, n) => {
    const from = layer.inputs.map((id, s) => source(id, layer.sources[s]));
    if (!from.length || from.some((item) => item.shape === null)) {
      made.push({ shape: null, params: 0, macs: null, sees: [] });
      return;
    }
    const knobs = layer.knobs && n === index ? changed(layer.knobs, change) : layer.knobs;
    const next = one(layer, knobs, from.map((item) => item.shape as readonly number[]));
    const { recipe } = layer;
    // What a transposed window or a resize sees is not followed: better unknown than wrong.
    const lost = recipe.form === "window" && !knobs?.kernel && !whole(recipe);
    const sees = (lost ? [] : from[0].sees).map(({ size, jump, n: cells }, axis) => {
      const widest = Math.max(...from.map((item) => item.sees[axis]?.size ?? size));
      const { form } = recipe;
      if (form === "row" || (form === "window" && !knobs?.kernel)) return { size: widest + (cells - 1) * jump, jump, n: 1 };
      if (form !== "window" || !knobs) return { size: widest, jump, n: cells };
      const window = windowOf(knobs, axis);
      return { size: widest + window.dilation * (window.kernel - 1) * jump, jump: jump * window.stride, n: bind(window, cells)?.n_out ?? 0 };
    });
    made.push({ ...next, params: layer.shared_with ? 0 : next.params, sees });
  });
  return made;
}
