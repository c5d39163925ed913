// Everything that is neither a window nor a row: copies, merges, formulas, and the unexplained.

import type { ComponentChildren } from "preact";
import { inside } from "../data/makers";
import type { NumberFacts } from "../data/number";
import { page, served, tensor } from "../data/store";
import { finalOf, unflat } from "../data/tensor";
import { count, fixed, minus, placesFor, printed, short, type Printed } from "../decimal";
import { css } from "../draw/colour";
import { cell, facts, layer } from "../state";
import { say } from "../words";
import { activationWord, apart } from "./Ledger";
import { lines } from "./SumMiddle";
import { useSignal, useWork } from "../track";
import { brief, Dim, Num, sourceName, Who } from "./parts";

const opWords: Record<string, string> = {
  add: "+", subtract: "−", multiply: "×", divide: "÷", average: "mean of", weighted: "weighted sum of", maximum: "largest of", minimum: "smallest of", concat: "copied from",
};

function place(made: NumberFacts, n: number): string {
  const id = made.layer.inputs[made.source[n]];
  return made.input[n] < 0 ? "" : `[${unflat(tensor(id).shape, made.input[n]).join(", ")}]`;
}

/** Whose a number is, and where it stands; an arrow where it is the one taken. */
function whose(made: NumberFacts, n: number) {
  return <>{made.x.length > 1 && n === made.winner ? "→ " : ""}<bdi>{brief(sourceName(made, n), 24)}</bdi> <Dim>{place(made, n)}</Dim></>;
}

/** Words and their number: a function and no component, as each is a line of a list. */
function line(words: ComponentChildren, number: string, key?: unknown) {
  return <li key={key}><Who>{words}</Who><Num>{number}</Num></li>;
}

/** The steps of a formula, each with its words and its number. */
export function stepLines({ steps }: NumberFacts) {
  return steps.map((step) => line(<>{step.name} <Dim>{step.expression}</Dim></>, short(step.value, 6), step.name));
}

/** Numbers that add up as printed, and what closes the gap. */
function summed({ lines, rounding }: Printed, words: readonly ComponentChildren[]) {
  return [...lines, ...(rounding ? [rounding] : [])].map((number, n) => line(words[n] ?? "rounding", number, n));
}

function Merge({ made, op }: { made: NumberFacts; op: string }) {
  const places = placesFor([...made.product, made.pre], 6);
  const print = printed([...made.product], made.pre, places);
  const adds = ["add", "subtract", "weighted"].includes(op);
  return (
    <ol class="steps-list">
      {[...made.product].map((_, n) => (
        line(<>{op === "weighted" ? `${short(made.w[n], 4)} × ` : n && adds ? opWords[op] : ""} {whose(made, n)}</>, fixed(op === "weighted" ? made.product[n] : made.x[n], places), n)
      ))}
      {adds && print.rounding && line("rounding", print.rounding)}
      {made.layer.grids && line("real", fixed(made.pre, places))}
      {made.layer.grids && stepLines(made)}
    </ol>
  );
}

/** The largest products of two inputs, and all others together. */
function Products({ made }: { made: NumberFacts }) {
  const { top, others, print } = lines(made, 7);
  const words: ComponentChildren[] = top.map(({ start }) => <>{whose(made, start)} {short(made.x[start], 4)} × {short(made.w[start], 4)}</>);
  if (others.length) words.push(say("others", { n: others.length }));
  return <ol class="steps-list">{summed(print, words)}</ol>;
}

/** Addends that are no window's, each rounded once. */
function Addends({ made, names }: { made: NumberFacts; names: readonly string[] }) {
  const terms = [...made.product, made.bias ?? 0];
  return <>{summed(printed(terms, made.value, placesFor([made.value, ...terms], 6)), names)}</>;
}

interface RemoteFacts {
  readonly value: number;
  readonly difference: number;
  readonly "steps": readonly { name: string; "expression": string; value: number }[];
  readonly terms: readonly { "source": string | null; "input": readonly number[] | null; x: number; product: number | null }[];
}

/** A number that Python works out: asked for when the cell rests. */
function Remote() {
  const got = useSignal<RemoteFacts | null>(null);
  const at = cell.value?.join() ?? "";
  const { name } = layer.value;
  useWork(() => {
    const wait = setTimeout(() => {
      fetch(served("number", { "layer": name, at })).then(async (answer) => (got.value = answer.ok ? await answer.json() : null)).catch(() => null);
    }, 60);
    return () => clearTimeout(wait);
  }, [name, at]);
  const now = got.value;
  if (!now) return <p class="dim">…</p>;
  return (
    <ol class="steps-list">
      {now.terms.slice(0, 9).map((term, n) => line(<><bdi>{term["source"]}</bdi> <Dim>[{term["input"]?.join(", ")}]</Dim></>, short(term.product ?? term.x, 6), n))}
      {now.terms.length > 9 ? <li>…</li> : null}
      {now["steps"].map((step) => line(<>{step.name} <Dim>{step["expression"]}</Dim></>, short(step.value, 6), step.name))}
      <li><b>{at}</b><b class="num" data-value={now.value}>{short(now.value, 7)}</b></li>
      <li class="dim">engine: off by {short(Math.abs(now.difference), 3)}</li>
    </ol>
  );
}

export function StepsMiddle() {
  const now = layer.value;
  const made = facts.value;
  const recipe = inside(now);
  if (!made) {
    return (
      <div class="middle steps-middle">
        <p class="caption"><b>{now.kind}</b></p>
        {now.rule !== "opaque" && page.value.mode === "served" ? <Remote /> : <p class="note">
          {say(now.rule === "opaque" ? "opaque" : "elsewhere")}{" "}
          {now.rule === "opaque" ? null : <code>{say("command", { name: JSON.stringify(now.name) })}</code>}
        </p>}
      </div>
    );
  }
  const places = placesFor([made.value, ...made.x], 6);
  return (
    <div class="middle steps-middle">
      <p class="caption"><b>{recipe.form === "formula" ? activationWord(recipe.name) : recipe.form === "merge" ? `${opWords[recipe.op]} ${recipe.op === "concat" ? "one of " : ""}${count(now.inputs.length)} inputs` : recipe.form === "gather" || recipe.form === "listed" ? now.kind : "a copy"}</b></p>
      {recipe.form === "merge" ? <Merge made={made} op={recipe.op} /> : null}
      {recipe.form === "gather" || (recipe.form === "listed" && recipe.summed && now.rule !== "choice") ? <Products made={made} /> : null}
      {recipe.form === "listed" ? (
        <ol class="steps-list">
          {now.rule === "choice" ? line(made.winner < 0 ? say("stored") : whose(made, made.winner), short(made.value, 6)) : stepLines(made)}
          {now.rule !== "sum" && <li class="dim">{say("listed", { n: made.x.length })}</li>}
        </ol>
      ) : null}
      {recipe.form === "scatter" || recipe.form === "window" ? (
        <p class="copy">
          {recipe.form === "scatter" && made.x.length === 0 ? <>padding: the number <b class="num">{recipe.fill}</b></> : (
            <>
              <span class="num">input {place(made, 0)}{made.winner < 0 ? say("looked", { row: made.x[0], column: finalOf(made.at) }) : ""}</span>
              <span class="arrow" aria-hidden="true">→</span>
              <span class="num">output [{made.at.join(", ")}]</span>
            </>
          )}
        </p>
      ) : null}
      {recipe.form === "formula" ? (
        <ol class="steps-list">
          {now.rule === "sum" ? <Addends made={made} names={recipe.constants[3] ? ["x × k", "− mean × k", "beta"] : [`x × ${short(made.w[0], 6)}`, recipe.name === "affine" ? "offset" : "− zero × scale"]} /> : [
            ...[...made.x].map((x, n) => line(made.x.length > 1 ? whose(made, n) : `x at ${place(made, n)}`, fixed(x, places), n)),
            ...made.steps.map((step) => line(`${step.name}: ${step.expression}`, fixed(step.value, places), step.name)),
          ]}
          {recipe.name === "batch_norm" ? <li class="dim">{say("norm", { k: short(made.w[0], 6) })}</li> : null}
        </ol>
      ) : null}
      <p class="verdict">
        <i class="swatch" style={{ background: css(made.value, Math.max(...made.x.map(Math.abs), Math.abs(made.value))) }} />
        <b class="num" data-value={made.value}>{minus(fixed(made.value, places))}</b>
        {made.engine === null ? null : <small data-bound={made.bound}>engine: {apart(made.value, made.engine)}{made.bound && made.bound < Infinity ? `, bound ${short(made.bound, 3)}` : ""}</small>}
      </p>
    </div>
  );
}
