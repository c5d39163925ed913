// The page's facts and arrays: facts come with the page, arrays when they are first asked for.
//
// In an exported file an array is byte-shuffled deflate in base64 inside a script element; served,
// it is fetched from the loopback server that made the page. Both give the same float32 numbers.

import { computed, signal, type Signal } from "@preact/signals-core";
import { shared, type Page, type Tensor } from "../schema";

export type Values = Float32Array;
export type Slot = Values | null | "absent";

export function ready(slot: unknown): slot is Values {
  return ArrayBuffer.isView(slot);
}

/** Names of facts that the bundle writes shorter (build.mjs); none where it is not bundled. */
declare const factNames: string;
const shorter = new Map(factNames.split(" ").map((name, n) => [name, `$${n.toString(36)}`]));

/** The same with those names; a reviver of JSON.parse would take half a second for 10,000 layers, this a sixth. */
function renamed(value: any): any {
  if (Array.isArray(value)) return value.map(renamed);
  if (!value || typeof value !== "object") return value;
  const made: any = {};
  for (const name in value) made[shorter.get(name) ?? name] = renamed(value[name]);
  return made;
}

/** The facts as Python sent them, with what layers have in common put back in its places. */
export function read(text: string): Page {
  const facts = renamed(JSON.parse(text));
  for (const layer of facts.layers) {
    for (const name of shared) {
      const key = shorter.get(name) ?? name;
      layer[key] = facts.shared[layer[key]];
    }
  }
  return facts;
}

export const page: Signal<Page> = signal(read(document.getElementById("page")?.textContent ?? ""));

/** The token of the served page, from its own address; empty in an exported file. */
export const token = new URLSearchParams(location.search).get("token") ?? "";

/** Numbers of tensors that this page computed itself (a drawn digit); they go before the blobs. */
export const overrides: Signal<ReadonlyMap<string, Values>> = signal(new Map());

/** Oldest first: a Map keeps the order in which its names came. */
const slots = new Map<string, Signal<Slot | Uint8Array>>();
const memoryLimit = 192e6;

export function served(path: string, more: Record<string, string> = {}): string {
  return `${path}?${new URLSearchParams({ token, ...more })}`;
}

async function inflate(text: string): Promise<Uint8Array<ArrayBuffer>> {
  const binary = atob(text);
  const bytes = new Uint8Array(binary.length);
  for (let i = 0; i < binary.length; i++) bytes[i] = binary.charCodeAt(i);
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

/** Undo the byte shuffle: all first bytes first, then all second bytes, ... */
export function unshuffle(bytes: Uint8Array): Float32Array {
  const n = bytes.length / 4;
  const out = new Uint8Array(bytes.length);
  for (let plane = 0; plane < 4; plane++) {
    const start = plane * n;
    for (let i = 0; i < n; i++) out[4 * i + plane] = bytes[start + i];
  }
  return new Float32Array(out.buffer);
}

async function fetchBlob(blob: string): Promise<Uint8Array<ArrayBuffer> | null> {
  const inline = document.getElementById(`blob-${blob}`);
  if (inline) return inflate(inline.textContent ?? "");
  if (page.value.mode !== "served") return null;
  const answer = await fetch(served("blob", { id: blob }));
  return answer.ok ? new Uint8Array(await answer.arrayBuffer()) : null;
}

function release(): void {
  const held = (slot: Signal<Slot | Uint8Array>) => {
    const value = slot.peek();
    return ready(value) ? value.byteLength : 0;
  };
  let total = 0;
  for (const slot of slots.values()) total += held(slot);
  for (const [name, slot] of slots) {
    if (total <= memoryLimit || slots.size <= 4) return;
    total -= held(slot);
    slots.delete(name);
  }
}

/** What `turn` makes of a blob: null while it loads, "absent" when the page has none. */
function kept(name: string, turn: (data: Uint8Array<ArrayBuffer>) => Values | Uint8Array): Slot | Uint8Array {
  let slot = slots.get(name);
  if (!slot) {
    const fresh: Signal<Slot | Uint8Array> = signal(null);
    slots.set(name, (slot = fresh));
    fetchBlob(name)
      .catch(() => null)
      .then((data) => {
        fresh.value = data ? turn(data) : "absent";
        release();
      });
  }
  return slot.value;
}

/** The numbers under a blob's name: null while they load, "absent" when the page has none. */
export function blob(name: string): Slot {
  return kept(name, unshuffle) as Slot;
}

/** The bytes of a preview; null while they load or where there are none. */
export function bytes(name: string): Uint8Array | null {
  const data = kept(name, (whole) => whole);
  return data instanceof Uint8Array ? data : null;
}

const byId = new Map<Page, Map<string, Tensor>>();

function known(): Map<string, Tensor> {
  const now = page.value;
  let map = byId.get(now);
  if (!map) {
    byId.clear();
    map = new Map(now.tensors.map((item) => [item.id, item]));
    byId.set(now, map);
  }
  return map;
}

export function tensor(id: string): Tensor {
  const found = known().get(id);
  if (!found) throw new Error(`the page has no tensor ${id}`);
  return found;
}

/** What `turn` makes of a tensor's numbers, as a tensor of its own; `change` is what else differs. */
export function derived(id: string, name: string, turn: (numbers: Values) => ArrayLike<number> | Slot, change?: Partial<Tensor>): string {
  const blob = `${id} ${name}`;
  known().set(blob, { ...tensor(id), clipped_from: id, ...change, id: blob, blob });
  if (!slots.has(blob)) {
    slots.set(blob, computed(() => {
      const numbers = values(id);
      return ready(numbers) ? (turn(numbers) as Slot) : numbers;
    }));
  }
  return blob;
}

/** The maps that a flattened row is made of, when it is one: the same numbers in the same order. */
export function unflattened(id: string): Tensor {
  const made = tensor(id);
  if (made.shape.length > 1) return made;
  const layer = page.value.layers.find((item) => item.output === id || item.output === made.clipped_from);
  return layer && layer.recipe.form === "scatter" && layer.recipe.how === "reshape" ? unflattened(layer.inputs[0]) : made;
}

/** The numbers of a tensor; a clipped one is made from the tensor before its ReLU. */
export function values(id: string): Slot {
  const own = overrides.value.get(id);
  if (own) return own;
  const info = tensor(id);
  if (info.blob !== null) return blob(info.blob);
  if (info.clipped_from === null) return "absent";
  const before = values(info.clipped_from);
  return ready(before) ? clipped(before) : before;
}

const clippedCache = new WeakMap<Values, Values>();

function clipped(before: Values): Values {
  let made = clippedCache.get(before);
  if (!made) {
    made = before.map((x) => (x < 0 ? 0 : x));
    clippedCache.set(before, made);
  }
  return made;
}

/** A new run or model: forget every array. */
export function replacePage(next: Page): void {
  slots.clear();
  overrides.value = new Map();
  page.value = next;
}
