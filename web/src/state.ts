// Where the reader is: one state, one address. Everything on the page follows from these signals.

import { computed, effect, signal } from "@preact/signals-core";
import { explain } from "./data/number";
import { windowsBehind, type Ranges } from "./data/reach";
import { page, ready, tensor, values } from "./data/store";
import { strongest } from "./data/tensor";

export interface Place {
  readonly depth: "network" | "layer" | "number";
  /** Index of the layer; kept on the network's view too, so that going back finds it. */
  readonly layer: number;
  /** The pinned cell in the user's layout; null: the layer's strongest. */
  readonly at: readonly number[] | null;
  /** Step of the walkthrough, from 1. */
  readonly step: number;
  /** "keep apart": the sum taken away. */
  readonly apart: boolean;
  /** What is done to a picture, where it was changed: `fit:order:top:mean:std`. */
  readonly prep: string;
}

export const steps = 5;

function start(): Place {
  const { layer, at } = page.value.start;
  return { depth: layer === null ? "network" : "layer", layer: layer ?? 0, at, step: 1, apart: false, prep: "" };
}

/** The place that an address names; what it does not name, or names wrongly, is the start's. */
export function parse(hash: string): Place {
  const home = start();
  const [path, query] = hash.replace(/^#\/?/, "").split("?");
  if (!path) return home;
  const asked = new URLSearchParams(query ?? "");
  const [depth, name] = path.split("/");
  const layers = page.value.layers;
  const found = layers.findIndex((layer) => layer.name === decode(name ?? ""));
  const prep = /^(stretch|crop):(rgb|bgr):[\d.e-]+:[\d.,e-]*:[\d.,e-]*$/i.test(asked.get("prep") ?? "") ? (asked.get("prep") as string) : "";
  if (depth === "network") return { ...home, depth: "network", layer: found < 0 ? home.layer : found, at: null, prep };
  if (found < 0) return { ...home, prep };
  const shape = tensor(layers[found].output).shape;
  const numbers = (asked.get("at") ?? "").split(",").map(Number);
  const fits = asked.has("at") && numbers.length === shape.length && numbers.every((n, axis) => Number.isInteger(n) && n >= 0 && n < shape[axis]);
  const step = Number(asked.get("step") ?? 1);
  return {
    depth: depth === "number" ? "number" : "layer",
    layer: found,
    at: fits ? numbers : null,
    step: step >= 1 && step <= steps ? Math.trunc(step) : 1,
    apart: asked.get("apart") === "1",
    prep,
  };
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

export function address(place: Place): string {
  const name = encodeURIComponent(page.value.layers[place.layer]?.name ?? "");
  const asked = [];
  if (place.depth !== "network" && place.at) asked.push(`at=${place.at.join(",")}`);
  if (place.depth !== "network" && place.step > 1) asked.push(`step=${place.step}`);
  if (place.depth !== "network" && place.apart) asked.push("apart=1");
  if (place.prep) asked.push(`prep=${place.prep}`);
  return `#/${place.depth}/${name}${asked.length ? `?${asked.join("&")}` : ""}`;
}

export const place = signal<Place>(parse(location.hash));

/** The cell under the cursor; null when nothing is hovered. */
export const hovered = signal<readonly number[] | null>(null);

/** An input cell under the cursor: source and index; what it feeds lights up. */
export const hoveredInput = signal<{ source: number; at: readonly number[] } | null>(null);

/** A weight under the cursor: place in the filter (channel of its group, then kernel places). */
export const hoveredWeight = signal<readonly number[] | null>(null);

const calm = matchMedia("(prefers-reduced-motion: reduce)");

export function reducedMotion(): boolean {
  return calm.matches;
}

/** The place after a change; another layer starts from its strongest cell. */
export function after(change: Partial<Place>): Place {
  const now = place.value;
  const other = change.layer !== undefined && change.layer !== now.layer && change.at === undefined;
  return { ...now, ...change, ...(other ? { at: null, apart: false } : null) };
}

/** Go somewhere. `replace` keeps the history short where the reader only moves about. */
export function go(change: Partial<Place>, how: "push" | "replace" = "push"): void {
  const next = after(change);
  const move = () => {
    hovered.value = null;
    hoveredInput.value = null;
    hoveredWeight.value = null;
    place.value = next;
  };
  const url = address(next);
  if (url !== location.hash) {
    if (how === "push") history.pushState(null, "", url);
    else history.replaceState(null, "", url);
  }
  const wide = next.depth !== place.value.depth || next.layer !== place.value.layer;
  if (wide && "startViewTransition" in document && !reducedMotion() && how === "push") {
    document.startViewTransition(move);
  } else move();
}

/** To the place that the address names; an address that names none becomes that of what is shown. */
function arrive(): void {
  hovered.value = null;
  place.value = parse(location.hash);
  if (location.hash) history.replaceState(null, "", address(place.value));
}
addEventListener("popstate", arrive);
addEventListener("hashchange", arrive);
arrive();

export const layer = computed(() => page.value.layers[place.value.layer]);

/** The cell that the pictures show: hovered, else pinned, else the layer's strongest. */
export const cell = computed<readonly number[] | null>(() => {
  if (hovered.value) return hovered.value;
  return pinned.value;
});

export const pinned = computed<readonly number[] | null>(() => {
  if (place.value.at) return place.value.at;
  const now = layer.value;
  if (!now) return null;
  const info = tensor(now.output);
  const numbers = values(now.output);
  if (ready(numbers) && info.shape.length) return strongest(info, numbers);
  return info.shape.map((n) => Math.floor(n / 2));
});

function explained(at: readonly number[] | null) {
  const now = layer.value;
  return now && at && at.length === tensor(now.output).shape.length ? explain(now, at) : null;
}

/** The pinned cell's facts: what texts are about, so that they stand still while cells are hovered. */
export const pinnedFacts = computed(() => explained(pinned.value));

export const facts = computed(() => (hovered.value ? explained(hovered.value) : pinnedFacts.value));

/**
 * The same facts once the cursor rests: what is long or read aloud follows it then. A hovered sum is
 * painted in its own frame, and the page below does not hold it up.
 */
export const rested = signal(facts.peek());

effect(() => {
  const now = facts.value;
  if (!hovered.value) rested.value = now;
  else {
    const wait = setTimeout(() => (rested.value = now), 120);
    return () => clearTimeout(wait);
  }
});

/** The window of the shown cell in every earlier tensor; of a hovered one not without end. */
export const behind = computed(() => (cell.value ? windowsBehind(place.value.layer, cell.value, hovered.value ? 1000 : Infinity) : new Map<string, Ranges>()));
