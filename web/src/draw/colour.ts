// The colours of numbers: a diverging scale, safe for colour-blind eyes, with zero neutral.
//
// Blue is below zero, orange above; lightness alone tells the size, so it also survives grey print.

import { signal } from "@preact/signals-core";

type Rgb = readonly [number, number, number];

interface Theme {
  readonly below: readonly Rgb[];
  readonly zero: Rgb;
  readonly above: readonly Rgb[];
}

const light: Theme = {
  below: [[8, 48, 107], [33, 102, 172], [146, 186, 220]],
  zero: [250, 248, 243],
  above: [[246, 190, 134], [214, 106, 28], [122, 44, 4]],
};
const dark: Theme = {
  below: [[186, 216, 255], [84, 148, 222], [30, 62, 104]],
  zero: [24, 26, 31],
  above: [[108, 58, 22], [224, 124, 44], [255, 218, 170]],
};

const preference = matchMedia("(prefers-color-scheme: dark)");
const stored = (() => {
  try {
    return localStorage.getItem("convlens-theme");
  } catch {
    return null;
  }
})();

/** "light", "dark", or "" for the system's own. */
export const chosenTheme = signal<string>(stored ?? "");
export const isDark = signal(preference.matches);

function apply(): void {
  isDark.value = chosenTheme.value ? chosenTheme.value === "dark" : preference.matches;
  document.documentElement.dataset.theme = isDark.value ? "dark" : "light";
}

apply();
preference.addEventListener("change", apply);

export function switchTheme(): void {
  chosenTheme.value = isDark.value ? "light" : "dark";
  try {
    localStorage.setItem("convlens-theme", chosenTheme.value);
  } catch {
    // A page opened from a file may not keep it: the choice lasts as long as the page.
  }
  apply();
}

function mix(stops: readonly Rgb[], t: number): Rgb {
  const place = t * (stops.length - 1);
  const n = Math.min(stops.length - 2, Math.floor(place));
  const f = place - n;
  return [0, 1, 2].map((c) => Math.round(stops[n][c] * (1 - f) + stops[n + 1][c] * f)) as unknown as Rgb;
}

function table(theme: Theme): Uint32Array {
  const out = new Uint32Array(257);
  for (let n = 0; n <= 256; n++) {
    const t = (n - 128) / 128;
    const [r, g, b] = t < 0
      ? mix([theme.zero, theme.below[2], theme.below[1], theme.below[0]], -t)
      : mix([theme.zero, theme.above[0], theme.above[1], theme.above[2]], t);
    out[n] = (255 << 24) | (b << 16) | (g << 8) | r;
  }
  return out;
}

const tables = { light: table(light), dark: table(dark) };

/** 257 colours as little-endian RGBA: -1 at 0, zero at 128, +1 at 256. */
export function colours(): Uint32Array {
  return isDark.value ? tables.dark : tables.light;
}

export function css(value: number, largest: number): string {
  const packed = colours()[index(value, largest)];
  return `rgb(${packed & 255} ${(packed >> 8) & 255} ${(packed >> 16) & 255})`;
}

export function index(value: number, largest: number): number {
  if (!(largest > 0) || Number.isNaN(value)) return 128;
  const t = Math.max(-1, Math.min(1, value / largest));
  return Math.round(128 + t * 128);
}

/** Ink that reads on the colour of a number: black or white, whichever stands out more (always 4.5 to 1). */
export function inkOn(value: number, largest: number): string {
  const packed = colours()[index(value, largest)];
  const light = [0.2126, 0.7152, 0.0722].reduce((sum, share, n) => sum + share * ((((packed >> (8 * n)) & 255) / 255 + 0.055) / 1.055) ** 2.4, 0);
  return light > 0.179 ? "#000" : "#fff";
}

const known = new Map<string, string>();

/** A colour of the style sheet, for canvases; asked once per theme. */
export function styleColour(name: string): string {
  const key = name + isDark.value;
  let found = known.get(key);
  if (!found) known.set(key, (found = getComputedStyle(document.documentElement).getPropertyValue(name).trim()));
  return found;
}
