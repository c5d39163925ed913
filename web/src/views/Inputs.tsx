// Another picture: from the gallery, drawn by hand, dropped, pasted; or another model.

import { finalOf } from "../data/tensor";
import { computed, effect, signal } from "@preact/signals-core";
import { forward } from "../data/forward";
import { blob, overrides, page, read, ready, replacePage, served, tensor, values, type Values } from "../data/store";
import { say } from "../words";
import { go, place } from "../state";
import { keys } from "./Maps";
import { Dim, entered, pointIn, Quiet } from "./parts";
import { useRef, useSignal, useWork } from "../track";

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
      const next = read(text);
      const other = next.model !== page.value.model || next.layers.length !== page.value.layers.length;
      replacePage(next);
      said.value = "";
      if (other) go({ prep: "", layer: next.start.layer ?? 0, depth: next.start.layer === null ? "network" : "layer", at: next.start.at }, "replace");
    })
    .catch((error: Error) => (said.value = error.message));
}

/** The picture that was given last: another preprocessing starts from it again. */
let given = own();

/** The picture that the page's own run was given, where it has it. */
function own(): Blob | null {
  return page.peek().picture ? blobOf(page.peek().picture) : null;
}

/** What is done to a picture: `fit:order:top:mean:std`, from the address or as the page was made. */
const prep = computed(() => place.value.prep || (page.value.preprocess?.prep ?? ""));

/** The preprocessing that the numbers shown have had. */
let done = page.peek().preprocess?.prep ?? "";

const list = (text = "") => text.split(",").filter(Boolean).map(Number);

/** A function that turns pixels 0..1 (in the network's layout) into its numbers, or back. */
function change(how: string, back = false): (pixels: Values) => Float32Array<ArrayBuffer> {
  const { channel, shape } = tensor(page.value.input);
  const [, order, top, mean, std] = how.split(":");
  const [m, s] = [list(mean), list(std)];
  const channels = channel === null ? 1 : shape[channel];
  const turn = order === "bgr" && channels === 3;
  return (pixels) => Float32Array.from(pixels, (_, n) => {
    const each = pixels.length / channels;
    const c = channel ? n % channels : Math.floor(n / each);
    const shift = turn ? (channel ? 2 - 2 * c : (2 - 2 * c) * each) : 0;
    const x = pixels[n + shift];
    const at = (values: number[], k: number, plain: number) => (values.length ? values[values.length > 1 ? k : 0] : plain);
    const k = back && turn ? 2 - c : c;
    return back ? (x * at(s, k, 1) + at(m, k, 0)) / Number(top) : (x * Number(top) - at(m, k, 0)) / at(s, k, 1);
  });
}

/** Pixels 0..1 of a picture in the network's size and layout. */
async function pixelsOf(source: Blob): Promise<Values> {
  const { size, "channels": channels } = page.value.preprocess!;
  const [height, width] = size;
  const bitmap = await createImageBitmap(source);
  const canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext("2d") as OffscreenCanvasRenderingContext2D;
  const crop = prep.value.startsWith("crop");
  const scale = Math.min(bitmap.width / width, bitmap.height / height);
  const [w, h] = crop ? [width * scale, height * scale] : [bitmap.width, bitmap.height];
  context.drawImage(bitmap, (bitmap.width - w) / 2, (bitmap.height - h) / 2, w, h, 0, 0, width, height);
  const { data } = context.getImageData(0, 0, width, height);
  const last = tensor(page.value.input).channel !== 0;
  const out = new Float32Array(height * width * channels);
  for (let p = 0; p < height * width; p++) {
    const rgb = data.subarray(4 * p, 4 * p + 3);
    const grey = Math.round(0.299 * rgb[0] + 0.587 * rgb[1] + 0.114 * rgb[2]);
    for (let c = 0; c < channels; c++) out[last ? p * channels + c : c * height * width + p] = (channels === 1 ? grey : rgb[c]) / 255;
  }
  return out;
}

function run(numbers: Float32Array<ArrayBuffer>): void {
  if (page.value.recomputable) forward(numbers);
  else if (page.value.mode === "served") ask("run", numbers.buffer, { kind: "numbers" });
  else said.value = say("large");
}

/** The last picture (or what the page came with), as it is to be preprocessed now. */
async function again(): Promise<void> {
  const now = page.value;
  if (!now.recomputable) {
    if (now.mode === "served") ask("run", given ?? "", { kind: given ? "file" : "again", name: "picture", prep: prep.value });
    else said.value = say("large");
    return;
  }
  const fed = now.preprocess && !given ? await loaded(now.input) : null;
  if (fed) run(change(prep.value)(change(now.preprocess!.prep, true)(fed)));
  else if (given && now.preprocess) run(change(prep.value)(await pixelsOf(given)));
}

/** The page's own numbers of a tensor, when they are there. */
function loaded(id: string): Promise<Values | null> {
  return new Promise((done) => {
    const name = tensor(id).blob;
    const stop = effect(() => {
      const slot = name === null ? "absent" : blob(name);
      if (slot !== null) queueMicrotask(() => (stop(), done(ready(slot) ? slot : null)));
    });
  });
}

async function take(file: Blob & { name?: string }): Promise<void> {
  const name = file.name ?? "";
  said.value = "";
  if (file.type.startsWith("image/")) {
    const before = given;
    given = file;
    await again().catch(() => {
      given = before;
      said.value = say("undrawn");
    });
  } else if (page.value.mode === "served") {
    given = null;
    ask(name.endsWith(".npy") ? "run" : "model", file, { kind: "file", name });
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
  /** The pen of the keyboard: row, column, and whether it is down. */
  const pen = useSignal<readonly [number, number, number] | null>(null);
  const nib = pen.value;
  void overrides.value;
  useWork(() => {
    const context = canvas.current?.getContext("2d");
    if (!context) return;
    const picture = context.createImageData(width, height);
    cells.current.forEach((v, n) => picture.data.set([v * 255, v * 255, v * 255, 255], 4 * n));
    if (nib) picture.data.set([240, 120, 40], 4 * (nib[0] * width + nib[1]));
    context.putImageData(picture, 0, 0);
  });
  const stroke = (event: PointerEvent) => {
    if (!(event.buttons & 1)) return;
    const { x, y, box } = pointIn(event);
    ink((x / box.width) * width, (y / box.height) * height);
  };
  const key = (event: KeyboardEvent) => {
    const move = keys[event.key];
    if (!move && event.key !== " ") return;
    event.preventDefault();
    let [row, column, down] = nib ?? [height >> 1, width >> 1, 0];
    if (!move) down = 1 - down;
    else [row, column] = [(row + move[0] + height) % height, (column + move[1] + width) % width];
    pen.value = [row, column, down];
    if (down) ink(column + 0.5, row + 0.5);
  };
  const ink = (x: number, y: number) => {
    const reach = Math.max(1, width / 20);
    for (let r = 0; r < height; r++) {
      for (let c = 0; c < width; c++) {
        const dark = Math.max(0, Math.min(1, 1.3 - Math.hypot(c + 0.5 - x, r + 0.5 - y) / reach));
        if (dark > cells.current[r * width + c]) cells.current[r * width + c] = dark;
      }
    }
    const each = info.shape.reduce((a, b) => a * b, 1) / (height * width);
    run(change(prep.value)(Float32Array.from({ length: height * width * each }, (_, n) => cells.current[info.channel === 0 ? n % (height * width) : Math.floor(n / each)])));
  };
  return (
    <figure>
      <canvas ref={canvas} width={width} height={height} class="pad" style={{ width: `${side}px`, height: `${(side * height) / width}px` }}
        role="application" aria-label={say("pad")} tabIndex={0} onPointerDown={stroke} onPointerMove={stroke} onKeyDown={key} />
      <p class="dim" role="status">{nib ? say("pen", { how: nib[2] ? "down" : "up", row: nib[0], column: nib[1] }) : say("pad")}</p>
      <Quiet on={() => { cells.current.fill(0); run(change(prep.value)(new Float32Array(info.shape.reduce((a, b) => a * b, 1)))); }}>clear</Quiet>
    </figure>
  );
}

/** A data address as a file. */
function blobOf(address: string): Blob {
  return new Blob([Uint8Array.from(atob(address.split(",")[1]), (char) => char.charCodeAt(0))], { type: "image/png" });
}

const ranges: Record<string, string> = { "0 … 1": "1::", "−1 … 1": "2:1:", "0 … 255": "255::", ImageNet: "1:0.485,0.456,0.406:0.229,0.224,0.225" };

/** What happens to a picture, field by field. */
function Preprocessing() {
  const { "channels": channels, size } = page.value.preprocess!;
  const fields = prep.value.split(":");
  const [fit, order, top, mean, std] = fields;
  const set = (n: number, text: string) => {
    const next = [...fields.slice(0, n), text, ...fields.slice(n + 1)].join(":").split(":").slice(0, 5).join(":");
    const [, , a, b, c] = next.split(":");
    const fits = [b, c].every((part) => [0, 1, channels].includes(list(part).length));
    if (fits && Number(a) && [...list(b), ...list(c)].every(Number.isFinite) && list(c).every(Boolean)) go({ prep: next }, "replace");
  };
  const field = (n: number, name: string) => (
    <label>{name} <input value={fields[n]} inputMode="decimal" onChange={(event) => set(n, entered(event).replace(/[^\d.,e-]/gi, ""))} /></label>
  );
  const range = `${top}:${mean}:${std}`;
  const names = Object.keys(ranges).filter((name) => channels === 3 || name !== "ImageNet");
  return (
    <details class="prep" open={!!place.value.prep}>
      <summary>preprocessing</summary>
      <p class="dim">{say("prep", {
        fit: say(`prep.${fit}`), height: size[0], width: size[1], top, grey: order === "bgr" ? ", blue first" : "",
        mean: mean && ` − ${mean}`, std: std && `, all / ${std}`,
      })}</p>
      {page.value.picture ? <p class="dim">{say("given")}</p> : null}
      <label>size <select value={fit} onChange={(event) => set(0, entered(event))}><option value="stretch">{say("fit.stretch")}</option><option value="crop">{say("fit.crop")}</option></select></label>
      <label>numbers <select value={range} onChange={(event) => { if (entered(event)) go({ prep: `${fit}:${order}:${entered(event)}` }, "replace"); }}>
        {names.map((name) => <option key={name} value={ranges[name]}>{name}</option>)}
        {names.some((name) => ranges[name] === range) ? null : <option value={range}>own</option>}
      </select></label>
      {field(2, "white is")}{field(3, "minus mean")}{field(4, "divided by std")}
      {channels === 3 ? <label>channels <select value={order} onChange={(event) => set(1, entered(event))}><option value="rgb">{say("rgb")}</option><option value="bgr">{say("bgr")}</option></select></label> : null}
    </details>
  );
}

function Answer() {
  const { layers, classes } = page.value;
  const last = finalOf(layers);
  const row = last && values(last.output);
  if (!ready(row) || row.length > 1000 || ![last.recipe, last.activation].some((made) => made && "name" in made && made.name === "softmax")) return null;
  const best = row.indexOf(Math.max(...row));
  return best < 0 ? null : <p>answer: <b class="huge" data-answer>{classes[best] ?? best}</b> <Dim>{(100 * row[best]).toFixed(1)} of 100</Dim></p>;
}

export function Inputs() {
  const now = page.value;
  if (!inputsOpen.value && !said.value) return null;
  const shape = tensor(now.input).shape;
  const count = shape.reduce((a, b) => a * b, 1);
  // 0: this page cannot run the network; 2: there is a server that takes any file.
  const able = now.mode === "served" ? 2 : Number(now.recomputable);
  return (
    <aside class="inputs-panel" aria-label={say("pictures")}>
      <p role="status" class="note">{said.value}</p>
      {inputsOpen.value ? (
        <>
          <div class="gallery">
            {now.pictures.map((picture) => (
              <button key={picture.id} aria-label={picture["label"]} onClick={() => void take(blobOf(picture.png ?? ""))}><img src={picture.png ?? ""} alt="" width="34" height="34" /></button>
            ))}
          </div>
          {now.preprocess ? <label><input type="checkbox" checked={pen.value} onChange={() => (pen.value = !pen.value)} /> draw one</label> : null}
          {pen.value ? <Pad /> : null}
          <Answer />
          {able ? <p>
            <Quiet on={() => run(new Float32Array(count))}>all zeros</Quiet>
            <Quiet on={() => run(Float32Array.from({ length: count }, Math.random))}>random</Quiet>
            {overrides.value.size ? <Quiet on={() => { given = own(); done = now.preprocess?.prep ?? ""; go({ prep: "" }, "replace"); overrides.value = new Map(); }}>back</Quiet> : null}
          </p> : <p>{say("large")}</p>}
          {able && (able > 1 || now.preprocess) ? <label class="file">{say(`drop.${now.mode}`)}{" "}
            <input type="file" onChange={(event) => { const file = event.currentTarget.files?.[0]; if (file) void take(file); }} /></label> : null}
          {now.recent.map((name) => <Quiet key={name} on={() => { given = null; ask("model", "", { kind: "known", name }); }}><bdi>{name}</bdi></Quiet>)}
          {now.input_said.length ? <p class="dim">{now.input_said.join("; ")}.</p> : null}
          {now.preprocess ? <Preprocessing /> : null}
          {overrides.value.size ? <p class="dim">{say("own")}</p> : null}
        </>
      ) : null}
    </aside>
  );
}

// Another preprocessing, from the form or the address, runs the picture again.
effect(() => {
  const now = prep.value;
  if (now && now !== done) void again();
  done = now;
});

// A page that got another picture shows it from its strongest cell on.
effect(() => {
  if (overrides.value.size && place.peek().at && !place.peek().prep) go({ at: null }, "replace");
});
