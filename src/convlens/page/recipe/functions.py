"""Formulas as the page's programs: of one number, of one and a stored one, of all that are read."""

from __future__ import annotations

from collections.abc import Iterator

SIGMOID = "1 / (1 + exp(-x))"
SOFTPLUS = "(max(x, 0) + log1p(exp(-abs(x))))"
# The functions of one number; p0, p1 are the layer's own numbers (slope, alpha, ...).
FUNCTIONS: dict[str, str] = {
    "linear": "x",
    "negative": "-x",
    "leaky_relu": "x * p0 if x < 0 else x",
    "sigmoid": SIGMOID,
    "tanh": "tanh(x)",
    "silu": f"x * ({SIGMOID})",
    "softplus": SOFTPLUS,
    "sharp_softplus": "(max(p0 * x, 0) + log1p(exp(-abs(p0 * x)))) / p0",
    "softsign": "x / (1 + abs(x))",
    "elu": "x if x > 0 else p0 * expm1(x)",
    "exponential": "exp(x)",
    "hard_sigmoid": "min(1, max(0, p0 * x + p1))",
    "hard_silu": "x * min(1, max(0, x / 6 + 0.5))",
    "mish": f"x * tanh({SOFTPLUS})",
    "gelu": "x * erfc(-x / sqrt(2)) / 2",
    # sqrt(8 / pi)
    "gelu_tanh": "x / (1 + exp(-1.5957691216057308 * (x + 0.044715 * x * x * x)))",
    # Klambauer et al., arXiv:1706.02515, section 2.
    "selu": "1.0507009873554805 * (x if x > 0 else 1.6732632423543772 * expm1(x))",
    "celu": "x if x > 0 else p0 * expm1(x / p0)",
    "log_sigmoid": f"x - {SOFTPLUS}",
    "erf": "1 - erfc(x)",
    "square_root": "sqrt(x)",
    "logarithm": "log(x)",
    "reciprocal": "1 / x",
    "fraction": "p0 / x",
    "power": "x ** p0",
    "absolute": "abs(x)",
    "logarithm_of_1_and": "log1p(x)",
    "logarithm_to_a_base": "log(x) / log(p0)",
    "exponential_less_1": "expm1(x)",
    "number_to_the": "p0 ** x",
    "sine": "sin(x)",
    "cosine": "cos(x)",
    "tangent": "tan(x)",
    "arc_sine": "asin(x)",
    "arc_cosine": "acos(x)",
    "arc_tangent": "atan(x)",
    "hyperbolic_sine": "sinh(x)",
    "hyperbolic_cosine": "cosh(x)",
    "area_sine": "asinh(x)",
    "area_cosine": "acosh(x)",
    "area_tangent": "atanh(x)",
    "truncation": "trunc(x)",
    "rounding": "round(x)",
    "floor": "floor(x)",
    "ceiling": "ceil(x)",
    "sign": "sign(x)",
    "not": "1 if x == 0 else 0",
    "tanh_shrink": "x - tanh(x)",
    "squareplus": "(x + sqrt(x * x + p0)) / 2",
    "soft_shrink": "x - p0 if x > p0 else x + p0 if x < -p0 else 0",
    "hard_shrink": "x if abs(x) > p0 else 0",
    "threshold": "x if x > p0 else p1",
    "thresholded_relu": "max(x, 0) if x > p1 else p0 * (x - p1)",
    "capped_relu": "min(max(x, 0), p1) if x > p2 else p0 * (x - p2)",
    "sparse_plus": "0 if x < -1 else x if x > 1 else (x + 1) * (x + 1) / 4",
    "sparse_sigmoid": "min(1, max(0, (x + 1) / 2))",
}
WRITTEN = {"relu": "max(x, 0)", "clip": "x between its limits", "linear": "x"}
TRIED = (-7.5, -2.25, -1.0, -0.40625, -0.0625, 0.0, 0.125, 0.5, 1.0, 2.75, 6.5)
# Functions of one number and one that is stored for its position, c0.
STORED = {
    "prelu": ("c0", "s0 * x if x < 0 else x"),
    "quotient": ("x / c0",),
    "turned_quotient": ("c0 / x",),
    "power": ("x ** c0",),
    "turned_power": ("c0 ** x",),
    "maximum": ("max(x, c0)",),
    "minimum": ("min(x, c0)",),
}
BOUNDS = (
    "0",
    "8 * u * max(1, abs(x), abs(y))",
    "2 * u * abs(y) + tiny",
    "2 * u * abs(y) + tiny if x < 0 else 0",
)
_POWER = "8 * u * max(1, abs({0}), abs(y) * max(1, abs({1} * log({0})) if {0} > 0 else 0))"
POWER_BOUNDS = {"power": (_POWER.format("x", "c0"),), "turned_power": (_POWER.format("c0", "x"),)}
# Whole numbers of a grid, by their type: name, steps, bound. `e` is how far x / scale may be off.
FAR = tuple(sign * n for n in (6.5, 99, 300, 7e4) for sign in (-1, 1))
LIMITS = ((0, 255), (-128, 127), (0, 15), (-8, 7), (0, 65535), (-32768, 32767))
STEPS = ("x / scale", "round(s0)")


def to_grid(low: int, high: int, error: str) -> tuple[tuple[str, ...], str]:
    """The steps of quantising to low..high, and its bound: s0, the steps, may be off by `error`."""

    def held(number: str) -> str:
        return f"min(max({number} + zero, {low}), {high})"

    ends = (held(f"round(s0 {sign} {error})") for sign in "-+")
    return (*STEPS, held("s1")), "max(" + ", ".join(f"abs({end} - s2)" for end in ends) + ")"


def grids() -> Iterator[tuple[str, tuple[str, ...], str]]:
    """Quantising to each type, alone and with the way back to real numbers."""
    for low, high in LIMITS:
        steps, off = to_grid(low, high, "2 * u * abs(s0)")
        yield "quantise", steps, off
        back = f"{off} * scale + 2 * u * abs(y) + tiny"
        yield "quantise_and_back", (*steps, "(s2 - zero) * scale"), back


CENTRED = ("mean(X)", "mean(square(X - s0))", "sqrt(s1 + epsilon)")
# How far the mean may be off, and what float32 may be off by: `group_bound` of groupnorm.py.
OFF = "((n + 4) * u * mean(abs(X)))"
GROUP_BOUND = (
    "abs({scale}) * (4 * u * (abs(x) + abs({mean})) + " + OFF + " + "
    "abs(x - {mean}) * ((n + 8) * u + square(" + OFF + " / {sigma})) / 2)"
)
SCALED = {"scale": "gamma / s2", "sigma": "s2"}
SPREAD = f"((n + 16) * u * s1 + 2 * square({OFF}) * n / (n - correction) + tiny)"
# A row from its largest number on, the places 1, 2, ... in it, and its sums so far.
ORDERED, COUNT = "item(X, order(X))", "running(X ** 0)"
SUMS, OFTEN = f"running({ORDERED})", f"max(s0 + 1 - {COUNT}, 0)"


def _places_of_ends() -> Iterator[tuple[str, tuple[str, ...], str]]:
    """The place of the largest or smallest number, the first or the last of equals."""
    for word, end, sign in (("largest", "most", ""), ("smallest", "least", "-")):
        turned = "" if sign else "-"
        yield f"place_of_the_{word}", (f"{end}(X)", f"item(order({sign}X), 0)"), "0"
        yield f"place_of_the_{word}", (f"{end}(X)", f"item(order({turned}X), n - 1)"), "0"


# Formulas of all numbers that are read: name, steps, bound. Names are the layer's own quantities;
# gamma and beta are stored for each position, or 1 and 0.
GROUPS: tuple[tuple[str, tuple[str, ...], str], ...] = (
    ("softmax", ("most(X)", "exp(x - s0)", "sum(exp(X - s0))", "s1 / s2"),
     "(n + 8 + abs(x - s0)) * u * y + 2 ** -126"),
    ("softmin", ("least(X)", "exp(s0 - x)", "sum(exp(s0 - X))", "s1 / s2"),
     "(n + 8 + abs(x - s0)) * u * y + 2 ** -126"),
    ("log_softmax", ("most(X)", "sum(exp(X - s0))", "log(s1)", "x - s0 - s2"),
     "(n + 8) * u + 4 * u * (abs(x - s0) + abs(y))"),
    ("norm", (*CENTRED, "(x - s0) * (gamma / s2) + beta"),
     GROUP_BOUND.format(mean="s0", **SCALED) + " + 2 * u * (abs(y) + abs(beta)) + tiny"),
    ("scaled_deviation", (*CENTRED, "x * (gamma / s2) + beta"),
     GROUP_BOUND.format(mean="0", **SCALED) + " + 2 * u * (abs(y) + abs(beta)) + tiny"),
    ("rms_norm", ("mean(square(X))", "sqrt(s0 + epsilon)", "x / s1 * gamma"),
     "(n + 16) * u * abs(y) + tiny"),
    ("unit_length", ("sum(square(X))", "max(sqrt(s0), epsilon)", "x / s1"),
     "(n + 16) * u * abs(y) + n * tiny / square(s1) * abs(y) + tiny"),
    ("unit_length", ("sum(square(X))", "sqrt(s0)", "x / s1 if s1 > 0 else 0"),
     "(n + 16) * u * abs(y) + tiny"),
    ("unit_sum", ("sum(abs(X))", "x / s0 if s0 > 0 else 0"), "(n + 16) * u * abs(y) + tiny"),
    ("mean_and_deviation", ("mean(X)", "mean(square(X - s0))", "sqrt(s1)",
                            "(x - s0) * (1 / (s2 + 1e-9))"),
     GROUP_BOUND.format(mean="s0", scale="1 / (s2 + 1e-9)", sigma="s2")
     + " + (4 * u * sqrt(n) * mean(square(X)) / s1 + 4 * u) * abs(y) + tiny"),
    ("local_response", ("sum(square(X))", "bias + alpha / size * s0", "s1 ** beta", "x / s2"),
     "(size + 16) * u * (1 + abs(beta)) * abs(y) + tiny"),
    ("length", ("sum(square(X))", "sqrt(s0)"), "(n + 8) * u * y + sqrt(n) * 2 ** -63"),
    ("size", ("sum(abs(X))",), "(n + 8) * u * y + sqrt(n) * 2 ** -63"),
    ("variance", ("mean(X)", "sum(square(X - s0)) / (n - correction)"), SPREAD),
    ("deviation", ("mean(X)", "sum(square(X - s0)) / (n - correction)", "sqrt(s1)"),
     f"min(sqrt({SPREAD}), {SPREAD} / y) + 2 * u * y"),
    ("gated_linear", ("1 / (1 + exp(-item(X, 1)))", "item(X, 0) * s0"),
     "8 * u * max(1, abs(item(X, 0)), abs(y))"),
    ("power_pool", ("sum(abs(X) ** p)", "s0 ** (1 / p)"), "(n + 16) * u * y + tiny"),
    ("product", ("product(X)",), "2 * n * u * abs(y) + n * tiny"),
    ("mean", ("mean(X)",), f"{OFF} + tiny"),
    ("soft_largest", ("most(X)", "sum(exp(X - s0))", "s0 if abs(s0) > 1e39 else log(s1) + s0"),
     "(n + 8) * u + 8 * u * (abs(s0) + abs(y)) + tiny"),
    *_places_of_ends(),
    ("place_in_order", ("item(X, item(order(X), k))", "item(order(X), k)"), "0"),
    ("place_in_order", ("item(X, item(order(-X), k))", "item(order(-X), k)"), "0"),
    ("number_in_order", ("item(X, item(order(X), k))",), "0"),
    ("number_in_order", ("item(X, item(order(-X), k))",), "0"),
    ("sparse_shares", (f"sum(1 if {SUMS} < 1 + {COUNT} * {ORDERED} else 0)",
                       f"(sum((1 if {COUNT} <= s0 else 0) * {ORDERED}) - 1) / s0", "max(x - s1, 0)"),
     "(n + 8) * u * max(1, most(abs(X)))"),
    ("sparse_shares", (f"sum(1 if {SUMS} < 1 + {COUNT} * {ORDERED} else 0)",
                       f"(sum({OFTEN} * {ORDERED}) - 1) / s0", "max(x - s1, 0)"),
     f"2 * (n + 8) * u * (abs(x) + (sum({OFTEN} * abs({ORDERED})) + 1) / s0)"),
    ("grid_of_all", ("min(0, least(X))", "max(0, most(X))", "(s1 - s0) / 255 if s0 < s1 else 1"),
     "4 * u * y"),
)  # fmt: skip
