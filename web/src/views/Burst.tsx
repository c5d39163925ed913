// "Keep apart": the plus taken away. Each output map bursts into the maps it was added from, and
// falls together again when they are added.

import { signal } from "@preact/signals-core";
import { partialMaps } from "../data/partial";
import { tensor, values } from "../data/store";
import { atCell } from "../data/tensor";
import { atlas, drawTile, sharp } from "../draw/atlas";
import { isDark } from "../draw/colour";
import type { Layer } from "../schema";
import { count } from "../decimal";
import { go, layer, pinned, place, reducedMotion } from "../state";
import { say } from "../words";
import { sliceText } from "./Maps";
import { placeOf, pointIn } from "./parts";
import { isNarrow } from "./useSize";
import { useMemo, useRef, useSignal, useWork } from "../track";

/** The layer whose maps lie apart, or are on their way. */
export const spread = signal<Layer | null>(null);

const duration = 750;

export function Burst({ stage }: { stage: { current: HTMLElement | null } }) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const words = useSignal("");
  const now = layer.value;
  const dark = isDark.value;
  const numbers = values(now.inputs[0]);
  const weights = now.recipe.form === "window" && now.recipe.weight !== null ? values(now.recipe.weight) : null;
  const info = tensor(now.output);
  const slice = pinned.value ? atCell(info, pinned.value)[3] : 0;
  const partial = useMemo(() => partialMaps(now, slice), [now, numbers, weights, slice]);
  const image = useMemo(() => partial && atlas(partial.info, partial.numbers), [partial, dark]);
  const { apart } = place.value;
  const geometry = useRef({ left: 0, top: 0, tile: 10, tall: 10 });
  useWork(() => {
    const box = stage.current;
    if (!box || !canvas.current || !partial || !image) return;
    const frame = placeOf(box);
    const maps = box.querySelector<HTMLElement>(".outputs");
    const outputs = maps && placeOf(maps);
    const columns = Number(maps?.dataset["columns"]) || 8;
    const { filters, channels } = partial;
    const free = isNarrow() ? 0 : 300;
    const gap = 1;
    const tile = Math.max(2, Math.min((frame.width - free) / filters - gap, (frame.height - 8) / channels - gap, 40));
    const left = free + Math.max(0, (frame.width - free - filters * (tile + gap)) / 2);
    const top = Math.max(0, (frame.height - channels * (tile + gap)) / 2);
    geometry.current = { left, top, tile, tall: tile };
    const small = outputs ? (outputs.width + 3) / columns : 20;
    const home = (f: number): [number, number] => outputs
      ? [outputs.left - frame.left + (f % columns) * small, outputs.top - frame.top + Math.floor(f / columns) * small]
      : [frame.width, frame.height / 2];
    let request = 0;
    const start = performance.now();
    const draw = (time: number) => {
      const t = reducedMotion() ? 1 : Math.min(1, (time - start) / duration);
      const p = apart ? 1 - (1 - t) ** 3 : (1 - t) ** 3;
      if (!canvas.current) return;
      const context = sharp(canvas.current, frame.width, frame.height);
      for (let f = 0; f < filters; f++) {
        const [hx, hy] = home(f);
        for (let c = 0; c < channels; c++) {
          const x = hx + (left + f * (tile + gap) - hx) * p;
          const y = hy + (top + c * (tile + gap) - hy) * p;
          const side = small - 3 + (tile - small + 3) * p;
          drawTile(context, image, f * channels + c, x, y, side, side);
        }
      }
      if (t < 1) request = requestAnimationFrame(draw);
      else if (!apart) spread.value = null;
    };
    spread.value = now;
    request = requestAnimationFrame(draw);
    return () => {
      cancelAnimationFrame(request);
      spread.value = null;
    };
  }, [image, apart]);
  const slots = now.counts;
  if (!partial || !slots) return null;
  return (
    <div class="burst">
      <canvas ref={canvas} aria-hidden="true" onMouseMove={(event) => {
        const { x, y } = pointIn(event);
        const g = geometry.current;
        const f = Math.floor((x - g.left) / (g.tile + 1));
        const c = Math.floor((y - g.top) / (g.tall + 1));
        words.value = f >= 0 && f < partial.filters && c >= 0 && c < partial.channels
          ? say("burst.here", { map: c, filter: f }) : "";
      }} />
      {apart ? <div class="burst-words">
        <p class="huge" data-burst={slots.product}>{count(slots.product)} maps</p>
        <p>{say("burst.1", slots)}</p>
        <p>{say("burst.2", slots)}</p>
        <p class="dim">{words.value || (partial.complete ? say("burst.all") : say("burst.some", { shown: partial.filters * partial.channels }))}</p>
        <p class="dim">{sliceText(info, slice)}</p>
      </div> : null}
    </div>
  );
}

/** The switch itself, with what each side means. */
export function ApartSwitch() {
  const now = layer.value;
  const { own, product } = now.counts ?? { own: 1, product: 1 };
  if (own < 2) return null;
  const { apart } = place.value;
  return (
    <div class="switch" role="radiogroup" aria-label={say("apart", { own })}>
      <label class={apart ? "" : "on"}>
        <input type="radio" name="apart" checked={!apart} onChange={() => go({ apart: false })} />
        add the {count(own)}
      </label>
      <label class={apart ? "on" : ""}>
        <input type="radio" name="apart" checked={apart} onChange={() => go({ apart: true })} />
        keep apart: {count(product)} maps
      </label>
    </div>
  );
}
