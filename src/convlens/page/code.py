"""A layer as lines of Keras and of PyTorch, with slots that "what if" fills.

Maps lie as each library has them: last in Keras, first in PyTorch. Every line is code that runs: a
layer, or an expression of its input `x` (of a merge: `a` and `b`). `{name}` is a number or tuple the page knows; `{name:before|after}` stands only where the slot is
not its default. Lines that a library cannot say hold what must be done beside it, as a comment.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from ..layers.base import Layer, Sizes
from ..layers.resize import Cubic, Linear, Nearest
from .recipe_schema import FormulaRecipe, MergeRecipe, RowRecipe, ScatterRecipe, WindowRecipe

Lines = tuple[str, str]


@dataclass(frozen=True)
class Layout:
    """How a layer's input lies: its sizes without the batch, and which axis holds the maps."""

    shape: Sizes
    channel: int | None

    def keras(self, axis: int) -> int:
        """The axis in Keras' order, batch first and maps last, from 0."""
        axis %= len(self.shape)
        if self.channel is None:
            return axis + 1
        return len(self.shape) if axis == self.channel else axis + (axis < self.channel)

    def torch(self, axis: int) -> int:
        """The axis in PyTorch's order, batch first and maps second."""
        axis %= len(self.shape)
        if self.channel is None:
            return axis + 1
        return 1 if axis == self.channel else axis + 1 + (axis < self.channel)

    def last(self, axis: int) -> bool:
        """Whether Keras has this axis last, as its layers expect."""
        return self.keras(axis) == len(self.shape)


# By the page's name of a function: what Keras and PyTorch call it, `{p}` its parameter.
FUNCTIONS: dict[str, Lines] = {
    "relu": ("relu", "nn.ReLU()"),
    "leaky_relu": ("leaky_relu", "nn.LeakyReLU({p})"),
    "sigmoid": ("sigmoid", "nn.Sigmoid()"),
    "tanh": ("tanh", "nn.Tanh()"),
    "silu": ("silu", "nn.SiLU()"),
    "gelu": ("gelu", "nn.GELU()"),
    "softplus": ("softplus", "nn.Softplus()"),
    "softsign": ("softsign", "nn.Softsign()"),
    "elu": ("elu", "nn.ELU({p})"),
    "exponential": ("exponential", "torch.exp(x)"),
    "hard_sigmoid": ("hard_sigmoid", "nn.Hardsigmoid()"),
    "hard_silu": ("hard_silu", "nn.Hardswish()"),
    "mish": ("mish", "nn.Mish()"),
    "softmax": ("softmax", "nn.Softmax({axis})"),
    "gelu_tanh": ("gelu", 'nn.GELU(approximate="tanh")'),
    "selu": ("selu", "nn.SELU()"),
    "celu": ("celu", "nn.CELU({p})"),
    "log_sigmoid": ("log_sigmoid", "nn.LogSigmoid()"),
}
# What a bare word means in Keras where PyTorch's parameter could be another.
DEFAULTS = {"leaky_relu": 0.2, "elu": 1.0, "celu": 1.0}
OWN_LAYERS = {
    "relu": "ReLU()",
    "leaky_relu": "LeakyReLU(negative_slope={p})",
    "elu": "ELU(alpha={p})",
    "celu": "Activation(lambda x: keras.activations.celu(x, alpha={p}))",
    "gelu_tanh": "Activation(lambda x: keras.activations.gelu(x, approximate=True))",
}
MERGES: dict[str, Lines] = {
    "add": ("Add()", "a + b"),
    "subtract": ("Subtract()", "a - b"),
    "multiply": ("Multiply()", "a * b"),
    "average": ("Average()", "(a + b) / 2"),
    "maximum": ("Maximum()", "torch.maximum(a, b)"),
    "minimum": ("Minimum()", "torch.minimum(a, b)"),
    "concat": ("Concatenate({axis})", "torch.cat((a, b), {dim})"),
}


def _conv(rank: int) -> Lines:
    more = "{stride:, strides=}{padding:, padding=}{dilation:, dilation_rate=}{groups:, groups=}"
    same = "{stride:, stride=}{pads:, padding=}{dilation:, dilation=}{groups:, groups=}"
    return (
        f"{{zeros:ZeroPadding{rank}D(|)\n}}"
        f"Conv{rank}D({{filters}}, {{kernel}}{more}{{nobias:, use_bias=}}{{activation}}){{behind}}",
        f"{{uneven:nn.ZeroPad{rank}d(|)\n}}"
        f"nn.Conv{rank}d({{n}}, {{filters}}, {{kernel}}{same}{{nobias:, bias=}}){{after}}",
    )


def _transposed(rank: int, groups: int) -> Lines:
    keras = (
        f"Conv{rank}DTranspose({{filters}}, {{kernel}}{{stride:, strides=}}{{padding:, padding=}}"
        "{dilation:, dilation_rate=}{more:, output_padding=}{nobias:, use_bias=}"
        f"{{activation}}){{zeros:\nCropping{rank}D(|)}}{{behind}}"
    )
    return (
        keras if groups == 1 else "# Keras has no transposed convolution with groups",
        f"nn.ConvTranspose{rank}d({{n}}, {{filters}}, {{kernel}}{{stride:, stride=}}"
        "{pads:, padding=}{outpad:, output_padding=}{groups:, groups=}{dilation:, dilation=}"
        f"{{nobias:, bias=}}){{uneven:\nnn.ZeroPad{rank}d(|)}}{{after}}",
    )


def _pool(recipe: WindowRecipe, rank: int) -> Lines:
    if recipe.combine == "max":
        keras, torch = f"MaxPooling{rank}D", f"nn.MaxPool{rank}d"
        uneven = f"{{uneven:nn.ConstantPad{rank}d(|, -math.inf)\n}}"
        pads = "{pads:, padding=}{dilation:, dilation=}"
    else:
        keras, torch = f"AveragePooling{rank}D", f"nn.AvgPool{rank}d"
        uneven = "{dilation:# PyTorch's AvgPool has no dilation=|\n}"
        uneven += "{uneven:# PyTorch pads both sides alike; here: |\n}"
        inside = ", count_include_pad=False" if recipe.divisor == "real" else ""
        pads = f"{{pads:, padding=|{inside}}}"
    return (
        f"{{zeros:# Keras pads by its own rule only; here: |\n}}"
        f"{{dilation:# Keras' pools have no dilation_rate=|\n}}"
        f"{{ceil:# Keras rounds down only: it has no ceil_mode=|\n}}{keras}({{kernel}}"
        "{step:, strides=}{padding:, padding=})",
        f"{uneven}{torch}({{kernel}}{{step:, stride=}}{pads}{{ceil:, ceil_mode=}})",
    )


def _resize(layer: Layer, rank: int) -> Lines:
    torch = "nearest"
    if isinstance(layer, Linear):
        torch = {1: "linear", 2: "bilinear", 3: "trilinear"}.get(rank, "linear")
    elif isinstance(layer, Cubic):
        torch = "bicubic"
    keras = "UpSampling1D({factor})" if rank == 1 else f"UpSampling{rank}D({{scale}})"
    if torch != "nearest":
        keras = f'UpSampling2D({{scale}}, interpolation="{torch}")'
    if torch in ("linear", "trilinear"):
        keras = "# Keras resizes so in two dimensions only"
    return keras, f'nn.Upsample(scale_factor={{scale}}, mode="{torch}")'


def _normal(layer: Layer, recipe: FormulaRecipe, at: Layout) -> Lines | None:
    """Batch, layer and group norm; None where a line would not say it all."""
    epsilon, shape = recipe.numbers[0], at.shape
    axis = recipe.axis % len(shape)
    scaled, moved = (getattr(layer, name, None) is not None for name in ("gamma", "beta"))
    known: dict[str, Any] = layer.quantities()
    own = f"epsilon={epsilon:g}" + ("" if moved else ", center=False")
    own += "" if scaled else ", scale=False"
    plain = f"eps={epsilon:g}" + ("" if scaled or moved else ", affine=False")
    half = f"  # here without a {'weight' if moved else 'bias'}" if scaled != moved else ""
    if recipe.name == "batch_norm":
        place = "" if at.last(axis) else f"axis={at.keras(axis)}, "
        rank = max(1, len(shape) - 1)
        return (
            f"BatchNormalization({place}{own})",
            f"nn.BatchNorm{rank}d({shape[axis]}, {plain}){half}",
        )
    if "groups" in known:
        groups = int(known["groups"])
        return (
            f"GroupNormalization({groups}, {own})",
            f"nn.GroupNorm({groups}, {shape[axis]}, {plain}){half}",
        )
    return _layer_norm(recipe.name == "rms_norm", at, known, own, scaled, moved)


def _layer_norm(
    rms: bool, at: Layout, known: dict[str, Any], own: str, scaled: bool, moved: bool
) -> Lines | None:
    """Layer and RMS norm: over any axes in Keras, over the last ones in PyTorch."""
    shape = at.shape
    over = sorted(int(n) % len(shape) for n in known.get("axes", ()))
    axes = sorted(at.keras(n) for n in over)
    keras = "-1" if axes == [len(shape)] else str(axes[0] if len(axes) == 1 else axes)
    if over != list(range(len(shape) - len(over), len(shape))):
        return None
    sizes = str(tuple(shape[n] for n in over))
    epsilon = own.split(",")[0].replace("epsilon", "eps")
    if rms:
        plain = "" if scaled else ", elementwise_affine=False"
        lines = f"RMSNormalization(axis={keras}, {own.split(',')[0]})", "RMSNorm"
        if not scaled or axes[-1] != len(shape):
            lines = "# Keras' RMSNormalization has weights, and ends at the last axis", "RMSNorm"
    else:
        plain = "" if moved else ", bias=False" if scaled else ", elementwise_affine=False"
        plain += "  # here without a weight" if moved and not scaled else ""
        lines = f"LayerNormalization(axis={keras}, {own})", "LayerNorm"
    torch, _, said = f"nn.{lines[1]}({sizes}, {epsilon}{plain}".partition("  ")
    torch += f"){'  ' + said if said else ''}"
    if at.channel == len(shape) - 1 and len(shape) > 1:
        torch = f"x.movedim(1, -1)\n{torch}\nx.movedim(-1, 1)"
    return lines[0], torch


def _prelu(layer: Layer, at: Layout) -> Lines:
    """PReLU: one slope, one for each map, or (in Keras only) one for each number."""
    rank, count = len(at.shape), math.prod(layer.weights()[0].shape)
    maps = at.shape[-1 if at.channel is None else at.channel]
    if count == math.prod(at.shape):
        if rank > 1:
            return "PReLU()", "# PyTorch's PReLU has one slope for each map, not for each number"
        return "PReLU()", f"nn.PReLU({maps})"
    spatial = list(range(1, rank + (count == 1)))
    return f"PReLU(shared_axes={spatial})", f"nn.PReLU({'' if count == 1 else maps})"


def _function(recipe: FormulaRecipe, at: Layout) -> Lines | None:
    p = recipe.numbers[0] if recipe.numbers else None
    if recipe.name == "clip":
        if recipe.numbers == (0.0, 6.0):
            return "ReLU(max_value=6)", "nn.ReLU6()"
        return None
    fixed = {"hard_sigmoid": (1 / 6, 0.5)}
    if recipe.name not in FUNCTIONS or recipe.numbers != fixed.get(recipe.name, recipe.numbers):
        return None
    keras, torch = FUNCTIONS[recipe.name]
    shown = "" if p is None else f"{p:g}"
    own = OWN_LAYERS.get(recipe.name, f'Activation("{keras}")')
    if recipe.name == "softmax":
        own = f"Softmax({'' if at.last(recipe.axis) else f'axis={at.keras(recipe.axis)}'})"
        torch = torch.replace("{axis}", str(at.torch(recipe.axis)))
    return own.replace("{p}", shown), torch.replace("{p}", shown)


def code_of(
    layer: Layer, recipe: Any, at: Layout, out: Layout, activation: FormulaRecipe | None
) -> Lines | None:
    """(Keras, PyTorch) templates of a layer with its recipe; None where there are no such lines.

    `at` and `out` are how its input and its output lie.
    """
    made = _plain(layer, recipe, at, out)
    if made is None:
        return None
    # PyTorch's dense layer takes the last axis where it is.
    row = isinstance(recipe, RowRecipe)
    word, behind, after = _activation(activation, Layout(out.shape, None) if row else out)
    return (
        made[0]
        .replace("{activation}", f", activation={word}" if word else "")
        .replace("{behind}", behind),
        made[1].replace("{after}", after),
    )


def _plain(layer: Layer, recipe: Any, at: Layout, out: Layout) -> Lines | None:
    known: dict[str, Any] = layer.quantities()
    rank = len(at.shape) - 1
    if isinstance(layer, Nearest | Linear | Cubic):
        return _resize(layer, rank)
    if isinstance(recipe, RowRecipe):
        return (
            "Dense({filters}{nobias:, use_bias=}{activation}){behind}",
            "nn.Linear({n}, {filters}{nobias:, bias=}){after}",
        )
    if isinstance(recipe, WindowRecipe):
        if recipe.weight is not None:
            backwards = any(getattr(axis, "dilation", 1) < 0 for axis in recipe.axes)
            return _transposed(rank, recipe.groups) if backwards else _conv(rank)
        if "pool" in known:
            return _pool(recipe, rank)
        if recipe.combine != "sum" and all(axis.n_out == 1 for axis in recipe.axes):
            word, short = ("Max", "Max") if recipe.combine == "max" else ("Average", "Avg")
            torch = f"nn.Adaptive{short}Pool{rank}d(1)"
            if len(out.shape) == 1:
                return f"Global{word}Pooling{rank}D()", f"{torch}\nnn.Flatten()"
            return f"Global{word}Pooling{rank}D(keepdims=True)", torch
    if isinstance(recipe, ScatterRecipe) and recipe.how == "reshape":
        flat = "Flatten()", "nn.Flatten()"
        sizes = out.shape
        return flat if len(sizes) == 1 else (f"Reshape({sizes})", f"x.reshape(-1, *{sizes})")
    if isinstance(recipe, MergeRecipe) and recipe.op in MERGES:
        keras, torch = MERGES[recipe.op]
        if recipe.op != "concat":
            return keras, torch
        place = "" if at.last(recipe.axis) else f"axis={at.keras(recipe.axis)}"
        return keras.replace("{axis}", place), torch.replace("{dim}", str(at.torch(recipe.axis)))
    if isinstance(recipe, FormulaRecipe):
        if recipe.name == "prelu":
            return _prelu(layer, at)
        norm = recipe.name in ("batch_norm", "group_norm", "layer_norm", "rms_norm")
        return _normal(layer, recipe, at) if norm else _function(recipe, at)
    return None


def _activation(recipe: FormulaRecipe | None, out: Layout) -> tuple[str, str, str]:
    """What a layer's own activation is called: Keras' word, else its next line; PyTorch's next line."""
    if recipe is None or recipe.name == "linear":
        return "", "", ""
    made = _function(recipe, out)
    if made is None:
        said = f"\n# then {recipe.name}"
        return "", said, said
    keras = FUNCTIONS.get(recipe.name, ("", ""))[0]
    usual = DEFAULTS.get(recipe.name)
    bare = (
        bool(keras)
        and recipe.name != "gelu_tanh"
        and (recipe.name != "softmax" or out.last(recipe.axis))
        and (usual is None or abs((recipe.numbers[0] or 0.0) - usual) < 1e-6)
    )
    return (f'"{keras}"', "", f"\n{made[1]}") if bare else ("", f"\n{made[0]}", f"\n{made[1]}")
