// The end of a sum: bias, total, activation, and the engine's own number beside ours.

import { finalOf } from "../data/tensor";
import type { NumberFacts } from "../data/number";
import { tensor } from "../data/store";
import { fixed, minus, short, type Printed } from "../decimal";
import { say } from "../words";
import { maker } from "./parts";
import { Word } from "./Word";

export function activationWord(name: string): string {
  return name === "relu" ? "ReLU" : name.replaceAll("_", " ");
}

/** A difference for people: exact zero is said so. */
export function apart(a: number, b: number): string {
  const off = Math.abs(a - b);
  return a === b ? say("apart.0") : off >= 0 && off < Infinity ? say("apart.off", { "off": short(off, 3) }) : say(Object.is(a, b) ? "apart.nan" : "apart.inf");
}

/** The bend of ReLU, with this number's place on it. */
function Curve({ facts }: { facts: NumberFacts }) {
  if (facts.layer.activation?.name !== "relu") return null;
  const share = Math.max(-1, Math.min(1, facts.pre / Math.max(1, Math.abs(facts.pre) * 1.3)));
  return <i class="curve" aria-hidden="true"><i style={{ left: `${35 + share * 33}px`, top: `${26 - Math.max(0, share) * 23}px` }} /></i>;
}

export function Ledger({ facts, print }: { facts: NumberFacts; print: Printed }) {
  const { layer, places } = { layer: facts.layer, places: print.places };
  const engine = facts.enginePre ?? facts.engine;
  const filter = facts.at[tensor(layer.output).channel ?? facts.at.length - 1];
  const name = layer.activation && layer.activation.name !== "linear" ? layer.activation.name : null;
  // A whole number of a grid has no places.
  const last = (value: number) => minus(name && layer.grids ? String(value) : fixed(value, places));
  return (
    <dl class="ledger" aria-label="the sum">
      {facts.weight[0] < 0 ? null : <div class="b-bias">
        <dt><Word of="bias">bias</Word> of {maker(layer)} {filter}</dt>
        <dd class="num" data-bias={facts.bias ?? undefined}>{facts.bias === null ? "none" : minus(finalOf(print.lines))}</dd>
      </div>}
      {print.rounding ? (
        <div><dt>rounding</dt><dd class="num">{minus(print.rounding)}</dd></div>
      ) : null}
      <div class="total"><dt><Word of="sum">sum</Word></dt><dd class="num" data-pre={facts.pre}>{minus(print.total)}</dd></div>
      {layer.grids ? facts.steps.slice(0, -1).map((step) => (
        <div key={step.name}><dt>{step.name} <small>{step.expression}</small></dt><dd class="num">{minus(short(step.value, 6))}</dd></div>
      )) : null}
      {name ? (
        <div class="act">
          <dt>
            <Word of={activationWord(name)}>{activationWord(name)}</Word>
            {layer.grids ? <small>{finalOf(facts.steps).expression}</small> : null}
            {name === "relu" ? <small>{say(`relu.${facts.pre > 0 ? "on" : facts.pre <= 0 ? "off" : "nan"}`)}</small> : null}
            <Curve facts={facts} />
          </dt>
          <dd class="num big" data-value={facts.value}>{last(facts.value)}</dd>
        </div>
      ) : layer.after ? (
        <div class="act"><dt><bdi>{layer.after}</bdi> <small>{say("after")}</small></dt></div>
      ) : <div class="hidden" data-value={facts.value} />}
      {engine === null ? null : (
        <div class="engine">
          <dt><Word of="engine">engine</Word> says
            <small>{apart(facts.enginePre === null ? facts.value : facts.pre, engine)}</small>
            {facts.bound && facts.bound < Infinity ? <small><Word of="bound">bound</Word> {short(facts.bound, 3)}</small> : null}
          </dt>
          <dd class="num" data-engine={facts.engine ?? undefined}>{last(engine)}</dd>
        </div>
      )}
    </dl>
  );
}
