// The page's sentences come with its facts; here their slots are filled.

import { page } from "./data/store";
import { count } from "./decimal";
import type { WindowRecipe } from "./schema";

export type Slots = Readonly<Record<string, string | number>>;

/** The sentence of that id, numbers with commas. */
export function say(id: string, slots: Slots = {}): string {
  return (page.value.words[id] ?? "").replace(/\{(\w+)\}/g, (_, name: string) => {
    const value = slots[name];
    return typeof value === "number" ? count(value) : (value ?? "");
  });
}

const endings = ["th", "st", "nd", "rd"];

export function ordinal(n: number): string {
  const rest = n % 100;
  return count(n) + (endings[rest > 10 && rest < 20 ? 0 : rest % 10] ?? "th");
}

export function kernelText(recipe: WindowRecipe): string {
  return recipe.axes.map((axis) => axis.kernel).join("×");
}

/** What the sentences about a summing layer are filled with, and which of them fit it. */
export function counts(recipe: WindowRecipe) {
  const own = recipe.channels_in / recipe.groups;
  const taps = recipe.axes.reduce((product, axis) => product * axis.kernel, 1);
  const slots = {
    own, kernel: kernelText(recipe), maps: recipe.channels_in, filters: recipe.channels_out,
    product: own * recipe.channels_out, products: taps * own, per: recipe.channels_out / recipe.groups,
    weights: taps * own * recipe.channels_out,
  };
  return { slots, kind: own === 1 ? "one" : "sum" };
}
