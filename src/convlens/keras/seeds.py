"""The seed of random weights, and what Keras calls initializers."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import ArgumentError, ShapeError, near_miss
from ..layers.weight import CUT_AT_TWO, Values, drawn, fans, truncated

_state = {"seed": 0}
FIXED = ("zeros", "ones")
MOST_NUMBERS = 1 << 30
FANS = tuple(
    f"{family}_{law}" for family in ("glorot", "he", "lecun") for law in ("uniform", "normal")
)
WORDS = (*FIXED, *FANS, "random_uniform", "random_normal", "truncated_normal", "constant",
         "orthogonal", "identity", "variance_scaling")  # fmt: skip
# The words that variance_scaling takes, its defaults first; "normal" is an old name.
SCALING = {
    "mode": ("fan_in", "fan_out", "fan_avg"),
    "distribution": ("truncated_normal", "untruncated_normal", "uniform", "normal"),
}
_SAME = {"uniform": "random_uniform", "normal": "random_normal", "zero": "zeros", "one": "ones"}


def set_random_seed(seed: int) -> None:
    """Draw the weights of layers built from now on from this seed (0 until it is set)."""
    if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
        raise ArgumentError("a seed is a whole number", given=repr(seed), needed="0 or more")
    _state["seed"] = seed


def current_seed() -> int:
    """The seed that layers built now draw from."""
    return _state["seed"]


def _check_word(name: str, value: Any, words: tuple[str, ...]) -> None:
    """Raises ArgumentError where a setting is none of Keras' words."""
    if value not in words:
        raise ArgumentError(
            f"no {name} of an initializer is called {value!r}",
            given=f"{name}={value!r}",
            needed="one of " + ", ".join(f'"{word}"' for word in words),
            hint=near_miss(value, list(words)) if isinstance(value, str) else "",
        )


class Initializer:
    """How a weight starts: Keras' word for it with its settings. `seed` overrides the model's."""

    def __init__(self, word: str, seed: int | None = None, **settings: Any) -> None:
        self.word = word
        self.seed = seed
        self.settings = settings
        for name, words in SCALING.items() if word == "variance_scaling" else ():
            _check_word(name, settings.get(name, words[0]), words)

    def get_config(self) -> dict[str, Any]:
        """Its settings, as Keras names them."""
        return {**self.settings, **({} if self.seed is None else {"seed": self.seed})}

    def __repr__(self) -> str:
        return self.word


def initializer(value: Any) -> Initializer:
    """The initializer of an `*_initializer=` argument. Raises ArgumentError for an unknown one."""
    from .part import snake_case

    if isinstance(value, Initializer):
        return value
    settings: dict[str, Any] = {}
    if isinstance(value, dict) and "class_name" in value:
        value, settings = value["class_name"], dict(value.get("config") or {})
    word = snake_case(value) if isinstance(value, str) else ""
    word = _SAME.get(word, word)
    if word not in WORDS:
        raise ArgumentError(
            "this initializer is not known",
            given=repr(value),
            needed="a word of Keras, such as " + ", ".join(f'"{w}"' for w in WORDS[:4]),
            hint=near_miss(word, WORDS) if word else "",
        )
    seed = settings.pop("seed", None)
    words = SCALING if word == "variance_scaling" else ()
    kept = {k: v for k, v in settings.items() if isinstance(v, int | float) or k in words}
    return Initializer(word, seed if isinstance(seed, int) else None, **kept)


def start(shape: tuple[int, ...], value: Any, seed: int, path: Callable[[], str]) -> Values:
    """Values that start as Keras starts them, drawn on first use from (seed, path)."""
    how = initializer(value)
    if math.prod(shape) > MOST_NUMBERS:
        return Values(lambda: _too_many(shape, path()), "random", seed)
    seed = seed if how.seed is None else how.seed
    if how.word in FIXED:
        return drawn(shape, how.word, seed, "")
    if how.word == "constant":
        return drawn(shape, "constant", seed, "", constant=float(how.settings.get("value", 0.0)))
    if how.word == "identity":
        gain = how.settings.get("gain", 1.0)
        return Values(lambda: gain * np.eye(*shape, dtype=np.float32), "random")
    if how.word in FANS or not (how.settings or how.word in ("orthogonal", "variance_scaling")):
        return Values(lambda: drawn(shape, how.word, seed, path()).array(), "random", seed)
    return Values(lambda: _custom(how, shape, seed, path()), "random", seed)


def _too_many(shape: tuple[int, ...], path: str) -> NDArray[Any]:
    count = math.prod(shape)
    raise ShapeError(
        "the weight is too large to be made",
        where=path,
        given=f"{shape}, {count:,} numbers, {count * 4 / 2**30:,.0f} GiB",
        needed=f"at most {MOST_NUMBERS:,} numbers",
        hint="shapes, counts and costs of the model can be shown all the same",
    )


def _custom(how: Initializer, shape: tuple[int, ...], seed: int, path: str) -> NDArray[Any]:
    """Draws with settings of their own: a range, a deviation, a gain, a fan."""
    import zlib

    rng = np.random.default_rng([seed, zlib.crc32(path.encode())])
    given: dict[str, Any] = how.settings
    if how.word == "random_uniform":
        return rng.uniform(given.get("minval", -0.05), given.get("maxval", 0.05), shape)
    if how.word == "orthogonal":
        return float(given.get("gain", 1.0)) * _orthogonal(rng, shape)
    if how.word == "variance_scaling":
        return _scaled(rng, shape, given)
    mean, deviation = given.get("mean", 0.0), given.get("stddev", 0.05)
    if how.word == "random_normal":
        return rng.normal(mean, deviation, shape)
    return truncated(rng, shape, mean, deviation)


def _orthogonal(rng: np.random.Generator, shape: tuple[int, ...]) -> NDArray[Any]:
    """Rows or columns of length 1 at right angles: the Q of a QR of normal numbers.

    The signs of R's diagonal make Q uniform among all of them (Saxe et al., arXiv:1312.6120).
    """
    rows, columns = math.prod(shape[:-1]), shape[-1]
    q, r = np.linalg.qr(rng.normal(size=(max(rows, columns), min(rows, columns))))
    q = q * np.sign(np.diag(r))
    return (q if rows >= columns else q.T).reshape(shape)


def _scaled(
    rng: np.random.Generator, shape: tuple[int, ...], given: dict[str, Any]
) -> NDArray[Any]:
    """Variance scale / fan, by the fan and the law named (He et al., arXiv:1502.01852)."""
    fan_in, fan_out = fans(shape)
    means = {"fan_in": fan_in, "fan_out": fan_out, "fan_avg": (fan_in + fan_out) / 2}
    scale = given.get("scale", 1.0) / max(1.0, means[given.get("mode", "fan_in")])
    law = given.get("distribution", "truncated_normal")
    if law == "uniform":
        return rng.uniform(-math.sqrt(3 * scale), math.sqrt(3 * scale), shape)
    if law == "untruncated_normal":
        return rng.normal(0.0, math.sqrt(scale), shape)
    return truncated(rng, shape, 0.0, math.sqrt(scale) / CUT_AT_TWO)
