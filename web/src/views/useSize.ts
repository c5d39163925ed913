// The width of an element, as a number that the pictures are laid out with.

import { useSignal, useWork } from "../track";

export function useWidth(reference: { current: HTMLElement | null }, initial: number): number {
  const width = useSignal(initial);
  useWork(() => {
    const element = reference.current;
    if (!element) return;
    const measure = () => void (width.value = element.clientWidth);
    measure();
    const observer = new ResizeObserver(measure);
    observer.observe(element);
    return () => observer.disconnect();
  }, []);
  return width.value;
}

/** Whether the parts of a picture stand below each other: where the style sheet says so, in letters. */
export function isNarrow(): boolean {
  return matchMedia("(max-width: 75em)").matches;
}
