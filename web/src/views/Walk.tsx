// The walkthrough: five sentences about this layer's own numbers, one address each.

import { lines } from "./SumMiddle";
import { activationWord } from "./Ledger";
import { atCell } from "../data/tensor";
import { page, tensor } from "../data/store";
import { rectangle, windowsBehind } from "../data/reach";
import { fixed, minus } from "../decimal";
import { cell, facts, go, layer, place, steps } from "../state";
import { walk } from "../words";

export function Walk() {
  const now = layer.value;
  const made = facts.value;
  const at = cell.value;
  const { recipe } = now;
  if (recipe.form !== "window" || recipe.combine !== "sum") {
    return now.notes.length ? (
      <section class="walk" aria-label="About this layer"><div class="walk-text"><h2>About this layer</h2><p>{now.notes[0]}</p></div></section>
    ) : null;
  }
  if (!made || !at) return <section class="walk" />;
  const { print, sorted } = lines(made, 7);
  const [filter, row, column] = atCell(tensor(now.output), at);
  const range = windowsBehind(place.value.layer, at).get(page.value.input);
  const box = range && rectangle(page.value.input, range);
  const { places } = print;
  const told = walk(now, recipe, at, {
    total: minus(print.total),
    bias: made.bias === null ? "(none)" : minus(fixed(made.bias, places)),
    value: minus(fixed(made.value, places)),
    top: minus(fixed(sorted[0]?.sum ?? 0, places)),
    topMap: sorted[0]?.channel ?? 0,
    filter,
    rest: sorted.length - 1,
    seen: box ? `a patch of ${box.rows}×${box.columns}` : "all of it",
    position: `row ${row}, column ${column}`,
    kept: made.value === made.pre,
    activation: now.activation ? activationWord(now.activation.name) : "",
  });
  const step = place.value.step;
  const current = told[step - 1];
  return (
    <section class="walk" aria-label="Walkthrough">
      <div class="walk-text" aria-live="polite">
        <h2><span class="dim">{step} of {steps}</span> {current.title}</h2>
        <p>{current.text}</p>
      </div>
      <nav class="walk-nav" aria-label="Steps">
        <button type="button" disabled={step === 1} onClick={() => go({ step: step - 1 })}>Back</button>
        <span class="dots" aria-hidden="true">{told.map((_, n) => <i key={n} class={n + 1 === step ? "on" : ""} />)}</span>
        <button type="button" class="primary" disabled={step === steps} onClick={() => go({ step: step + 1 })}>Next</button>
      </nav>
    </section>
  );
}
