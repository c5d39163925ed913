// A sum over many maps: what each map's slice contributes, the plus where they meet, the bias,
// the activation. Largest first; what does not fit is one row that opens.

import { useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import type { Group, NumberFacts } from "../data/number";
import { tensor, unflattened, values } from "../data/store";
import { size } from "../data/tensor";
import { drawGrid, sharp } from "../draw/atlas";
import { isDark, styleColour } from "../draw/colour";
import { count, minus, placesFor, printed } from "../decimal";
import { hoveredWeight } from "../state";
import { fsum } from "../sum";
import { Word } from "./Word";
import { Ledger } from "./Ledger";

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
  if (whole instanceof Float32Array && group.end > group.start) {
    const base = facts.weight[group.start] - (facts.weight[group.start] % taps);
    for (let tap = 0; tap < taps; tap++) w[tap] = whole[base + tap];
  }
  return { x, w, columns: kernel[kernel.length - 1] };
}

export interface Scales {
  readonly x: number;
  readonly w: number;
  readonly sum: number;
}

const graphicWidth = 100;

function TermGraphic({ facts, group, scales }: { facts: NumberFacts; group: Group; scales: Scales }) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const dark = isDark.value;
  useEffect(() => {
    if (!canvas.current) return;
    const { x, w, columns } = grids(facts, group);
    const rows = Math.ceil(x.length / columns);
    const cell = Math.max(1, Math.min(10, Math.floor(33 / Math.max(columns, rows)) || 1));
    const context = sharp(canvas.current, graphicWidth, 34);
    const top = Math.max(0, (34 - cell * rows) / 2);
    drawGrid(context, x, columns, scales.x, 6, top, cell);
    drawGrid(context, w, columns, scales.w, 60, top, cell);
    context.lineWidth = 1;
    context.strokeStyle = styleColour("--mark");
    context.strokeRect(5.5, top - 0.5, cell * columns + 1, cell * rows + 1);
    context.strokeStyle = styleColour("--weight");
    context.strokeRect(59.5, top - 0.5, cell * columns + 1, cell * rows + 1);
    context.fillStyle = styleColour("--soft");
    context.font = "14px system-ui, sans-serif";
    context.textAlign = "center";
    context.fillText("×", 49, 22);
  }, [facts, group, dark, scales.x, scales.w]);
  const point = (event: MouseEvent) => {
    const box = (event.currentTarget as HTMLElement).getBoundingClientRect();
    const { columns, x } = grids(facts, group);
    const rows = Math.ceil(x.length / columns);
    const cell = Math.max(1, Math.min(10, Math.floor(33 / Math.max(columns, rows)) || 1));
    const column = Math.floor((event.clientX - box.left - 60) / cell);
    const row = Math.floor((event.clientY - box.top - (34 - cell * rows) / 2) / cell);
    const inside = column >= 0 && column < columns && row >= 0 && row < rows;
    hoveredWeight.value = inside && facts.layer.recipe.form === "window" ? [group.channel, row, column] : null;
  };
  return (
    <canvas ref={canvas} style={{ width: `${graphicWidth}px`, height: "34px" }} aria-hidden="true"
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

export function noun(facts: NumberFacts): string {
  return unflattened(facts.layer.inputs[0]).channel === null ? "number" : "map";
}

function scalesOf(facts: NumberFacts): Scales {
  let x = 0;
  let w = 0;
  let sum = 0;
  for (const v of facts.x) x = Math.max(x, Math.abs(v));
  for (const v of facts.w) w = Math.max(w, Math.abs(v));
  for (const group of facts.groups) sum = Math.max(sum, Math.abs(group.sum));
  return { x, w, sum };
}

/** Lines of the sum: the largest groups, all others in one, the bias; printed so that they add up. */
export function lines(facts: NumberFacts, most: number) {
  const sorted = [...facts.groups].sort((a, b) => Math.abs(b.sum) - Math.abs(a.sum));
  const top = sorted.slice(0, sorted.length <= most + 1 ? sorted.length : most);
  const others = sorted.slice(top.length);
  const restTerms = others.flatMap((group) => [...facts.product.subarray(group.start, group.end)]);
  const rest = fsum(restTerms);
  const terms = [...top.map((group) => group.sum), ...(others.length ? [rest] : []), ...(facts.bias === null ? [] : [facts.bias])];
  const places = placesFor([...terms, facts.pre], 6);
  return { top, others, rest, print: printed(terms, facts.pre, places), sorted };
}

export function SumMiddle({ facts, narrow }: { facts: NumberFacts; narrow: boolean }) {
  const open = useSignal(false);
  const made = lines(facts, open.value ? 512 : narrow ? 5 : 7);
  const scales = scalesOf(facts);
  const [filter] = [facts.at[tensor(facts.layer.output).channel ?? facts.at.length - 1]];
  const what = noun(facts);
  return (
    <div class="middle sum-middle">
      <div class="terms-box">
        <p class="caption">
          <b>filter {filter}</b> <span class="dim">one {facts.groups.length > 1 ? `slice for each ${what}` : "slice"}</span>
        </p>
        <div class="terms-head dim">
          <span /> <span class="g"><Word of="window">window</Word><i /> <Word of="weight">slice</Word></span> <span>adds</span>
        </div>
        <ol class={`terms ${open.value ? "open" : ""}`}>
          {made.top.map((group, n) => (
            <li key={n} data-term={group.channel}>
              <span class="who">{what === "map" ? `map ${group.channel}` : `[${group.channel}]`}</span>
              <TermGraphic facts={facts} group={group} scales={scales} />
              <span class="num" data-sum={group.sum}>{minus(made.print.lines[n])}</span>
              <Bar value={group.sum} largest={scales.sum} />
            </li>
          ))}
        </ol>
        {made.others.length || open.value ? (
          <button type="button" class="rest" aria-expanded={open.value} onClick={() => (open.value = !open.value)}>
            {open.value ? <span class="who">show the largest only</span> : (
              <>
                <span class="who">{count(made.others.length)} other {what}s</span>
                <span class="num">{minus(made.print.lines[made.top.length])}</span>
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
