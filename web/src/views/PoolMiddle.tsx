// A pool: one window of one map, its numbers, and the one that comes out.

import { inside } from "../data/makers";
import type { NumberFacts } from "../data/number";
import { css, inkOn } from "../draw/colour";
import { atlas } from "../draw/atlas";
import { ready, tensor, values } from "../data/store";
import { atCell, unflat } from "../data/tensor";
import { count, fixed, minus, placesFor, plural, short } from "../decimal";
import { say } from "../words";
import { apart } from "./Ledger";
import { Dim } from "./parts";
import { stepLines } from "./StepsMiddle";

export function PoolMiddle({ facts }: { facts: NumberFacts }) {
  const now = facts.layer;
  const recipe = inside(now);
  if (recipe.form !== "window" && recipe.form !== "gather") return null;
  const window = recipe.form === "window";
  const id = now.inputs[0];
  const numbers = values(id);
  const info = tensor(id);
  const largest = now.grids ? Math.max(...facts.x.map(Math.abs)) : ready(numbers) ? atlas(info, numbers, 1).largest : 1;
  // Padding has no numbers: at a border fewer stand side by side than the window is wide.
  const wide = new Set(Array.from(facts.input, (place) => atCell(info, unflat(info.shape, place))[2])).size;
  const columns = window && wide < 9 ? wide : Math.min(wide, 5);
  const many = facts.x.length > 64;
  const places = placesFor(facts.x, 4);
  const map = facts.groups[0]?.channel ?? 0;
  return (
    <div class="middle pool-middle">
      <p class="caption"><b>{window ? say("pooled", { map }) : now.kind}</b> <Dim>{plural(facts.x.length, "number")}</Dim></p>
      {many ? (
        <p class="note">{count(facts.x.length)} numbers, from {short(Math.min(...facts.x))} to {short(Math.max(...facts.x))}</p>
      ) : (
        <div class="pool-grid" style={{ gridTemplateColumns: `repeat(${columns}, 1fr)` }}>
          {[...facts.x].map((x, n) => (
            <span key={n} class={`num ${n === facts.winner ? "winner" : ""}`} style={{ background: css(x, largest), color: inkOn(x, largest) }}>
              {minus(fixed(x, places))}
            </span>
          ))}
        </div>
      )}
      {now.grids && <ol class="steps-list"><li>real <b class="num">{minus(fixed(facts.pre, places + 2))}</b></li>{stepLines(facts)}</ol>}
      <p class="verdict">
        {now.grids ? "" : say(`made.${recipe.combine}`, { by: facts.divisor ?? 1 })}
        <b class="num" data-value={facts.value}>{minus(fixed(facts.value, places + 2))}</b>
        {facts.engine === null ? null : <small data-bound={facts.bound}>engine: {apart(facts.value, facts.engine)}{facts.bound && facts.bound < Infinity ? `, bound ${short(facts.bound, 3)}` : ""}</small>}
      </p>
      <p class="dim">
        {facts.padding ? `${say("padded", { "places": facts.padding })}. ` : ""}
        {window ? say(recipe.combine) : ""}
      </p>
    </div>
  );
}
