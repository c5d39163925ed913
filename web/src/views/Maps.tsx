// Maps as pictures: all of a tensor's, or one of them large; with windows, a cursor and keys.
//
// Two canvases lie on each other: the maps, drawn when numbers or theme change, and the marks,
// drawn when the cursor moves. There is no DOM node per cell.

import { bytes, ready, tensor, values, type Values } from "../data/store";
import { mapView } from "../data/tensor";
import { atlas, drawTile } from "../draw/atlas";
import { css, isDark, styleColour } from "../draw/colour";
import type { Tensor } from "../schema";
import { say } from "../words";
import { Dim, Drawing, pointIn } from "./parts";

/** A rectangle of cells; `channels` null means: in every map. */
export interface Mark {
  readonly row: number;
  readonly column: number;
  readonly rows: number;
  readonly columns: number;
  readonly channels: readonly number[] | null;
  readonly kind: "window" | "cell" | "hover" | "field" | "use";
  /** The slice that it lies in, where a third axis makes several. */
  readonly slice?: number;
}

/** Map, row, column and slice of a cell; or rows, columns, maps and slices to move by. */
export type Four = [number, number, number, number];

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
  /** Of three spatial axes, the slice that is drawn; the middle one where none is named. */
  readonly slice?: number;
  readonly picked?: number;
  readonly marks?: readonly Mark[];
  readonly class?: string;
  /** Small pictures will do: the tensor itself is not fetched where it has some. */
  readonly small?: boolean;
  onCell?: (...at: Four) => void;
  onPick?: (...at: Four) => void;
  onLeave?: () => void;
  onKey?: (...by: Four) => void;
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

/** How low a tile may be, in its widths: a line of numbers is drawn as a band. */
export const thinnest = 1 / 12;

/** Where the tiles lie. */
export function gridOf(info: Tensor, props: Pick<MapsProps, "tile" | "columns" | "gap" | "only" | "most">): Grid {
  const view = mapView(info);
  const maps = props.only === undefined ? Math.min(view.channels, props.most ?? 4096) : 1;
  const columns = Math.min(props.columns, maps);
  const gap = props.gap ?? 3;
  const tall = Math.max(2, props.tile * thinnest, Math.min(props.tile * 3, (props.tile * view.height) / view.width));
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

/** Outline a mark in every tile that has it, as far as it lies on the map: all tiles in one path. */
function outline(context: CanvasRenderingContext2D, mark: Mark, grid: Grid, only: number | undefined, cw: number, ch: number): void {
  const left = Math.max(0, mark.column * cw);
  const top = Math.max(0, mark.row * ch);
  const width = Math.min(grid.tile, (mark.column + mark.columns) * cw) - left;
  const height = Math.min(grid.tall, (mark.row + mark.rows) * ch) - top;
  if (width <= 0 || height <= 0) return;
  const use = mark.kind === "use";
  const boxes = (grow: number) => {
    context.beginPath();
    for (let n = 0; n < grid.maps; n++) {
      if (mark.channels && !mark.channels.includes(only ?? n)) continue;
      const [x, y] = tilePlace(grid, n);
      // Never less than 3 pixels, and those on its own map.
      context.rect(x + Math.min(left, grid.tile - 3) - grow, y + Math.min(top, grid.tall - 3) - grow, Math.max(3, width) + 2 * grow, Math.max(3, height) + 2 * grow);
    }
  };
  const colour = styleColour(use ? "--weight" : mark.kind === "field" ? "--field" : "--mark");
  boxes(0);
  if (use) {
    context.globalAlpha = 0.35;
    context.fillStyle = colour;
    context.fill();
    context.globalAlpha = 1;
  }
  boxes(1);
  context.lineWidth = grid.tile > 90 ? 2 : 1.25;
  context.strokeStyle = styleColour("--paper");
  context.stroke();
  boxes(0);
  context.strokeStyle = colour;
  if (mark.kind === "hover") context.setLineDash([3, 2]);
  context.stroke();
  context.setLineDash([]);
}

/** What keys move: rows, columns, maps, slices. */
export const keys: Record<string, Four> = {
  ArrowUp: [-1, 0, 0, 0], ArrowDown: [1, 0, 0, 0], ArrowLeft: [0, -1, 0, 0], ArrowRight: [0, 1, 0, 0],
  PageUp: [0, 0, -1, 0], PageDown: [0, 0, 1, 0],
  // On most keyboards the same two keys, with Shift and without.
  "<": [0, 0, 0, -1], ">": [0, 0, 0, 1], ",": [0, 0, 0, -1], ".": [0, 0, 0, 1],
};

export function Maps(props: MapsProps) {
  const { only, marks = [], picked, slice } = props;
  const info = tensor(props.id);
  const numbers = props.small && info.preview ? null : values(props.id);
  const view = mapView(info, slice);
  const grid = gridOf(info, props);
  const drawn = ready(numbers) ? { info, numbers } : previewed(info);

  const maps = (context: CanvasRenderingContext2D) => {
    context.fillStyle = styleColour("--veil");
    if (!drawn) {
      for (let n = 0; n < grid.maps; n++) context.fillRect(...tilePlace(grid, n), grid.tile, grid.tall);
      return;
    }
    const source = atlas(drawn.info, drawn.numbers, Math.max(props.most ?? 4096, (only ?? 0) + 1), slice);
    for (let n = 0; n < grid.maps; n++) {
      const [x, y] = tilePlace(grid, n);
      if ((only ?? n) < source.maps) drawTile(context, source, only ?? n, x, y, grid.tile, grid.tall);
      else context.fillRect(x, y, grid.tile, grid.tall);
    }
  };

  const over = (context: CanvasRenderingContext2D) => {
    if (picked !== undefined && picked < grid.maps) {
      context.lineWidth = 2;
      context.strokeStyle = styleColour("--ink");
      context.strokeRect(...tilePlace(grid, picked), grid.tile, grid.tall);
    }
    for (const mark of marks) outline(context, mark, grid, only, grid.tile / view.width, grid.tall / view.height);
  };

  const find = (event: MouseEvent): Four | null => {
    const point = pointIn(event);
    const scale = grid.width / point.box.width;
    const x = point.x * scale;
    const y = point.y * scale;
    const column = Math.floor(x / (grid.tile + grid.gap));
    const n = Math.floor(y / (grid.tall + grid.gap)) * grid.columns + column;
    if (column < 0 || column >= grid.columns || n < 0 || n >= grid.maps) return null;
    const [left, top] = tilePlace(grid, n);
    const row = Math.min(view.height - 1, Math.floor(((y - top) / grid.tall) * view.height));
    const cell = Math.min(view.width - 1, Math.floor(((x - left) / grid.tile) * view.width));
    return row < 0 || cell < 0 ? null : [only ?? n, row, cell, view.slice];
  };

  const interactive = props.onKey !== undefined;
  return (
    <div
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
        // With another key held it is the browser's.
        if (!move || event.ctrlKey || event.altKey || event.metaKey) return;
        event.preventDefault();
        props.onKey?.(...move);
      } : undefined}
    >
      <Drawing width={grid.width} height={grid.height} style={undefined} draw={maps} on={[drawn?.numbers, props.id, only, slice]} />
      {props.marks ? <Drawing width={grid.width} height={grid.height} style={undefined} draw={over} on={[JSON.stringify([marks, picked, only])]} /> : null}
    </div>
  );
}

/** Which slice of a tensor is drawn, in words; none where it has but one. */
export function sliceText(info: Tensor, at?: number): string {
  const { slice, slices } = mapView(info, at);
  return slices > 1 ? say("slice", { slice, last: slices - 1 }) : "";
}

/** The printed colour scale of a tensor. */
export function Scale({ id }: { id: string }) {
  const numbers = values(id);
  if (!ready(numbers) || !numbers.length) return null;
  void isDark.value;
  const { largest, low } = atlas(tensor(id), numbers, 1);
  if (!largest) return <Dim>{say(numbers[0] === 0 ? "scale.0" : "scale.nan")}</Dim>;
  const text = largest >= 100 ? largest.toFixed(0) : largest.toPrecision(3);
  return (
    <span class="scale" role="img" aria-label={say(low ? "scale.both" : "scale", { text })}>
      <span>{low ? `−${text}` : "0"}</span>
      <Drawing width={72} height={8} on={[low]} draw={(context) => {
        for (let x = 0; x < 72; x++) {
          context.fillStyle = css(low ? x / 35.5 - 1 : x / 71, 1);
          context.fillRect(x, 0, 1, 8);
        }
      }} />
      <span>{text}</span>
    </span>
  );
}
