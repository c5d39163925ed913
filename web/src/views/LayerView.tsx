// Depth 2 and 3: one layer on one screen, and below it everything else about it.

import { count } from "../decimal";
import { layer, place } from "../state";

import { Details } from "./Details";
import { SumPanel, WeightUse } from "./SumPanel";
import { ApartSwitch } from "./Burst";
import { Live, Stage } from "./Stage";
import { Trail } from "./Trail";
import { Walk } from "./Walk";
import { Word } from "./Word";
import { brief, Dim, maker } from "./parts";
import { say } from "../words";

function Title() {
  const now = layer.value;
  return (
    <div class="title">
      <p class="which">{now.nth} layer <code><bdi>{now.name}</bdi></code> <Dim>{now.kind}</Dim></p>
      <h1 tabIndex={-1}>{now.title}</h1>
      <p class="answer">{now.answer}</p>
    </div>
  );
}

/** `weights (3,3,32,64) = 18,432 + 64 = 18,496`. */
export function CountLine() {
  const now = layer.value;
  const [first, ...others] = now.weights;
  if (!first) return <p class="count-line">{say(now.rule === "opaque" ? "unknown" : "none")}</p>;
  const rest = others.map((weight) => ` + ${count(weight.count)}`).join("");
  const all = now.weights.reduce((sum, weight) => sum + weight.count, 0);
  return (
    <p class="count-line">
      <Word of="weight">weights</Word> <b>({first.shape.join(",")})</b> = {count(first.count)}{rest}{others.length ? <> = <b>{count(all)}</b></> : null}
      {others.length === 1 && now.rule === "sum" ? <Dim> with one <Word of="bias">bias</Word> per {maker(now)}</Dim> : null}
      {now.shared_with ? <Dim>, those of <bdi>{brief(now.shared_with)}</bdi> and counted there</Dim> : null}
    </p>
  );
}

export function LayerView() {
  return (
    <main>
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
        <Trail />
        <Details />
      </div>
    </main>
  );
}
