"""How the page can make a layer's numbers again, found from what the layer itself says.

Links, weights and rule suggest a recipe; the layer's own reading of a few output numbers (corners
and random places) is then the judge. A recipe that reads one other input, or another weight, or
gives another number, is dropped, and the page asks Python instead. Norms and PReLU alone are known
by their class.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ..axis import Axis, AxisReads, Table
from ..errors import ConvlensError
from ..layers.base import Binding, Index, Layer, Link, Sizes
from ..layers.groupnorm import GroupNorm, LayerNorm, RMSNorm
from ..layers.piecewise import PRelu
from ..layers.reading import Choice, Formula, Reading, Sum
from ..layers.weight import Weight
from .schema import (
    Equation,
    FormulaRecipe,
    MergeRecipe,
    NoRecipe,
    Recipe,
    RowRecipe,
    Rows,
    ScatterRecipe,
    WindowRecipe,
)

Array = NDArray[np.float32]
MOST_TABLE = 20_000
MOST_PROBED = 2_000_000
# Layers with more terms a number are judged at two places only.
MANY_TERMS = 400


@dataclass
class Found:
    """A recipe, and the arrays it names: name -> how to get it."""

    recipe: Recipe
    arrays: dict[str, Callable[[], Array]] = field(default_factory=dict)


NOTHING = Found(NoRecipe("none"))


def axis_fact(reads: AxisReads) -> Equation | Rows:
    """One axis as the page gets it. Raises ValueError for a table too large to send."""
    if isinstance(reads, Axis):
        return Equation(
            "equation",
            reads.n_in,
            reads.n_out,
            reads.kernel,
            reads.stride,
            reads.dilation,
            reads.pad,
            reads.up,
        )
    if not isinstance(reads, Table) or reads.n_out * reads.kernel > MOST_TABLE:
        raise ValueError("too large a table")
    rows = []
    for o in range(reads.n_out):
        read = reads.reads(o)
        factors = np.ones(len(read.k)) if read.coefficient is None else read.coefficient
        rows.append(
            tuple(
                (int(k), int(i), float(c)) for k, i, c in zip(read.k, read.i, factors, strict=True)
            )
        )
    return Rows("table", reads.n_in, reads.n_out, reads.kernel, tuple(rows))


def find(
    layer: Layer,
    binding: Binding,
    names: Callable[[str], str],
    judged: dict[str, Found] | None = None,
) -> Found:
    """The recipe of a bound layer; `names` makes the id of one of its arrays.

    `judged` remembers layers without weights: one that is the same in every setting and size is
    not tried again.
    """
    if layer.rule == "opaque":
        return NOTHING
    makers = {"window": _window, "row": _row, "scatter": _scatter, "merge": _merge}
    known = None if layer.weights() or judged is None else f"{layer!r} {binding.input_shapes}"
    if known is not None and ("..." in known or "<" in known):
        known = None  # an array that is cut short, or an object that does not say what it is
    if judged is not None and known in judged:
        return judged[known]
    try:
        found = makers.get(layer.picture, _formula)(layer, binding, names)
    except (ConvlensError, ValueError, NotImplementedError, IndexError, ArithmeticError):
        found = NOTHING
    if judged is not None and known is not None:
        judged[known] = found
    return found


# -- judging ------------------------------------------------------------------------------------


def _places(shape: Sizes, seed: int = 0) -> list[Index]:
    """Output positions to judge by: both corners, the middle, and a few at random."""
    if 0 in shape:
        return []
    rng = np.random.default_rng(seed)
    places = [tuple(0 for _ in shape), tuple(n - 1 for n in shape), tuple(n // 2 for n in shape)]
    places += [tuple(int(rng.integers(n)) for n in shape) for _ in range(3)]
    return list(dict.fromkeys(places))


def _blank(binding: Binding) -> tuple[Array, ...]:
    """Inputs without numbers, for judging positions and weights: no memory is taken."""
    return tuple(np.broadcast_to(np.float32(1), shape) for shape in binding.input_shapes)


def _random(binding: Binding, seed: int = 1) -> tuple[Array, ...]:
    """Inputs of random numbers. Raises ValueError where they would be large."""
    if sum(math.prod(shape) for shape in binding.input_shapes) > MOST_PROBED:
        raise ValueError("too large to try")
    rng = np.random.default_rng(seed)
    return tuple(
        np.asarray(rng.standard_normal(shape), dtype=np.float32) for shape in binding.input_shapes
    )


def _same_terms(reading: Reading, terms: Mapping[tuple[int, Index], float]) -> bool:
    """Whether the reading has exactly these reads, each times this weight."""
    seen: dict[tuple[int, Index], float] = {}
    for block in reading.blocks:
        if block.source is None:
            return False
        for row, w in zip(block.index.tolist(), block.w.tolist(), strict=True):
            seen[(block.source, tuple(row))] = w
    return seen.keys() == terms.keys() and all(
        abs(seen[key] - w) <= 1e-12 * max(1.0, abs(w)) for key, w in terms.items()
    )


# -- windows ------------------------------------------------------------------------------------


def _split(links: tuple[Link, ...], binding: Binding) -> tuple[list[int], int] | None:
    """(spatial axes of the input, its channel axis): the axes that are not plain spatial ones."""
    shape, out = binding.input_shapes[0], binding.output_shapes[0]
    for channel in (len(shape) - 1, 0):
        spatial = [n for n in range(len(shape)) if n != channel]
        bound = [links[n].reads for n in spatial]
        if len(bound) == len(binding.axes) and all(
            a is b or a == b for a, b in zip(bound, binding.axes, strict=True)
        ):
            keeps = len(out) == len(shape)
            if keeps and any(links[n].out != n for n in spatial):
                continue
            return spatial, channel
    return None


def _combos(axes: tuple[AxisReads, ...], position: Index) -> list[tuple[Index, Index, float]]:
    """(k, i, coefficient) of every real read of a position, all axes together."""
    found: list[tuple[Index, Index, float]] = [((), (), 1.0)]
    for axis, o in zip(axes, position, strict=True):
        reads = axis.reads(o)
        factors = np.ones(len(reads.k)) if reads.coefficient is None else reads.coefficient
        found = [
            ((*k0, int(k)), (*i0, int(i)), c0 * float(c))
            for k0, i0, c0 in found
            for k, i, c, real in zip(reads.k, reads.i, factors, reads.real, strict=True)
            if real
        ]
    return found


def _canonical(layer: Layer, binding: Binding, groups: int) -> Callable[[], Array] | None:
    """The kernel as (c_out, c_in/groups, *kernel); None where the layer has none.

    A kernel of transposed axes is stored the other way round: (c_in, c_out/groups, *kernel).
    """
    weights = layer.weights()
    if not weights:
        return None
    kernel = weights[0]
    axis = binding.axes[0]
    if not (isinstance(axis, Axis) and axis.dilation < 0):
        return lambda: kernel.view()

    def turned() -> Array:
        view = kernel.view()
        parts = view.reshape(groups, view.shape[0] // groups, *view.shape[1:]).swapaxes(1, 2)
        return np.ascontiguousarray(parts.reshape(-1, *parts.shape[2:]))

    return turned


def _window(layer: Layer, binding: Binding, names: Callable[[str], str]) -> Found:
    """Convolutions, pools and resizing; borders and slices are scatters."""
    links = layer.links(binding)[0]
    split = _split(links, binding)
    if split is None or len(binding.input_shapes) != 1:
        return _scatter(layer, binding, names)
    spatial, channel = split
    shape, out = binding.input_shapes[0], binding.output_shapes[0]
    channels = shape[channel]
    keeps = len(out) == len(shape)
    filters = out[channel] if keeps else out[0]
    groups = int(layer.quantities().get("groups", channels))
    kernel = _canonical(layer, binding, groups) if layer.rule == "sum" else None
    if kernel is None and layer.rule == "choice" and all(a.kernel == 1 for a in binding.axes):
        return _scatter(layer, binding, names)
    axes = tuple(axis_fact(axis) for axis in binding.axes)
    blank = _blank(binding)
    middle = layer.explain(binding, _places(out)[-1], blank)
    mean = isinstance(middle, Sum) and middle.divisor is not None
    combine: Literal["sum", "max", "mean"] = "sum"
    if kernel is None:
        combine = "mean" if mean else "sum" if layer.rule == "sum" else "max"
    weights = layer.weights()
    arrays: dict[str, Callable[[], Array]] = {}
    if kernel is not None:
        arrays[names("kernel")] = kernel
    if kernel is not None and len(weights) > 1:
        arrays[names("bias")] = weights[1].view
    divisors: tuple[Literal["all", "real"], ...] = ("real", "all") if mean else ("real",)
    for divisor in divisors:
        recipe = WindowRecipe(
            "window",
            axes,
            groups,
            channels,
            filters,
            combine,
            divisor,
            names("kernel") if kernel is not None else None,
            names("bias") if names("bias") in arrays else None,
        )
        judge = _WindowJudge(binding, recipe, kernel, spatial, channel, keeps)
        judged = _places(out)
        if (
            kernel is not None
            and channels // groups * math.prod(a.kernel for a in axes) > MANY_TERMS
        ):
            judged = [judged[0], judged[-1]]
        if all(judge.agrees(layer.explain(binding, at, blank), at) for at in judged):
            return Found(recipe, arrays)
    return NOTHING


@dataclass
class _WindowJudge:
    """The page's own way to the terms of one number, for comparison."""

    binding: Binding
    recipe: WindowRecipe
    kernel: Callable[[], Array] | None
    spatial: list[int]
    channel: int
    keeps: bool

    def agrees(self, reading: Reading, at: Index) -> bool:
        recipe = self.recipe
        f = at[self.channel] if self.keeps else at[0]
        position = tuple(at[n] for n in self.spatial) if self.keeps else (0,) * len(self.spatial)
        combos = _combos(self.binding.axes, position)
        reads = math.prod(
            len(axis.reads(o).k) for axis, o in zip(self.binding.axes, position, strict=True)
        )
        per_group = recipe.channels_in // recipe.groups
        first = f // (recipe.channels_out // recipe.groups) * per_group
        kernel = self.kernel() if self.kernel is not None else None
        divisor = reads if recipe.divisor == "all" else len(combos)
        terms: dict[tuple[int, Index], float] = {}
        for c in range(per_group):
            for k, i, factor in combos:
                place = [0] * (len(self.spatial) + 1)
                place[self.channel] = first + c
                for axis, n in zip(self.spatial, i, strict=True):
                    place[axis] = n
                w = factor / divisor if recipe.combine == "mean" else factor
                if kernel is not None:
                    w = float(kernel[(f, c, *k)])
                terms[(0, tuple(place))] = w
        return _same_terms(reading, terms)


# -- rows, copies, merges -----------------------------------------------------------------------


def _row(layer: Layer, binding: Binding, names: Callable[[str], str]) -> Found:
    """Every output reads the whole last axis."""
    kernel, *rest = layer.weights()
    arrays: dict[str, Callable[[], Array]] = {names("kernel"): kernel.view}
    if rest:
        arrays[names("bias")] = rest[0].view
    recipe = RowRecipe("row", names("kernel"), names("bias") if rest else None)
    view = kernel.view()
    for at in _places(binding.output_shapes[0])[:3]:
        terms = {
            (0, (*at[:-1], n)): float(w) for n, w in enumerate(view[at[-1]].astype(np.float64))
        }
        if not _same_terms(layer.explain(binding, at, _blank(binding)), terms):
            return NOTHING
    return Found(recipe, arrays)


def _source(reading: Reading) -> Index | float | None:
    """The one input position a copy reads, or the constant it is."""
    if not isinstance(reading, Choice):
        return None
    if isinstance(reading.winner, str):
        return reading.value
    block, row = reading.winner
    return tuple(int(n) for n in reading.blocks[block].index[row])


def _scatter(layer: Layer, binding: Binding, names: Callable[[str], str]) -> Found:
    """One read per output: the flat order kept, or one relation per axis."""
    if len(binding.input_shapes) != 1:
        return NOTHING
    shape, out = binding.input_shapes[0], binding.output_shapes[0]
    blank = _blank(binding)
    sources = {at: _source(layer.explain(binding, at, blank)) for at in _places(out)}
    if math.prod(shape) == math.prod(out) and all(
        isinstance(source, tuple)
        and np.ravel_multi_index(source, shape) == np.ravel_multi_index(at, out)
        for at, source in sources.items()
    ):
        return Found(ScatterRecipe("scatter", "reshape", (), (), 0.0))
    links = layer.links(binding)[0]
    fills = [source for source in sources.values() if isinstance(source, float)]
    for at, source in sources.items():
        made: list[int] = []
        for link in links:
            reads = link.reads.reads(0 if link.out is None else at[link.out])
            real = reads.i[reads.real]
            if len(real) == 1:
                made.append(int(real[0]))
        whole = len(made) == len(links)
        if (whole and source != tuple(made)) or (not whole and not isinstance(source, float)):
            return NOTHING
    return Found(
        ScatterRecipe(
            "scatter",
            "axes",
            tuple(link.out for link in links),
            tuple(axis_fact(link.reads) for link in links),
            fills[0] if fills else 0.0,
        )
    )


MergeName = Literal["add", "subtract", "multiply", "average", "maximum", "minimum", "concat"]
MERGES: dict[MergeName, Callable[[list[float]], float]] = {
    "add": math.fsum,
    "subtract": lambda x: x[0] - x[1],
    "multiply": math.prod,
    "average": lambda x: math.fsum(x) / len(x),
    "maximum": max,
    "minimum": min,
}


def _merge(layer: Layer, binding: Binding, names: Callable[[str], str]) -> Found:
    """Several inputs: the operation is the one that gives the layer's own numbers."""
    out = binding.output_shapes[0]
    links = layer.links(binding)
    for axis in range(len(out)):
        if sum(shape[axis] for shape in binding.input_shapes if len(shape) == len(out)) == out[
            axis
        ] and any(
            isinstance(link.reads, Axis) and link.reads.pad
            for source in links
            for link in source
            if link.out == axis
        ):
            return Found(MergeRecipe("merge", "concat", axis))
    inputs = _random(binding)
    readings = [(at, layer.explain(binding, at, inputs)) for at in _places(out)]
    for name, make in MERGES.items():
        if name == "subtract" and len(inputs) != 2:
            continue
        if all(
            math.isclose(reading.value, make(_aligned(inputs, at)), rel_tol=1e-12, abs_tol=1e-300)
            for at, reading in readings
        ):
            return Found(MergeRecipe("merge", name, -1))
    return NOTHING


def _aligned(inputs: tuple[Array, ...], at: Index) -> list[float]:
    """The number of each input that a broadcast output position meets."""
    numbers = []
    for array in inputs:
        tail = at[len(at) - array.ndim :]
        place = tuple(0 if size == 1 else n for n, size in zip(tail, array.shape, strict=True))
        numbers.append(float(array[place]))
    return numbers


# -- formulas -----------------------------------------------------------------------------------


def _sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x)) if x >= 0 else math.exp(x) / (1 + math.exp(x))


def _softplus(x: float) -> float:
    return max(x, 0.0) + math.log1p(math.exp(-abs(x)))


# Klambauer et al., arXiv:1706.02515, section 2.
SELU = (1.0507009873554805, 1.6732632423543772)
# The functions that the page knows; `p` are numbers found by trying the layer at -1 and -40.
FUNCTIONS: dict[str, Callable[[float, float], float]] = {
    "linear": lambda x, p: x,
    "leaky_relu": lambda x, p: x if x >= 0 else p * x,
    "sigmoid": lambda x, p: _sigmoid(x),
    "tanh": lambda x, p: math.tanh(x),
    "silu": lambda x, p: x * _sigmoid(x),
    "softplus": lambda x, p: _softplus(x),
    "softsign": lambda x, p: x / (1 + abs(x)),
    "elu": lambda x, p: x if x > 0 else p * math.expm1(x),
    "exponential": lambda x, p: math.exp(x),
    "hard_sigmoid": lambda x, p: min(1.0, max(0.0, x / 6 + 0.5)),
    "hard_silu": lambda x, p: x * min(1.0, max(0.0, x / 6 + 0.5)),
    "mish": lambda x, p: x * math.tanh(_softplus(x)),
    "gelu": lambda x, p: x * math.erfc(-x / math.sqrt(2)) / 2,
    "gelu_tanh": lambda x, p: x * _sigmoid(math.sqrt(8 / math.pi) * (x + 0.044715 * x**3)),
    "selu": lambda x, p: SELU[0] * (x if x > 0 else SELU[1] * math.expm1(x)),
    "celu": lambda x, p: x if x > 0 or not p else p * math.expm1(x / p),
    "log_sigmoid": lambda x, p: -_softplus(-x),
    "erf": lambda x, p: math.erf(x),
}
TRIED = (-7.5, -2.25, -1.0, -0.40625, -0.0625, 0.0, 0.125, 0.5, 1.0, 2.75, 6.5)


def _formula(layer: Layer, binding: Binding, names: Callable[[str], str]) -> Found:
    """Batch norm, softmax, and functions of one number."""
    if len(binding.input_shapes) != 1 or binding.input_shapes != binding.output_shapes:
        return NOTHING
    if layer.rule == "sum":
        return _batch_norm(layer, binding, names)
    links = layer.links(binding)[0]
    rows = [n for n, link in enumerate(links) if link.out is None]
    if isinstance(layer, LayerNorm | RMSNorm | GroupNorm):
        return _norm(layer, binding, names)
    if isinstance(layer, PRelu):
        return _prelu(layer, binding, names)
    if len(rows) == 1:
        return _softmax(layer, binding, rows[0])
    return _elementwise(layer) if not rows and not layer.weights() else NOTHING


def _norm(
    layer: LayerNorm | RMSNorm | GroupNorm, binding: Binding, names: Callable[[str], str]
) -> Found:
    """Norms by measured statistics: epsilon, maps in a group, and the axes a group takes whole.

    `axis` is the channels'; `width` 1 means that a group stays in its map.
    """
    shape = binding.input_shapes[0]
    if isinstance(layer, GroupNorm):
        name, channel = "group_norm", len(shape) - 1 if layer.channels_last else 0
        width, over = shape[channel] // layer.groups, [n for n in range(len(shape)) if n != channel]
    else:
        name, channel, width = "layer_norm", len(shape) - 1, 0
        over = sorted(axis % len(shape) for axis in layer.axes)
        if isinstance(layer, RMSNorm):
            name = "rms_norm"
        elif not layer.subtract:
            return NOTHING
    arrays = {
        names(role): weight.view
        for role in ("gamma", "beta")
        if (weight := getattr(layer, role, None)) is not None
    }
    named = tuple(
        names(role) if getattr(layer, role, None) is not None else None
        for role in ("gamma", "beta")
    )
    numbers = (float(layer.epsilon), float(width), *map(float, over))
    return Found(FormulaRecipe("formula", name, channel, numbers, named, ""), arrays)


def _prelu(layer: PRelu, binding: Binding, names: Callable[[str], str]) -> Found:
    """x, or below 0 x times the slope of its position: alpha broadcasts to the input."""
    written = "x if x > 0 else slope * x"
    recipe = FormulaRecipe("formula", "prelu", -1, (), (names("alpha"),), written)
    return Found(
        recipe, {names("alpha"): lambda: layer.alpha.view().reshape(layer.alpha.canonical)}
    )


def _elementwise(layer: Layer) -> Found:
    """The function of one number that agrees with the layer at every number tried."""
    binding = layer.bind(((1,),))

    def at(x: float) -> Reading:
        return layer.explain(binding, (0,), (np.array([x], np.float32),))

    first = at(0.5)
    if isinstance(first, Choice):
        limits = (first.constants.get("low"), first.constants.get("high"))
        low, high = limits
        made = {
            x: min(max(x, -math.inf if low is None else low), math.inf if high is None else high)
            for x in TRIED
        }
        if set(first.constants) <= {"low", "high"} and _gives(at, made):
            name = "relu" if limits == (0.0, None) else "clip" if first.constants else "linear"
            return Found(FormulaRecipe("formula", name, -1, limits, (), ""))
        return NOTHING
    written = first.steps[-1].expression if isinstance(first, Formula) and first.steps else ""
    for parameter in (-at(-1.0).value, -at(-40.0).value):
        for name, function in FUNCTIONS.items():
            if _gives(at, {x: function(x, parameter) for x in TRIED}):
                return Found(FormulaRecipe("formula", name, -1, (parameter,), (), written))
    return NOTHING


def _gives(at: Callable[[float], Reading], made: Mapping[float, float]) -> bool:
    """Whether the layer gives these numbers for these inputs."""
    return all(math.isclose(at(x).value, y, rel_tol=1e-9, abs_tol=1e-12) for x, y in made.items())


def _softmax(layer: Layer, binding: Binding, axis: int) -> Found:
    """exp(x - max) / sum over one axis, if that is what the layer gives."""
    (x,) = _random(binding)
    at = _places(binding.output_shapes[0])[-1]
    row = x[tuple(slice(None) if n == axis else place for n, place in enumerate(at))]
    powers = np.exp(row.astype(np.float64) - float(row.max()))
    share = float(powers[at[axis]]) / math.fsum(powers.tolist())
    if not math.isclose(layer.explain(binding, at, (x,)).value, share, rel_tol=1e-12):
        return NOTHING
    return Found(FormulaRecipe("formula", "softmax", axis, (), (), "exp(x - max) / total"))


def _batch_norm(layer: Layer, binding: Binding, names: Callable[[str], str]) -> Found:
    """x*g/s - mean*g/s + beta with four arrays along one axis."""
    quantities: dict[str, Any] = layer.quantities()
    if "epsilon" not in quantities:
        return NOTHING
    shape = binding.input_shapes[0]
    axis = int(quantities.get("axis", -1)) % len(shape)
    epsilon = float(quantities["epsilon"])
    # By what the layer does with them: a file may call them anything.
    roles: dict[str, Weight | None] = {
        role: getattr(layer, role, None) for role in ("gamma", "beta", "mean", "variance")
    }
    for at in _places(binding.output_shapes[0]):
        reading = layer.explain(binding, at, _blank(binding))
        if not isinstance(reading, Sum):
            return NOTHING
        held = {
            role: float(weight.view()[at[axis]]) if weight is not None else default
            for (role, weight), default in zip(roles.items(), (1.0, 0.0, 0.0, 1.0), strict=True)
        }
        scale = held["gamma"] / math.sqrt(held["variance"] + epsilon)
        expected = [1.0 * scale, -scale * held["mean"]]
        products = [float(p) for block in reading.blocks for p in block.products]
        if products != expected or reading.bias != held["beta"]:
            return NOTHING
    arrays = {names(role): weight.view for role, weight in roles.items() if weight is not None}
    named = tuple(names(role) if weight is not None else None for role, weight in roles.items())
    return Found(FormulaRecipe("formula", "batch_norm", axis, (epsilon,), named, ""), arrays)
