// The panel of knobs: only legal states, every consequence beside the original.

import { computed, signal } from "@preact/signals-core";
import { met } from "../axis";
import { page, tensor } from "../data/store";
import { shapeText } from "../data/tensor";
import { changed, codeOf, rederive, axisOf, seen, type Change, type Then } from "../data/whatif";
import { count } from "../decimal";
import type { Equation } from "../schema";
import { layer, place } from "../state";
import { say } from "../words";
import { entered, maker, Panel, Quiet } from "./parts";
import { useSignal } from "../track";

const change = signal<{ at: number; of: Change }>({ at: -1, of: {} });
const current = computed<Change>(() => (change.value.at === place.value.layer ? change.value.of : {}));

function set(part: Change): void {
  change.value = { at: place.value.layer, of: { ...current.value, ...part } };
}

function Slider({ name, word = name, value, low, high, step = 1 }: { name: keyof Change; word?: string; value: number; low: number; high: number; step?: number }) {
  return (
    <label class="knob">
      <span>{word} <b class="num">{value}</b></span>
      <input type="range" min={low} max={Math.max(low, high)} step={step} value={value} data-knob={name}
        onInput={(event) => set({ [name]: Number(entered(event)) })} />
    </label>
  );
}

function Cell({ now, then, text = count }: { now: number | null; then: number | null; text?: (n: number) => string }) {
  return <td class={now === then ? "" : "moved"}>{then === null ? "?" : text(then)}</td>;
}

/** What a layer sees, and would: where Python knows it otherwise than we do (an outer bound), no guess. */
function Sees({ field, was, now }: { field: number | null; was: number | null; now: number | null }) {
  return <Cell now={field} then={was === now ? field : was === field ? now : null} />;
}

/** The layer in the words of both libraries, to take along. */
function Code({ lines }: { lines: readonly string[] }) {
  return (
    <>
      {lines.map((text, n) => (
        <p key={n} class="copy"><b>{n ? "PyTorch" : "Keras"}</b><code data-code={n ? "torch" : "keras"}>{text}</code>
          <Quiet on={() => void navigator.clipboard?.writeText(text)}>copy</Quiet></p>
      ))}
    </>
  );
}

/** How many layers stand in the table before the reader asks for more. */
const few = 30;

export function WhatIf() {
  const all = useSignal(false);
  const now = layer.value;
  const { knobs } = now;
  if (!now.inputs.length) return null;
  const info = tensor(now.inputs[0]);
  if (!knobs) return now.code ? <Panel title="As code"><Code lines={codeOf(now, null, info.shape)} /></Panel> : null;
  const mine = changed(knobs, current.value);
  const sizes = info.shape.filter((_, n) => n !== info.channel);
  const channels = info.channel === null ? 1 : info.shape[info.channel];
  const after = rederive(place.value.layer, current.value);
  const before = rederive(place.value.layer, {});
  const fits = (part: Change) => sizes.every((n, axis) => axisOf(changed(mine, part), axis, n) !== null);
  /**
   * Whether a wider window still has something to read on some axis: with a larger kernel its every
   * place, with a larger dilation more than the one in the middle.
   */
  const reaches = (part: Change) => sizes.some((n, axis) => {
    const made = axisOf(changed(mine, part), axis, n) as Equation;
    return met(made) >= (part.kernel ?? 2);
  });
  /** Both ends of a slider: as far as the relation allows, never beyond `most`. */
  const ends = (name: "kernel" | "stride" | "dilation", most: number) => {
    const value = mine[name]?.[0] ?? 1;
    let low = value;
    let high = value;
    while (low > 1 && fits({ [name]: low - 1 })) low--;
    while (high < most && fits({ [name]: high + 1 }) && (name === "stride" || reaches({ [name]: high + 1 }))) high++;
    return { name, value, low, high };
  };
  const least = Math.min(...sizes);
  // A transposed window has no largest size: it stops at twice what it reads.
  const turned = knobs.form === "transposed";
  const most = turned ? Math.max(8, 2 * least) : 512;
  const divisors = Array.from({ length: channels }, (_, n) => n + 1).filter((n) => channels % n === 0 && (mine.filters ?? 0) % n === 0);
  const rows = page.value.layers.map((_, n) => n).filter((n) => n >= place.value.layer);
  const shown = all.value ? rows : rows.slice(0, few);
  const params = (item: Then) => item.params;
  const macs = (item: Then) => item.macs;
  const total = (list: readonly Then[], what: (item: Then) => number | null) => list.reduce((sum, item) => sum + (what(item) ?? 0), 0);
  const kernel = mine.kernel?.[0] ?? 1;
  return (
    <Panel title="What if …">
      <div class="knobs">
        {mine.kernel ? <Slider {...ends("kernel", most)} /> : null}
        {mine.stride ? <Slider {...ends("stride", turned ? 8 : least)} /> : null}
        {mine.dilation ? <Slider {...ends("dilation", kernel > 1 ? most : 1)} /> : null}
        {mine.scale ? <Slider name="scale" value={mine.scale[0]} low={0.5} high={Math.max(8, mine.scale[0])} step={0.5} /> : null}
        {mine.filters === null ? null : <Slider name="filters" word={`${maker(now)}s`} value={mine.filters} low={mine.groups ?? 1} high={Math.max(512, mine.filters)} step={mine.groups ?? 1} />}
        {mine.groups !== null && divisors.length > 1 && !turned ? (
          <label class="knob"><span>groups</span><select value={mine.groups} onChange={(event) => set({ groups: Number(entered(event)) })}>{divisors.map((n) => <option key={n} value={n}>{n}</option>)}</select></label>
        ) : null}
        {mine.kernel ? (
          <label class="knob"><span>padding</span><select value={typeof mine.padding === "string" ? mine.padding : ""} onChange={(event) => set({ padding: entered(event) as "valid" })}>
            {typeof knobs.padding === "string" ? null : <option value="">as it is</option>}
            {(["valid", "same"] as const).map((word) => <option key={word} disabled={!fits({ padding: word })}>{word}</option>)}
          </select></label>
        ) : null}
        <Quiet on={() => (change.value = { at: -1, of: {} })}>reset</Quiet>
      </div>
      <div class="scroll-x" tabIndex={0} role="region" aria-label={say("then")}>
        <table class="whatif">
          <thead><tr><th>layer</th><th>shape now</th><th>shape then</th><th>parameters</th><th>MACs</th><th>sees</th></tr></thead>
          <tbody>
            {shown.map((n) => (
              <tr key={n}>
                <td><bdi>{page.value.layers[n].name}</bdi></td>
                <td class="dim">{before[n].shape ? shapeText(before[n].shape) : "?"}</td>
                <td class={before[n].shape?.join() === after[n].shape?.join() ? "" : "moved"} data-then={n}>{after[n].shape ? shapeText(after[n].shape) : page.value.layers[n].knobs ? say("unfit") : "?"}</td>
                <Cell now={before[n].params} then={after[n].params} />
                <Cell now={before[n].macs} then={after[n].macs} />
                <Sees field={page.value.layers[n].field?.[0]?.size ?? null} was={seen(before[n])} now={seen(after[n])} />
              </tr>
            ))}
            <tr class="sum-row"><td>all</td><td /><td /><Cell now={total(before, params)} then={total(after, params)} /><Cell now={total(before, macs)} then={total(after, macs)} /><td /></tr>
          </tbody>
        </table>
      </div>
      {shown.length < rows.length ? <Quiet on={() => (all.value = true)}>{say("trail.more", { more: rows.length - few })}</Quiet> : null}
      {now.code && after[place.value.layer].shape ? <Code lines={codeOf(now, mine, info.shape)} /> : null}
    </Panel>
  );
}
