"""The seed of random weights, and what Keras calls initializers."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import ArgumentError, ShapeError, near_miss
from ..layers.weight import Values, drawn

_state = {"seed": 0}
FIXED = ("zeros", "ones")
MOST_NUMBERS = 1 << 30
FANS = tuple(
    f"{family}_{law}" for family in ("glorot", "he", "lecun") for law in ("uniform", "normal")
)
WORDS = (*FIXED, *FANS, "random_uniform", "random_normal", "truncated_normal", "constant",
         "orthogonal", "identity", "variance_scaling")  # fmt: skip
_SAME = {"uniform": "random_uniform", "normal": "random_normal", "zero": "zeros", "one": "ones"}


def set_random_seed(seed: int) -> None:
    """Draw the weights of layers built from now on from this seed (0 until it is set)."""
    if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
        raise ArgumentError("a seed is a whole number", given=repr(seed), needed="0 or more")
    _state["seed"] = seed


def current_seed() -> int:
    """The seed that layers built now draw from."""
    return _state["seed"]


class Initializer:
    """How a weight starts: Keras' word for it with its settings. `seed` overrides the model's."""

    def __init__(self, word: str, seed: int | None = None, **settings: float) -> None:
        self.word = word
        self.seed = seed
        self.settings = settings

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
    numbers = {k: v for k, v in settings.items() if isinstance(v, int | float)}
    return Initializer(word, seed if isinstance(seed, int) else None, **numbers)


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
    """Draws with settings of their own: a range, a deviation, a gain."""
    import zlib

    rng = np.random.default_rng([seed, zlib.crc32(path.encode())])
    given = how.settings
    if how.word == "random_uniform":
        return rng.uniform(given.get("minval", -0.05), given.get("maxval", 0.05), shape)
    if how.word == "orthogonal":
        rows = math.prod(shape[:-1])
        flat = rng.normal(size=(max(rows, shape[-1]), min(rows, shape[-1])))
        q, r = np.linalg.qr(flat)
        q *= np.sign(np.diag(r))
        q = q if rows >= shape[-1] else q.T
        return given.get("gain", 1.0) * q.reshape(shape)
    mean, deviation = given.get("mean", 0.0), given.get("stddev", 0.05)
    if how.word == "variance_scaling":
        fan_in = math.prod(shape[:-1]) if len(shape) > 1 else shape[0]
        deviation = math.sqrt(given.get("scale", 1.0) / max(1, fan_in))
    numbers = rng.normal(mean, deviation, shape)
    if how.word == "random_normal":
        return numbers
    for _ in range(64):
        far = np.abs(numbers - mean) > 2 * deviation
        if not far.any():
            break
        numbers[far] = rng.normal(mean, deviation, int(far.sum()))
    return np.clip(numbers, mean - 2 * deviation, mean + 2 * deviation)
