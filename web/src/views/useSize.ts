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
