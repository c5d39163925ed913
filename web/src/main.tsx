// The page: facts in, one place to look at them, everything else follows from the address.

import { render } from "preact";
import { effect } from "@preact/signals-core";
import { page } from "./data/store";
import { useWork } from "./track";
import { go, hovered, place } from "./state";
import { Inputs } from "./views/Inputs";
import { Header, Strip } from "./views/Header";
import { LayerView } from "./views/LayerView";
import { Network } from "./views/Network";
import { asked, WordLine } from "./views/Word";

let moves = 0;

function App() {
  const { depth, layer } = place.value;
  // What had the keyboard may be gone: it goes on from the heading, and a layer from its top.
  useWork(() => {
    if (!moves++ || document.activeElement !== document.body) return;
    document.querySelector("h1")?.focus({ preventScroll: true });
    if (depth !== "network") scrollTo(0, 0);
  }, [depth, layer]);
  return (
    <>
      <Header />
      {depth === "network" ? <Network /> : <><Strip /><LayerView /></>}
      <Inputs />
      <WordLine />
    </>
  );
}

addEventListener("click", () => (asked.value = null));
addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  if (asked.value) asked.value = null;
  else if (hovered.value) hovered.value = null;
  else if (place.value.apart) go({ apart: false });
  else if (place.value.depth === "number") go({ depth: "layer" });
  else if (place.value.depth === "layer") go({ depth: "network" });
});

effect(() => {
  const { layers, model } = page.value;
  const now = place.value;
  document.title = `${now.depth === "network" ? model : `${layers[now.layer]?.name ?? ""} - ${model}`} - convlens`;
});

render(<App />, document.getElementById("app") as HTMLElement);
document.documentElement.dataset.ready = "1";
