// Positions in a tensor: flat places, channels and spatial axes in the user's own layout.

import type { Tensor } from "../schema";

export function strides(shape: readonly number[]): number[] {
  const out = new Array<number>(shape.length);
  let step = 1;
  for (let n = shape.length - 1; n >= 0; n--) {
    out[n] = step;
    step *= shape[n];
  }
  return out;
}

export function size(shape: readonly number[]): number {
  return shape.reduce((product, n) => product * n, 1);
}

export function flat(shape: readonly number[], at: readonly number[]): number {
  let place = 0;
  for (let n = 0; n < shape.length; n++) place = place * shape[n] + at[n];
  return place;
}

export function unflat(shape: readonly number[], place: number): number[] {
  const at = new Array<number>(shape.length);
  for (let n = shape.length - 1; n >= 0; n--) {
    at[n] = place % shape[n];
    place = Math.floor(place / shape[n]);
  }
  return at;
}

/** The last of a list that has one. */
export function finalOf<T>(list: ArrayLike<T>): T {
  return list[list.length - 1];
}

/** A tensor seen as maps: its channel axis and the (at most two) axes that are drawn. */
export interface MapView {
  readonly channels: number;
  readonly height: number;
  readonly width: number;
  readonly channelStep: number;
  readonly rowStep: number;
  readonly columnStep: number;
  /** Of further spatial axes (3-D) one slice is drawn: which, of how many, and where it begins. */
  readonly slice: number;
  readonly slices: number;
  readonly offset: number;
}

export function spatialAxes(info: Tensor): number[] {
  return info.shape.map((_, n) => n).filter((n) => n !== info.channel);
}

/** A long row is drawn in lines, as a page of text is. */
function line(n: number): number {
  return n > 64 ? Math.ceil(Math.sqrt(n)) : n;
}

/** `slice` of the tensor's maps; the middle one where none is asked for. */
export function mapView(info: Tensor, slice = atCell(info, info.shape.map((n) => n >> 1))[3]): MapView {
  if (info.shape.length === 1) {
    const width = line(info.shape[0]);
    return { channels: 1, height: Math.ceil(info.shape[0] / width), width, channelStep: 0, rowStep: width, columnStep: 1, slice: 0, slices: 1, offset: 0 };
  }
  const steps = strides(info.shape);
  const spatial = spatialAxes(info);
  const drawn = spatial.slice(-2);
  const row = drawn.length === 2 ? drawn[0] : -1;
  const column = drawn.length ? finalOf(drawn) : -1;
  return {
    channels: info.channel === null ? 1 : info.shape[info.channel],
    height: row < 0 ? 1 : info.shape[row],
    width: column < 0 ? 1 : info.shape[column],
    channelStep: info.channel === null ? 0 : steps[info.channel],
    rowStep: row < 0 ? 0 : steps[row],
    columnStep: column < 0 ? 0 : steps[column],
    slice,
    slices: size(spatial.slice(0, -2).map((n) => info.shape[n])),
    offset: flat(info.shape, cellAt(info, 0, 0, 0, slice)),
  };
}

/** The cell (channel, row, column) of a slice of the maps as an index in the user's layout. */
export function cellAt(info: Tensor, channel: number, row: number, column: number, slice: number): number[] {
  if (info.shape.length === 1) return [Math.min(info.shape[0] - 1, row * line(info.shape[0]) + column)];
  const sides = spatialAxes(info).map((n) => info.shape[n]);
  const at = unflat(sides, (slice * (sides.at(-2) ?? 1) + row) * finalOf(sides) + column);
  if (info.channel !== null) at.splice(info.channel, 0, channel);
  return at;
}

/** (channel, row, column, slice) of an index in the user's layout. */
export function atCell(info: Tensor, at: readonly number[]): [number, number, number, number] {
  if (info.shape.length === 1) return [0, Math.floor(at[0] / line(info.shape[0])), at[0] % line(info.shape[0]), 0];
  const spatial = spatialAxes(info);
  const [column, row = 0] = spatial.slice(-2).reverse().map((n) => at[n]);
  const slice = spatial.slice(0, -2).reduce((slice, n) => slice * info.shape[n] + at[n], 0);
  return [info.channel === null ? 0 : at[info.channel], row, column ?? 0, slice];
}

/** The index of the largest number. */
export function strongest(info: Tensor, numbers: Float32Array): number[] {
  let best = 0;
  for (let n = 1; n < numbers.length; n++) if (numbers[n] > numbers[best]) best = n;
  return unflat(info.shape, best);
}

/** The largest size of a finite number. */
export function largestSize(numbers: ArrayLike<number>): number {
  let largest = 0;
  for (let n = 0; n < numbers.length; n++) {
    const size = Math.abs(numbers[n]);
    if (size > largest && size < Infinity) largest = size;
  }
  return largest;
}

export function shapeText(shape: readonly (number | null)[]): string {
  return `(${shape.map((n) => (n ?? "None")).join(", ")}${shape.length === 1 ? "," : ""})`;
}
