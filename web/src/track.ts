// Components follow the signals that they read: the join of Preact and signals-core.
//
// A component's function runs inside an effect, which notes what it reads. When that changes, the
// component renders again; otherwise only when its attributes do. What it keeps between renders
// lies in slots, in the order in which it asks.
//
// This is what @preact/signals and preact/hooks do, in 1 kB. Measured in November 2026: with
// @preact/signals 2.11.4 the bundle has 104,663 bytes (5,209 more than with this file, and more than
// the 100,000 allowed: its hooks need Preact's inner names as they are), and a hover costs the same
// (main thread 6.9 ms against 6.7 on digits, means of two runs each).

import { Component, Fragment, h as create, type ComponentChildren, type VNode } from "preact";
import { effect, signal, type Signal } from "@preact/signals-core";

type Attributes = Record<string, unknown>;
type Renders = (attributes: Attributes) => ComponentChildren;
type Work = () => (() => void) | void;

interface Slot {
  on?: readonly unknown[];
  value?: unknown;
  work?: Work | null;
  undo?: (() => void) | void;
}

/** The slots of the component that renders now, and the next to be asked for. */
let slots: Slot[] = [];
let next = 0;

/** The next slot, and whether what it depends on has changed. */
function slot(on: readonly unknown[] | undefined): [Slot, boolean] {
  const own = (slots[next++] ??= {});
  const old = own.on;
  own.on = on;
  return [own, !old || !on || on.some((value, n) => value !== old[n])];
}

/** What `make` gives, made again when something of `on` changes. */
export function useMemo<T>(make: () => T, on: readonly unknown[]): T {
  const [own, changed] = slot(on);
  if (changed) own.value = make();
  return own.value as T;
}

export function useRef<T>(first: T): { current: T };
export function useRef<T>(first: null): { current: T | null };
export function useRef<T>(first: T | null): { current: T | null } {
  return useMemo(() => ({ current: first }), []);
}

/** Done once the component is in the document, before the frame is shown; undone before it is done again. */
export function useWork(work: Work, on?: readonly unknown[]): void {
  const [own, changed] = slot(on);
  if (changed) own.work = work;
}

/** A signal that lives as long as its component. */
export function useSignal<T>(first: T): Signal<T> {
  return useMemo(() => signal(first), []);
}

const known = new WeakMap<Renders, unknown>();

function tracked(render: Renders): unknown {
  let made = known.get(render);
  if (!made) {
    known.set(render, (made = class extends Component<Attributes> {
      private slots: Slot[] = [];
      private stop?: () => void;

      override shouldComponentUpdate(after: Attributes): boolean {
        const now = this.props as Attributes;
        for (const name in now) if (!(name in after)) return true;
        for (const name in after) if (now[name] !== after[name]) return true;
        return false;
      }

      override render(attributes: Attributes): ComponentChildren {
        let out: ComponentChildren;
        let first = true;
        this.stop?.();
        this.stop = effect(() => {
          if (first) {
            first = false;
            slots = this.slots;
            next = 0;
            out = render(attributes);
          } else this.forceUpdate();
        });
        return out;
      }

      override componentDidMount(): void {
        for (const own of this.slots) {
          const { work } = own;
          if (!work) continue;
          own.work = null;
          own.undo?.();
          own.undo = work();
        }
      }

      override componentDidUpdate(): void {
        this.componentDidMount();
      }

      override componentWillUnmount(): void {
        this.stop?.();
        for (const own of this.slots) own.undo?.();
      }
    }));
  }
  return made;
}

/** What JSX becomes: an element, or a component that follows its signals. Text for attributes is a class. */
export function h(type: unknown, attributes: Attributes | string | null, ...children: ComponentChildren[]): VNode {
  const made = typeof type === "function" && type !== Fragment ? tracked(type as Renders) : type;
  return create(made as "i", typeof attributes === "string" ? { class: attributes } : attributes, ...children);
}
