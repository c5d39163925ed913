"""Facts: what an explanation consists of, as frozen plain data.

`to_dict()` of every class is the JSON that users can rely on: keys may be added, never renamed.
Inside, terms are arrays; a dictionary is made only when asked for.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from ..layers.reading import FormulaStep, Reading

SCHEMA = 1


def plain(number: float | None) -> float | str | None:
    """A number as JSON can hold it: NaN and infinities are strings."""
    if number is None or math.isfinite(number):
        return number
    if math.isnan(number):
        return "NaN"
    return "Infinity" if number > 0 else "-Infinity"


@dataclass(frozen=True)
class InputFact:
    """Where the input came from: `file`, `sample`, `noise`, `array`; the seed of noise.

    `picture` is the file of the only input where it was used whole, or (`cut`) its middle part of
    the model's proportions: what another preprocessing may start from. It is no part of the JSON.
    """

    source: str
    seed: int | None = None
    remarks: tuple[str, ...] = ()
    picture: Path | None = None
    cut: bool = False

    def to_dict(self) -> dict[str, Any]:
        result: dict[str, Any] = {"source": self.source, "seed": self.seed}
        if self.remarks:
            result["remarks"] = list(self.remarks)
        return result


@dataclass(frozen=True)
class WindowAxis:
    """One axis of what a number reads: unclipped positions and which of them are real.

    `positions` is None where the whole axis of `size` is read.
    """

    name: str
    size: int
    positions: tuple[int, ...] | None
    real: tuple[bool, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "size": self.size,
            "positions": None if self.positions is None else list(self.positions),
        }


@dataclass(frozen=True, eq=False)
class NumberFact:
    """One number of a run as its sum, choice or formula, beside the engine's.

    `value` is activation(pre_activation) where there is an activation, else the reading's own
    value; `difference` is value - engine_value, and |difference| <= tolerance is the invariant.
    `model` is what opens the model again (`opened` false: it is only a name); `axes` and `source_axes` name the axes of its output and
    of its inputs; `windows` is, input by input, what the number reads of it.
    """

    layer: str
    kind: str
    position: int
    at: tuple[int, ...]
    sample: int
    stage: str
    rule: str
    reading: Reading
    value: float
    engine_value: float
    tolerance: float
    pre_activation: float | None
    engine_pre_activation: float | None
    pre_activation_tolerance: float | None
    activation: str | None
    activation_reading: Reading | None
    sources: tuple[str, ...]
    input: InputFact
    weights: str
    seed: int | None = None
    layout: str | None = None
    back: tuple[NumberFact, ...] = ()
    remarks: tuple[str, ...] = ()
    model: str = ""
    opened: bool = True
    sizes: tuple[int, ...] = ()
    axes: tuple[str, ...] = ()
    source_axes: tuple[tuple[str, ...], ...] = ()
    windows_of: Callable[[], tuple[tuple[WindowAxis, ...], ...]] = tuple

    @cached_property
    def windows(self) -> tuple[tuple[WindowAxis, ...], ...]:
        """What the number reads of each input, axis by axis; worked out when it is asked for."""
        return self.windows_of()

    @property
    def difference(self) -> float:
        """value - engine_value; 0 where both are the same infinity or NaN."""
        if self.value == self.engine_value or (
            math.isnan(self.value) and math.isnan(self.engine_value)
        ):
            return 0.0
        return self.value - self.engine_value

    @property
    def holds(self) -> bool:
        """Whether the difference is within the tolerance."""
        return abs(self.difference) <= self.tolerance

    @property
    def bias(self) -> float | None:
        """The bias of a sum, None where there is none."""
        reading = self.reading
        return reading.bias if reading.rule == "sum" and reading.bias_array is not None else None

    @property
    def steps(self) -> tuple[FormulaStep, ...]:
        """The steps of a formula (of the activation, where that is one)."""
        for reading in (self.activation_reading, self.reading):
            if reading is not None and reading.rule == "formula":
                return reading.steps
        return ()

    @property
    def row(self) -> tuple[float, ...] | None:
        """The whole row of a softmax."""
        for reading in (self.activation_reading, self.reading):
            if reading is not None and reading.rule == "formula" and reading.row is not None:
                return reading.row
        return None

    def terms(self) -> list[dict[str, Any]]:
        """Every read: source, input position, array, weight position, x, w, product."""
        result = []
        for block in self.reading.blocks:
            source = None if block.source is None else self.sources[block.source]
            positions = block.index.tolist()
            places = None if block.weight_index is None else block.weight_index.tolist()
            products = block.products.tolist() if self.reading.rule == "sum" else None
            for row, (x, w) in enumerate(zip(block.x.tolist(), block.w.tolist(), strict=True)):
                result.append(
                    {
                        "source": source,
                        "input": positions[row] if block.source is not None else None,
                        "array": block.array,
                        "weight": None if places is None else places[row],
                        "x": plain(x),
                        "w": plain(w) if products is not None else None,
                        "product": plain(products[row]) if products is not None else None,
                    }
                )
        return result

    def to_dict(self) -> dict[str, Any]:
        """The JSON of one number."""
        reading = self.reading
        result: dict[str, Any] = {
            "schema": SCHEMA,
            "layer": self.layer,
            "kind": self.kind,
            "at": list(self.at),
            "sample": self.sample,
            "rule": self.rule,
            "stage": self.stage,
            "value": plain(self.value),
            "engine_value": plain(self.engine_value),
            "difference": plain(self.difference),
            "tolerance": plain(self.tolerance),
            "pre_activation": plain(self.pre_activation),
            "engine_pre_activation": plain(self.engine_pre_activation),
            "pre_activation_tolerance": plain(self.pre_activation_tolerance),
            "activation": self.activation,
            "bias": plain(self.bias),
            "terms": self.terms(),
            "padding_reads": reading.padding_reads,
            "partial_sums": [],
            "steps": [
                {"name": s.name, "expression": s.expression, "value": plain(s.value)}
                for s in self.steps
            ],
            "row": None if self.row is None else [plain(y) for y in self.row],
            "input": self.input.to_dict(),
            "weights": self.weights,
            "weights_seed": self.seed,
            "layout": self.layout,
            "output_sizes": list(self.sizes),
            "axes": list(self.axes),
            "windows": [[axis.to_dict() for axis in axes] for axes in self.windows],
        }
        if reading.rule == "sum":
            result["partial_sums"] = [
                {"channel": channel, "sum": plain(part), "terms": count}
                for channel, part, count in reading.partial_sums()
            ]
            result["divisor"] = reading.divisor
            result["quantities"] = {k: plain(v) for k, v in reading.quantities.items()}
        if reading.rule == "choice":
            winner = reading.winner
            result["winner"] = (
                winner
                if isinstance(winner, str)
                else {
                    "source": self.sources[reading.blocks[winner[0]].source or 0],
                    "input": reading.blocks[winner[0]].index[winner[1]].tolist(),
                }
            )
            result["constants"] = {k: plain(v) for k, v in reading.constants.items()}
        if self.remarks:
            result["remarks"] = list(self.remarks)
        if self.back:
            result["back"] = [fact.to_dict() for fact in self.back]
        return result
