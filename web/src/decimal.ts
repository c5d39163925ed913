// Printing numbers so that what is printed adds up.
//
// Each line is rounded once to a common decimal place (half to even, as Python does), the total is
// that of the unrounded sum, and `gap` is what a "rounding" line has to add to close it.

/** `x` to `places` decimals, exactly rounded, ties to even: Python's f"{x:.{places}f}". */
export function fixed(x: number, places: number): string {
  if (!Number.isFinite(x)) return Number.isNaN(x) ? "nan" : x > 0 ? "inf" : "-inf";
  if (Math.abs(x) >= 1e21) return BigInt(x).toString() + (places ? "." + "0".repeat(places) : "");
  const text = x.toFixed(places);
  if (places >= 100) return text;
  const more = x.toFixed(places + 1);
  // A tie is exact, so one more digit shows it whole.
  if (!more.endsWith("5") || Number(more) !== x) return text;
  const cut = more.slice(0, -1).replace(/\.$/, "");
  const last = Number(cut.at(-1));
  return last % 2 === 0 ? cut : text;
}

/** `text` of `fixed` as a whole number of its last place. */
export function units(text: string): bigint {
  return BigInt(text.replace(".", ""));
}

/** A whole number of units of 10^-places as text. */
export function fromUnits(value: bigint, places: number): string {
  const sign = value < 0n ? "-" : "";
  const digits = (value < 0n ? -value : value).toString().padStart(places + 1, "0");
  if (places === 0) return sign + digits;
  return `${sign}${digits.slice(0, -places)}.${digits.slice(-places)}`;
}

/** A printed sum: lines, total, and the rounding line that closes the gap ("" where none). */
export interface Printed {
  readonly places: number;
  readonly lines: readonly string[];
  readonly total: string;
  readonly rounding: string;
}

/** `terms` and their `total` at a common decimal place. */
export function printed(terms: readonly number[], total: number, places: number): Printed {
  const lines = terms.map((term) => fixed(term, places));
  const whole = fixed(total, places);
  if (![...terms, total].every(Number.isFinite)) return { places, lines, total: whole, rounding: "" };
  let sum = 0n;
  for (const line of lines) sum += units(line);
  const gap = units(whole) - sum;
  return { places, lines, total: whole, rounding: gap === 0n ? "" : fromUnits(gap, places) };
}

/** Decimals that show the largest of `values` with `digits` significant digits; at most 12. */
export function placesFor(values: Iterable<number>, digits = 6): number {
  let largest = 0;
  for (const value of values) if (Number.isFinite(value)) largest = Math.max(largest, Math.abs(value));
  if (largest === 0) return digits - 1;
  const whole = Math.floor(Math.log10(largest)) + 1;
  return Math.max(0, Math.min(12, digits - whole));
}

/** A whole number with thousands separated by commas, everywhere the same. */
export function count(n: number): string {
  return Math.trunc(n).toString().replace(/\B(?=(\d{3})+$)/g, ",");
}

/** A number for people: a few significant digits, never an exponent near 1; a real minus sign. */
export function short(x: number, digits = 4): string {
  if (x === 0) return "0";
  if (!Number.isFinite(x)) return minus(fixed(x, 0));
  const size = Math.abs(x);
  const text = size >= 1e6 || size < 1e-4 ? x.toExponential(digits - 2) : fixed(x, placesFor([x], digits));
  return minus(text);
}

/** A number for people's eyes: a typographic minus, and more than 24 digits as a power of ten. */
export function minus(text: string): string {
  return (text.length > 24 && Number(text) ? Number(text).toExponential(5) : text).replace("-", "−").replace("nan", "NaN").replace("Infinity", "inf");
}

export function plural(n: number, one: string): string {
  return `${count(n)} ${one}${n === 1 ? "" : "s"}`;
}
