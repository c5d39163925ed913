// Depth 2 and 3: one layer on one screen, and below it everything else about it.

import { count, plural } from "../decimal";
import { layer, place } from "../state";
import { counts, ordinal, say } from "../words";
import { Details } from "./Details";
import { SumPanel, WeightUse } from "./SumPanel";
import { shapeText } from "../data/tensor";
import { ApartSwitch } from "./Burst";
import { Live, Stage } from "./Stage";
import { Walk } from "./Walk";
import { Word } from "./Word";
import { Dim } from "./parts";

function Title() {
  const now = layer.value;
  const { recipe } = now;
  let title = `${shapeText(now.input_shapes[0] ?? [])} becomes ${shapeText(now.output_shape)}`;
  let answer = now.notes[0] ?? "";
  if (recipe.form === "window" && recipe.combine === "sum" && recipe.weight) {
    const { slots, kind } = counts(recipe);
    const grouped = recipe.groups > 1;
    title = say(`title.${grouped ? "groups" : kind}`, { ...slots, own: plural(slots.own, "map") });
    answer = say(`answer.${grouped && kind === "one" ? "depthwise" : kind}`, slots);
  }
  return (
    <div class="title">
      <p class="which">{ordinal(now.number)} layer <code><bdi>{now.name}</bdi></code> <Dim>{now.kind}</Dim></p>
      <h1 tabIndex={-1}>{title}</h1>
      <p class="answer">{answer}</p>
    </div>
  );
}

/** `weights (3,3,32,64) = 18,432 + 64 = 18,496`. */
export function CountLine() {
  const now = layer.value;
  const [first, ...others] = now.weights;
  if (!first) return <p class="count-line">{say("plain")}</p>;
  const rest = others.map((weight) => ` + ${count(weight.count)}`).join("");
  return (
    <p class="count-line">
      <Word of="weight">weights</Word> <b>({first.shape.join(",")})</b> = {count(first.count)}{rest}{others.length ? <> = <b>{count(now.params)}</b></> : null}
      {others.length === 1 && now.rule === "sum" ? <Dim> with one <Word of="bias">bias</Word> per filter</Dim> : null}
    </p>
  );
}

export function LayerView() {
  return (
    <main class={`layer-view depth-${place.value.depth}`}>
      <div class="screen">
        <Title />
        <Stage />
        <div class="foot">
          <CountLine />
          <WeightUse />
          <ApartSwitch />
        </div>
        <Walk />
        <Live />
      </div>
      <div class="below">
        {place.value.depth === "number" ? <SumPanel /> : null}
        <Details />
      </div>
    </main>
  );
}
