// What JSX becomes: calls of `h`, shorter in the bundle than the automatic runtime's.
export { Fragment } from "preact";
export { h } from "./src/track";

// Names for what is used most: build.mjs writes these in place of the long ones.
export const { abs: $abs, ceil: $ceil, exp: $exp, floor: $floor, max: $max, min: $min, round: $round, sqrt: $sqrt } = Math;
export const { from: $from } = Array;
export const { isFinite: $isFinite } = Number;
// From globalThis, as the bare words are written short here, too.
export const { Float32Array: $numbers, document: $document, addEventListener: $on } = globalThis;
