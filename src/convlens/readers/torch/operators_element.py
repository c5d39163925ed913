"""ATen operators that work number by number: activations, arithmetic, softmax."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

from ...layers import (
    activate,
    arithmetic,
    cast,
    functions,
    merge,
    operand,
    piecewise,
    scale,
    softmax,
    trigonometry,
    weighted,
    where,
)
from ...layers.base import Layer
from ...layers.weight import Weight
from .nodes import Ref
from .operators import OPERATORS, operator
from .site import Made, NotOurs, Site, number

# Activations without settings, under their names in ATen.
PLAIN: dict[str, Callable[[], Layer]] = {
    "relu": activate.Clip,
    "relu6": lambda: activate.Clip(0.0, 6.0),
    "sigmoid": functions.Sigmoid,
    "tanh": functions.Tanh,
    "silu": functions.Silu,
    "mish": functions.Mish,
    "selu": functions.Selu,
    "softsign": functions.Softsign,
    "log_sigmoid": functions.LogSigmoid,
    "hardsigmoid": piecewise.HardSigmoid,
    "hardswish": piecewise.HardSilu,
    "exp": functions.Exponential,
    "erf": functions.Erf,
    "sqrt": arithmetic.SquareRoot,
    "log": arithmetic.Logarithm,
    "reciprocal": arithmetic.Reciprocal,
    "abs": arithmetic.Absolute,
    "absolute": arithmetic.Absolute,
    "neg": arithmetic.Negative,
    "log2": lambda: arithmetic.Logarithm(2.0),
    "log10": lambda: arithmetic.Logarithm(10.0),
    "log1p": arithmetic.Log1p,
    "expm1": arithmetic.Expm1,
    "exp2": lambda: arithmetic.NumberToThe(2.0),
    "special_exp2": lambda: arithmetic.NumberToThe(2.0),
    "sin": trigonometry.Sine,
    "cos": trigonometry.Cosine,
    "tan": trigonometry.Tangent,
    "asin": trigonometry.ArcSine,
    "acos": trigonometry.ArcCosine,
    "atan": trigonometry.ArcTangent,
    "sinh": trigonometry.HyperbolicSine,
    "cosh": trigonometry.HyperbolicCosine,
    "asinh": trigonometry.AreaSine,
    "acosh": trigonometry.AreaCosine,
    "atanh": trigonometry.AreaTangent,
    "arcsin": trigonometry.ArcSine,
    "arccos": trigonometry.ArcCosine,
    "arctan": trigonometry.ArcTangent,
    "trunc": arithmetic.Truncate,
    "fix": arithmetic.Truncate,
    "floor": arithmetic.Floor,
    "ceil": arithmetic.Ceiling,
    "sign": arithmetic.Sign,
    "positive": activate.Identity,
    "rsqrt": lambda: arithmetic.Power(-0.5),
    "square": lambda: arithmetic.Power(2.0),
    "alias": activate.Identity,
    "clone": activate.Identity,
    "contiguous": activate.Identity,
    "detach": activate.Identity,
    "lift_fresh_copy": activate.Identity,
}


@operator(*PLAIN)
def _plain(site: Site) -> Made:
    layer = PLAIN[site.node.operator.partition(".")[0].rstrip("_")]()
    return Made(layer, (site.data("self", "input"),))


@operator("round")
def _rounded(site: Site) -> Made:
    if site.get("decimals", 0):
        raise NotOurs("it rounds to a decimal place")
    return Made(cast.RoundEven(), (site.data("self"),))


@operator("to", "_to_copy", "type_as")
def _converted(site: Site) -> Made:
    x = site.data("self", "input")
    made = site.state.program.dtypes.get(site.node.outputs[0], "float32")
    if not made.startswith(("float", "bfloat", "half")):
        raise NotOurs(f"it converts numbers to {made}")
    return Made(activate.Identity(), (x,))


@operator("hardtanh", "clamp", "clip")
def _clip(site: Site) -> Made:
    hard = site.node.operator.startswith("hardtanh")
    low = site.get("min_val", -1.0) if hard else site.get("min")
    high = site.get("max_val", 1.0) if hard else site.get("max")
    limits = [None if limit is None else number(limit) for limit in (low, high)]
    return Made(activate.Clip(*limits), (site.data("self"),))


@operator("clamp_min", "clamp_max")
def _one_limit(site: Site) -> Made:
    word = "min" if site.node.operator.startswith("clamp_min") else "max"
    x = site.data("self")
    if site.is_weight(word):
        weight = _laid(site, word, x)
        larger = operand.StoredMaximum if word == "min" else operand.StoredMinimum
        return Made(larger(weight), (x,))
    if word == "min":
        return Made(activate.Clip(number(site.get("min")), None), (x,))
    return Made(activate.Clip(None, number(site.get("max"))), (site.data("self"),))


@operator("leaky_relu")
def _leaky(site: Site) -> Made:
    slope = number(site.get("negative_slope", 0.01))
    return Made(piecewise.LeakyRelu(slope), (site.data("self"),))


@operator("rrelu")
def _random_leaky(site: Site) -> Made:
    if site.get("training", False):
        raise NotOurs("it draws its slopes, as in training")
    slope = (site.get("lower", 1 / 8) + site.get("upper", 1 / 3)) / 2
    return Made(piecewise.LeakyRelu(slope), (site.data("self"),))


@operator("elu")
def _elu(site: Site) -> Made:
    if site.get("scale", 1) != 1 or site.get("input_scale", 1) != 1:
        raise NotOurs("it scales its input or output")
    return Made(functions.Elu(number(site.get("alpha", 1.0))), (site.data("self"),))


@operator("celu")
def _celu(site: Site) -> Made:
    return Made(functions.Celu(number(site.get("alpha", 1.0))), (site.data("self"),))


@operator("gelu")
def _gelu(site: Site) -> Made:
    exact = site.get("approximate", "none") == "none"
    return Made(functions.Gelu() if exact else functions.GeluTanh(), (site.data("self"),))


# From here on the number itself and its softplus are one float32.
STRAIGHT = 16.0


@operator("softplus")
def _softplus(site: Site) -> Made:
    threshold = number(site.get("threshold", 20.0))
    if threshold < STRAIGHT:
        raise NotOurs(f"its curve jumps to a straight line at {threshold:g}")
    return Made(functions.Softplus(number(site.get("beta", 1.0))), (site.data("self"),))


@operator("hardshrink")
def _hard_shrink(site: Site) -> Made:
    return Made(piecewise.HardShrink(number(site.get("lambd", 0.5))), (site.data("self"),))


@operator("softshrink")
def _soft_shrink(site: Site) -> Made:
    return Made(piecewise.SoftShrink(number(site.get("lambd", 0.5))), (site.data("self"),))


@operator("threshold")
def _threshold(site: Site) -> Made:
    layer = piecewise.Threshold(number(site.get("threshold")), number(site.get("value")))
    return Made(layer, (site.data("self"),))


@operator("prelu", "_prelu_kernel")
def _prelu(site: Site) -> Made:
    x = site.data("self")
    rank = len(site.sample(x))
    weight = site.node.arguments["weight"]
    count = site.state.program.stored.get(getattr(weight, "name", ""))
    size = count.shape[0] if count is not None and count.shape else 1
    canonical = (size,) + (1,) * (rank - 1) if len(getattr(count, "shape", ())) <= 1 else ()
    alpha = site.weight("weight", ("channel",), canonical=canonical)
    return Made(piecewise.PRelu(alpha), (x,))


@operator("softmax", "_softmax", "_safe_softmax", "weights")
def _softmax(site: Site) -> Made:
    x = site.data("self")
    empty = site.get("empty", site.node.operator.startswith("_safe"))
    return Made(softmax.Softmax(site.axis(site.get("dim"), x), empty), (x,))


@operator("log_softmax", "_log_softmax")
def _log_softmax(site: Site) -> Made:
    x = site.data("self")
    return Made(softmax.LogSoftmax(site.axis(site.get("dim"), x)), (x,))


@operator("glu")
def _glu(site: Site) -> Made:
    x = site.data("self")
    return Made(softmax.Glu(site.axis(site.get("dim", -1), x)), (x,))


@operator("pow")
def _power(site: Site) -> Made:
    if isinstance(site.get("self"), (int, float)):
        return Made(arithmetic.NumberToThe(number(site.get("self"))), (site.data("exponent"),))
    if not site.is_weight("exponent") and isinstance(site.get("exponent"), Ref):
        raise NotOurs("its exponent is computed while the network runs")
    if site.is_weight("exponent"):
        x = site.data("self")
        return Made(operand.StoredPower(_laid(site, "exponent", x)), (x,))
    return Made(arithmetic.Power(number(site.get("exponent"))), (site.data("self"),))


MERGES: dict[str, Callable[[], Layer]] = {
    "add": merge.Add,
    "biased": merge.Add,
    "sub": merge.Subtract,
    "mul": merge.Multiply,
    "scaled": merge.Multiply,
    "div": merge.Divide,
    "true_divide": merge.Divide,
    "maximum": merge.Maximum,
    "minimum": merge.Minimum,
}


# Other names of theirs; `max` and `min` come here with two tensors only.
SAME = {
    "true_divide": "div",
    "max": "maximum",
    "min": "minimum",
    "scaled": "mul",  # steps of attention
    "biased": "add",
}


@operator(*MERGES)
def _binary(site: Site) -> Made:
    word = site.node.operator.partition(".")[0].rstrip("_")
    word = SAME.get(word, word)
    one, other = site.get("self"), site.get("other")
    if site.given("rounding_mode"):
        return OPERATORS["floor_divide"](site)
    alpha = number(site.get("alpha", 1))
    if alpha != 1:
        return _with_factor(site, -alpha if word == "sub" else alpha)
    for first, second, turned in ((one, other, False), (other, one, True)):
        if not isinstance(first, Ref) or first.name in site.state.program.stored:
            continue
        if isinstance(second, (int, float)):
            return Made(_with_number(word, number(second), turned), (site.checked(first.name),))
        if isinstance(second, Ref) and second.name in site.state.program.stored:
            place = "self" if turned else "other"
            layer = _with_stored(site, word, place, first.name, turned)
            return Made(layer, (site.checked(first.name),))
    return Made(MERGES[word](), (site.data("self"), site.data("other")))


def _with_factor(site: Site, factor: float) -> Made:
    """The first tensor and so many times the second (`add` with alpha)."""
    one, other = site.get("self"), site.get("other")
    if isinstance(other, (int, float)):
        return Made(scale.Rescaling(1.0, factor * number(other)), (site.data("self"),))
    if site.is_weight("self") or site.is_weight("other"):
        raise NotOurs("it scales a parameter")
    if not isinstance(one, Ref):
        raise NotOurs("it scales one of its inputs")
    return Made(weighted.WeightedAdd((1.0, factor)), (site.data("self"), site.data("other")))


@operator("rsub")
def _turned_difference(site: Site) -> Made:
    if site.get("alpha", 1) != 1:
        raise NotOurs("it scales one of its inputs")
    layer = scale.Rescaling(-1.0, number(site.get("other")))
    return Made(layer, (site.data("self"),))


@operator("addcmul")
def _scaled_and_added(site: Site) -> Made:
    """self + value * tensor1 * tensor2, where all but one of the three are stored."""
    if site.get("value", 1) != 1:
        raise NotOurs("it scales one of its inputs")
    for scale_at, data_at in (("tensor1", "tensor2"), ("tensor2", "tensor1")):
        if site.is_weight("self") and site.is_weight(scale_at):
            x = site.data(data_at)
            weights = _laid(site, scale_at, x), _laid(site, "self", x)
            return Made(scale.Affine(*weights), (x,))
    raise NotOurs("it multiplies and adds numbers that are computed while the network runs")


def _with_number(word: str, value: float, turned: bool) -> Layer:
    """x and one number: scale*x + offset, a quotient, or a limit."""
    if word == "add":
        return scale.Rescaling(1.0, value)
    if word == "sub":
        return scale.Rescaling(-1.0, value) if turned else scale.Rescaling(1.0, -value)
    if word == "mul":
        return scale.Rescaling(value, 0.0)
    if word == "div" and not turned and value and math.isfinite(1 / value):
        return scale.Rescaling(1 / value, 0.0)
    if word == "div" and turned:
        return arithmetic.Reciprocal() if value == 1 else operand.NumberOver(value)
    if word in ("maximum", "minimum"):
        return activate.Clip(value, None) if word == "maximum" else activate.Clip(None, value)
    raise NotOurs(f"it divides by {value:g}")


def _with_stored(site: Site, word: str, place: str, x: str, turned: bool) -> Layer:
    """x and a parameter, broadcast."""
    weight = _laid(site, place, x)
    sample = site.sample(x)
    tail = sample[len(sample) - len(weight.canonical) :]
    signs: dict[str, Literal["+", "-", "*", "/"]] = {"add": "+", "sub": "-", "mul": "*", "div": "/"}
    if word in signs and any(a == 1 < b for a, b in zip(tail, weight.canonical, strict=True)):
        parts = (weight, None) if turned else (None, weight)
        return where.Arithmetic(signs[word], parts)
    if word == "mul":
        return scale.Affine(scale=weight)
    if word == "add":
        return scale.Affine(offset=weight)
    if word == "sub":
        return operand.StoredDifference(weight, turned)
    if word == "div":
        return operand.StoredQuotient(weight, turned)
    if word == "maximum":
        return operand.StoredMaximum(weight)
    if word == "minimum":
        return operand.StoredMinimum(weight)
    raise NotOurs(f"it works on a parameter by `{word}`")


def _laid(site: Site, place: str, x: str) -> Weight:
    """The parameter at an argument in the shape in which it meets a sample of `x`."""
    return site.stored_sample(site.get(place), max(len(site.sample(x)), len(site.made_sample())))
