// What if: every later shape, count and receptive field, from the same relation with other numbers.

import { finalOf } from "./tensor";
import { bind, bindTransposed, pairs, type Padding, type Window } from "../axis";
import type { Equation, Knobs, Layer, WindowRecipe } from "../schema";
import { say } from "../words";
import { joinedAlong } from "./reach";
import { page, tensor } from "./store";

export type Change = Partial<Record<"kernel" | "stride" | "dilation" | "filters" | "groups" | "scale", number>> & { padding?: "valid" | "same" };

/** One layer after a change; `shape` null from where it does not fit (or is not known). */
export interface Then {
  readonly shape: readonly number[] | null;
  readonly params: number;
  readonly macs: number | null;
  readonly sees: readonly Sees[];
}

/**
 * What position `o` of `n` sees along one axis of the picture: `start + jump * o` and `extent` more,
 * in cells, fractions behind a transposed layer; NaN where it is not known.
 */
type Sees = readonly [start: number, jump: number, extent: number, n: number];

/** The most whole cells that any position sees; null where it is not known. */
export function seen({ sees: [first] }: Then): number | null {
  if (!first) return null;
  const [start, jump, extent] = first;
  let size = 1;
  // Fractions repeat: no product of strides that one meets is larger than this.
  for (let o = 0; o < 64; o++) {
    const low = start + jump * o;
    size = Math.max(size, Math.floor(low + extent + 1e-9) - Math.ceil(low - 1e-9) + 1);
  }
  return size || null;
}

/** The knobs of a layer with a change laid over them. */
export function changed(knobs: Knobs, change: Change): Knobs {
  const each = (old: readonly number[] | null, now: number | undefined) => (old && now !== undefined ? old.map(() => now) : old);
  return {
    ...knobs,
    kernel: each(knobs.kernel, change.kernel),
    stride: each(knobs.stride, change.stride),
    dilation: each(knobs.dilation, change.dilation),
    padding: change.padding || knobs.padding,
    filters: change.filters ?? knobs.filters,
    groups: change.groups ?? knobs.groups,
    scale: each(knobs.scale, change.scale),
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

/** One axis of `n` cells under the knobs; null where they do not fit. */
export function axisOf(knobs: Knobs, axis: number, n: number): Equation | null {
  const window = windowOf(knobs, axis);
  return knobs.form === "transposed" ? bindTransposed(window, n, knobs.more?.[axis] ?? null) : bind(window, n);
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
    const units = knobs?.filters ?? finalOf(out.shape);
    const n = finalOf(shape);
    const places = shape.slice(0, -1).reduce((a, b) => a * b, 1);
    return { shape: [...shape.slice(0, -1), units], params: n * units + (layer.weights.length > 1 ? units : 0), macs: places * n * units };
  }
  if (knobs?.scale) {
    const place = tensor(layer.inputs[0]).channel;
    const made = [...shape];
    made.forEach((n, axis) => {
      if (axis !== place) made[axis] = Math.floor(n * (knobs.scale?.[axis - (place === 0 ? 1 : 0)] ?? 1));
    });
    return made.every((n) => n > 0) ? { shape: made, params: 0, macs: 0 } : none;
  }
  if (recipe.form === "window" && knobs?.kernel) {
    const place = tensor(layer.inputs[0]).channel ?? shape.length - 1;
    const channels = shape[place];
    const axes = shape.filter((_, n) => n !== place).map((n, axis) => axisOf(knobs, axis, n));
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
  const order = (recipe.form === "scatter" && recipe.how === "axes" && recipe.reads?.order) || [null];
  if (order.every((axis) => axis !== null)) {
    const made: number[] = [];
    order.forEach((axis, n) => {
      const ratio = out.shape[axis as number] / before[n];
      const whole = Number.isInteger(ratio) && ratio > 1;
      made[axis as number] = whole ? shape[n] * ratio : shape[n] + out.shape[axis as number] - before[n];
    });
    return made.every((n) => n > 0) ? { shape: made, params: 0, macs: 0 } : none;
  }
  if (recipe.form === "merge" || (recipe.form === "formula" && shapes[1])) {
    const joined = joinedAlong(recipe);
    const others = shapes.every((other) => other.length === shape.length && other.every((n, axis) => n === shape[axis] || axis === joined));
    if (!others) return none;
    return { shape: shape.map((n, axis) => (axis === joined ? shapes.reduce((a, other) => a + other[axis], 0) : n)), params: 0, macs: 0 };
  }
  if (recipe.form === "formula" && out.shape.join() === before.join()) return { shape, params: layer.params && recipe.axis >= 0 ? (layer.params * shape[recipe.axis]) / before[recipe.axis] : layer.params, macs: 0 };
  return none;
}

/** Every layer after `change` of the layer `index`. */
export function rederive(index: number, change: Change): readonly Then[] {
  const { layers, input } = page.value;
  const picture = tensor(input);
  const first: Then = { shape: picture.shape, params: 0, macs: 0, sees: picture.shape.filter((_, n) => n !== picture.channel).map((n) => [0, 1, 0, n]) };
  const made: Then[] = [];
  const source = (id: string, from: number): Then => (from < 0 ? { ...first, shape: tensor(id).shape } : made[from]);
  layers.forEach((layer, n) => {
    const from = layer.inputs.map((id, s) => source(id, layer.sources[s]));
    if (!from.length || from.some((item) => item.shape === null)) {
      made.push({ shape: null, params: 0, macs: null, sees: [] });
      return;
    }
    const knobs = layer.knobs && n === index ? changed(layer.knobs, change) : layer.knobs;
    // Where nothing before it moved, a layer is what it is.
    const still = knobs === layer.knobs && from.every((item, s) => item.shape?.join() === tensor(layer.inputs[s]).shape.join());
    const next = still ? { shape: tensor(layer.output).shape, params: layer.params, macs: layer.macs } : one(layer, knobs, from.map((item) => item.shape as readonly number[]));
    const { recipe } = layer;
    const windowed = recipe.form === "window";
    const moved = recipe.form === "scatter";
    const all = windowed && whole(recipe);
    // Other windows (tables without a factor) are not followed: better unknown than wrong.
    const lost = windowed && !knobs?.kernel && !knobs?.scale && !all;
    const out = tensor(layer.output).channel;
    const sizes = next.shape?.filter((_, n) => n !== out) ?? [];
    const read = tensor(layer.inputs[0]);
    const places = read.shape.map((_, n) => n).filter((n) => n !== read.channel);
    const sees = (lost ? [] : from[0].sees).map((own, axis): Sees => {
      const [, move, , cells] = own;
      let parts = from.map((item) => item.sees[axis] ?? own);
      // Inputs that move apart: what all of their positions see.
      if (parts.some(([, jump]) => jump !== move)) parts = parts.map(([start, jump, extent, n]) => [start, 0, jump * (n - 1) + extent, n]);
      const start = Math.min(...parts.map(([start]) => start));
      const end = Math.max(...parts.map(([start, , extent]) => start + extent));
      const [[, jump]] = parts;
      const place = read.shape.length > 1 ? places[axis] : 0;
      // Position `o` reads `by * o + low` and `wide` more.
      let [low, by, wide] = [0, 1, 0];
      const factor = knobs?.scale?.[axis];
      const bound = windowed ? (knobs?.kernel ? axisOf(knobs, axis, cells) : recipe.axes[axis]) : moved ? recipe.reads?.axes[place] : null;
      // What reads everything sees the same from every place: a dense layer along the last axis.
      if (
        (recipe.form === "formula" && recipe.reads?.order[place] === null) ||
        (recipe.form === "row" && place === read.shape.length - 1) ||
        all
      ) [by, wide] = [0, cells - 1];
      else if (factor) {
        // The nearest cell: of a factor p / q every p-th begins anew. Other rules are not followed.
        by = 1 / factor;
        wide = (bound as Equation).up > 1 ? 1 - 1 / (factor % 1 ? 2 * factor : factor) : NaN;
        low = -wide;
      } else if (bound?.form === "equation") {
        const reach = bound.dilation * (bound.kernel - 1);
        low = (Math.min(0, reach) - bound.pad) / bound.up;
        by = bound.stride / bound.up;
        wide = Math.abs(reach) / bound.up;
      }
      const n = moved && recipe.how === "reshape" ? cells : out === null ? 1 : (sizes[axis] ?? 1);
      return [start + jump * low, jump * by, end - start + jump * wide, n];
    });
    made.push({ ...next, params: layer.shared_with ? 0 : next.params, sees });
  });
  return made;
}

/** The layer in Keras and in PyTorch, with what was changed. */
export function codeOf(layer: Layer, knobs: Knobs | null, shape: readonly number[]): readonly string[] {
  if (!layer.code) return [];
  const info = tensor(layer.inputs[0]);
  const sizes = shape.filter((_, n) => n !== info.channel);
  const slots: Record<string, string> = { n: String(info.channel === null || knobs?.form === "row" ? finalOf(shape) : shape[info.channel]) };
  const tuple = (list: readonly (number | string)[]) => `(${list.join(", ")}${list.length === 1 ? "," : ""})`;
  const unless = (list: readonly number[] | null, plain: number) => (!list || list.every((n) => n === plain) ? "" : tuple(list));
  if (knobs) {
    const kernel = knobs.kernel ?? [];
    const bound = kernel.map((_, axis) => axisOf(knobs, axis, sizes[axis]));
    const turned = knobs.form === "transposed";
    // What lies before and after: padding of a window, what a transposed one cuts off its full length.
    const ends = kernel.map((k, axis) => {
      const made = bound[axis];
      const { stride, dilation } = windowOf(knobs, axis);
      const span = dilation * (k - 1) + 1;
      if (!made) return [0, 0];
      if (turned) return [-made.pad, stride * (sizes[axis] - 1) + span - made.n_out + made.pad];
      const given = windowOf(knobs, axis).padding;
      return [made.pad, typeof given === "string" ? Math.max(0, (made.n_out - 1) * stride + span - made.n_in - made.pad) : given[1]];
    });
    const given = (axis: number) => windowOf(knobs, axis).padding as readonly number[];
    const even = ends.every(([a, b]) => a === b || (turned && b < a));
    const padded = ends.some(([a, b]) => a || b);
    const own = typeof knobs.padding !== "string";
    Object.assign(slots, {
      filters: String(knobs.filters), kernel: tuple(kernel), stride: unless(knobs.stride, 1),
      step: knobs.stride?.join() === knobs.kernel?.join() ? "" : tuple(knobs.stride ?? []),
      dilation: unless(knobs.dilation, 1), groups: (knobs.groups ?? 1) > 1 ? String(knobs.groups) : "",
      nobias: knobs.bias ? "" : "False", ceil: knobs.ceil ? "True" : "",
      "padding": !own && knobs.padding !== "valid" ? `"${knobs.padding as string}"` : "",
      zeros: own && padded ? (kernel.length === 1 ? tuple(given(0)) : tuple(kernel.map((_, axis) => tuple(given(axis))))) : "",
      pads: even && padded ? tuple(ends.map(([a]) => a)) : "",
      uneven: even ? "" : tuple(ends.toReversed().flat().map((n) => (turned ? -n : n))),
      outpad: turned && even ? unless(ends.map(([a, b]) => a - b), 0) : "",
      more: knobs.more ? unless(knobs.more, 0) : "", scale: tuple(knobs.scale ?? []), factor: String(knobs.scale?.[0]),
    });
  }
  const fill = (lines: string) => lines.replace(/\{(\w+)(?::([^}|]*)\|?([^}]*))?\}/g, (_, name: string, before = "", after = "") =>
    slots[name] ? before + slots[name] + after : "");
  // What Keras refuses.
  if ((slots.stride && slots.dilation) || knobs?.scale?.some((n) => n % 1)) return [say("nokeras"), fill(layer.code[1])];
  return layer.code.map(fill);
}
