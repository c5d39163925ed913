"""Keras' initializers by their class names, for `kernel_initializer=` and its kin."""

from __future__ import annotations

from .seeds import Initializer

__all__ = [
    "Constant",
    "GlorotNormal",
    "GlorotUniform",
    "HeNormal",
    "HeUniform",
    "Identity",
    "LecunNormal",
    "LecunUniform",
    "Ones",
    "Orthogonal",
    "RandomNormal",
    "RandomUniform",
    "TruncatedNormal",
    "VarianceScaling",
    "Zeros",
]


def GlorotUniform(seed: int | None = None) -> Initializer:
    """Uniform in +-sqrt(6 / (fan_in + fan_out)): where Keras starts kernels."""
    return Initializer("glorot_uniform", seed)


def GlorotNormal(seed: int | None = None) -> Initializer:
    """Normal, cut at two deviations, deviation sqrt(2 / (fan_in + fan_out))."""
    return Initializer("glorot_normal", seed)


def HeUniform(seed: int | None = None) -> Initializer:
    """Uniform in +-sqrt(6 / fan_in)."""
    return Initializer("he_uniform", seed)


def HeNormal(seed: int | None = None) -> Initializer:
    """Normal, cut at two deviations, deviation sqrt(2 / fan_in)."""
    return Initializer("he_normal", seed)


def LecunUniform(seed: int | None = None) -> Initializer:
    """Uniform in +-sqrt(3 / fan_in)."""
    return Initializer("lecun_uniform", seed)


def LecunNormal(seed: int | None = None) -> Initializer:
    """Normal, cut at two deviations, deviation sqrt(1 / fan_in)."""
    return Initializer("lecun_normal", seed)


def RandomUniform(
    minval: float = -0.05, maxval: float = 0.05, seed: int | None = None
) -> Initializer:
    """Uniform between minval and maxval."""
    return Initializer("random_uniform", seed, minval=minval, maxval=maxval)


def RandomNormal(mean: float = 0.0, stddev: float = 0.05, seed: int | None = None) -> Initializer:
    """Normal."""
    return Initializer("random_normal", seed, mean=mean, stddev=stddev)


def TruncatedNormal(
    mean: float = 0.0, stddev: float = 0.05, seed: int | None = None
) -> Initializer:
    """Normal, no further than two deviations from the mean."""
    return Initializer("truncated_normal", seed, mean=mean, stddev=stddev)


def Zeros() -> Initializer:
    """All 0."""
    return Initializer("zeros")


def Ones() -> Initializer:
    """All 1."""
    return Initializer("ones")


def Constant(value: float = 0.0) -> Initializer:
    """All `value`."""
    return Initializer("constant", value=float(value))


def Orthogonal(gain: float = 1.0, seed: int | None = None) -> Initializer:
    """Filters at right angles to each other, each of length `gain`."""
    return Initializer("orthogonal", seed, gain=gain)


def Identity(gain: float = 1.0) -> Initializer:
    """`gain` on the diagonal of a matrix, else 0."""
    return Initializer("identity", gain=gain)


def VarianceScaling(
    scale: float = 1.0,
    mode: str = "fan_in",
    distribution: str = "truncated_normal",
    seed: int | None = None,
) -> Initializer:
    """Variance scale / fan. Raises ArgumentError for a mode or a law that Keras does not know."""
    return Initializer("variance_scaling", seed, scale=scale, mode=mode, distribution=distribution)
