// The strands: from the window in each map, through its slice, to the plus where they meet.

import { unflattened } from "../data/store";
import { largestSize } from "../data/tensor";
import { sharp } from "../draw/atlas";
import { isDark, styleColour } from "../draw/colour";
import { facts, layer, place } from "../state";
import { placeOf } from "./parts";
import { useRef, useWork } from "../track";

interface Point {
  readonly x: number;
  readonly y: number;
}

/** From `a` to `b`, leaving and arriving level, or `upright`. */
export function curve(context: CanvasRenderingContext2D, a: Point, b: Point, upright = false): void {
  const x = (a.x + b.x) / 2;
  const y = (a.y + b.y) / 2;
  context.beginPath();
  context.moveTo(a.x, a.y);
  if (upright) context.bezierCurveTo(a.x, y, b.x, y, b.x, b.y);
  else context.bezierCurveTo(x, a.y, x, b.y, b.x, b.y);
  context.stroke();
}

export function Strands({ stage }: { stage: { current: HTMLElement | null } }) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const made = facts.value;
  const dark = isDark.value;
  const apart = place.value.apart;
  const now = layer.value;
  useWork(() => {
    const box = stage.current;
    if (!box || !canvas.current) return;
    const frame = placeOf(box);
    const maps = box.querySelector<HTMLElement>(".maps.inputs");
    const rows = box.querySelectorAll<HTMLElement>(".terms > li");
    const list = box.querySelector<HTMLElement>(".terms-box");
    const plus = box.querySelector<HTMLElement>(".plus span");
    const fits = maps && rows.length && plus && list && !apart && made;
    canvas.current.hidden = !fits;
    if (!fits) return;
    const at = (element: Element) => {
      const rect = placeOf(element);
      return { left: rect.left - frame.left, right: rect.right - frame.left, top: rect.top - frame.top, middle: (rect.top + rect.bottom) / 2 - frame.top, width: rect.width, height: rect.height };
    };
    const inputs = at(maps);
    const info = unflattened(now.inputs[0]);
    const columns = Number(maps.dataset["columns"]);
    const count = Number(maps.dataset.count);
    const pitchX = (inputs.width + 3) / columns;
    const pitchY = (inputs.height + 3) / Math.ceil(count / columns);
    const sum = at(plus);
    const target = { x: sum.left - 2, y: sum.middle };
    const visible = at(list);
    // Only as wide as the strands are: a canvas costs what its area is.
    const context = sharp(canvas.current, target.x - inputs.left, frame.height);
    canvas.current.style.left = `${inputs.left}px`;
    canvas.current.style.width = `${target.x - inputs.left}px`;
    context.translate(-inputs.left, 0);
    const largest = largestSize(made.groups.map((group) => group.sum));
    const bySize = new Map(made.groups.map((group) => [group.channel, group.sum]));
    context.lineCap = "round";
    rows.forEach((row) => {
      const place = at(row);
      if (place.middle > visible.top + visible.height || place.middle < visible.top) return;
      const channel = Number(row.dataset.term);
      const value = bySize.get(channel) ?? 0;
      const share = largest ? Math.abs(value) / largest : 0;
      context.globalAlpha = 0.55;
      context.strokeStyle = styleColour("--soft");
      context.lineWidth = 1;
      // Maps that are not drawn have no strand.
      if (count > 1 && channel < count && info.channel !== null) {
        const x = inputs.left + (channel % columns) * pitchX + (pitchX - 3);
        const y = inputs.top + Math.floor(channel / columns) * pitchY + (pitchY - 3) / 2;
        curve(context, { x, y }, { x: place.left - 2, y: place.middle });
      }
      context.globalAlpha = 0.85;
      context.strokeStyle = styleColour(value < 0 ? "--below" : "--above");
      context.lineWidth = 1 + 3 * share;
      curve(context, { x: place.right + 2, y: place.middle }, target);
    });
    const rest = box.querySelector(".rest");
    if (rest) {
      const place = at(rest);
      context.globalAlpha = 0.5;
      context.strokeStyle = styleColour("--soft");
      context.lineWidth = 2;
      curve(context, { x: place.right + 2, y: place.middle }, target);
    }
    context.globalAlpha = 1;
  }, [made, dark, apart, now, stage.current?.clientWidth]);
  return <canvas ref={canvas} class="strands" aria-hidden="true" />;
}
