"""A layer as one line of Keras and one of PyTorch, with slots that "what if" fills.

`{name}` is a number or tuple the page knows; `{name:before|after}` stands only where the slot is
not its default. Lines that a library cannot say hold what must be done beside it, as a comment.
"""

from __future__ import annotations

from typing import Any

from ..layers.base import Layer, Sizes
from ..layers.resize import Cubic, Linear, Nearest
from .schema import FormulaRecipe, MergeRecipe, RowRecipe, ScatterRecipe, WindowRecipe

Lines = tuple[str, str]

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
    "softmax": ("softmax", "nn.Softmax(1)"),
    "gelu_tanh": ("gelu", 'nn.GELU(approximate="tanh")'),
    "selu": ("selu", "nn.SELU()"),
    "celu": ("celu", "nn.CELU({p})"),
    "log_sigmoid": ("log_sigmoid", "nn.LogSigmoid()"),
    "prelu": ("", "nn.PReLU()"),
}
OWN_LAYERS = {
    "relu": "ReLU()",
    "leaky_relu": "LeakyReLU(negative_slope={p})",
    "elu": "ELU(alpha={p})",
    "softmax": "Softmax()",
    "prelu": "PReLU()",
    "gelu_tanh": "Activation(lambda x: keras.activations.gelu(x, approximate=True))",
}
MERGES: dict[str, Lines] = {
    "add": ("Add()", "a + b"),
    "subtract": ("Subtract()", "a - b"),
    "multiply": ("Multiply()", "a * b"),
    "average": ("Average()", "(a + b) / 2"),
    "maximum": ("Maximum()", "torch.maximum(a, b)"),
    "minimum": ("Minimum()", "torch.minimum(a, b)"),
    "concat": ("Concatenate()", "torch.cat((a, b), 1)"),
}


def _conv(rank: int) -> Lines:
    more = "{stride:, strides=}{padding:, padding=}{dilation:, dilation_rate=}{groups:, groups=}"
    same = "{stride:, stride=}{pads:, padding=}{dilation:, dilation=}{groups:, groups=}"
    return (
        f"{{zeros:ZeroPadding{rank}D(|)\n}}"
        f"Conv{rank}D({{filters}}, {{kernel}}{more}{{nobias:, use_bias=}}{{activation}})",
        f"{{uneven:nn.ZeroPad{rank}d(|)\n}}"
        f"nn.Conv{rank}d({{n}}, {{filters}}, {{kernel}}{same}{{nobias:, bias=}}){{after}}",
    )


def _transposed(rank: int, groups: int) -> Lines:
    keras = (
        f"Conv{rank}DTranspose({{filters}}, {{kernel}}{{stride:, strides=}}{{padding:, padding=}}"
        "{dilation:, dilation_rate=}{more:, output_padding=}{nobias:, use_bias=}"
        f"{{activation}}){{zeros:\nCropping{rank}D(|)}}"
    )
    return (
        keras if groups == 1 else "# Keras has no transposed convolution with groups",
        f"nn.ConvTranspose{rank}d({{n}}, {{filters}}, {{kernel}}{{stride:, stride=}}"
        "{pads:, padding=}{outpad:, output_padding=}{groups:, groups=}{dilation:, dilation=}"
        "{nobias:, bias=}){uneven:\n# then cut (before, after) of each axis: }{after}",
    )


def _pool(recipe: WindowRecipe, rank: int) -> Lines:
    if recipe.combine == "max":
        keras, torch = f"MaxPooling{rank}D", f"nn.MaxPool{rank}d"
        uneven, pads = f"{{uneven:nn.ConstantPad{rank}d(|, -math.inf)\n}}", "{pads:, padding=}"
    else:
        keras, torch = f"AveragePooling{rank}D", f"nn.AvgPool{rank}d"
        uneven = "{uneven:# PyTorch pads both sides alike; here: \n}"
        inside = ", count_include_pad=False" if recipe.divisor == "real" else ""
        pads = f"{{pads:, padding=|{inside}}}"
    return (
        f"{{zeros:# Keras pads by its own rule only; here: \n}}{keras}({{kernel}}"
        "{step:, strides=}{padding:, padding=})",
        f"{uneven}{torch}({{kernel}}{{step:, stride=}}{pads}{{ceil:, ceil_mode=}})",
    )


def _resize(layer: Layer, rank: int) -> Lines:
    torch = "nearest"
    if isinstance(layer, Linear):
        torch = {1: "linear", 2: "bilinear", 3: "trilinear"}.get(rank, "linear")
    elif isinstance(layer, Cubic):
        torch = "bicubic"
    keras = f"UpSampling{rank}D({{scale}})"
    if torch != "nearest":
        keras = f'UpSampling2D({{scale}}, interpolation="{torch}")'
    if torch in ("linear", "trilinear"):
        keras = "# Keras resizes so in two dimensions only"
    return keras, f'nn.Upsample(scale_factor={{scale}}, mode="{torch}")'


def _normal(layer: Layer, recipe: FormulaRecipe, shape: Sizes) -> Lines | None:
    """Batch, layer and group norm; None where a line would not say it all."""
    epsilon = recipe.numbers[0]
    axis = recipe.axis % len(shape)
    if recipe.name == "batch_norm":
        last = axis == len(shape) - 1
        keras = f"BatchNormalization({'' if last else f'axis={axis + 1}, '}epsilon={epsilon:g})"
        rank = max(1, len(shape) - 1)
        return keras, f"nn.BatchNorm{rank}d({shape[axis]}, eps={epsilon:g})"
    known: dict[str, Any] = layer.quantities()
    if recipe.name == "group_norm":
        groups, channels = int(known["groups"]), shape[axis]
        return (
            f"GroupNormalization({groups}, epsilon={epsilon:g})",
            f"nn.GroupNorm({groups}, {channels}, eps={epsilon:g})",
        )
    over = sorted(int(n) % len(shape) for n in known.get("axes", ()))
    if over != list(range(len(shape) - len(over), len(shape))):
        return None
    axes = "-1" if len(over) == 1 else str([n - len(shape) for n in over])
    sizes = str(tuple(shape[n] for n in over))
    if recipe.name == "rms_norm":
        return (
            f"RMSNormalization(axis={axes}, epsilon={epsilon:g})",
            f"nn.RMSNorm({sizes}, eps={epsilon:g})",
        )
    return (
        f"LayerNormalization(axis={axes}, epsilon={epsilon:g})",
        f"nn.LayerNorm({sizes}, eps={epsilon:g})",
    )


def _function(recipe: FormulaRecipe) -> Lines | None:
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
    return own.replace("{p}", shown), torch.replace("{p}", shown)


def code_of(
    layer: Layer, recipe: Any, shape: Sizes, out: Sizes, activation: FormulaRecipe | None
) -> Lines | None:
    """(Keras, PyTorch) templates of a layer with its recipe; None where there are no such lines.

    `shape` and `out` are its input's and output's, without the batch.
    """
    made = _plain(layer, recipe, shape, out)
    if made is None:
        return None
    word, after = _activation(activation)
    return (
        made[0].replace("{activation}", f", activation={word}" if word else ""),
        made[1].replace("{after}", after),
    )


def _plain(layer: Layer, recipe: Any, shape: Sizes, out: Sizes) -> Lines | None:
    known: dict[str, Any] = layer.quantities()
    rank = len(shape) - 1
    if isinstance(layer, Nearest | Linear | Cubic):
        return _resize(layer, rank)
    if isinstance(recipe, RowRecipe):
        return (
            "Dense({filters}{nobias:, use_bias=}{activation})",
            "nn.Linear({n}, {filters}{nobias:, bias=}){after}",
        )
    if isinstance(recipe, WindowRecipe):
        if recipe.weight is not None:
            backwards = any(getattr(axis, "dilation", 1) < 0 for axis in recipe.axes)
            return _transposed(rank, recipe.groups) if backwards else _conv(rank)
        if "pool" in known:
            return _pool(recipe, rank)
        if recipe.combine != "sum" and all(axis.n_out == 1 for axis in recipe.axes):
            word = "Max" if recipe.combine == "max" else "Average"
            short = "Max" if recipe.combine == "max" else "Avg"
            return f"Global{word}Pooling{rank}D()", f"nn.Adaptive{short}Pool{rank}d(1)"
    if isinstance(recipe, ScatterRecipe) and recipe.how == "reshape":
        flat = "Flatten()", "nn.Flatten()"
        return flat if len(out) == 1 else (f"Reshape({out})", f"x.reshape(-1, *{out})")
    if isinstance(recipe, MergeRecipe):
        return MERGES[recipe.op]
    if isinstance(recipe, FormulaRecipe):
        return _normal(layer, recipe, shape) if recipe.name.endswith("_norm") else _function(recipe)
    return None


def _activation(recipe: FormulaRecipe | None) -> Lines:
    """What a layer's own activation is called: Keras' word, PyTorch's next line; empty for none."""
    if recipe is None or recipe.name == "linear":
        return "", ""
    made = _function(recipe)
    keras = FUNCTIONS.get(recipe.name, ("", ""))[0]
    return (f'"{keras}"' if keras else "", f"\n{made[1]}" if made else "")
