// All maps of a tensor as one picture, drawn once; tiles are cut from it.

import { mapView, largestSize } from "../data/tensor";
import type { Tensor } from "../schema";
import { colours, css, isDark } from "./colour";

export interface Atlas {
  readonly picture: HTMLCanvasElement;
  readonly columns: number;
  readonly height: number;
  readonly width: number;
  readonly maps: number;
  readonly largest: number;
  /** Whether a number is below zero. */
  readonly low: boolean;
}

const cache = new WeakMap<Float32Array, Map<string, Atlas>>();

function surface(width: number, height: number): HTMLCanvasElement {
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(1, width);
  canvas.height = Math.max(1, height);
  return canvas;
}

/** How many pictures of the same numbers are kept: slices that one has just seen among them. */
const enough = 6;

/** The atlas of the first `most` maps, of three spatial axes in one slice. */
export function atlas(info: Tensor, numbers: Float32Array, most = 4096, slice?: number): Atlas {
  const view = mapView(info, slice);
  const maps = Math.min(view.channels, most);
  const key = `${isDark.value}/${maps}/${view.offset}/${info.id}`;
  let kept = cache.get(numbers);
  if (!kept) cache.set(numbers, (kept = new Map()));
  const old = kept.get(key);
  if (old) return old;
  // One scale for all slices; it is looked for once.
  const [first] = kept.values();
  const scale = first ? first.largest : largestSize(numbers);
  const columns = Math.max(1, Math.ceil(Math.sqrt(maps)));
  const rows = Math.ceil(maps / columns);
  const picture = surface(columns * view.width, rows * view.height);
  const context = picture.getContext("2d") as CanvasRenderingContext2D;
  const image = context.createImageData(picture.width, picture.height);
  const pixels = new Uint32Array(image.data.buffer);
  const lut = colours();
  const factor = scale > 0 ? 128 / scale : 0;
  for (let c = 0; c < maps; c++) {
    const left = (c % columns) * view.width;
    const top = Math.floor(c / columns) * view.height;
    for (let y = 0; y < view.height; y++) {
      let from = view.offset + c * view.channelStep + y * view.rowStep;
      let to = (top + y) * picture.width + left;
      for (let x = 0; x < view.width; x++, from += view.columnStep) {
        const place = 128 + numbers[from] * factor;
        pixels[to++] = lut[place > 256 ? 256 : place >= 0 ? (place + 0.5) | 0 : place < 0 ? 0 : 128];
      }
    }
  }
  context.putImageData(image, 0, 0);
  const made = { picture, columns, height: view.height, width: view.width, maps, largest: scale, low: first ? first.low : numbers.some((x) => x < 0) };
  if (kept.size >= enough) kept.delete(kept.keys().next().value as string);
  kept.set(key, made);
  return made;
}

/** Put map `c` of the atlas at (x, y), `width` by `height`. */
export function drawTile(
  context: CanvasRenderingContext2D, from: Atlas, c: number,
  x: number, y: number, width: number, height: number,
): void {
  const left = (c % from.columns) * from.width;
  const top = Math.floor(c / from.columns) * from.height;
  context.imageSmoothingEnabled = width < from.width;
  context.drawImage(from.picture, left, top, from.width, from.height, x, y, width, height);
}

/** A small grid of numbers, one square a number. */
export function drawGrid(
  context: CanvasRenderingContext2D, numbers: ArrayLike<number>, columns: number, largest: number,
  x: number, y: number, cell: number,
): void {
  for (let n = 0; n < numbers.length; n++) {
    context.fillStyle = css(numbers[n], largest);
    context.fillRect(x + (n % columns) * cell, y + Math.floor(n / columns) * cell, cell, cell);
  }
}

/** Size a canvas for the screen's own pixels, and give its context in CSS pixels. */
export function sharp(canvas: HTMLCanvasElement, width: number, height: number): CanvasRenderingContext2D {
  // No side beyond what every browser can hold.
  const ratio = Math.min(3, window.devicePixelRatio || 1, 16_000 / Math.max(width, height));
  const w = Math.max(1, Math.round(width * ratio));
  const h = Math.max(1, Math.round(height * ratio));
  if (canvas.width !== w || canvas.height !== h) {
    canvas.width = w;
    canvas.height = h;
  }
  const context = canvas.getContext("2d") as CanvasRenderingContext2D;
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  return context;
}
