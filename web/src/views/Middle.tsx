// How one number is made, in the picture that belongs to its layer.

import { inside } from "../data/makers";
import { say } from "../words";
import { layer, facts } from "../state";
import { SumMiddle } from "./SumMiddle";
import { PoolMiddle } from "./PoolMiddle";
import { StepsMiddle } from "./StepsMiddle";

export function Middle({ narrow, missing }: { narrow: boolean; missing: boolean }) {
  const now = layer.value;
  const made = facts.value;
  const recipe = inside(now);
  if (missing && !made) {
    return (
      <div class="middle">
        <p class="note">{now.left_out ?? say("absent")}</p>
      </div>
    );
  }
  if (!made && recipe.form === "none") return <StepsMiddle />;
  if (!made) return <div class="middle"><p class="dim">{say("reading")}</p></div>;
  if (recipe.form === "row" || (recipe.form === "window" && recipe.combine === "sum")) {
    return <SumMiddle facts={made} narrow={narrow} />;
  }
  // A resize that takes the nearest cell is a copy, no pool.
  if ((recipe.form === "gather" && !recipe.reads[1]) || (recipe.form === "window" && now.knobs?.form !== "resize")) return <PoolMiddle facts={made} />;
  return <StepsMiddle />;
}
