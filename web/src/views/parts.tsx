// What every view is built from: quiet words and buttons, panels, canvases.

import type { ComponentChildren, JSX } from "preact";
import type { NumberFacts } from "../data/number";
import { page } from "../data/store";
import type { Layer } from "../schema";
import { minus } from "../decimal";
import { sharp } from "../draw/atlas";
import { isDark } from "../draw/colour";
import { address, after, go, type Place } from "../state";
import { useRef, useWork } from "../track";
import { inputName } from "../words";

interface Kids {
  readonly children?: ComponentChildren;
}

export function Dim({ children }: Kids) {
  return <span class="dim">{children}</span>;
}

/** A printed number. */
export function Num({ children }: { readonly children: string }) {
  return <span class="num">{minus(children)}</span>;
}

export function Who({ children }: Kids) {
  return <span class="who">{children}</span>;
}

export function Quiet({ on, children }: Kids & { readonly on: () => void; readonly key?: unknown }) {
  return <button class="quiet" onClick={on}>{children}</button>;
}

/** The end of a long name, from a slash on: what tells it from its neighbours. */
export function brief(name: string, most = 34): string {
  const start = name.length > most ? name.indexOf("/", name.length - most) : 0;
  return start > 0 ? `…${name.slice(start)}` : name;
}

/** What makes one output map or number of a layer. */
export function maker(layer: Layer): string {
  return layer.recipe.form === "row" ? "unit" : "filter";
}

/** A link to another place of this page; with a key held it opens beside, as any link does. */
export function Link({ to, children, ...more }: Kids & {
  readonly to: Partial<Place>;
  readonly key?: unknown;
  readonly class?: string;
  readonly title?: string;
  readonly "aria-current"?: "page" | "true";
}) {
  return (
    <a {...more} href={address(after(to))} onClick={(event) => {
      if (event.ctrlKey || event.metaKey || event.shiftKey) return;
      event.preventDefault();
      go(to);
    }}>{children}</a>
  );
}

export function Panel({ title, children }: Kids & { readonly title: string }) {
  return (
    <section class="panel" aria-label={title}>
      <h2>{title}</h2>
      {children}
    </section>
  );
}

type CanvasProps = Omit<JSX.IntrinsicElements["canvas"], "width" | "height" | "ref">;

/**
 * A canvas that is drawn before the frame is shown, again when `on`, its size or the theme changes.
 * It is hidden from screen readers unless it has a role: what it shows is said elsewhere.
 */
export function Drawing({ width, height, draw, on, ...rest }: CanvasProps & {
  readonly width: number;
  readonly height: number;
  readonly draw: (context: CanvasRenderingContext2D) => void;
  readonly on: readonly unknown[];
}) {
  const canvas = useRef<HTMLCanvasElement>(null);
  useWork(() => {
    if (canvas.current) draw(sharp(canvas.current, width, height));
  }, [...on, width, height, isDark.value]);
  return <canvas ref={canvas} style={{ width: `${width}px`, height: `${height}px` }} aria-hidden={rest.role ? undefined : "true"} {...rest} />;
}

/** What stands in the field that an event comes from. */
export function entered(event: { currentTarget: { value: string } }): string {
  return event.currentTarget.value;
}

/** An element's place on the screen, and the mouse in it. */
export function placeOf(element: Element): DOMRect {
  return element.getBoundingClientRect();
}

export function pointIn(event: MouseEvent): { x: number; y: number; box: DOMRect } {
  const box = placeOf(event.currentTarget as Element);
  return { x: event.clientX - box.left, y: event.clientY - box.top, box };
}

/** What an addend of a merge comes from. */
export function sourceName(made: NumberFacts, n: number): string {
  return page.value.layers[made.layer.sources[made.source[n]]]?.name ?? inputName(made.layer.inputs[made.source[n]]);
}
