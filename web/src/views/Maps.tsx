// Maps as pictures: all of a tensor's, or one of them large; with windows, a cursor and keys.
//
// Two canvases lie on each other: the maps, drawn when numbers or theme change, and the marks,
// drawn when the cursor moves. There is no DOM node per cell.

import { useEffect, useRef } from "preact/hooks";
import { bytes, tensor, values, type Values } from "../data/store";
import { mapView } from "../data/tensor";
import { atlas, drawTile, sharp } from "../draw/atlas";
import { colours, isDark, styleColour } from "../draw/colour";
import type { Tensor } from "../schema";

/** A rectangle of cells; `channels` null means: in every map. */
export interface Mark {
  readonly row: number;
  readonly column: number;
  readonly rows: number;
  readonly columns: number;
  readonly channels: readonly number[] | null;
  readonly kind: "window" | "cell" | "hover" | "field" | "use";
}

export interface MapsProps {
  readonly id: string;
  readonly label: string;
  /** Width of one tile in pixels. */
  readonly tile: number;
  readonly columns: number;
  readonly gap?: number;
  /** Show this map alone. */
  readonly only?: number;
  readonly most?: number;
  readonly picked?: number | null;
  readonly marks?: readonly Mark[];
  readonly class?: string;
  /** Small pictures will do: the tensor itself is not fetched where it has some. */
  readonly small?: boolean;
  onCell?: (channel: number, row: number, column: number) => void;
  onPick?: (channel: number, row: number, column: number) => void;
  onLeave?: () => void;
  onKey?: (rows: number, columns: number, maps: number) => void;
  readonly reference?: { current: HTMLDivElement | null };
}

export interface Grid {
  readonly maps: number;
  readonly columns: number;
  readonly tile: number;
  readonly tall: number;
  readonly gap: number;
  readonly width: number;
  readonly height: number;
}

/** Where the tiles lie. */
export function gridOf(info: Tensor, props: Pick<MapsProps, "tile" | "columns" | "gap" | "only" | "most">): Grid {
  const view = mapView(info);
  const maps = props.only === undefined ? Math.min(view.channels, props.most ?? 4096) : 1;
  const columns = Math.min(props.columns, maps);
  const gap = props.gap ?? 3;
  const tall = Math.max(2, Math.min(props.tile * 3, (props.tile * view.height) / view.width));
  const rows = Math.ceil(maps / columns);
  return {
    maps, columns, gap, tall, tile: props.tile,
    width: columns * (props.tile + gap) - gap,
    height: rows * (tall + gap) - gap,
  };
}

export function tilePlace(grid: Grid, n: number): [number, number] {
  return [(n % grid.columns) * (grid.tile + grid.gap), Math.floor(n / grid.columns) * (grid.tall + grid.gap)];
}

const previews = new WeakMap<Uint8Array, Values>();

/** A preview as numbers, so that it is drawn as any tensor is: from -127 to 127. */
function previewed(info: Tensor): { info: Tensor; numbers: Values } | null {
  const small = info.preview;
  const data = small && bytes(small.blob);
  if (!small || !data) return null;
  let numbers = previews.get(data);
  if (!numbers) previews.set(data, (numbers = Float32Array.from(data, (byte) => byte - 128)));
  return { info: { ...info, shape: [small.maps, small.height, small.width], channel: 0 }, numbers };
}

function stroke(context: CanvasRenderingContext2D, mark: Mark, x: number, y: number, grid: Grid, w: number, h: number): void {
  const cw = grid.tile / w;
  const ch = grid.tall / h;
  const left = x + mark.column * cw;
  const top = y + mark.row * ch;
  const width = Math.max(3, mark.columns * cw);
  const height = Math.max(3, mark.rows * ch);
  const colour = styleColour(mark.kind === "use" ? "--weight" : mark.kind === "field" ? "--field" : "--mark");
  if (mark.kind === "use") {
    context.globalAlpha = 0.35;
    context.fillStyle = colour;
    context.fillRect(left, top, width, height);
    context.globalAlpha = 1;
  }
  context.lineWidth = grid.tile > 90 ? 2 : 1.25;
  context.strokeStyle = styleColour("--paper");
  context.setLineDash([]);
  context.strokeRect(left - 1, top - 1, width + 2, height + 2);
  context.strokeStyle = colour;
  if (mark.kind === "hover") context.setLineDash([3, 2]);
  context.strokeRect(left, top, width, height);
  context.setLineDash([]);
}

export function Maps(props: MapsProps) {
  const under = useRef<HTMLCanvasElement>(null);
  const over = useRef<HTMLCanvasElement>(null);
  const info = tensor(props.id);
  const numbers = props.small && info.preview ? null : values(props.id);
  const view = mapView(info);
  const grid = gridOf(info, props);
  const dark = isDark.value;
  const drawn = numbers instanceof Float32Array ? { info, numbers } : previewed(info);

  useEffect(() => {
    if (!under.current) return;
    const context = sharp(under.current, grid.width, grid.height);
    if (!drawn) {
      context.fillStyle = styleColour("--veil");
      for (let n = 0; n < grid.maps; n++) context.fillRect(...tilePlace(grid, n), grid.tile, grid.tall);
      return;
    }
    const source = atlas(drawn.info, drawn.numbers, Math.max(props.most ?? 4096, (props.only ?? 0) + 1));
    for (let n = 0; n < grid.maps; n++) {
      const [x, y] = tilePlace(grid, n);
      if ((props.only ?? n) < source.maps) drawTile(context, source, props.only ?? n, x, y, grid.tile, grid.tall);
    }
  }, [drawn?.numbers, dark, props.id, props.only, grid.width, grid.height, grid.tile]);

  useEffect(() => {
    if (!over.current) return;
    const context = sharp(over.current, grid.width, grid.height);
    for (let n = 0; n < grid.maps; n++) {
      const channel = props.only ?? n;
      const [x, y] = tilePlace(grid, n);
      if (props.picked === channel && props.only === undefined) {
        context.lineWidth = 2;
        context.strokeStyle = styleColour("--ink");
        context.strokeRect(x, y, grid.tile, grid.tall);
      }
      for (const mark of props.marks ?? []) {
        if (mark.channels && !mark.channels.includes(channel)) continue;
        stroke(context, mark, x, y, grid, view.width, view.height);
      }
    }
  });

  const find = (event: MouseEvent): [number, number, number] | null => {
    const box = (event.currentTarget as HTMLElement).getBoundingClientRect();
    const scale = grid.width / box.width;
    const x = (event.clientX - box.left) * scale;
    const y = (event.clientY - box.top) * scale;
    const column = Math.floor(x / (grid.tile + grid.gap));
    const n = Math.floor(y / (grid.tall + grid.gap)) * grid.columns + column;
    if (column < 0 || column >= grid.columns || n < 0 || n >= grid.maps) return null;
    const [left, top] = tilePlace(grid, n);
    const row = Math.min(view.height - 1, Math.floor(((y - top) / grid.tall) * view.height));
    const cell = Math.min(view.width - 1, Math.floor(((x - left) / grid.tile) * view.width));
    return row < 0 || cell < 0 ? null : [props.only ?? n, row, cell];
  };

  const keys: Record<string, [number, number, number]> = {
    ArrowUp: [-1, 0, 0], ArrowDown: [1, 0, 0], ArrowLeft: [0, -1, 0], ArrowRight: [0, 1, 0],
    PageUp: [0, 0, -1], PageDown: [0, 0, 1],
  };
  const interactive = props.onKey !== undefined;
  return (
    <div
      ref={props.reference}
      class={`maps ${props.class ?? ""} ${props.onPick ? "live" : ""}`}
      style={{ width: `${grid.width}px`, aspectRatio: `${grid.width} / ${Math.max(1, grid.height)}` }}
      role={interactive ? "application" : "img"}
      aria-roledescription={interactive ? "maps" : undefined}
      aria-label={props.label}
      tabIndex={interactive ? 0 : undefined}
      data-maps={props.id}
      data-columns={grid.columns}
      data-count={grid.maps}
      onMouseMove={props.onCell && ((event) => {
        const at = find(event);
        if (at) props.onCell?.(...at);
        else props.onLeave?.();
      })}
      onMouseLeave={props.onLeave}
      onClick={props.onPick && ((event) => {
        const at = find(event);
        if (at) props.onPick?.(...at);
      })}
      onKeyDown={interactive ? (event) => {
        const move = keys[event.key];
        if (!move) return;
        event.preventDefault();
        props.onKey?.(...move);
      } : undefined}
    >
      <canvas ref={under} />
      <canvas ref={over} />
    </div>
  );
}

/** The printed colour scale of a tensor. */
export function Scale({ id }: { id: string }) {
  const numbers = values(id);
  const canvas = useRef<HTMLCanvasElement>(null);
  const dark = isDark.value;
  const ready = numbers instanceof Float32Array;
  const largest = ready ? atlas(tensor(id), numbers).largest : 0;
  const low = ready && numbers.some((x) => x < 0);
  useEffect(() => {
    if (!canvas.current) return;
    const context = sharp(canvas.current, 72, 8);
    const lut = colours();
    for (let x = 0; x < 72; x++) {
      const packed = lut[low ? Math.round((x / 71) * 256) : 128 + Math.round((x / 71) * 128)];
      context.fillStyle = `rgb(${packed & 255} ${(packed >> 8) & 255} ${(packed >> 16) & 255})`;
      context.fillRect(x, 0, 1, 8);
    }
  }, [dark, low, largest]);
  if (!ready) return null;
  const text = largest >= 100 ? largest.toFixed(0) : largest.toPrecision(3);
  return (
    <span class="scale" role="img" aria-label={`colours: ${low ? `from -${text} (blue) through 0` : "from 0"} to ${text} (orange)`}>
      <span>{low ? `−${text}` : "0"}</span>
      <canvas ref={canvas} style={{ width: "72px", height: "8px" }} />
      <span>{text}</span>
    </span>
  );
}
