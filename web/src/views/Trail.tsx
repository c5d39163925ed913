// The pinned number's window in every earlier layer, from the nearest back to the picture.

import { page, ready, tensor, values } from "../data/store";
import { rectangle, windowsBehind, type Ranges } from "../data/reach";
import { atCell, flat, mapView, size, unflat } from "../data/tensor";
import { count } from "../decimal";
import type { Tensor } from "../schema";
import { go, pinned, place } from "../state";
import { inputName, say } from "../words";
import { Maps, sliceText } from "./Maps";
import { Dim, Panel, Quiet } from "./parts";
import { useSignal } from "../track";

/** How many layers stand there before the reader asks for more. */
const few = 12;

/** The map whose largest number lies in the window: the one that says most about it. */
function loudest(info: Tensor, ranges: Ranges): number {
  const numbers = values(info.id);
  if (!ready(numbers) || info.channel === null) return 0;
  let best = -Infinity;
  let map = 0;
  const real = ranges.map(([low, high], n) => [Math.max(0, low), Math.min(info.shape[n] - 1, high)] as const);
  const sides = real.map(([low, high]) => high - low + 1);
  for (let n = 0; n < size(sides); n++) {
    const at = unflat(sides, n).map((step, axis) => real[axis][0] + step);
    const x = numbers[flat(info.shape, at)];
    if (x > best) [best, map] = [x, atCell(info, at)[0]];
  }
  return map;
}

/** `row 10`, `rows 10..12`. */
function along(axis: string, [low, high]: Ranges[number]): string {
  const word = say(`trail.${axis}`);
  return low === high ? `${word || axis} ${low}` : `${word ? `${word}s` : axis} ${low}..${high}`;
}

/** `rows 10..12, columns 17..19`, with what lies over the edge said. */
function extent(info: Tensor, ranges: Ranges): string {
  const over = ranges.some(([low, high], axis) => low < 0 || high >= info.shape[axis]);
  const named = info.axes.map((axis, n) => (n === info.channel ? "" : along(axis, ranges[n]))).filter(Boolean);
  return named.join(", ") + (over ? say("trail.over") : "");
}

function Step({ info, ranges }: { info: Tensor; ranges: Ranges }) {
  const { layers, inputs } = page.value;
  const n = layers.findIndex((layer) => layer.output === info.id || layer.pre === info.id);
  const box = rectangle(info.id, ranges);
  const map = loudest(info, ranges);
  const view = mapView(info);
  const name = inputs.includes(info.id) ? inputName(info.id) : (layers[n]?.name ?? info.id);
  const text = extent(info, ranges);
  const slice = sliceText(info, box?.slice);
  return (
    <li>
      <button class="step" disabled={n < 0} onClick={() => go({ layer: n, depth: "layer" })}>
        <Maps id={info.id} tile={96} columns={1} only={map} slice={box?.slice} label={`${name}: ${text}`}
          marks={box ? [{ ...box, channels: null, kind: inputs.includes(info.id) ? "field" : "window" }] : []} />
        <bdi>{name}</bdi>
      </button>
      <small class="dim">{view.channels > 1 ? `map ${count(map)}; ` : ""}{slice && `${slice}; `}{text}</small>
    </li>
  );
}

export function Trail() {
  const all = useSignal(false);
  const at = pinned.value;
  if (!at) return null;
  const { layers, inputs } = page.value;
  const found = windowsBehind(place.value.layer, at);
  const made = new Map(layers.map((layer, n) => [layer.output, n]));
  const own = layers[place.value.layer].output;
  const steps = [...found].filter(([id]) => id !== own).map(([id, ranges]) => ({ info: tensor(id), ranges }));
  steps.sort((a, b) => (made.get(b.info.id) ?? -1) - (made.get(a.info.id) ?? -1));
  if (steps.length < 2) return null;
  const shown = all.value ? steps : steps.filter((step, n) => n < few || inputs.includes(step.info.id));
  return (
    <Panel title={say("trail.title")}>
      <p><Dim>{say("trail.words", { at: at.join(", ") })}</Dim></p>
      <ol class="trail">{shown.map((step) => <Step key={step.info.id} {...step} />)}</ol>
      {shown.length < steps.length ? <Quiet on={() => (all.value = true)}>{say("trail.more", { more: steps.length - shown.length })}</Quiet> : null}
    </Panel>
  );
}
