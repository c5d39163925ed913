// Another picture: from the gallery, drawn by hand, dropped, pasted; or another model.

import { effect, signal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { forward } from "../data/forward";
import { overrides, page, ready, replacePage, served, tensor, values } from "../data/store";
import { say } from "../words";
import { go, place } from "../state";
import type { Page } from "../schema";

export const inputsOpen = signal(false);

/** What is being waited for, or what went wrong. */
export const said = signal("");

const pen = signal(false);

function ask(path: string, body: BodyInit, more: Record<string, string> = {}): void {
  said.value = "…";
  fetch(served(path, more), { method: "POST", body })
    .then(async (answer) => {
      const text = await answer.text();
      if (!answer.ok) throw new Error(text);
      const next = JSON.parse(text) as Page;
      const other = next.model !== page.value.model || next.layers.length !== page.value.layers.length;
      replacePage(next);
      said.value = "";
      if (other) go({ layer: next.start.layer ?? 0, depth: next.start.layer === null ? "network" : "layer", at: next.start.at }, "replace");
    })
    .catch((error: Error) => (said.value = error.message));
}

/** Numbers of a picture as the network wants them, from any image. */
async function numbersOf(source: ImageBitmapSource): Promise<Float32Array<ArrayBuffer> | null> {
  const info = tensor(page.value.input);
  const how = page.value.preprocess;
  if (!how || !how.size) return null;
  const [height, width] = how.size;
  const bitmap = await createImageBitmap(source);
  const canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext("2d") as OffscreenCanvasRenderingContext2D;
  context.drawImage(bitmap, 0, 0, width, height);
  const { data } = context.getImageData(0, 0, width, height);
  const out = new Float32Array(height * width * (how.channels ?? 1));
  const last = info.channel === info.shape.length - 1;
  for (let p = 0; p < height * width; p++) {
    const rgb = [data[4 * p], data[4 * p + 1], data[4 * p + 2]];
    const grey = Math.round(0.299 * rgb[0] + 0.587 * rgb[1] + 0.114 * rgb[2]);
    for (let c = 0; c < (how.channels ?? 1); c++) {
      const value = (how.channels === 1 ? grey : rgb[how.order === "bgr" ? 2 - c : c]) / 255;
      out[last ? p * (how.channels ?? 1) + c : c * height * width + p] = (value - (how.mean[c] ?? 0)) / (how.std[c] ?? 1);
    }
  }
  return out;
}

function run(numbers: Float32Array<ArrayBuffer>): void {
  if (page.value.recomputable) forward(numbers);
  else if (page.value.mode === "served") ask("run", numbers.buffer, { kind: "numbers" });
  else said.value = say("large");
}

async function take(file: Blob & { name?: string }): Promise<void> {
  const name = file.name ?? "";
  const image = file.type.startsWith("image/");
  if (!image && page.value.mode === "served") ask(name.endsWith(".npy") ? "run" : "model", file, { kind: "file", name });
  else if (image && page.value.mode === "served" && !page.value.recomputable) ask("run", file, { kind: "file", name });
  else if (image) {
    const numbers = await numbersOf(file);
    if (numbers) run(numbers);
  } else said.value = say("closed");
}

addEventListener("dragover", (event) => event.preventDefault());
addEventListener("drop", (event) => {
  event.preventDefault();
  const file = event.dataTransfer?.files[0];
  if (file) void take(file);
});
addEventListener("paste", (event) => {
  const file = event.clipboardData?.files[0];
  if (file) void take(file);
});

/** A grid to draw on, cell by cell of the network's own picture. */
function Pad() {
  const canvas = useRef<HTMLCanvasElement>(null);
  const info = tensor(page.value.input);
  const [height, width] = page.value.preprocess?.size ?? [28, 28];
  const side = 196;
  const cells = useRef(new Float32Array(height * width));
  useEffect(() => {
    const context = canvas.current?.getContext("2d");
    if (!context) return;
    const picture = context.createImageData(width, height);
    cells.current.forEach((v, n) => picture.data.set([v * 255, v * 255, v * 255, 255], 4 * n));
    context.putImageData(picture, 0, 0);
  });
  const stroke = (event: PointerEvent) => {
    if (!(event.buttons & 1)) return;
    const box = (event.currentTarget as HTMLElement).getBoundingClientRect();
    const x = ((event.clientX - box.left) / box.width) * width;
    const y = ((event.clientY - box.top) / box.height) * height;
    const reach = Math.max(1, width / 20);
    for (let r = 0; r < height; r++) {
      for (let c = 0; c < width; c++) {
        const ink = Math.max(0, Math.min(1, 1.3 - Math.hypot(c + 0.5 - x, r + 0.5 - y) / reach));
        if (ink > cells.current[r * width + c]) cells.current[r * width + c] = ink;
      }
    }
    const each = info.shape.reduce((a, b) => a * b, 1) / (height * width);
    run(Float32Array.from({ length: height * width * each }, (_, n) => cells.current[info.channel === 0 ? n % (height * width) : Math.floor(n / each)]));
  };
  return (
    <figure>
      <canvas ref={canvas} width={width} height={height} class="pad" style={{ width: `${side}px`, height: `${(side * height) / width}px` }}
        role="img" aria-label="draw here with the mouse or a finger" onPointerDown={stroke} onPointerMove={stroke} />
      <button type="button" class="quiet" onClick={() => { cells.current.fill(0); run(new Float32Array(info.shape.reduce((a, b) => a * b, 1))); }}>clear</button>
    </figure>
  );
}

function Answer() {
  const { layers, classes } = page.value;
  const last = layers[layers.length - 1];
  const row = last && values(last.output);
  if (!ready(row) || row.length > 1000 || row.length < 2) return null;
  const best = row.indexOf(Math.max(...row));
  return <p>answer: <b class="huge" data-answer>{classes[best] ?? best}</b> <span class="dim">{(100 * row[best]).toFixed(1)} of 100</span></p>;
}

export function Inputs() {
  const now = page.value;
  if (!inputsOpen.value && !said.value) return null;
  const shape = tensor(now.input).shape;
  const count = shape.reduce((a, b) => a * b, 1);
  return (
    <aside class="inputs-panel" aria-label="Pictures">
      <p role="status" class="note">{said.value}</p>
      {inputsOpen.value ? (
        <>
          <div class="gallery">
            {now.pictures.map((picture) => (
              <button type="button" key={picture.id} aria-label={picture.label} onClick={async () => {
                const image = new Image();
                image.src = picture.png ?? "";
                await image.decode();
                const numbers = await numbersOf(image);
                if (numbers) run(numbers);
              }}><img src={picture.png ?? ""} alt="" width="34" height="34" /></button>
            ))}
          </div>
          {now.preprocess ? <label><input type="checkbox" checked={pen.value} onChange={() => (pen.value = !pen.value)} /> draw one</label> : null}
          {pen.value ? <Pad /> : null}
          <Answer />
          <p>
            <button type="button" class="quiet" onClick={() => run(new Float32Array(count))}>all zeros</button>
            <button type="button" class="quiet" onClick={() => run(Float32Array.from({ length: count }, Math.random))}>random</button>
            {overrides.value.size ? <button type="button" class="quiet" onClick={() => (overrides.value = new Map())}>back</button> : null}
          </p>
          <label class="file">a picture{now.mode === "served" ? ", an array (.npy) or a model" : ""}: drop, paste or{" "}
            <input type="file" onChange={(event) => { const file = event.currentTarget.files?.[0]; if (file) void take(file); }} /></label>
          {now.recent.map((name) => <button type="button" class="quiet" key={name} onClick={() => ask("model", "", { kind: "known", name })}><bdi>{name}</bdi></button>)}
          {now.preprocess ? <p class="dim">{now.preprocess.words}</p> : null}
          {overrides.value.size ? <p class="dim">{say("own")}</p> : null}
        </>
      ) : null}
    </aside>
  );
}

// A page that got another picture shows it from its strongest cell on.
effect(() => {
  if (overrides.value.size && place.peek().at) go({ at: null }, "replace");
});
