// Every sentence of the page, by what it is about: numbers go in by slot, formatted here.

import { count } from "./decimal";
import type { Layer, WindowRecipe } from "./schema";

const ordinals = ["th", "st", "nd", "rd"];

export function ordinal(n: number): string {
  const rest = n % 100;
  return `${count(n)}${ordinals[rest > 10 && rest < 20 ? 0 : rest % 10] ?? "th"}`;
}

export function kernelText(recipe: WindowRecipe): string {
  return recipe.axes.map((axis) => axis.kernel).join("×");
}

export function plural(n: number, one: string, many = `${one}s`): string {
  return `${count(n)} ${n === 1 ? one : many}`;
}

/** One-line explanations behind the words that a first-time reader may not have. */
export const glossary: Readonly<Record<string, string>> = {
  picture: "The input of the network: a grid of numbers, one per pixel (and per colour).",
  map: "One channel of what flows through the network, seen as a picture.",
  filter: "One block of weights. It spans all input maps and makes one output map.",
  weight: "One learnt number. A filter multiplies each with an input number.",
  window: "The patch of input cells that one output number reads.",
  sum: "All the products, added up, plus the bias.",
  bias: "One learnt number per filter, added to every one of its sums.",
  ReLU: "Keeps a number above 0 as it is, and makes every other number 0.",
  softmax: "Turns a row of numbers into shares of 1: exp of each, divided by the sum of the exps.",
  parameters: "All learnt numbers of a layer: weights and biases.",
  MACs: "Multiply-adds: how many products of a learnt weight with a real input the layer computes.",
  "receptive field": "The patch of the picture that can reach one number of this layer.",
  stride: "How many cells the window moves from one output to the next.",
  padding: "Cells of nothing (zeros) laid around a map, so that the window can reach over its edge.",
  dilation: "The spacing between the cells that a window reads.",
  groups: "Input maps and filters split into parts that do not see each other.",
  "depthwise layer": "A convolution whose filters read one input map each: nothing is summed over maps.",
  "engine": "ONNX Runtime, the independent program that ran the network; our sums are checked against it.",
  "bound": "How far float32 rounding can take the engine's number from the exact sum.",
};

export function convTitle(recipe: WindowRecipe): string {
  const { channels_in: maps, channels_out: filters, groups } = recipe;
  if (groups > 1) return `${count(filters)} maps: each filter reads ${plural(maps / groups, "map")}`;
  if (maps === 1) return `${count(filters)} filters make ${count(filters)} maps`;
  return `${count(filters)} maps, not ${count(maps)} × ${count(filters)} = ${count(maps * filters)}`;
}

export function convAnswer(recipe: WindowRecipe): string {
  const { channels_in: maps, channels_out: filters, groups } = recipe;
  const kernel = kernelText(recipe);
  const own = maps / groups;
  if (own === 1 && groups > 1) return `Each filter is a ${kernel} square and reads one map. Nothing is added over maps.`;
  if (own === 1) return `The picture is one map, so a filter is a ${kernel} square. ${count(filters)} filters, so ${count(filters)} maps.`;
  return `A filter is not a ${kernel} square: it is a ${kernel}×${count(own)} block. It covers ${groups > 1 ? `${count(own)} maps` : `all ${count(own)} maps`} at once and gives one number. ${count(filters)} filters, so ${count(filters)} maps.`;
}

/** The five steps, for any layer that sums over windows. */
export function walk(layer: Layer, recipe: WindowRecipe, at: readonly number[], words: {
  total: string; bias: string; value: string; top: string; topMap: number; filter: number; rest: number;
  seen: string; position: string; kept: boolean; activation: string;
}): readonly { title: string; text: string }[] {
  const kernel = kernelText(recipe);
  const { channels_in: maps, channels_out: filters, groups } = recipe;
  const own = maps / groups;
  const taps = recipe.axes.reduce((product, axis) => product * axis.kernel, 1);
  void at;
  return [
    {
      title: "The window",
      text: `The ${ordinal(layer.number)} layer looks at ${plural(maps, "map")} through a ${kernel} window. It sits at the same place, ${words.position}, in ${own === 1 ? "the map" : `all ${count(own)} of them`}; in the picture it sees ${words.seen}.`,
    },
    {
      title: "The filter",
      text: own === 1
        ? `Filter ${words.filter} is a ${kernel} square of weights: ${plural(taps, "weight")}, each times the cell under it.`
        : `Filter ${words.filter} is one block of ${kernel}×${count(own)} = ${count(taps * own)} weights: a ${kernel} slice for each map, every slice different. Each weight is multiplied with the cell under it.`,
    },
    {
      title: "The sum",
      text: own === 1
        ? `The ${plural(taps, "product")} and the bias ${words.bias} add up to ${words.total}.`
        : `Map ${words.topMap} adds ${words.top}, the most of all. The ${count(own)} slices are ADDED into one number, and the bias ${words.bias} joins: ${words.total}. This plus sign is why ${plural(own, "map")} become one.`,
    },
    {
      title: "One number",
      text: words.activation
        ? `${words.activation} ${words.kept ? "keeps it" : "turns it"}: ${words.value}. That is one cell of map ${words.filter}. The window moves on, and the same weights are used again at every place.`
        : `${words.value} is one cell of map ${words.filter}. The window moves on, and the same weights are used again at every place.`,
    },
    {
      title: own === 1 ? `${count(filters)} filters` : `${count(filters)}, not ${count(maps * filters / groups)}`,
      text: own === 1
        ? `Each of ${count(filters)} filters makes one map of its own: ${plural(filters, "map")}.`
        : `Each of ${count(filters)} filters does this once: ${count(filters)} maps. Before the plus there are ${count(own)} × ${count(filters)} = ${count(own * filters)} maps for a moment: choose "keep apart" to see them.`,
    },
  ];
}
