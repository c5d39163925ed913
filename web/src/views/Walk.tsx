// The walkthrough: five sentences about this layer's own numbers, one address each.

import { lines } from "./SumMiddle";
import { activationWord } from "./Ledger";
import { atCell } from "../data/tensor";
import { tensor } from "../data/store";
import { rectangle, windowsBehind } from "../data/reach";
import { fixed, minus, plural } from "../decimal";
import { go, layer, pinned, pinnedFacts, place, steps } from "../state";
import type { Layer } from "../schema";
import { inputBehind, say } from "../words";
import { Dim } from "./parts";

/** The note that stands below the picture of a layer without steps: the first not said above it. */
export function about(now: Layer): string | undefined {
  return now.counts ? undefined : now.notes.find((note) => note !== now.answer);
}

/** What a number sees of an input: a patch, numbers of a row, or all of it. */
export function seen(id: string, box: ReturnType<typeof rectangle> | undefined): string {
  if (!box) return say("patch.all");
  const { sides } = box;
  // One side only has a word of its own.
  const kind = !+sides ? "part" : tensor(id).shape.length > 1 ? "line" : "row";
  return say(`patch.${kind}`, { sides: +sides || sides });
}

export function Walk() {
  const now = layer.value;
  const made = pinnedFacts.value;
  const at = pinned.value;
  const slots = now.counts;
  if (!slots) {
    const note = about(now);
    return note ? (
      <section class="walk" aria-label={say("about")}><div class="walk-text"><h2>{say("about")}</h2><p>{note}</p></div></section>
    ) : null;
  }
  if (!made || !at) return <section class="walk" />;
  const { print, sorted } = lines(made, 7);
  const [filter] = atCell(tensor(now.output), at);
  const ranges = windowsBehind(place.value.layer, at);
  const id = inputBehind(ranges);
  const range = ranges.get(id);
  const box = range && rectangle(id, range);
  const { places } = print;
  const spatial = at.filter((_, n) => n !== tensor(now.output).channel);
  const kind = slots.own === 1 ? "one" : "sum";
  const name = now.activation ? activationWord(now.activation.name) : "";
  const total = minus(print.total);
  const filled = {
    ...slots,
    ordinal: now.nth, filter, total,
    "bias": made.bias === null ? "" : say(`walk.bias.${kind}`, { "bias": minus(fixed(made.bias, places)) }),
    value: minus(fixed(made.value, places)),
    top: minus(fixed(sorted[0]?.sum ?? 0, places)),
    topMap: sorted[0]?.channel ?? 0,
    seen: seen(id, box),
    position: spatial.map((n, axis) => `${spatial.length < 2 ? "position" : ["column", "row", "slice"][spatial.length - 1 - axis]} ${n}`).join(", "),
    verdict: name ? `${name} ${Object.is(made.value, made.pre) ? `keeps ${total}` : `turns ${total} into ${minus(fixed(made.value, places))}`}.` : "",
  };
  const step = place.value.step;
  const title = step === 5 && kind === "one" ? plural(slots.filters, "filter") : say(`walk.${step}`, filled);
  return (
    <section class="walk" aria-label={say("walk")}>
      <div class="walk-text" aria-live="polite">
        <h2><Dim>{step} of {steps}</Dim> {title}</h2>
        <p>{say(`walk.${step}.${kind}`, filled)}</p>
      </div>
      <nav class="walk-nav" aria-label="Steps">
        <button aria-disabled={step === 1} onClick={() => step > 1 && go({ step: step - 1 })}>Back</button>
        <span class="dots" aria-hidden="true">{[0, 1, 2, 3, 4].map((n) => <i key={n} class={n + 1 === step ? "on" : ""} />)}</span>
        <button class="primary" aria-disabled={step === steps} onClick={() => step < steps && go({ step: step + 1 })}>Next</button>
      </nav>
    </section>
  );
}
