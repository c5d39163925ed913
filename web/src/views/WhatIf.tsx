// The panel of knobs: only legal states, every consequence beside the original.

import { computed, signal } from "@preact/signals";
import { page, tensor } from "../data/store";
import { shapeText } from "../data/tensor";
import { changed, rederive, type Change, type Then } from "../data/whatif";
import { count } from "../decimal";
import type { Knobs } from "../schema";
import { layer, place } from "../state";

const change = signal<{ at: number; of: Change }>({ at: -1, of: {} });
const current = computed<Change>(() => (change.value.at === place.value.layer ? change.value.of : {}));

function set(part: Change): void {
  change.value = { at: place.value.layer, of: { ...current.value, ...part } };
}

function Slider({ name, value, low, high, step = 1 }: { name: keyof Change; value: number; low: number; high: number; step?: number }) {
  return (
    <label class="knob">
      <span>{name} <b class="num">{value}</b></span>
      <input type="range" min={low} max={Math.max(low, high)} step={step} value={value} data-knob={name}
        onInput={(event) => set({ [name]: Number(event.currentTarget.value) })} />
    </label>
  );
}

function code(knobs: Knobs, channels: number, rank: number): string {
  const group = knobs.groups ?? 1;
  const tuple = (list: readonly number[] | null) => `(${(list ?? [1]).join(", ")}${rank === 1 ? "," : ""})`;
  const plain = (list: readonly number[] | null) => (list ?? []).every((n) => n === 1);
  const same = typeof knobs.padding === "string" ? knobs.padding : "valid";
  const more = `${plain(knobs.stride) ? "" : `, strides=${tuple(knobs.stride)}`}${same === "valid" ? "" : `, padding="${same}"`}${plain(knobs.dilation) ? "" : `, dilation_rate=${tuple(knobs.dilation)}`}`;
  const keras = `Conv${rank}D(${knobs.filters}, ${tuple(knobs.kernel)}${more}${group > 1 ? `, groups=${group}` : ""}${knobs.bias ? "" : ", use_bias=False"})`;
  const strided = !plain(knobs.stride) && same === "same";
  const padding = typeof knobs.padding === "string" ? `padding="${same}"` : `padding=${tuple((knobs.padding ?? []).map(([before]) => before))}`;
  const torch = `\nnn.Conv${rank}d(${channels}, ${knobs.filters}, ${tuple(knobs.kernel)}, stride=${tuple(knobs.stride)}, ${strided ? "padding=0" : padding}, dilation=${tuple(knobs.dilation)}, groups=${group}, bias=${knobs.bias ? "True" : "False"})${strided ? "  # after F.pad" : ""}`;
  return keras + torch;
}

function Cell({ now, then, text = count }: { now: number | null; then: number | null; text?: (n: number) => string }) {
  return <td class={now === then ? "" : "moved"}>{then === null ? "?" : text(then)}</td>;
}

export function WhatIf() {
  const now = layer.value;
  const knobs = now.knobs;
  if (!knobs) return null;
  const info = tensor(now.inputs[0]);
  const mine = changed(knobs, current.value);
  const sizes = info.shape.filter((_, n) => n !== info.channel);
  const channels = info.channel === null ? 1 : info.shape[info.channel];
  const after = rederive(place.value.layer, current.value);
  const before = rederive(place.value.layer, {});
  const least = Math.min(...sizes);
  const kernel = mine.kernel?.[0] ?? 1;
  const dilation = mine.dilation?.[0] ?? 1;
  const padded = mine.padding === "same" ? least : least + (typeof mine.padding === "string" || !mine.padding ? 0 : mine.padding[0][0] + mine.padding[0][1]);
  const divisors = Array.from({ length: channels }, (_, n) => n + 1).filter((n) => channels % n === 0 && (mine.filters ?? 0) % n === 0);
  const rows = page.value.layers.map((_, n) => n).filter((n) => n >= place.value.layer).slice(0, 30);
  const total = (list: readonly Then[], what: "params" | "macs") => list.reduce((sum, item) => sum + (item[what] ?? 0), 0);
  return (
    <section class="panel" aria-label="What if">
      <h2>What if …</h2>
      <div class="knobs">
        {mine.kernel ? <Slider name="kernel" value={kernel} low={1} high={Math.floor((padded - 1) / dilation) + 1} /> : null}
        {mine.stride ? <Slider name="stride" value={mine.stride[0]} low={1} high={least} /> : null}
        {mine.dilation ? <Slider name="dilation" value={dilation} low={1} high={kernel > 1 ? Math.floor((padded - 1) / (kernel - 1)) : 1} /> : null}
        {mine.filters === null ? null : <Slider name="filters" value={mine.filters} low={mine.groups ?? 1} high={Math.max(512, mine.filters)} step={mine.groups ?? 1} />}
        {mine.groups !== null && divisors.length > 1 ? (
          <label class="knob"><span>groups</span><select value={mine.groups} onChange={(event) => set({ groups: Number(event.currentTarget.value) })}>{divisors.map((n) => <option key={n} value={n}>{n}</option>)}</select></label>
        ) : null}
        {mine.kernel ? (
          <label class="knob"><span>padding</span><select value={typeof mine.padding === "string" ? mine.padding : ""} onChange={(event) => set({ padding: event.currentTarget.value as "valid" })}>
            {typeof knobs.padding === "string" ? null : <option value="">as it is</option>}
            {["valid", "same"].map((word) => <option key={word} disabled={word === "valid" && dilation * (kernel - 1) + 1 > least}>{word}</option>)}
          </select></label>
        ) : null}
        <button type="button" class="quiet" onClick={() => (change.value = { at: -1, of: {} })}>reset</button>
      </div>
      <div class="scroll-x">
        <table class="whatif">
          <thead><tr><th>layer</th><th>shape now</th><th>shape then</th><th>parameters</th><th>MACs</th><th>sees</th></tr></thead>
          <tbody>
            {rows.map((n) => (
              <tr key={n}>
                <td><bdi>{page.value.layers[n].name}</bdi></td>
                <td class="dim">{before[n].shape ? shapeText(before[n].shape) : "?"}</td>
                <td class={before[n].shape?.join() === after[n].shape?.join() ? "" : "moved"} data-then={n}>{after[n].shape ? shapeText(after[n].shape) : "does not fit"}</td>
                <Cell now={before[n].params} then={after[n].params} />
                <Cell now={before[n].macs} then={after[n].macs} />
                <Cell now={before[n].sees[0]?.size ?? null} then={after[n].sees[0]?.size ?? null} />
              </tr>
            ))}
            <tr class="sum-row"><td>all</td><td /><td /><Cell now={total(before, "params")} then={total(after, "params")} /><Cell now={total(before, "macs")} then={total(after, "macs")} /><td /></tr>
          </tbody>
        </table>
      </div>
      {mine.kernel && mine.filters ? <p class="copy"><code>{code(mine, channels, sizes.length)}</code>
        <button type="button" class="quiet" onClick={() => void navigator.clipboard?.writeText(code(mine, channels, sizes.length))}>copy</button></p> : null}
    </section>
  );
}
