// "Keep apart": the plus taken away. Each output map bursts into the maps it was added from, and
// falls together again when they are added.

import { partialMaps, type Partial } from "../data/partial";
import { values } from "../data/store";
import { largestSize } from "../data/tensor";
import { sharp } from "../draw/atlas";
import { colours, isDark } from "../draw/colour";
import { count } from "../decimal";
import { go, layer, place, reducedMotion } from "../state";
import { counts, say } from "../words";
import { useMemo, useRef, useSignal, useWork } from "../track";

/** All partial maps in one picture: a column of tiles per filter, a row per input map. */
function picture(partial: Partial): HTMLCanvasElement {
  const canvas = document.createElement("canvas");
  canvas.width = partial.filters * partial.width;
  canvas.height = partial.channels * partial.height;
  const context = canvas.getContext("2d") as CanvasRenderingContext2D;
  const image = context.createImageData(canvas.width, canvas.height);
  const pixels = new Uint32Array(image.data.buffer);
  const lut = colours();
  const largest = largestSize(partial.numbers) * 0.6;
  const factor = largest > 0 ? 128 / largest : 0;
  let from = 0;
  for (let f = 0; f < partial.filters; f++) {
    for (let c = 0; c < partial.channels; c++) {
      for (let y = 0; y < partial.height; y++) {
        let to = (c * partial.height + y) * canvas.width + f * partial.width;
        for (let x = 0; x < partial.width; x++) {
          const at = 128.5 + partial.numbers[from++] * factor;
          pixels[to++] = lut[at < 0 ? 0 : at > 256 ? 256 : at | 0];
        }
      }
    }
  }
  context.putImageData(image, 0, 0);
  return canvas;
}

const duration = 750;

export function Burst({ stage }: { stage: { current: HTMLElement | null } }) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const words = useSignal("");
  const now = layer.value;
  const dark = isDark.value;
  const numbers = values(now.inputs[0]);
  const weights = now.recipe.form === "window" && now.recipe.weight !== null ? values(now.recipe.weight) : null;
  const partial = useMemo(() => partialMaps(now), [now, numbers, weights]);
  const image = useMemo(() => partial && picture(partial), [partial, dark]);
  const geometry = useRef({ left: 0, top: 0, tile: 10, tall: 10 });
  useWork(() => {
    const box = stage.current;
    if (!box || !canvas.current || !partial || !image) return;
    const frame = box.getBoundingClientRect();
    const outputs = box.querySelector(".maps.outputs")?.getBoundingClientRect();
    const columns = Number(box.querySelector<HTMLElement>(".maps.outputs")?.dataset.columns) || 8;
    const { filters, channels } = partial;
    const free = frame.width < 900 ? 0 : 300;
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
      const p = 1 - (1 - t) ** 3;
      if (!canvas.current) return;
      const context = sharp(canvas.current, frame.width, frame.height);
      context.imageSmoothingEnabled = true;
      for (let f = 0; f < filters; f++) {
        const [hx, hy] = home(f);
        for (let c = 0; c < channels; c++) {
          const x = hx + (left + f * (tile + gap) - hx) * p;
          const y = hy + (top + c * (tile + gap) - hy) * p;
          const side = small - 3 + (tile - small + 3) * p;
          context.drawImage(image, f * partial.width, c * partial.height, partial.width, partial.height, x, y, side, side);
        }
      }
      if (t < 1) request = requestAnimationFrame(draw);
    };
    request = requestAnimationFrame(draw);
    return () => cancelAnimationFrame(request);
  }, [image]);
  const { recipe } = now;
  if (!partial || recipe.form !== "window") return null;
  const { slots } = counts(recipe);
  return (
    <div class="burst">
      <canvas ref={canvas} aria-hidden="true" onMouseMove={(event) => {
        const box = event.currentTarget.getBoundingClientRect();
        const g = geometry.current;
        const f = Math.floor((event.clientX - box.left - g.left) / (g.tile + 1));
        const c = Math.floor((event.clientY - box.top - g.top) / (g.tall + 1));
        words.value = f >= 0 && f < partial.filters && c >= 0 && c < partial.channels
          ? say("burst.here", { map: c, filter: f }) : "";
      }} />
      <div class="burst-words">
        <p class="huge" data-burst={slots.product}>{count(slots.product)} maps</p>
        <p>{say("burst.1", slots)}</p>
        <p>{say("burst.2", slots)}</p>
        <p class="dim">{words.value || (partial.complete ? say("burst.all") : say("burst.some", { shown: partial.filters * partial.channels }))}</p>
      </div>
    </div>
  );
}

/** The switch itself, with what each side means. */
export function ApartSwitch() {
  const now = layer.value;
  const { recipe } = now;
  if (recipe.form !== "window" || recipe.combine !== "sum") return null;
  const own = recipe.channels_in / recipe.groups;
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
        keep apart: {count(own * recipe.channels_out)} maps
      </label>
    </div>
  );
}
