// Below the picture: where each number comes from, the filters as heatmaps, the picture as text.

import { computed } from "@preact/signals-core";
import { ready, tensor, values } from "../data/store";
import { largestSize, shapeText, size } from "../data/tensor";
import { count, fixed, minus, placesFor } from "../decimal";
import { drawGrid } from "../draw/atlas";
import { cell, layer, pinned, pinnedFacts } from "../state";
import { say } from "../words";
import { lines } from "./SumMiddle";
import { Maths } from "./Maths";
import { Drawing, Panel } from "./parts";
import { about } from "./Walk";
import { WhatIf } from "./WhatIf";

function Derivations() {
  const now = layer.value;
  const notes = now.notes.filter((note) => note !== now.answer && note !== about(now));
  if (!now.derivations.length && !now.weights.length && !now.field && !notes.length) return null;
  return (
    <Panel title={say("where")}>
      <dl class="derive">
        {now.derivations.map((item) => (
          <div key={item.id + item.title}>
            <dt>{item.title}</dt>
            <dd><Maths text={item.formula} /><small class="dim">{item.sentence}</small></dd>
          </div>
        ))}
        {now.weights.map((weight) => (
          <div key={weight.name}>
            <dt><bdi>{weight.name}</bdi></dt>
            <dd><code>{shapeText(weight.shape)}</code> <small class="dim">{weight.axes.join(", ")} · {count(weight.count)} numbers{weight.trainable ? "" : ", not trained"}</small></dd>
          </div>
        ))}
        {now.field ? (
          <div><dt>sees of the picture</dt><dd>{now.field.map((axis) => axis.size).join(" × ")} <small class="dim">moves by {now.field.map((axis) => axis.stride).join(", ")} for each step{now.field.every((axis) => axis.exact) ? "" : "; an outer bound"}</small></dd></div>
        ) : null}
      </dl>
      {notes.map((note) => <p key={note} class="misread">{note}</p>)}
    </Panel>
  );
}

const kernelView = computed(() => {
  const { recipe } = layer.value;
  if (recipe.form !== "window" || recipe.weight === null) return null;
  const numbers = values(recipe.weight);
  if (!ready(numbers)) return null;
  return { numbers, perGroup: recipe.channels_in / recipe.groups, filters: recipe.channels_out, kernel: recipe.axes.map((axis) => axis.kernel) };
});

/** Every slice of every filter: a row per input map, a column per filter. */
function Kernels() {
  const made = kernelView.value;
  if (!made) return null;
  const { numbers, perGroup, filters, kernel } = made;
  const largest = largestSize(numbers);
  const taps = size(kernel);
  const wide = kernel[kernel.length - 1];
  const rows = Math.min(perGroup, 64);
  const columns = Math.min(filters, 96);
  const px = Math.max(1, Math.min(6, Math.floor(1100 / (columns * (wide + 1)))));
  const stepX = wide * px + 2;
  const stepY = Math.ceil(taps / wide) * px + 2;
  return (
    <Panel title="All filters">
      <p class="dim">{say("kernels", { filters, own: perGroup, kernel: kernel.join("×"), "columns": columns, rows, "largest": largest.toPrecision(3) })}</p>
      <div class="scroll-x"><div class="kernels">
        <Drawing width={columns * stepX} height={rows * stepY} on={[numbers]} role="img" aria-label={say("heat")} draw={(context) => {
          for (let f = 0; f < columns; f++) {
            for (let c = 0; c < rows; c++) {
              const start = (f * perGroup + c) * taps;
              drawGrid(context, numbers.subarray(start, start + taps), wide, largest, f * stepX, c * stepY, px);
            }
          }
        }} />
        <Chosen step={stepX} columns={columns} />
      </div></div>
    </Panel>
  );
}

/** The frame around the shown number's filter: moved alone, the heatmap stays as it is. */
function Chosen({ step, columns }: { step: number; columns: number }) {
  const { channel } = tensor(layer.value.output);
  const filter = cell.value?.[channel ?? 0] ?? 0;
  return filter < columns ? <i style={{ left: `${filter * step - 2}px`, width: `${step + 2}px` }} /> : null;
}

/** The picture in words: the same facts for who cannot see it. */
function Twin() {
  const now = layer.value;
  const made = pinnedFacts.value;
  const at = pinned.value;
  const sums = made && made.rule === "sum" ? lines(made, 7) : null;
  const places = made ? placesFor([made.pre, made.value], 6) : 6;
  return (
    <Panel title={say("text")}>
      <p>
        {say("twin", { ordinal: now.nth, name: now.name, kind: now.kind, from: now.input_shapes.map(shapeText).join(" and "), to: shapeText(now.output_shape) })}
        {at && made && !now.after ? say("twin.number", { at: at.join(", "), value: minus(fixed(made.value, places)) }) : ""}
      </p>
      {sums && made ? (
        <ul>
          {sums.top.map((group, n) => <li key={group.channel}>map {group.channel} adds {minus(sums.print.lines[n])}</li>)}
          {sums.others.length ? <li>{count(sums.others.length)} other maps add {minus(sums.print.lines[sums.top.length])}</li> : null}
          {made.bias === null ? null : <li>the bias adds {minus(sums.print.lines[sums.print.lines.length - 1])}</li>}
          {sums.print.rounding ? <li>rounding {minus(sums.print.rounding)}</li> : null}
          <li>together {minus(sums.print.total)}{made.value === made.pre ? "" : say("twin.after", { value: minus(fixed(made.value, places)) })}</li>
        </ul>
      ) : null}
    </Panel>
  );
}

export function Details() {
  return (
    <>
      <Derivations />
      <WhatIf />
      <Kernels />
      <Twin />
    </>
  );
}
