"""The model, its runs and its explanations, as users hold them. Thin: each call is handed on."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import numpy as np

from .errors import ArgumentError
from .explain.facts import InputFact
from .layers.base import Array, Shape
from .model import Graph, TensorId, given_shapes

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .engine import Engine, Execution
    from .explain.summary import SummaryFact

NOISE_SEED = 0
Style = str
Source = Any
# One shape without the batch axis (the first input's), or one for each input by name.
InputShape = Sequence[Any] | Mapping[str, Sequence[Any]]


def load(
    source: Source,
    *,
    input_shape: InputShape | None = None,
    architecture: Any = None,
    example: Any = None,
) -> Model:
    """Open a model: a file, a live Keras model, a torch.nn.Module, an onnx.ModelProto, a built-in.

    `input_shape` leaves the batch axis out; a PyTorch module needs it (a list of shapes for several
    inputs) or an `example` (tensors, batch first), other models take it where they leave sizes
    open (several inputs: a mapping from input names to shapes). `architecture` gives weights-only files theirs.
    Raises ModelError for what cannot be read.
    """
    from . import samples

    # A model of convlens.keras carries its own.
    source = getattr(source, "convlens", source)
    if isinstance(source, Model):
        return source if input_shape is None else Model(source.graph, input_shape=input_shape)
    if isinstance(source, str) and source in samples.NAMES:
        return Model(samples.graph(source), input_shape=input_shape)
    from .readers import read

    graph = read(source, input_shape=input_shape, architecture=architecture, example=example)
    # PyTorch records a module at one size, so that its graph leaves none open.
    return Model(graph, input_shape=None if graph.framework == "torch" else input_shape)


class Model:
    """A model that can be summarised, run and explained.

    Shapes given here leave the batch axis out. `input_shape` fills in sizes that the model leaves
    open.
    """

    def __init__(self, graph: Graph, *, input_shape: InputShape | None = None) -> None:
        self.graph = graph
        self.input_shape_given = input_shape

    @property
    def name(self) -> str:
        """The model's name."""
        return self.graph.name

    def __repr__(self) -> str:
        return f"<convlens model {self.name}, {len(self.graph.calls)} layers>"

    def _repr_html_(self) -> str:
        return self.describe()._repr_html_()

    @cached_property
    def engine(self) -> Engine:
        """What runs it."""
        from .engine import Engine

        return Engine(self.graph)

    # -- facts ----------------------------------------------------------------------------------

    def describe(self, input_shape: InputShape | None = None) -> Summary:
        """The summary as facts: its rows and totals, `to_dict()`; print() shows the table."""
        from .explain.summary import summarise

        return Summary(summarise(self.graph, self._shapes(input_shape)))

    def summary(
        self,
        *,
        style: Style = "convlens",
        input_shape: InputShape | None = None,
        file: TextIO | None = None,
    ) -> None:
        """Print the table; `style` is `convlens`, `keras` or `classic`."""
        from .render.summary import summary_text

        facts = self.describe(input_shape).facts
        print(summary_text(facts, style=style), file=file or sys.stdout)

    def _shapes(self, input_shape: InputShape | None = None) -> dict[str, Shape]:
        """Input shapes with the sizes that were given filled in."""
        own: dict[str, Shape] = {spec.name: spec.shape for spec in self.graph.inputs}
        given = given_shapes(
            self.input_shape_given if input_shape is None else input_shape, list(own), self.name
        )
        for name, shape in given.items():
            clash = len(shape) != len(own[name]) or any(
                want not in (None, size) for size, want in zip(shape, own[name], strict=True)
            )
            if clash and own[name]:
                raise ArgumentError(
                    "the input shape does not fit the model",
                    where=self.name if len(own) == 1 else f"{self.name}, input `{name}`",
                    given=str(shape),
                    needed=str(own[name]),
                    hint="sizes shown as None may be chosen; leave the batch axis out",
                )
        return {**own, **given}

    # -- running --------------------------------------------------------------------------------

    def run(
        self, x: Any = None, *, resize: bool = False, crop: bool = False, budget: int | None = None
    ) -> Run:
        """Run on an array, a picture's path, a mapping by input name, or (None) the default input.

        One sample or a batch. The default is a built-in's own picture, else seeded noise; the run
        says which. Pictures are scaled to the model's size only with `resize`, and their middle is
        cut out only with `crop`. `budget` is how many bytes of tensors are kept.
        """
        from .engine import DEFAULT_BUDGET

        feeds, origin = self.feeds(x, resize=resize, crop=crop)
        return Run(self, self.engine.execute(feeds, budget or DEFAULT_BUDGET), origin)

    def feeds(
        self, x: Any = None, *, resize: bool = False, crop: bool = False
    ) -> tuple[dict[str, Array], InputFact]:
        """The arrays for every input, with their batch axes, and where they come from."""
        from .inputs import prepare

        shapes = self._shapes()
        return prepare(self.graph, x, shapes, seed=NOISE_SEED, resize=resize, crop=crop)

    def predict(self, x: Any, batch_size: int = 32) -> Any:
        """The model's outputs for a whole batch, `batch_size` samples at a time.

        An array for a model of one output, else a list of them. Only one part of the batch at a
        time is turned into float32 and run.
        """
        from .inputs import parts

        pieces = []
        for part in parts(self.graph, x, batch_size):
            execution = self.engine.execute(self.feeds(part)[0])
            pieces.append(execution.final())
        columns = zip(self.graph.outputs, zip(*pieces, strict=True), strict=True)
        whole = [execution.own(tensor, np.concatenate(column)) for tensor, column in columns]
        return whole[0] if len(whole) == 1 else whole

    # -- explaining -----------------------------------------------------------------------------

    def explain(
        self,
        layer: str | None = None,
        at: int | Sequence[int] | None = None,
        input: Any = None,
        *,
        stage: str | None = None,
        sample: int = 0,
        depth: int = 0,
    ) -> Explanation:
        """A layer, or with `at` one number of it as its sum, choice or formula."""
        return self.run(input).explain(layer, at, stage=stage, sample=sample, depth=depth)

    def export(self, path: str | Path, *, input: Any = None, **options: Any) -> Path:
        """Write the interactive page as one offline HTML file."""
        return self.run(input).export(path, **options)

    def save(self, path: str | Path) -> Path:
        """Write the model as `.onnx` or `.keras`. Raises ArgumentError for another ending."""
        from .writers import write

        return write(self.graph, Path(path))

    def to_keras(self) -> Any:
        """A live keras.Model with the same layers and numbers, to train it in Keras.

        Raises MissingDependency without Keras, ModelError for what Keras' words cannot say.
        """
        from .writers.keras_file import to_keras

        return to_keras(self.graph)


class Run:
    """One execution on one input.

    `run["conv"]` is the output of the call, batch axis kept, in the model's own layout;
    `run["conv", "pre_activation"]` is before its activation; `run["sep", "depthwise"]` a stage;
    `run["split", 1]` a further output.
    """

    def __init__(self, model: Model, execution: Execution, origin: InputFact) -> None:
        self.model = model
        self.execution = execution
        self.origin = origin

    def __repr__(self) -> str:
        return f"<run of {self.model.name} on {self.origin.source}>"

    def __getitem__(self, key: str | tuple[str, str | int]) -> NDArray[np.float32]:
        return self._own(self.tensor(key))

    def _own(self, tensor: TensorId) -> NDArray[np.float32]:
        return self.execution.own(tensor, self.execution.tensor(tensor))

    def tensor(self, key: str | tuple[str, str | int]) -> TensorId:
        """The tensor that a key names. Raises UnknownLayer or ArgumentError."""
        name, part = key if isinstance(key, tuple) and len(key) == 2 else (_layer_name(key), 0)
        graph = self.model.graph
        if any(spec.name == name for spec in graph.inputs):
            return (name, 0)
        call = graph.call(name)
        made: list[str | int] = [tensor[1] for step in call.steps for tensor in step.outputs]
        if part in made:
            return (name, part)
        if part == "pre_activation":
            return (name, 0)
        raise ArgumentError(
            f"`{name}` has no tensor `{part}`",
            given=str(part),
            needed=f"one of {', '.join(map(str, made))}",
        )

    @property
    def output(self) -> Any:
        """The model's output, or a list of them."""
        outputs = [self._own(tensor) for tensor in self.model.graph.outputs]
        return outputs[0] if len(outputs) == 1 else outputs

    def explain(
        self,
        layer: str | None = None,
        at: int | Sequence[int] | None = None,
        *,
        stage: str | None = None,
        sample: int = 0,
        depth: int = 0,
        output: int = 0,
    ) -> Explanation:
        """A layer, or with `at` one number of it."""
        from .explain.layer import default_layer, explain_layer
        from .explain.number import explain_number

        name = default_layer(self.model.graph) if layer is None else _layer_name(layer)
        if at is None:
            return Explanation(explain_layer(self.execution, name, self.origin))
        place = _place(at)
        fact = explain_number(
            self.execution,
            name,
            place,
            self.origin,
            stage=stage,
            sample=sample,
            depth=depth,
            output=output,
        )
        return Explanation(fact)

    def export(self, path: str | Path, **options: Any) -> Path:
        """Write the interactive page of this run as one offline HTML file."""
        from .page import export
        from .page.gallery import surroundings

        return export(self, Path(path), around=surroundings(self), **options)


def _layer_name(layer: Any) -> str:
    """A layer's name. Raises ArgumentError for what is no text."""
    if isinstance(layer, str):
        return layer
    raise ArgumentError(
        "a layer is named by its name",
        given=repr(layer)[:80],
        needed="a name, as model.summary() lists them, or (name, part)",
    )


def _place(at: int | Sequence[int]) -> tuple[int, ...]:
    """A position as a tuple of whole numbers. Raises ArgumentError."""
    given = np.atleast_1d(np.asarray(at))
    if (
        any(isinstance(n, bool) for n in np.ravel(np.array(at, dtype=object)))
        or given.ndim > 1
        or (given.size and not np.issubdtype(given.dtype, np.integer))
    ):
        raise ArgumentError(
            "a position is whole numbers", given=f"at={at!r}", needed="at=(5, 7, 12)"
        )
    return tuple(int(n) for n in given)


class Explanation:
    """Facts that can be printed, shown in a notebook and turned into JSON."""

    def __init__(self, facts: Any) -> None:
        self.facts = facts

    def to_dict(self) -> dict[str, Any]:
        """The JSON that `--json` prints."""
        result: dict[str, Any] = self.facts.to_dict()
        return result

    def __str__(self) -> str:
        from .render.text import explanation_text

        return explanation_text(self.facts)

    def _repr_html_(self) -> str:
        from .render.html import explanation_html

        return explanation_html(self.facts)

    def __repr__(self) -> str:
        return str(self)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        """Text and HTML for notebooks, made from the same facts."""
        return {"text/plain": str(self), "text/html": self._repr_html_()}

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self.facts, name)


class Summary(Explanation):
    """The facts of a whole model; print() shows its table."""

    facts: SummaryFact

    def __str__(self) -> str:
        from .render.summary import summary_text

        return summary_text(self.facts)

    def _repr_html_(self) -> str:
        from .render.html import summary_html

        return summary_html(self.facts)
