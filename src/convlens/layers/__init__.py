"""What each layer means: one class per meaning, in one file per family.

`TABLE` is the one list of them: name -> file. Classes are imported on first use
(`from convlens.layers import Conv`), so that a summary loads only the families it needs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .base import Layer

FAMILIES = {
    "conv": ("Conv",),
    "conv_transpose": ("ConvTranspose",),
    "separable": ("Separable",),
    "own_kernel": ("OwnKernelConv",),
    "dense": ("Dense",),
    "pool": ("MaxPool", "AveragePool", "GlobalAveragePool", "GlobalMaxPool"),
    "adaptive": ("AdaptiveAveragePool", "AdaptiveMaxPool", "LpPool"),
    "resize": ("Nearest", "Linear", "Cubic"),
    "pad": ("Pad", "Crop"),
    "select": ("Slice", "Split", "Take"),
    "rearrange": ("Flatten", "Reshape", "Permute", "RepeatVector", "Expand"),
    "lookup": ("Tile", "Lookup"),
    "shuffle": ("PixelShuffle", "PixelUnshuffle"),
    "join": ("Concatenate",),
    "merge": (
        "Add",
        "Subtract",
        "Multiply",
        "Divide",
        "Average",
        "Maximum",
        "Minimum",
    ),
    "matmul": ("MatMul",),
    "overwrite": ("Overwrite",),
    "scatter": ("OverwriteAt",),
    "order": ("TopK", "TopKPlaces", "CumulativeSum", "CumulativeMax"),
    "along": ("TakeAlong",),
    "stack": ("Stack", "Unstack"),
    "spread": ("VectorNorm", "Variance"),
    "operand": (
        "StoredDifference",
        "StoredQuotient",
        "StoredPower",
        "StoredMaximum",
        "StoredMinimum",
        "NumberOver",
    ),
    "reduce": ("ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin", "ArgMax"),
    "reduce_formula": ("ReduceProduct", "LogSumExp"),
    "scale": ("Affine", "Rescaling", "Normalization"),
    "normalize": ("BatchNorm",),
    "axisnorm": ("LayerNorm", "RMSNorm", "UnitNorm"),
    "groupnorm": ("GroupNorm",),
    "lrn": ("LRN",),
    "activate": ("Identity", "Clip"),
    "piecewise": (
        "LeakyRelu",
        "PRelu",
        "Relu",
        "HardSigmoid",
        "HardSilu",
        "HardShrink",
        "SoftShrink",
        "Threshold",
        "SparsePlus",
        "SparseSigmoid",
    ),
    "functions": (
        "Sigmoid",
        "Tanh",
        "Exponential",
        "Elu",
        "Selu",
        "Celu",
        "Softplus",
        "Softsign",
        "Silu",
        "Gelu",
        "GeluTanh",
        "Mish",
        "LogSigmoid",
        "TanhShrink",
        "Squareplus",
        "Erf",
    ),
    "arithmetic": (
        "Power",
        "SquareRoot",
        "Logarithm",
        "Reciprocal",
        "Absolute",
        "Negative",
        "Log1p",
        "Expm1",
        "NumberToThe",
        "Floor",
        "Ceiling",
        "Truncate",
        "Sign",
    ),
    "trigonometry": (
        "Sine",
        "Cosine",
        "Tangent",
        "ArcSine",
        "ArcCosine",
        "ArcTangent",
        "HyperbolicSine",
        "HyperbolicCosine",
        "AreaSine",
        "AreaCosine",
        "AreaTangent",
    ),
    "softmax": ("Softmax", "Softmin", "LogSoftmax", "Sparsemax", "Glu"),
    "gemm": ("Gemm",),
    "einsum": ("Einsum",),
    "where": ("Compare", "Arithmetic", "Where"),
    "quotient": ("WholeQuotient",),
    "measure": ("LpNorm", "MeanVariance", "Moments"),
    "unpool": ("MaxPoolPlaces", "MaxUnpool"),
    "sample": ("AffineGrid", "GridSample"),
    "deform": ("DeformConv", "RoiAlign"),
    "fold": ("Fold",),
    "resample": ("Resample",),
    "cast": ("ToFloat", "ToWhole", "RoundEven"),
    "quantize": ("Quantize", "Dequantize", "OnGrid", "DynamicRange"),
    "quantized": ("IntegerProduct", "QuantizedProduct", "QuantizedFunction"),
    "over_time": ("OverTime",),
    "recurrent": ("Recurrent", "BothWays"),
    "attention": ("MultiHeadAttention",),
    "opaque": ("Opaque",),
}
TABLE = {name: family for family, names in FAMILIES.items() for name in names}


def __getattr__(name: str) -> type[Layer]:
    family = TABLE.get(name)
    if family is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    found: Any = getattr(import_module(f"{__name__}.{family}"), name)
    globals()[name] = found
    return found  # type: ignore[no-any-return]


def __dir__() -> list[str]:
    return sorted([*TABLE, "FAMILIES", "TABLE"])
