// The page's sentences come with its facts; here their slots are filled.

import { page } from "./data/store";
import { count } from "./decimal";
import type { Counts } from "./schema";

export type Slots = Counts | Readonly<Record<string, string | number>>;

/** The sentence of that id, numbers with commas. */
export function say(id: string, slots: Slots = {}): string {
  return (page.value.words[id] ?? "").replace(/\{(\w+)\}/g, (_, name: string) => {
    const value = (slots as Record<string, string | number>)[name];
    return typeof value === "number" ? count(value) : (value ?? "");
  });
}
