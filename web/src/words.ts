// The page's sentences come with its facts; here their slots are filled.

import { page } from "./data/store";
import { count, plural } from "./decimal";
import type { Counts } from "./schema";

export type Slots = Counts | Readonly<Record<string, string | number>>;

/** The sentence of that id: numbers with commas, `{maps map}` as 1 map or 32 maps. */
export function say(id: string, slots: Slots = {}): string {
  return (page.value.words[id] ?? "").replace(/\{(\w+)(?: (\w+))?\}/g, (_, name: string, word?: string) => {
    const value = (slots as Record<string, string | number>)[name];
    return typeof value === "number" ? (word ? plural(value, word) : count(value)) : (value ?? "");
  });
}

/** What an input of the network is called: by its name where there are several. */
export function inputName(id: string): string {
  return page.value.inputs.length > 1 ? id : say("picture");
}

/** The input that windows lead back to. */
export function inputBehind(ranges: ReadonlyMap<string, unknown>): string {
  return page.value.inputs.find((id) => ranges.has(id)) ?? page.value.input;
}
