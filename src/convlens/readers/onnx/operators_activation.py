"""Operators that are one function of one number: activations, powers, logarithms, angles."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ...layers.arithmetic import (
    Absolute,
    Ceiling,
    Floor,
    Logarithm,
    Negative,
    NumberToThe,
    Power,
    Reciprocal,
    Sign,
    SquareRoot,
)
from ...layers.base import Layer
from ...layers.cast import RoundEven
from ...layers.functions import (
    Celu,
    Elu,
    Erf,
    Exponential,
    Gelu,
    GeluTanh,
    Mish,
    Selu,
    Sigmoid,
    Silu,
    Softplus,
    Softsign,
    Tanh,
)
from ...layers.operand import StoredPower
from ...layers.piecewise import (
    HardShrink,
    HardSigmoid,
    HardSilu,
    LeakyRelu,
    PRelu,
    SoftShrink,
    Threshold,
)
from ...layers.trigonometry import (
    ArcCosine,
    ArcSine,
    ArcTangent,
    AreaCosine,
    AreaSine,
    AreaTangent,
    Cosine,
    HyperbolicCosine,
    HyperbolicSine,
    Sine,
    Tangent,
)
from .fused import MICROSOFT
from .operators import builds
from .site import Made, NotOurs, Site, floating


def _number(site: Site, word: str, default: float) -> float:
    """A float attribute as the engine holds it."""
    return float(np.float32(site.node.get(word, default)))


SIMPLE: dict[str, Callable[[], Layer]] = {
    "Sigmoid": Sigmoid,
    "Tanh": Tanh,
    "Exp": Exponential,
    "Log": Logarithm,
    "Sqrt": SquareRoot,
    "Abs": Absolute,
    "Neg": Negative,
    "Reciprocal": Reciprocal,
    "Floor": Floor,
    "Ceil": Ceiling,
    "Erf": Erf,
    "Round": RoundEven,
    "Sin": Sine,
    "Cos": Cosine,
    "Tan": Tangent,
    "Asin": ArcSine,
    "Acos": ArcCosine,
    "Atan": ArcTangent,
    "Sinh": HyperbolicSine,
    "Cosh": HyperbolicCosine,
    "Asinh": AreaSine,
    "Acosh": AreaCosine,
    "Atanh": AreaTangent,
    "Sign": Sign,
    "Softplus": Softplus,
    "Softsign": Softsign,
    "Mish": Mish,
    "HardSwish": HardSilu,
}
SETTINGS: dict[str, Callable[[Site], Layer]] = {
    "LeakyRelu": lambda s: LeakyRelu(_number(s, "alpha", 0.01)),
    "Elu": lambda s: Elu(_number(s, "alpha", 1.0)),
    "Celu": lambda s: Celu(_number(s, "alpha", 1.0)),
    "HardSigmoid": lambda s: HardSigmoid(_number(s, "alpha", 0.2), _number(s, "beta", 0.5)),
    "ThresholdedRelu": lambda s: Threshold(_number(s, "alpha", 1.0), 0.0),
    "Gelu": lambda s: GeluTanh() if s.node.get("approximate", "none") == "tanh" else Gelu(),
}
# The defaults of the operator, as float32: another pair is another function.
SELU = (1.67326319217681884765625, 1.05070102214813232421875)


@builds(*SIMPLE, anywhere=True)
def _simple(site: Site) -> Made:
    floating(site)
    return site.of(SIMPLE[site.node.op]())


@builds(*SETTINGS, anywhere=True)
def _settings(site: Site) -> Made:
    floating(site)
    return site.of(SETTINGS[site.node.op](site))


@builds("Gelu", "FastGelu", domain=MICROSOFT, anywhere=True)
def _gelu(site: Site) -> Made:
    return site.of(GeluTanh() if site.node.op == "FastGelu" else Gelu())


@builds("Selu", anywhere=True)
def _selu(site: Site) -> Made:
    numbers = (_number(site, "alpha", SELU[0]), _number(site, "gamma", SELU[1]))
    if numbers != SELU:
        raise NotOurs(f"SELU with alpha and gamma {numbers}")
    return site.of(Selu())


@builds("Swish", anywhere=True)
def _swish(site: Site) -> Made:
    if _number(site, "alpha", 1.0) != 1.0:
        raise NotOurs("swish with an alpha of its own")
    return site.of(Silu())


@builds("Shrink", anywhere=True)
def _shrink(site: Site) -> Made:
    bias, lambd = _number(site, "bias", 0.0), _number(site, "lambd", 0.5)
    if bias == 0.0:
        return site.of(HardShrink(lambd))
    if bias == lambd:
        return site.of(SoftShrink(lambd))
    raise NotOurs(f"a shrink with bias {bias} and threshold {lambd}")


@builds("PRelu", anywhere=True)
def _prelu(site: Site) -> Made:
    return site.of(PRelu(site.aligned(1, 0)))


@builds("Pow", anywhere=True)
def _power(site: Site) -> Made:
    floating(site)
    base = site.scalar(0)
    if base is not None:
        return site.of(
            NumberToThe(base), site.data(1), batched=site.batched(1), channels_last=site.layout(1)
        )
    exponent = site.scalar(1)
    if exponent is None:
        if site.constant(1) is None:
            raise NotOurs("its exponent is not one number")
        return site.of(StoredPower(site.aligned(1, 0)))
    if exponent == 0.5:
        return site.of(SquareRoot())
    return site.of(Power(exponent))
