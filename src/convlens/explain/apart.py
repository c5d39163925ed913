"""The maps that a convolution does not make: its partial sums kept apart, and added up again.

A convolution with 32 input maps and 64 filters could make 32*64 = 2,048 maps: that is a depthwise
convolution with depth multiplier 64, on the very same kernel weights. Here both are computed by
the engine on the run's own data, and compared: each 32 of the 2,048 add up to one of the 64.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ..layers.base import Array, Layer, Sizes
from ..layers.reading import SMALLEST, UNIT
from ..model import Call, Graph, Input, Step
from .number import Tensors, binding_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

# What one comparison may hold at once: beyond it fewer filters are compared, and that is said.
MOST_NUMBERS = 1 << 23


@dataclass(frozen=True)
class ApartFact:
    """A convolution beside its maps kept apart.

    `maps` = `input_maps` * `filters`; `weights` is the number of kernel weights of both. `compared`
    filters were computed both ways; `worst` is the largest difference of one number, `bound` the
    rounding bound of that number, and `holds` says whether every number is within its own.
    """

    layer: str
    input_maps: int
    filters: int
    maps: int
    weights: int
    bias: int
    output_shape: Sizes
    apart_shape: Sizes
    compared: int
    numbers: int
    worst: float
    bound: float
    holds: bool

    def to_dict(self) -> dict[str, Any]:
        """The JSON of the comparison."""
        return {
            "layer": self.layer,
            "input_maps": self.input_maps,
            "filters": self.filters,
            "maps": self.maps,
            "kernel_weights": self.weights,
            "bias_weights": self.bias,
            "output_shape": list(self.output_shape),
            "apart_shape": list(self.apart_shape),
            "compared_filters": self.compared,
            "compared_numbers": self.numbers,
            "worst_difference": self.worst,
            "bound": self.bound,
            "holds": self.holds,
        }


def keep_apart(run: Tensors, name: str, sample: int = 0) -> ApartFact | None:
    """The comparison for the call `name`, or None where its layer has no maps to keep apart.

    Bound of one number: both sides round the same terms, in other orders, so each is within
    N*u/(1 - N*u)*S + N*2^-149 of the exact sum (S = sum|term| + |bias|, N terms and the bias); the
    difference is within twice that.
    """
    step = _last_sum(run.graph.call(name))
    shape = run.sizes[step.inputs[0]]
    out = run.sizes[step.outputs[0]]
    layer = step.layer
    if layer.apart(range(1)) is None:
        return None
    last = bool(step.call.channels_last)
    filters, maps = (out[-1] if last else out[0]), (shape[-1] if last else shape[0])
    spatial = math.prod(out) // filters
    compared = max(1, min(filters, MOST_NUMBERS // max(1, spatial * maps)))
    kept = layer.apart(range(compared))
    if kept is None or spatial * maps > MOST_NUMBERS:
        return None
    batched = run.graph.batched[step.inputs[0]]
    arrays, results = run.step(step)
    x = arrays[0][sample : sample + 1] if batched else arrays[0][None]
    made = results[0][sample : sample + 1] if batched else results[0][None]
    bias = _bias(layer)
    exact = _added(_maps(kept, x, last, shape), maps, last)
    magnitude = _added(_maps(_absolute(kept), np.abs(x), last, shape), maps, last)
    exact, magnitude = exact + bias[:compared], magnitude + np.abs(bias[:compared])
    engine = (made if last else np.moveaxis(made, 1, -1))[..., :compared].astype(np.float64)
    terms = _terms(run, step) + 1
    bound = 2 * (terms * UNIT / (1 - terms * UNIT) * magnitude + terms * SMALLEST)
    gap = np.abs(exact - engine)
    worst = np.unravel_index(int(np.argmax(gap)), gap.shape)
    return ApartFact(
        layer=name,
        input_maps=maps,
        filters=filters,
        maps=maps * filters,
        weights=step.layer.weights()[0].count,
        bias=bias.size if len(layer.weights()) > 1 else 0,
        output_shape=out,
        apart_shape=(*out[:-1], maps * filters) if last else (maps * filters, *out[1:]),
        compared=compared,
        numbers=gap.size,
        worst=float(gap[worst]),
        bound=float(bound[worst]),
        holds=bool((gap <= bound).all()),
    )


def _last_sum(call: Call) -> Step:
    """The step whose sums the layer shows: the last before its activation."""
    steps = [step for step in call.steps if step.stage != "activation"]
    return steps[-1]


def _bias(layer: Layer) -> NDArray[np.float64]:
    weights = layer.weights()
    if len(weights) < 2:
        return np.zeros(weights[0].canonical[0])
    return weights[1].view().astype(np.float64)


def _terms(run: Tensors, step: Step) -> int:
    """The terms of one number that touches no padding."""
    binding = binding_of(run, step)
    kernel = step.layer.weights()[0].canonical
    return kernel[1] * math.prod(axis.kernel for axis in binding.axes)


def _absolute(layer: Layer) -> Layer:
    """The same layer with the magnitudes of its kernel weights."""
    from ..layers.weight import given

    kernel = layer.weights()[0]
    changed: Layer = replace(
        layer,  # type: ignore[type-var]
        kernel=replace(kernel, values=given(np.abs(kernel.array()), kernel.values.origin)),
    )
    return changed


def _maps(layer: Layer, x: Array, last: bool, shape: Sizes) -> Array:
    """What the engine makes of `x` with this one layer, channels last."""
    from ..engine import Engine

    entry = Input("x", shape, channels_last=last)
    call = Call("apart", "DepthwiseConv2D", layer, (entry.tensor,), channels_last=last)
    graph = Graph("apart", "keras", (entry,), (call,), (("apart", 0),))
    made = Engine(graph).execute({"x": np.ascontiguousarray(x)}).final()[0]
    return made if last else np.moveaxis(made, 1, -1)


def _added(maps: Array, channels: int, last: bool) -> NDArray[np.float64]:
    """The maps added up over the input maps, in float64: (1, *spatial, filters)."""
    split = maps.reshape(*maps.shape[:-1], channels, -1)
    total: NDArray[np.float64] = split.sum(axis=-2, dtype=np.float64)
    return total
