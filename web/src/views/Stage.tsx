// One layer as one picture: picture, input maps, how the number is made, output maps.

import { feeds, readsOf, rectangle } from "../data/reach";
import { page, ready, tensor, unflattened, values } from "../data/store";
import { atCell, cellAt, largestSize, mapView, shapeText, size } from "../data/tensor";
import { count, fixed, placesFor, plural } from "../decimal";
import type { Layer, Tensor } from "../schema";
import { behind, cell, facts, go, hovered, hoveredInput, layer, pinned, place, rested } from "../state";
import { inputBehind, inputName, say } from "../words";
import { Burst, spread } from "./Burst";
import { Maps, Scale, sliceText, thinnest, type Four, type Mark } from "./Maps";
import { Middle } from "./Middle";
import { Dim, entered, Num, Who } from "./parts";
import { Strands } from "./Strands";
import { Bar } from "./SumMiddle";
import { seen } from "./Walk";
import { isNarrow, useWidth } from "./useSize";
import { useRef } from "../track";

/** Columns and tile size so that `n` maps fill a box. */
export function fit(n: number, ratio: number, width: number, height: number, gap = 3): { columns: number; tile: number } {
  let best = { columns: 1, tile: 1, even: 1 };
  for (let columns = 1; columns <= Math.max(1, n); columns++) {
    const rows = Math.ceil(n / columns);
    const tile = Math.floor(Math.min((width + gap) / columns - gap, ((height + gap) / rows - gap) / ratio));
    const even = n % columns === 0 ? 1.25 : 1;
    if (tile * even > best.tile * best.even) best = { columns, tile, even };
  }
  return best;
}

export function ratioOf(info: Tensor): number {
  const view = mapView(info);
  return Math.max(thinnest, Math.min(3, view.height / view.width));
}

/** How many maps a picture shows; the rest is said in words. */
export const mostMaps = 256;

function moveCell(info: Tensor, ...[rows, columns, maps, slices]: Four): void {
  const [c, y, x, z] = atCell(info, cell.value ?? info.shape.map(() => 0));
  const view = mapView(info);
  const clamp = (n: number, top: number) => Math.max(0, Math.min(top - 1, n));
  const at = cellAt(info, clamp(c + maps, view.channels), clamp(y + rows, view.height), clamp(x + columns, view.width), clamp(z + slices, view.slices));
  go({ at }, "replace");
}

/** What lights up in the picture and in an input map. */
function windowMarks(id: string, ranges: ReadonlyMap<string, Parameters<typeof rectangle>[1]>, kind: Mark["kind"], channels: readonly number[] | null): Mark[] {
  const range = ranges.get(id);
  const box = range && rectangle(id, range);
  // What nobody can explain reads all of everything, as far as is known: that marks nothing.
  return box && layer.value.rule !== "opaque" ? [{ ...box, channels, kind }] : [];
}

function channels([low, high]: readonly [number, number]): number[] {
  return Array.from({ length: high - low + 1 }, (_, n) => low + n);
}

function channelsRead(now: Layer, at: readonly number[] | null, info: Tensor): readonly number[] | null {
  const made = at && facts.value;
  if (!made) return null;
  if (now.recipe.form === "window") return made.groups.map((group) => group.channel);
  return now.recipe.form === "row" || info.channel === null ? null : channels(behind.value.get(info.id)?.[info.channel] ?? [0, -1]);
}

export function PictureColumn({ width }: { width: number }) {
  const now = layer.value;
  const id = inputBehind(behind.value);
  if (now.inputs.includes(id) || !page.value.layers.some((item) => item.inputs.includes(id))) return null;
  const info = tensor(id);
  const ranges = behind.value;
  const range = ranges.get(id);
  const box = range && rectangle(id, range);
  const marks = windowMarks(id, ranges, "field", null);
  const slice = marks[0]?.slice;
  const tile = Math.min(width, Math.round(width / Math.max(1, ratioOf(info))));
  return (
    <figure class="column picture-column">
      <figcaption>
        <b>{inputName(id)}</b> <Dim>{shapeText(info.shape)}</Dim>
      </figcaption>
      <Maps id={id} tile={tile} columns={1} only={0} label={say(box ? "patch" : "?picture", { seen: seen(id, box) })}
        marks={marks} slice={slice} class="picture" />
      <p class="under">
        {box ? <>sees <b>{box.sides}</b> of it</> : null}
        <Dim>{sliceText(info, slice)}</Dim>
      </p>
    </figure>
  );
}

export function InputColumn({ width, height, source = 0 }: { width: number; height: number; source?: number }) {
  const now = layer.value;
  const at = cell.value;
  const info = unflattened(now.inputs[source]);
  const { id } = info;
  const view = mapView(info);
  const maps = Math.min(view.channels, mostMaps);
  // Its own window, not that of all ways that lead to it.
  const ranges = at && id === now.inputs[source] ? new Map([[id, readsOf(now, source, at.map((n) => [n, n]))]]) : behind.value;
  const isPicture = page.value.inputs.includes(id);
  const { columns, tile } = fit(maps, ratioOf(info), width, height);
  const marks = windowMarks(id, ranges, "window", channelsRead(now, at, info));
  const slice = marks[0]?.slice;
  return (
    <figure class="column input-column">
      <figcaption>
        <b>{isPicture ? inputName(id) : info.channel === null ? "numbers" : plural(view.channels, "map")}</b>{" "}
        <Dim>{shapeText(info.shape)}</Dim>
      </figcaption>
      <Maps id={id} tile={tile} columns={columns} most={mostMaps} class="inputs"
        label={say("maps", { maps: view.channels, height: view.height, width: view.width })}
        marks={marks} slice={slice}
        onCell={(...cell) => (hoveredInput.value = { source, at: cellAt(info, ...cell) })}
        onLeave={() => (hoveredInput.value = null)} />
      <p class="under">
        <Scale id={id} />
        {view.channels > maps ? <Dim> first {maps} of {count(view.channels)}</Dim> : null}
        <Dim>{sliceText(info, slice)}</Dim>
      </p>
    </figure>
  );
}

/** The marks of the slice that is drawn: that of the pinned cell, so that it stands still under the mouse. */
function outputMarks(now: Layer, slice: number): Mark[] {
  const info = tensor(now.output);
  const marks: Mark[] = [];
  const asked = hoveredInput.value;
  if (asked && asked.source === 0) {
    for (const at of feeds(now, asked.at)) {
      if (info.channel !== null) at.splice(info.channel, 0, 0);
      const [, row, column, z] = atCell(info, at);
      if (z === slice) marks.push({ row, column, rows: 1, columns: 1, channels: null, kind: "use" });
    }
  }
  for (const [at, kind] of [[pinned.value, "cell"], [hovered.value, "hover"]] as const) {
    const box = at && rectangle(info.id, at.map((n) => [n, n]));
    if (box && box.slice === slice) marks.push({ ...box, channels: [atCell(info, at)[0]], kind });
  }
  return marks;
}

/** A short row of numbers: one line each, with its name where it has one. */
function Units({ now }: { now: Layer }) {
  const numbers = values(now.output);
  if (!ready(numbers)) return null;
  const own = cell.value?.[0];
  const largest = largestSize(numbers);
  const places = Math.min(6, placesFor(numbers));
  return (
    <ol class="units">
      {[...numbers].map((x, n) => (
        <li key={n}>
          <button class={n === own ? "own" : ""} aria-pressed={n === pinned.value?.[0]} onMouseEnter={() => (hovered.value = [n])} onMouseLeave={() => (hovered.value = null)} onClick={() => go({ at: [n] })}>
            <Who>{page.value.classes[n] ?? n}</Who><Num>{fixed(x, places)}</Num><Bar value={x} largest={largest} />
          </button>
        </li>
      ))}
    </ol>
  );
}

export function OutputColumn({ width, height }: { width: number; height: number }) {
  const now = layer.value;
  const info = tensor(now.output);
  const own = pinned.value;
  const held = ready(values(info.id));
  const view = mapView(info, own && held ? atCell(info, own)[3] : undefined);
  const { slice, slices } = view;
  const at = cell.value;
  const [c] = at ? atCell(info, at) : [0];
  const maps = Math.min(view.channels, mostMaps);
  const ratio = ratioOf(info);
  const focus = Math.floor(Math.min(width * 0.62, (height * 0.33) / ratio));
  const flat = view.height * view.width === 1 || info.channel === null;
  const rest = flat ? height : height - focus * ratio - 10;
  const { columns, tile } = fit(maps, ratio, width, rest);
  const shared = {
    marks: outputMarks(now, slice),
    slice,
    onCell: (...cell: Four) => {
      const next = cellAt(info, ...cell);
      if (hovered.value?.join() !== next.join()) hovered.value = next;
    },
    onLeave: () => (hovered.value = null),
    onPick: (...cell: Four) => go({ at: cellAt(info, ...cell) }),
    onKey: (...by: Four) => moveCell(info, ...by),
  };
  const words = sliceText(info, slice);
  const keys = words && say("slice.keys");
  const position = at ? at.join(", ") : "";
  return (
    <figure class="column output-column">
      <figcaption>
        <b>{info.channel === null ? plural(size(info.shape), "number") : plural(view.channels, "map")}</b>{" "}
        <Dim>{shapeText(info.shape)}</Dim>
      </figcaption>
      {flat ? null : (
        <div class="focus">
          <Maps id={now.output} tile={focus} columns={1} only={c} class="focus-map"
            label={say("focus", { c, height: view.height, width: view.width, position, slice: words && `${keys}; ${words}` })} {...shared} />
          <p class="dim focus-words">map <b>{c}</b></p>
        </div>
      )}
      {info.shape.length === 1 && info.shape[0] <= 16 ? <Units now={now} /> : <Maps id={now.output} tile={tile} columns={columns} most={mostMaps} picked={c} class="outputs"
        label={say("outputs", { maps: view.channels, slice: keys })} {...shared} />}
      <p class="under">
        <Scale id={now.output} />
        {view.channels > maps ? <Dim> first {maps} of {count(view.channels)}</Dim> : null}
        {words ? <label class="dim">{words} {held ? <input type="range" max={slices - 1} value={slice} onInput={(event) => moveCell(info, 0, 0, 0, Number(entered(event)) - slice)} /> : null}</label> : null}
      </p>
    </figure>
  );
}

/** The cell that moves, said aloud once it rests. */
export function Live() {
  const made = rested.value;
  return (
    <p class="hidden" aria-live="polite" data-live>
      {made ? say(`live.${made.layer.after ? "after" : made.rule === "sum" ? "sum" : "other"}`, {
        after: made.layer.after ?? "", "layer": made.layer.name, at: made.at.join(", "), value: made.value.toPrecision(6), terms: made.product.length,
      }) : ""}
    </p>
  );
}

export function Stage() {
  const box = useRef<HTMLElement>(null);
  const width = useWidth(box, 1232);
  const now = layer.value;
  const narrow = isNarrow();
  const height = narrow ? 300 : 356;
  // 1 on a screen of 1280; below, what stands between the pictures keeps its width.
  const unit = Math.min((width - 100) / 1132, (width - 818) / 414);
  const inputs = now.inputs.length;
  const missing = !!now.left_out || now.inputs.some((id) => values(id) === "absent") || values(now.output) === "absent";
  return (
    <section class="stage" ref={box} aria-label={say("stage")}>
      <PictureColumn width={Math.round(narrow ? Math.min(180, width) : 130 * unit)} />
      {/* Three of many inputs have room: the one that is read is among them. */}
      {now.inputs.map((id, source) => (
        <InputColumn key={id} source={source} width={narrow ? width : (inputs > 1 ? 200 : 174) * unit} height={inputs > 1 ? (height - 40 * (inputs - 1)) / inputs : height} />
      )).filter((_, n) => n < 2 || n === Math.max(2, facts.value?.source[0] ?? 0))}
      <Middle narrow={narrow} missing={missing} />
      <OutputColumn width={narrow ? width : 256 * unit} height={height} />
      {narrow ? null : <Strands stage={box} />}
      {place.value.apart || spread.value === now ? <Burst key={now.name} stage={box} /> : null}
    </section>
  );
}
