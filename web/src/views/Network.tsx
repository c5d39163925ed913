// Depth 1: every layer in its row, lanes for what runs beside it, with its real maps.
//
// Rows are of one height and only those in sight are in the document, so that ten thousand layers
// scroll as ten do.

import type { ComponentChildren } from "preact";
import { computed, signal } from "@preact/signals-core";
import { page, tensor } from "../data/store";
import { mapView, shapeText } from "../data/tensor";
import { count, plural, short } from "../decimal";
import { css, styleColour } from "../draw/colour";
import type { Layer } from "../schema";
import { place } from "../state";
import { ratioOf } from "./Stage";
import { Maps } from "./Maps";
import { brief, Drawing, entered, Link, placeOf } from "./parts";
import { curve } from "./Strands";
import { Word } from "./Word";
import { useRef, useSignal, useWork } from "../track";
import { say } from "../words";

// In letters: three lines of text.
const tall = 3.875 * parseFloat(getComputedStyle(document.documentElement).fontSize);
const laneStep = 18;
const search = signal("");
const sortBy = signal<"order" | "params" | "macs" | "memory" | "mean">("order");
const opened = signal<ReadonlySet<number>>(new Set());

const measures = {
  "params": (layer: Layer) => layer.params,
  "macs": (layer: Layer) => layer.macs ?? 0,
  memory: (layer: Layer) => layer.memory ?? 0,
  mean: (layer: Layer) => layer.mean_activation ?? 0,
};

/** Memory and mean have a column only while they are sorted by. */
function ownColumn(): boolean {
  return sortBy.value.startsWith("me");
}

interface Entry {
  readonly layer: number;
  /** Index of a fold whose rows are hidden behind this entry; -1 for a plain row. */
  readonly fold: number;
}

const entries = computed<readonly Entry[]>(() => {
  const { layers, graph } = page.value;
  const word = search.value.trim().toLowerCase();
  if (word || sortBy.value !== "order") {
    const found = layers.map((_, n) => n).filter((n) => `${layers[n].name} ${layers[n].kind}`.toLowerCase().includes(word));
    if (sortBy.value !== "order") {
      const measure = measures[sortBy.value];
      found.sort((a, b) => measure(layers[b]) - measure(layers[a]) || a - b);
    }
    return found.map((layer) => ({ layer, fold: -1 }));
  }
  const list: Entry[] = [];
  const folds = new Map(graph.folds.map((item, fold) => [item.first, fold]));
  for (let n = 0; n < layers.length; n++) {
    const fold = folds.get(n) ?? -1;
    if (fold >= 0 && !opened.value.has(fold)) {
      list.push({ layer: n, fold });
      n = graph.folds[fold].last;
    } else list.push({ layer: n, fold: -1 });
  }
  return list;
});

function Lanes({ n, layer, lanes }: { n: number; layer: Layer | null; lanes: number }) {
  const draw = (context: CanvasRenderingContext2D) => {
    const row = page.value.graph.rows[n];
    const x = (lane: number) => 12 + Math.min(lane, lanes - 1) * laneStep;
    const line = (from: number, top: number, to: number, bottom: number) => curve(context, { x: from, y: top }, { x: to, y: bottom }, true);
    context.lineWidth = 1.5;
    context.strokeStyle = styleColour("--soft");
    for (const lane of row.passing) line(x(lane), 0, x(lane), tall);
    for (const lane of row.joins) line(x(lane), 0, x(row.lane), tall / 2);
    if (row.begins) line(x(row.lane), tall / 2, x(row.lane), tall);
    context.beginPath();
    context.arc(x(row.lane), tall / 2, 5, 0, 7);
    context.fillStyle = styleColour(layer?.params ? "--weight" : "--mark");
    context.fill();
  };
  return <Drawing width={lanes * laneStep + 8} height={tall} on={[n, layer]} draw={draw} />;
}

function Amount({ value, largest, text }: { value: number; largest: number; text: string }) {
  return (
    <span class="amount num" role="cell">
      {text}
      <i aria-hidden="true" style={{ width: `${largest > 0 ? (100 * value) / largest : 0}%` }} />
    </span>
  );
}

/** Whether the page stands still: maps of rows that only fly past are not asked for. */
const still = signal(true);

function Thumbs({ layer }: { layer: Layer; key?: string }) {
  const info = tensor(layer.output);
  const view = mapView(info);
  const flat = view.height * view.width === 1 || info.channel === null;
  const line = !flat && view.height === 1;
  const shown = flat ? 1 : Math.min(view.channels, line ? 3 : 8);
  const ratio = ratioOf(info);
  const tile = Math.min(flat || line ? 180 : 40, 44 / ratio);
  const drawn = useRef(false);
  if (!drawn.current) drawn.current = still.value;
  if (!drawn.current || (flat && view.height > 1)) return <span class="thumbs" />;
  return (
    <span class="thumbs" aria-hidden="true">
      {flat
        ? <Maps id={layer.output} tile={tile} columns={1} most={1} gap={2} label="" small />
        : <Maps id={layer.output} tile={tile} columns={line ? 1 : shown} most={shown} gap={2} label="" small />}
      {view.channels > shown && !flat ? <small class="dim">+{count(view.channels - shown)}</small> : null}
    </span>
  );
}

/** What a layer's amounts are drawn against. */
const largest = computed(() => {
  const { layers } = page.value;
  const top = (measure: (layer: Layer) => number) => layers.reduce((most, layer) => Math.max(most, measure(layer)), 0);
  return { "params": top(measures["params"]), "macs": top(measures["macs"]), memory: top(measures.memory), mean: top(measures.mean) };
});

function fieldText(layer: Layer): string {
  if (!layer.field) return "";
  return layer.field.map((axis) => `${axis.size}`).join("×");
}

/** One cell of the table; a function and no component, as there are thousands. */
function cell(name: string, ...inside: ComponentChildren[]) {
  return <span role="cell" class={name}>{inside}</span>;
}

function LayerRow({ entry, lanes, top }: { entry: Entry; lanes: number; top: number }) {
  const { layers, graph } = page.value;
  const layer = layers[entry.layer];
  const fold = entry.fold < 0 ? null : graph.folds[entry.fold];
  const ordered = sortBy.value === "order" && !search.value;
  const kernel = layer.weights[0];
  const tint = sortBy.value === "order" ? undefined : css(0.55 * (measures[sortBy.value](layer) / (largest.value[sortBy.value] || 1)), 1);
  if (fold) {
    return (
      <div class="net-row fold" role="row" style={{ top: `${top}px`, height: `${tall}px` }}>
        {cell("", ordered && <Lanes n={entry.layer} layer={null} lanes={lanes} />)}
        {cell("fold-words", <button onClick={() => (opened.value = new Set([...opened.value, entry.fold]))}>
          {say(fold.period === 1 ? "fold.one" : "fold", { "layers": fold.period, times: fold.times, rows: fold.last - fold.first + 1 })}
        </button>)}
      </div>
    );
  }
  return (
    <div class="net-row" role="row" style={{ top: `${top}px`, height: `${tall}px`, background: tint }}>
      {cell("", ordered && <Lanes n={entry.layer} layer={layer} lanes={lanes} />)}
      {cell("net-name",
        <Link title={layer.name} to={{ layer: entry.layer, depth: "layer" }}><bdi>{brief(layer.name, 44)}</bdi></Link>,
        <small class="dim">{layer.number} · {layer.kind}{layer.shared_with ? ` · shares the weights of ${layer.shared_with}` : ""}</small>)}
      {cell("", <Thumbs key={layer.name} layer={layer} />)}
      {cell("num net-shape", shapeText(layer.output_shape), <small class="dim">{tensor(layer.output).axes.join(", ")}</small>)}
      {cell("num net-weights", kernel && shapeText(kernel.shape), layer.weights.length > 1 && <small class="dim">+ {layer.weights.slice(1).map((weight) => count(weight.count)).join(" + ")}</small>)}
      <Amount value={layer.params} largest={largest.value["params"]} text={count(layer.params)} />
      <Amount value={layer.macs ?? 0} largest={largest.value["macs"]} text={layer.macs === null ? "unknown" : count(layer.macs)} />
      {cell("num", fieldText(layer))}
      {ownColumn() ? cell("num", short(measures[sortBy.value as "mean"](layer), 4)) : null}
    </div>
  );
}

export function Network() {
  const box = useRef<HTMLDivElement>(null);
  const sight = useSignal<[number, number]>([0, 16]);
  const range = sight.value;
  const list = entries.value;
  const now = page.value;
  const lanes = Math.min(now.graph.lanes, 8);
  useWork(() => {
    const measure = () => {
      const top = box.current ? placeOf(box.current).top : 0;
      const first = Math.max(0, Math.floor(-top / tall) - 4);
      const next: [number, number] = [first, first + Math.ceil(innerHeight / tall) + 10];
      if (next.join() !== sight.peek().join()) sight.value = next;
    };
    measure();
    let wait = 0;
    const scrolled = () => {
      still.value = false;
      clearTimeout(wait);
      wait = setTimeout(() => (still.value = true), 100);
      measure();
    };
    addEventListener("scroll", scrolled, { passive: true });
    addEventListener("resize", measure);
    return () => {
      removeEventListener("scroll", scrolled);
      removeEventListener("resize", measure);
    };
  }, [list]);
  useWork(() => {
    // A layer that is folded away stands where its fold does.
    const own = place.peek().layer;
    const here = list.findIndex(({ layer, fold }) => layer <= own && own <= (fold < 0 ? layer : now.graph.folds[fold].last));
    scrollTo(0, here > 8 ? here * tall - 120 : 0);
  }, []);
  const { totals } = now;
  return (
    <main class="network">
      <div class="title">
        <p class="which dim">{say("whole")}</p>
        <h1 tabIndex={-1}><bdi>{now.model}</bdi>: {plural(now.layers.length, "layer")}</h1>
        <p class="answer">
          {count(totals.params)} <Word of="parameters">parameters</Word>, {totals.macs === null ? "" : <>{count(totals.macs)} <Word of="MACs">MACs</Word> {say("once")} </>}
          {now.budget.words}
        </p>
      </div>
      <div class="net-tools">
        <label>Search <input type="search" value={search.value} onInput={(event) => (search.value = entered(event))} /></label>
        <label>{say("sort")} <select value={sortBy.value} onChange={(event) => (sortBy.value = entered(event) as typeof sortBy.value)}>
          {Object.entries({ order: "order", "params": "parameters", "macs": "MACs", memory: "memory", mean: "mean activation" }).map(([value, text]) => <option key={value} value={value}>{text}</option>)}
        </select></label>
        <span class="dim" role="status">{search.value ? `${count(list.length)} of ${count(now.layers.length)}` : ""}</span>
      </div>
      <div class="net-scroll">
      <div role="table" aria-label="Layers" aria-rowcount={list.length} style={{ "--lanes": `${lanes * laneStep + 12}px` }}>
        <div class="net-row net-head dim" role="row">
          {["", "layer", "maps", "output shape", "weights", "parameters", "MACs", "sees", ...(ownColumn() ? [sortBy.value] : [])].map((word) => (
            <span key={word} role="columnheader"><Word of={word === "sees" ? "receptive field" : word}>{word}</Word></span>
          ))}
        </div>
        <div ref={box} role="rowgroup" class="net-body" style={{ height: `${list.length * tall}px` }}>
          {list.slice(...range).map((entry, n) => (
            // A row that leaves at one end comes in again at the other: its canvas and cells are made once.
            <LayerRow key={(range[0] + n) % (range[1] - range[0])} entry={entry} lanes={lanes} top={(range[0] + n) * tall} />
          ))}
        </div>
      </div>
      </div>
    </main>
  );
}
