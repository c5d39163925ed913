// Below the picture: where each number comes from, the filters as heatmaps, the picture as text.

import { computed } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { values } from "../data/store";
import { largestSize, shapeText, size } from "../data/tensor";
import { count, fixed, minus, placesFor } from "../decimal";
import { drawGrid, sharp } from "../draw/atlas";
import { isDark, styleColour } from "../draw/colour";
import { cell, layer, pinned, pinnedFacts } from "../state";
import { ordinal, say } from "../words";
import { lines } from "./SumMiddle";
import { Maths } from "./Maths";
import { WhatIf } from "./WhatIf";

function Derivations() {
  const now = layer.value;
  return (
    <section class="panel" aria-label="Where the numbers come from">
      <h2>Where the numbers come from</h2>
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
      {now.notes.map((note) => <p key={note} class="misread">{note}</p>)}
    </section>
  );
}

const kernelView = computed(() => {
  const { recipe } = layer.value;
  if (recipe.form !== "window" || recipe.weight === null) return null;
  const numbers = values(recipe.weight);
  if (!(numbers instanceof Float32Array)) return null;
  return { numbers, perGroup: recipe.channels_in / recipe.groups, filters: recipe.channels_out, kernel: recipe.axes.map((axis) => axis.kernel) };
});

/** Every slice of every filter: a row per input map, a column per filter. */
function Kernels() {
  const canvas = useRef<HTMLCanvasElement>(null);
  const made = kernelView.value;
  const dark = isDark.value;
  const filter = cell.value && made ? cell.value[layer.value.recipe.form === "window" ? cell.value.length - 1 : 0] : 0;
  const taps = made ? size(made.kernel) : 1;
  const wide = made ? made.kernel[made.kernel.length - 1] : 1;
  const rows = made ? Math.min(made.perGroup, 64) : 0;
  const columns = made ? Math.min(made.filters, 96) : 0;
  const px = made ? Math.max(1, Math.min(6, Math.floor(1100 / (columns * (wide + 1))))) : 1;
  const stepX = wide * px + 2;
  const stepY = Math.ceil(taps / wide) * px + 2;
  useEffect(() => {
    if (!made || !canvas.current) return;
    const context = sharp(canvas.current, columns * stepX, rows * stepY);
    const largest = largestSize(made.numbers);
    for (let f = 0; f < columns; f++) {
      for (let c = 0; c < rows; c++) {
        const start = (f * made.perGroup + c) * taps;
        drawGrid(context, made.numbers.subarray(start, start + taps), wide, largest, f * stepX, c * stepY, px);
      }
    }
    if (filter < columns) {
      context.strokeStyle = styleColour("--weight");
      context.lineWidth = 2;
      context.strokeRect(filter * stepX - 1, 0, stepX, rows * stepY);
    }
  }, [made, dark, filter, columns, rows]);
  if (!made) return null;
  return (
    <section class="panel" aria-label="All filters">
      <h2>All filters</h2>
      <p class="dim">{say("kernels", { filters: made.filters, own: made.perGroup, kernel: made.kernel.join("×"), columns, rows, largest: largestSize(made.numbers).toPrecision(3) })}</p>
      <div class="scroll-x"><canvas ref={canvas} style={{ width: `${columns * stepX}px`, height: `${rows * stepY}px` }} role="img" aria-label={`heatmap of all weights, filter ${filter} marked`} /></div>
    </section>
  );
}

/** The picture in words: the same facts for who cannot see it. */
function Twin() {
  const now = layer.value;
  const made = pinnedFacts.value;
  const at = pinned.value;
  const sums = made && made.rule === "sum" ? lines(made, 7) : null;
  const places = made ? placesFor([made.pre, made.value], 6) : 6;
  return (
    <section class="panel" aria-label="The picture as text">
      <h2>The picture as text</h2>
      <p>
        The {ordinal(now.number)} layer, {now.name} ({now.kind}), turns {now.input_shapes.map(shapeText).join(" and ")} into {shapeText(now.output_shape)}.
        {at && made ? ` The number at [${at.join(", ")}] is ${minus(fixed(made.value, places))}.` : ""}
      </p>
      {sums && made ? (
        <ul>
          {sums.top.map((group, n) => <li key={group.channel}>map {group.channel} adds {minus(sums.print.lines[n])}</li>)}
          {sums.others.length ? <li>{count(sums.others.length)} other maps add {minus(sums.print.lines[sums.top.length])}</li> : null}
          {made.bias === null ? null : <li>the bias adds {minus(sums.print.lines[sums.print.lines.length - 1])}</li>}
          {sums.print.rounding ? <li>rounding {minus(sums.print.rounding)}</li> : null}
          <li>together {minus(sums.print.total)}{made.value === made.pre ? "" : `, after the activation ${minus(fixed(made.value, places))}`}</li>
        </ul>
      ) : null}
    </section>
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
