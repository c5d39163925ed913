// The head of the page: where the reader is, and the way to everywhere else.

import { overrides, page, tensor } from "../data/store";
import { finalOf, shapeText } from "../data/tensor";
import { isDark, switchTheme } from "../draw/colour";
import { pinned, place } from "../state";
import { inputsOpen } from "./Inputs";
import { brief, Dim, Link } from "./parts";
import { useRef, useWork } from "../track";
import { inputName, say } from "../words";

export function Header() {
  const now = page.value;
  const here = place.value;
  const depths = [["network", "Network"], ["layer", "Layer"], ["number", "Number"]] as const;
  return (
    <header class="head">
      <Link class="mark" to={{ depth: "network" }}>convlens</Link>
      <span class="model"><bdi>{now.model}</bdi></span>
      <span class="dim tag">{say(`weights.${now.weights}`)} · {overrides.value.size ? say("yours") : now.input_words}</span>
      <nav class="depths" aria-label="Depth">
        {depths.map(([depth, word]) => (
          <Link key={depth} aria-current={here.depth === depth ? "page" : undefined} to={depth === "number" ? { depth, at: pinned.value } : { depth }}>{word}</Link>
        ))}
      </nav>
      <button class="quiet" aria-expanded={inputsOpen.value} onClick={() => (inputsOpen.value = !inputsOpen.value)}>{say("pictures")}</button>
      <button class="quiet" aria-label={`${isDark.value ? "light" : "dark"} colours`} onClick={switchTheme}>{isDark.value ? "☀" : "☾"}</button>
    </header>
  );
}

/** The chain of layers around the present one. */
export function Strip() {
  const now = page.value;
  const here = place.value.layer;
  const strip = useRef<HTMLElement>(null);
  useWork(() => {
    const chip = strip.current?.querySelector<HTMLElement>("[aria-current]");
    strip.current?.scrollTo({ left: (chip?.offsetLeft ?? 0) - 150 });
  }, [here]);
  const around = now.layers.map((layer, n) => ({ layer, n })).filter(({ n }) => now.layers.length < 12 || Math.abs(n - here) < 3);
  return (
    <nav class="strip" aria-label="Layers" ref={strip}>
      {now.inputs.map((id) => <span key={id} class="chip ghost"><bdi>{inputName(id)}</bdi> <small>{shapeText(tensor(id).shape)}</small></span>)}
      {around[0]?.n > 0 ? <Dim>…</Dim> : null}
      {around.map(({ layer, n }) => (
        <Link key={layer.name} class="chip" title={layer.name} aria-current={n === here ? "true" : undefined} to={{ layer: n, depth: "layer" }}>
          <bdi>{brief(layer.name)}</bdi> <small>{shapeText(tensor(layer.output).shape)}</small>
        </Link>
      ))}
      {around.length && finalOf(around).n < now.layers.length - 1 ? <Dim>…</Dim> : null}
    </nav>
  );
}
