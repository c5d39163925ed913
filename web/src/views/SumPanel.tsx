// Depth 3: one number, term by term. A slider adds the terms one by one; nothing plays by itself.

import { signal } from "@preact/signals-core";
import { useSignal } from "../track";
import { tensor } from "../data/store";
import { finalOf, size, unflat } from "../data/tensor";
import { count, fixed, minus, placesFor, printed, short } from "../decimal";
import type { Group, NumberFacts } from "../data/number";
import { facts, hoveredInput, hoveredWeight, pinned, rested } from "../state";
import { fsum } from "../sum";
import { pairs } from "../axis";
import { say } from "../words";
import { lines, noun } from "./SumMiddle";
import { activationWord, apart } from "./Ledger";
import { Dim, entered, Num } from "./parts";

const added = signal<number | null>(null);
const mostRows = 400;

function weightPlace(facts: NumberFacts, n: number): string {
  const { recipe } = facts.layer;
  if (facts.weight[n] < 0) return "";
  if (recipe.form === "row") return `[${facts.input[n]}, ${finalOf(facts.at)}]`;
  if (recipe.form !== "window") return "";
  const kernel = recipe.axes.map((axis) => axis.kernel);
  return `(${unflat(kernel, facts.weight[n] % size(kernel)).join(", ")})`;
}

/** Light up the input cell and the weight of a term: what the mouse does by hovering them. */
function point(made: NumberFacts, n: number): void {
  const { recipe, inputs } = made.layer;
  if (made.input[n] === undefined) return;
  hoveredInput.value = { source: made.source[n], at: unflat(tensor(inputs[made.source[n]]).shape, made.input[n]) };
  if (recipe.form !== "window" || made.weight[n] < 0) return;
  const kernel = recipe.axes.map((axis) => axis.kernel);
  hoveredWeight.value = [made.groups.find((group) => n < group.end)!.channel, ...unflat(kernel, made.weight[n] % size(kernel))];
}

/** The terms in reading order with their running total: what the slider walks through. */
function Walker({ made }: { made: NumberFacts }) {
  const products = made.product.length;
  const terms = products + (made.bias === null ? 0 : 1);
  const upTo = Math.min(terms, added.value ?? terms);
  const sum = upTo > products ? made.pre : fsum(made.product.subarray(0, upTo));
  const n = upTo - 1;
  const places = placesFor([made.pre, ...made.product], 6);
  return (
    <div class="walker">
      <label>
        <span>{say("adding")}</span>
        <input type="range" min={0} max={terms} value={upTo} aria-valuetext={say("running", { upTo, terms, "sum": fixed(sum, places) })}
          onInput={(event) => point(made, (added.value = Number(entered(event))) - 1)} />
      </label>
      <p class="num">
        {n < 0 ? say("no") : <>
          <Dim>{count(upTo)}.</Dim> {n < products ? `${minus(short(made.x[n], 5))} × ${minus(short(made.w[n], 5))}` : "bias"} = {minus(fixed(made.product[n] ?? made.bias ?? 0, places))}
        </>}
        <b> running total <output data-running={sum}>{minus(fixed(sum, places))}</output></b>
      </p>
    </div>
  );
}

function GroupTerms({ made, group }: { made: NumberFacts; group: Group }) {
  const all = made.product.subarray(group.start, group.end);
  const products = [...all.subarray(0, mostRows)];
  const rest = all.subarray(mostRows);
  const terms = rest.length ? [...products, fsum(rest)] : products;
  const print = printed(terms, group.sum, placesFor([...terms, group.sum], 6));
  const cell = (n: number) => (made.input[n] < 0 ? [] : unflat(tensor(made.layer.inputs[made.source[n]]).shape, made.input[n]));
  const times = made.weight[0] < 0 ? "times" : "weight";
  // The first column is not there on a narrow screen.
  const line = (word: string, number: string, name = "") => <tr class={name}><td /><td colSpan={4}>{word}</td><td>{minus(number)}</td></tr>;
  return (
    <table class="terms-table">
      <thead><tr><th>input cell</th><th>{times}</th><th>input</th><th>×</th><th>{times}</th><th>product</th></tr></thead>
      <tbody>
        {products.map((_, i) => {
          const n = group.start + i;
          return (
            <tr key={i} onMouseEnter={() => (hoveredInput.value = { source: made.source[n], at: cell(n) })} onMouseLeave={() => (hoveredInput.value = null)}>
              <td class="dim">[{cell(n).join(", ")}]</td><td class="dim">{weightPlace(made, n)}</td>
              <td>{minus(short(made.x[n], 6))}</td><td>×</td><td>{minus(short(made.w[n], 6))}</td><td>{minus(print.lines[i])}</td>
            </tr>
          );
        })}
        {rest.length ? line(`${count(rest.length)} more`, print.lines[mostRows]) : null}
        {print.rounding ? line("rounding", print.rounding) : null}
        {line("adds", print.total, "sum-row")}
      </tbody>
    </table>
  );
}

/** One map's terms; closed ones have no rows in the document. */
function GroupBox({ made, group, what, first }: { made: NumberFacts; group: Group; what: string; first: boolean }) {
  const open = useSignal(first);
  return (
    <details open={open.value} onToggle={(event) => (open.value = event.currentTarget.open)}>
      <summary>{what} {group.channel} adds <b><Num>{fixed(group.sum, placesFor([group.sum, made.pre], 6))}</Num></b></summary>
      {open.value ? <GroupTerms made={made} group={group} /> : null}
    </details>
  );
}

/** How often the weight under the cursor is used: the pairs of the relation, from its end. */
export function WeightUse() {
  const made = facts.value;
  const at = hoveredWeight.value;
  if (!made || !at || made.layer.recipe.form !== "window") return null;
  const { axes } = made.layer.recipe;
  const places = at.slice(1).slice(-axes.length);
  const times = axes.reduce((product, axis, n) => product * pairs(axis, places[n] ?? 0), 1);
  return <p class="note" data-uses={times}>{say("used", { place: places.join(", "), map: at[0], times })}</p>;
}

export function SumPanel() {
  const made = rested.value;
  if (!made || made.rule !== "sum" || made.layer.recipe.form === "formula" || !made.product.length) return null;
  const { sorted } = lines(made, 8);
  const name = made.layer.activation ? activationWord(made.layer.activation.name) : "";
  const what = noun(made);
  const engine = made.enginePre ?? made.engine;
  const { grids } = made.layer;
  const after = name && say("told.after", { name, value: minus(made.value.toPrecision(9)) });
  const few = made.groups.length === made.product.length;
  return (
    <section class="panel" aria-label={say("terms")} id="sum">
      <h2>The sum behind <code>{made.layer.name}[{made.at.join(", ")}]</code></h2>
      <p>
        {say("told", { products: made.product.length, "bias": made.bias === null ? "" : say("told.bias"), "padding": made.padding ? `; ${say("padded", { "places": made.padding })}` : "", ours: minus(made.pre.toPrecision(12)) })}
        {grids ? after : ""}
        {engine === null || engine !== engine ? "" : say("told.engine", { "engine": minus(engine.toPrecision(9)), "apart": apart(grids ? made.value : made.pre, engine), "bound": short(made.bound ?? 0, 3) })}
        {grids ? "" : after}.
      </p>
      <Walker made={made} key={pinned.value?.join()} />
      <div class="groups">
        {few ? <GroupTerms made={made} group={{ channel: 0, start: 0, end: made.product.length, sum: fsum(made.product) }} /> : sorted.slice(0, 64).map((group, n) => (
          <GroupBox key={n} made={made} group={group} what={what} first={n < 2} />
        ))}
      </div>
    </section>
  );
}
