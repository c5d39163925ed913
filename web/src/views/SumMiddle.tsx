// A sum over many maps: what each map's slice contributes, the plus where they meet, the bias,
// the activation. Largest first; what does not fit is one row that opens.

import { say } from "../words";
import { useSignal } from "../track";
import type { Group, NumberFacts } from "../data/number";
import { ready, tensor, unflattened, values } from "../data/store";
import { partialsOf, type Partial } from "../data/partial";
import { atCell, finalOf, largestSize, size, unflat } from "../data/tensor";
import { atlas, drawGrid, drawTile } from "../draw/atlas";
import { styleColour } from "../draw/colour";
import { count, minus, placesFor, printed } from "../decimal";
import type { WindowRecipe } from "../schema";
import { hoveredWeight } from "../state";
import { ExactSum } from "../sum";
import { Ledger } from "./Ledger";
import { Dim, Drawing, maker, Num, Who, pointIn, sourceName } from "./parts";
import { Word } from "./Word";

/** Window and slice of one map as full grids; NaN where the window lies on padding. */
export function grids(facts: NumberFacts, group: Group): { x: Float64Array; w: Float64Array; columns: number } {
  const { recipe } = facts.layer;
  if (recipe.form !== "window") {
    const x = facts.x.slice(group.start, group.end);
    return { x, w: facts.w.slice(group.start, group.end), columns: Math.ceil(Math.sqrt(x.length)) };
  }
  const kernel = recipe.axes.map((axis) => axis.kernel);
  const taps = size(kernel);
  const x = new Float64Array(taps).fill(NaN);
  const w = new Float64Array(taps).fill(NaN);
  const whole = recipe.weight === null ? null : values(recipe.weight);
  for (let n = group.start; n < group.end; n++) {
    const tap = facts.weight[n] % taps;
    x[tap] = facts.x[n];
    w[tap] = facts.w[n];
  }
  if (ready(whole) && group.end > group.start) {
    const base = facts.weight[group.start] - (facts.weight[group.start] % taps);
    for (let tap = 0; tap < taps; tap++) w[tap] = whole[base + tap] * facts.times;
  }
  // A long row of weights is drawn in lines, as a page of text is, whichever axis it lies along.
  const long = taps > box && taps === Math.max(...kernel);
  return { x, w, columns: long ? Math.ceil(Math.sqrt(taps)) : finalOf(kernel) };
}

export interface Scales {
  readonly x: number;
  readonly w: number;
  readonly sum: number;
}

const rowHeight = 38;
const side = 34;
/** The most that a grid takes up each way, in pixels: cells of larger ones are smaller than a pixel. */
const box = 33;
const left = { x: 6, w: 60, partial: 112 };

/** Where the grids of a row lie: side of a cell, rows, and the first row's top. */
function layout(columns: number, count: number, n: number) {
  const rows = Math.ceil(count / columns);
  const most = box / Math.max(columns, rows);
  const side = Math.min(10, Math.floor(most) || most);
  return { rows, side, top: n * rowHeight + Math.max(2, (rowHeight + 1 - side * rows) / 2) };
}

/** Window and slice of every row and the map that they make, in one canvas. */
function Slices({ facts, groups, scales, width, made }: { facts: NumberFacts; groups: readonly Group[]; scales: Scales; width: number; made: Partial | null }) {
  const draw = (context: CanvasRenderingContext2D) => {
    context.font = "14px system-ui, sans-serif";
    context.textAlign = "center";
    const drawn = made && atlas(made.info, made.numbers);
    const first = facts.layer.recipe.form === "window" ? firstOf(facts) : 0;
    groups.forEach((group, n) => {
      const { x, w, columns } = grids(facts, group);
      const { rows, side: cell, top } = layout(columns, x.length, n);
      for (const [numbers, largest, at, colour] of [[x, scales.x, left.x, "--mark"], [w, scales.w, left.w, "--weight"]] as const) {
        drawGrid(context, numbers, columns, largest, at, top, cell);
        context.strokeStyle = styleColour(colour);
        context.strokeRect(at - 0.5, top - 0.5, cell * columns + 1, cell * rows + 1);
      }
      context.fillStyle = styleColour("--soft");
      context.fillText("×", 49, n * rowHeight + 24);
      if (!drawn) return;
      context.fillText("→", 102, n * rowHeight + 24);
      const tall = Math.max(4, Math.min(side, (side * drawn.height) / drawn.width));
      const from = n * rowHeight + 2 + (side - tall) / 2;
      drawTile(context, drawn, group.channel - first, left.partial, from, side, tall);
      const [, row, column] = atCell(tensor(facts.layer.output), facts.at);
      context.strokeStyle = styleColour("--mark");
      const [wide, high] = [side / drawn.width, tall / drawn.height];
      context.strokeRect(left.partial + column * wide - 1, from + row * high - 1, wide + 2, high + 2);
    });
  };
  const point = (event: MouseEvent) => {
    const { x, y } = pointIn(event);
    const n = Math.floor(y / rowHeight);
    const group = groups[n];
    if (!group || facts.layer.recipe.form !== "window") return;
    const grid = grids(facts, group);
    const { rows, side: cell, top } = layout(grid.columns, grid.x.length, n);
    const column = Math.floor((x - left.w) / cell);
    const row = Math.floor((y - top) / cell);
    const kernel = facts.layer.recipe.axes.map((axis) => axis.kernel);
    hoveredWeight.value = column >= 0 && column < grid.columns && row >= 0 && row < rows
      ? [group.channel, ...unflat(kernel, row * grid.columns + column)] : null;
  };
  return (
    <Drawing width={width} height={groups.length * rowHeight} on={[facts, groups.length, made]} draw={draw}
      onMouseMove={point} onMouseLeave={() => (hoveredWeight.value = null)} />
  );
}

export function Bar({ value, largest }: { value: number; largest: number }) {
  const share = largest > 0 ? Math.min(1, Math.abs(value) / largest) : 0;
  return (
    <span class="bar" aria-hidden="true">
      <span class={value < 0 ? "minus" : "plus"} style={{ width: `${share * 50}%` }} />
    </span>
  );
}

function filterOf(facts: NumberFacts): number {
  return facts.at[tensor(facts.layer.output).channel ?? facts.at.length - 1];
}

/** The first input map of the number's group. */
function firstOf(facts: NumberFacts): number {
  const recipe = facts.layer.recipe as WindowRecipe;
  return Math.floor(filterOf(facts) / (recipe.channels_out / recipe.groups)) * (recipe.channels_in / recipe.groups);
}

/** What adds to a sum: maps, or numbers of a row. */
export function noun(facts: NumberFacts): string {
  const info = unflattened(facts.layer.inputs[0]);
  const rows = /row|gather/.test(facts.layer.recipe.form) && info.id === facts.layer.inputs[0];
  return info.channel === null || (rows && info.channel < info.shape.length - 1) ? "number" : "map";
}

/** One of them, by name. */
export function part(facts: NumberFacts, { channel, start }: Group): string {
  return facts.layer.recipe.form === "merge" ? sourceName(facts, start) : `${noun(facts)} ${channel}`;
}

function scalesOf(facts: NumberFacts): Scales {
  return { x: largestSize(facts.x), w: largestSize(facts.w), sum: largestSize(facts.groups.map((group) => group.sum)) };
}

/** Lines of the sum: the largest groups, all others in one, the bias; printed so that they add up. */
export function lines(facts: NumberFacts, most: number) {
  const sorted = [...facts.groups].sort((a, b) => Math.abs(b.sum) - Math.abs(a.sum));
  const top = sorted.slice(0, sorted.length <= most + 1 ? sorted.length : most);
  const others = sorted.slice(top.length);
  const sum = new ExactSum();
  for (const group of others) for (let n = group.start; n < group.end; n++) sum.add(facts.product[n]);
  const rest = sum.value();
  const terms = [...top.map((group) => group.sum), ...(others.length ? [rest] : []), ...(facts.bias === null ? [] : [facts.bias])];
  const places = placesFor([...terms, facts.pre], 6);
  return { top, others, rest, print: printed(terms, facts.pre, places), sorted };
}

export function SumMiddle({ facts, narrow }: { facts: NumberFacts; narrow: boolean }) {
  const open = useSignal(false);
  const made = lines(facts, open.value ? 512 : narrow ? 5 : 7);
  const scales = scalesOf(facts);
  const filter = filterOf(facts);
  const what = noun(facts);
  const maps = facts.groups.length > 1 ? partialsOf(facts.layer, filter, atCell(tensor(facts.layer.output), facts.at)[3]) : null;
  const width = maps ? left.partial + side + 2 : 100;
  // Where each map gives one number, it meets a weight, not a slice of them.
  const single = facts.groups.length === facts.x.length;
  const word = single ? "weight" : "slice";
  return (
    <div class="middle sum-middle">
      <div class="terms-box" style={{ "--g": `${width}px`, "--n": Math.max(9, ...made.print.lines.map((line) => line.length)) }}>
        <p class="caption">
          <b>{facts.bias === null && facts.weight[0] < 0 ? "" : `${maker(facts.layer)} ${filter}`}</b> <Dim>one {facts.groups.length > 1 ? `${word} for each ${what}` : word}</Dim>
        </p>
        <div class="terms-head dim">
          <span /> <span class="g">{single ? "input" : <Word of="window">window</Word>}<i /> <Word of="weight">{word}</Word>{maps ? <span>its map</span> : null}</span> <span>adds</span>
        </div>
        <ol class={`terms ${open.value ? "open" : ""}`}>
          {made.top.map((group, n) => (
            <li key={n} data-term={group.channel}>
              <Who>{what === "map" ? `map ${group.channel}` : `[${group.channel}]`}</Who>
              <i />
              <span class="num" data-sum={group.sum}>{minus(made.print.lines[n])}</span>
              <Bar value={group.sum} largest={scales.sum} />
            </li>
          ))}
          <Slices facts={facts} groups={made.top} scales={scales} width={width} made={maps} />
        </ol>
        {made.others.length || open.value ? (
          <button class="rest" aria-expanded={open.value} onClick={() => (open.value = !open.value)}>
            {open.value ? <Who>{say("fewer")}</Who> : (
              <>
                <Who>{count(made.others.length)} other {what}s</Who>
                <Num>{made.print.lines[made.top.length]}</Num>
                <Bar value={made.rest} largest={scales.sum} />
              </>
            )}
          </button>
        ) : null}
      </div>
      <div class="plus" aria-hidden="true"><span>+</span></div>
      <Ledger facts={facts} print={made.print} />
    </div>
  );
}
