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
  /** Further spatial axes (3-D) are shown at their middle. */
  readonly offset: number;
}

export function spatialAxes(info: Tensor): number[] {
  return info.shape.map((_, n) => n).filter((n) => n !== info.channel);
}

/** A long row is drawn in lines, as a page of text is. */
function line(n: number): number {
  return n > 64 ? Math.ceil(Math.sqrt(n)) : n;
}

export function mapView(info: Tensor): MapView {
  if (info.shape.length === 1) {
    const width = line(info.shape[0]);
    return { channels: 1, height: Math.ceil(info.shape[0] / width), width, channelStep: 0, rowStep: width, columnStep: 1, offset: 0 };
  }
  const steps = strides(info.shape);
  const spatial = spatialAxes(info);
  const drawn = spatial.slice(-2);
  let offset = 0;
  for (const n of spatial.slice(0, -2)) offset += Math.floor(info.shape[n] / 2) * steps[n];
  const row = drawn.length === 2 ? drawn[0] : -1;
  const column = drawn.length ? finalOf(drawn) : -1;
  return {
    channels: info.channel === null ? 1 : info.shape[info.channel],
    height: row < 0 ? 1 : info.shape[row],
    width: column < 0 ? 1 : info.shape[column],
    channelStep: info.channel === null ? 0 : steps[info.channel],
    rowStep: row < 0 ? 0 : steps[row],
    columnStep: column < 0 ? 0 : steps[column],
    offset,
  };
}

/** The cell (channel, row, column) of a map view as an index in the user's layout. */
export function cellAt(info: Tensor, channel: number, row: number, column: number): number[] {
  if (info.shape.length === 1) return [Math.min(info.shape[0] - 1, row * line(info.shape[0]) + column)];
  const spatial = spatialAxes(info);
  const at = info.shape.map((n) => Math.floor(n / 2));
  if (info.channel !== null) at[info.channel] = channel;
  const drawn = spatial.slice(-2);
  if (drawn.length === 2) at[drawn[0]] = row;
  if (drawn.length) at[finalOf(drawn)] = column;
  return at;
}

/** (channel, row, column) of an index in the user's layout. */
export function atCell(info: Tensor, at: readonly number[]): [number, number, number] {
  if (info.shape.length === 1) return [0, Math.floor(at[0] / line(info.shape[0])), at[0] % line(info.shape[0])];
  const drawn = spatialAxes(info).slice(-2);
  const channel = info.channel === null ? 0 : at[info.channel];
  const column = drawn.length ? at[finalOf(drawn)] : 0;
  return [channel, drawn.length === 2 ? at[drawn[0]] : 0, column];
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
