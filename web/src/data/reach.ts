// Which cells reach which: a cell's window in every earlier layer, and what an input feeds.

import { field, users } from "../axis";
import type { Layer, Recipe } from "../schema";
import { moved } from "./activate";
import { atStep, listedReads } from "./makers";
import { page, ready, tensor, values } from "./store";
import { atCell, mapView, spatialAxes, unflat } from "./tensor";

/** First and last position on each axis of a tensor, unclipped. */
export type Ranges = readonly (readonly [number, number])[];

function whole(shape: readonly number[]): Ranges {
  return shape.map((n) => [0, n - 1] as const);
}

/** The axis along which inputs are put side by side, -1 where they are not. */
export function joinedAlong(recipe: Recipe): number {
  return "op" in recipe && recipe.op === "concat" ? recipe.axis : -1;
}

/** What `ranges` of a layer's output reads of its input `source`. */
export function readsOf(layer: Layer, source: number, ranges: Ranges): Ranges {
  const info = tensor(layer.inputs[source]);
  const out = tensor(layer.output);
  const { recipe } = layer;
  if (recipe.form === "window") {
    if (out.channel === null || info.channel === null) return whole(info.shape);
    const spatial = ranges.filter((_, n) => n !== out.channel);
    const depthwise = recipe.groups === recipe.channels_in && recipe.groups === recipe.channels_out;
    let n = 0;
    return info.shape.map((size, axis) => {
      if (axis !== info.channel) return field(recipe.axes[n], ...spatial[n++]);
      return depthwise && out.channel !== null ? ranges[out.channel] : [0, size - 1];
    });
  }
  if (recipe.form === "row") return info.shape.map((n, axis) => (axis === info.shape.length - 1 ? [0, n - 1] : ranges[axis]));
  const read = recipe.form === "gather" ? recipe.reads[source] : (recipe.form === "scatter" || recipe.form === "formula") && recipe.reads;
  if (read) {
    return read.axes.map((axis, n) => {
      const [low, high] = ranges[read.order[n] as number] ?? [0, 0];
      return field(axis, Math.floor(low / read.per[n]), Math.floor(high / read.per[n]));
    });
  }
  if (recipe.form === "scatter" && ranges.every(([low, high]) => low === high)) {
    return unflat(info.shape, moved(recipe, out.shape, ranges.map(([n]) => n))).map((n) => [n, n]);
  }
  if (recipe.form === "merge" || recipe.form === "formula") {
    let start = 0;
    const joined = joinedAlong(recipe);
    for (let s = 0; s < source && joined >= 0; s++) start += tensor(layer.inputs[s]).shape[joined];
    const shift = ranges.length - info.shape.length;
    return info.shape.map((size, axis) => {
      const [low, high] = ranges[axis + shift];
      if (axis !== joined) return size === 1 ? [0, 0] : [low, high];
      return [Math.max(0, low - start), Math.min(size - 1, high - start)];
    });
  }
  if (recipe.form === "over_time") return [ranges[0], ...readsOf(atStep(layer, recipe, ranges[0][0]), source, ranges.slice(1))];
  if (recipe.form === "listed" && ranges.every(([low, high]) => low === high)) {
    const own = (listedReads(layer, recipe, ranges.map(([n]) => n)) ?? []).filter(([n, flat]) => n === source && flat >= 0).map(([, flat]) => unflat(info.shape, flat));
    return info.shape.map((_, axis) => {
      const on = own.map((place) => place[axis]);
      return own[0] ? [Math.min(...on), Math.max(...on)] : [0, -1];
    });
  }
  return whole(info.shape);
}

function union(a: Ranges | undefined, b: Ranges): Ranges {
  return a ? b.map(([low, high], n) => [Math.min(low, a[n][0]), Math.max(high, a[n][1])] as const) : b;
}

/** The window of cell `at` of layer `index` in every earlier tensor, by tensor id; at most `back` layers far. */
export function windowsBehind(index: number, at: readonly number[], back = Infinity): ReadonlyMap<string, Ranges> {
  const { layers } = page.value;
  const found = new Map<string, Ranges>();
  found.set(layers[index].output, at.map((n) => [n, n] as const));
  for (let n = index; n >= 0 && n > index - back; n--) {
    const layer = layers[n];
    const ranges = found.get(layer.output);
    if (!ranges) continue;
    layer.inputs.forEach((id, source) => {
      const read = readsOf(layer, source, ranges);
      if (read.every(([low, high]) => high >= low)) found.set(id, union(found.get(id), read));
    });
  }
  return found;
}

/** The spatial cells of a window layer's output that read input cell `at`: rectangles' corners. */
export function feeds(layer: Layer, at: readonly number[]): number[][] {
  const { recipe } = layer;
  const info = tensor(layer.inputs[0]);
  if (recipe.form !== "window") return [];
  let found: number[][] = [[]];
  at.filter((_, axis) => axis !== info.channel).forEach((i, n) => {
    const positions = [...new Set(users(recipe.axes[n], i).map(([, o]) => o))];
    found = found.flatMap((front) => positions.map((o) => [...front, o]));
  });
  return found;
}

/**
 * Drawn rows and columns of ranges, as a mark's rectangle; null when the tensor is not drawn so. Of
 * three axes the slice in the middle of the ranges is drawn. A small picture is that of the middle
 * of all: it has no rows where the ranges lie before or behind that.
 */
export function rectangle(id: string, ranges: Ranges) {
  const info = tensor(id);
  // Of a window that lies over the edge, what is really there.
  const real = ranges.map(([low, high], axis) => [Math.max(low, 0), Math.min(high, info.shape[axis] - 1)] as const);
  const spatial = spatialAxes(info);
  if (!spatial.length) return null;
  const sides = spatial.map((n) => Math.max(0, real[n][1] - real[n][0] + 1)).join("×");
  if (info.shape.length === 1) {
    // A long row is drawn in lines: from the first to the last, whole where there are several.
    const [[, row, column], [, last, end]] = ranges[0].map((n) => atCell(info, [n]));
    return row === last ? { row, column, rows: 1, columns: end - column + 1, sides, slice: 0 } : { row, column: 0, rows: last - row + 1, columns: mapView(info).width, sides, slice: 0 };
  }
  const at = info.shape.map((n, axis) => (ready(values(id)) ? Math.max(0, Math.min(n - 1, (ranges[axis][0] + ranges[axis][1]) >> 1)) : n >> 1));
  const drawn = spatial.slice(0, -2).every((n) => real[n][0] <= at[n] && real[n][1] >= at[n]);
  const [[left, right], [top, bottom] = [0, 0]] = spatial.slice(-2).reverse().map((n) => ranges[n]);
  return { row: top, column: left, rows: drawn ? bottom - top + 1 : 0, columns: right - left + 1, sides, slice: atCell(info, at)[3] };
}
