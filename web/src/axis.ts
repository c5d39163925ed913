// The twin of axis.py: the one index relation, its sizes and its reads, and nothing more.
//
//     up * i  ==  stride * o  +  dilation * k  -  pad,        0 <= k < kernel
//
// Output `o` reads input `i` through kernel position `k` exactly when it holds. What the equation
// does not cover is a table of reads (k, i, coefficient). Tested on vectors that Python writes.

import type { Equation, Rows } from "./schema";

export type Axis = Equation | Rows;

/** One read; `real` is false in the padding, `c` is 1 for the equation. */
export interface Read {
  readonly k: number;
  readonly i: number;
  readonly real: boolean;
  readonly c: number;
}

export type Spelling = "valid" | "same" | "same_lower" | "causal";
export type Padding = Spelling | readonly [number, number];

/** A sliding window before its axis has a size. */
export interface Window {
  readonly kernel: number;
  readonly stride: number;
  readonly dilation: number;
  readonly padding: Padding;
  readonly ceil: boolean;
}

/** (before, after) of `same`: the odd cell goes after, or before with `oddFirst`. */
export function samePads(
  nIn: number, kernel: number, stride: number, dilation: number, oddFirst = false,
): [number, number] {
  const outputs = Math.ceil(nIn / stride);
  const total = Math.max(0, (outputs - 1) * stride + dilation * (kernel - 1) + 1 - nIn);
  const less = Math.floor(total / 2);
  return oddFirst ? [total - less, less] : [less, total - less];
}

/** (before, after) in cells for an axis of `nIn`. */
export function pads(window: Window, nIn: number): readonly [number, number] {
  const { kernel, stride, dilation, padding } = window;
  if (typeof padding !== "string") return padding;
  if (padding === "valid") return [0, 0];
  if (padding === "causal") return [dilation * (kernel - 1), 0];
  return samePads(nIn, kernel, stride, dilation, padding === "same_lower");
}

/** The axis of a window for a known size; null when the window does not fit once. */
export function bind(window: Window, nIn: number): Equation | null {
  const { kernel, stride, dilation, ceil } = window;
  const [before, after] = pads(window, nIn);
  const room = nIn + before + after - (dilation * (kernel - 1) + 1);
  if (room < 0 || nIn < 1) return null;
  let nOut = Math.floor(room / stride) + 1;
  if (ceil && room % stride !== 0 && nOut * stride < nIn + before) nOut += 1;
  return { form: "equation", n_in: nIn, n_out: nOut, kernel, stride, dilation, pad: before, up: 1 };
}

/** The same pairs from the other end. */
export function transposed(axis: Equation): Equation {
  return {
    form: "equation", n_in: axis.n_out, n_out: axis.n_in, kernel: axis.kernel,
    stride: axis.up, dilation: -axis.dilation, pad: -axis.pad, up: axis.stride,
  };
}

/**
 * The axis of a transposed window: the convolution from n_out to n_in, read from the other end.
 * Padding crops; `more` null is Keras' output padding. Null when nothing would be left.
 */
export function bindTransposed(window: Window, nIn: number, more: number | null): Equation | null {
  const { kernel, stride, dilation, padding } = window;
  const span = dilation * (kernel - 1) + 1;
  const full = stride * (nIn - 1) + span;
  let before = 0;
  let nOut = full + (more ?? Math.max(stride - span, 0));
  if (typeof padding !== "string") {
    before = padding[0];
    nOut = full - padding[0] - padding[1] + (more ?? 0);
  } else if (padding === "same") {
    before = more === null ? Math.floor(Math.max(span - stride, 0) / 2) : Math.floor(Math.max(span - (span % 2) - more, 0) / 2);
    nOut = more === null ? nIn * stride : full - span + (span % 2) + more;
  }
  if (nOut < 1 || nIn < 1) return null;
  return transposed({ form: "equation", n_in: nOut, n_out: nIn, kernel, stride, dilation, pad: before, up: 1 });
}

/** The reads of output `o`, in kernel order. */
export function reads(axis: Axis, o: number): Read[] {
  if (axis.form === "table") {
    return axis.rows[o].map(([k, i, c]) => ({ k, i, real: i >= 0 && i < axis.n_in, c }));
  }
  const found: Read[] = [];
  for (let k = 0; k < axis.kernel; k++) {
    const scaled = axis.stride * o + axis.dilation * k - axis.pad;
    if (scaled % axis.up !== 0) continue;
    const i = scaled / axis.up;
    found.push({ k, i, real: i >= 0 && i < axis.n_in, c: 1 });
  }
  return found;
}

/** (k, o) of every output that reads input `i`. */
export function users(axis: Axis, i: number): [number, number][] {
  const found: [number, number][] = [];
  if (axis.form === "equation") {
    for (const read of reads(transposed(axis), i)) if (read.real) found.push([read.k, read.i]);
    return found;
  }
  axis.rows.forEach((row, o) => {
    for (const [k, at] of row) if (at === i) found.push([k, o]);
  });
  return found;
}

/** First and last input that outputs first..last reach; padding included for the equation. */
export function field(axis: Axis, first: number, last: number): [number, number] {
  if (axis.form === "equation") {
    const reach = axis.dilation * (axis.kernel - 1);
    const low = axis.stride * first - axis.pad + Math.min(0, reach);
    const high = axis.stride * last - axis.pad + Math.max(0, reach);
    return [Math.ceil(low / axis.up), Math.floor(high / axis.up)];
  }
  let low = Infinity;
  let high = -Infinity;
  for (let o = first; o <= last; o++) {
    for (const [, i] of axis.rows[o] ?? []) {
      low = Math.min(low, i);
      high = Math.max(high, i);
    }
  }
  return low <= high ? [low, high] : [0, -1];
}

/** How many (k, i, o) have a real `i`: what the axis costs; or how many of them have this `k`. */
export function pairs(axis: Axis, k = -1): number {
  let total = 0;
  for (let o = 0; o < axis.n_out; o++) {
    for (const read of reads(axis, o)) if (read.real && (k < 0 || read.k === k)) total += 1;
  }
  return total;
}

/** How many kernel positions meet a real input anywhere: the weights of the others do nothing. */
export function met(axis: Equation): number {
  let total = 0;
  for (let k = 0; k < axis.kernel; k++) {
    for (let o = 0; o < axis.n_out; o++) {
      const i = (axis.stride * o + axis.dilation * k - axis.pad) / axis.up;
      if (i < 0 || i >= axis.n_in || i % 1) continue;
      total += 1;
      break;
    }
  }
  return total;
}
