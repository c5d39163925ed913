"""Keras' Dense, the activation layers, and layers that do nothing at inference."""

from __future__ import annotations

from ....errors import ArgumentError, ShapeError
from ....layers.activate import Clip, Identity
from ....layers.base import Layer, Shape
from ....layers.dense import Dense
from ....layers.opaque import Opaque
from ....layers.softmax import Softmax
from .activations import activation, check_activation
from .row import (
    REQUIRED,
    Arguments,
    Built,
    Config,
    KerasLayer,
    WeightMaker,
    constraints,
    count_of,
    flag,
    initializers,
    keeping,
    plain_axes,
    plain_axis,
    real,
    regularizers,
    single,
    whole,
)

_DENSE: Arguments = (
    ("units", REQUIRED),
    ("activation", None),
    ("use_bias", True),
    *initializers(kernel="glorot_uniform", bias="zeros"),
    *regularizers("kernel", "bias", "activity"),
    *constraints("kernel", "bias"),
    ("lora_rank", None),
    ("lora_alpha", None),
    ("quantization_config", None),
)


def _check_dense(config: Config) -> None:
    whole(config, "units")
    check_activation(config)


def _dense(config: Config, shapes: tuple[Shape, ...], weights: WeightMaker) -> Built:
    shape = single(shapes)
    if not shape:
        raise ShapeError("Dense needs an axis besides the batch", given="()", needed="(features,)")
    features = count_of(
        shape[-1],
        "the size of the last axis",
        shape,
        hint="after maps of unknown size use GlobalAveragePooling2D or GlobalMaxPooling2D instead "
        "of Flatten",
    )
    units = whole(config, "units")
    kernel = weights(
        "kernel",
        (features, units),
        ("inputs", "units"),
        initializer=config["kernel_initializer"],
        order=(1, 0),
    )
    bias = None
    if flag(config, "use_bias"):
        bias = weights("bias", (units,), ("units",), initializer=config["bias_initializer"])
    function, name = activation(config["activation"], (*shape[:-1], units), weights)
    return Built(Dense(kernel, bias), function, name, same_layout=len(shape) > 1)


def _activation(config: Config, shapes: tuple[Shape, ...], weights: WeightMaker) -> Built:
    function, name = activation(config["activation"], single(shapes), weights)
    return keeping(function or Identity(), activation_name=name)


def _identity(config: Config, shapes: tuple[Shape, ...], weights: WeightMaker) -> Built:
    single(shapes)
    return keeping(Identity())


def _dropout(config: Config, shapes: tuple[Shape, ...], weights: WeightMaker) -> Built:
    single(shapes)
    return keeping(Identity("dropout"))


def _check_rate(config: Config) -> None:
    rate = config["rate"]
    if isinstance(rate, bool) or not isinstance(rate, (int, float)) or not 0 <= rate <= 1:
        raise ArgumentError(
            "`rate` is the share of numbers that training drops",
            given=f"rate={rate!r}",
            needed="a number from 0 to 1",
            hint=f"for {rate} per cent write {rate / 100:g}"
            if isinstance(rate, (int, float)) and 1 < rate <= 100
            else "",
        )


def _relu(config: Config, shapes: tuple[Shape, ...], weights: WeightMaker) -> Built:
    from ....layers.piecewise import Relu

    single(shapes)
    words = {word: config[word] or 0.0 for word in ("negative_slope", "threshold")}
    slope, threshold = real(words, "negative_slope"), real(words, "threshold")
    top = None if config["max_value"] is None else real(config, "max_value")
    if slope or threshold:
        return keeping(Relu(slope, top, threshold))
    return keeping(Clip(0.0, top))


def _leaky(config: Config, shapes: tuple[Shape, ...], weights: WeightMaker) -> Built:
    from ....layers.piecewise import LeakyRelu

    single(shapes)
    return keeping(LeakyRelu(real(config, "negative_slope")))


def _elu(config: Config, shapes: tuple[Shape, ...], weights: WeightMaker) -> Built:
    from ....layers.functions import Elu

    single(shapes)
    return keeping(Elu(real(config, "alpha")))


def _prelu(config: Config, shapes: tuple[Shape, ...], weights: WeightMaker) -> Built:
    from ....layers.piecewise import PRelu

    shape = single(shapes)
    shared = config["shared_axes"]
    one = () if shared is None else plain_axes(shared, len(shape))
    held = tuple(
        1
        if n in one
        else count_of(
            size, f"the size of axis {n + 1}", shape, hint="shared_axes=[1, 2] shares them"
        )
        for n, size in enumerate(shape)
    )
    axes = tuple(f"axis {n + 1}" for n in range(len(shape)))
    alpha = weights("alpha", held, axes, initializer=config["alpha_initializer"])
    return keeping(PRelu(alpha))


def _softmax(config: Config, shapes: tuple[Shape, ...], weights: WeightMaker) -> Built:
    shape = single(shapes)
    axis = config["axis"]
    if isinstance(axis, (list, tuple)):
        if len(axis) != 1:
            layer: Layer = Opaque("Softmax", why="over several axes at once", shapes=(shape,))
            return keeping(layer)
        (axis,) = axis
    return keeping(Softmax(plain_axis(axis, len(shape))))


def _rated(name: str, *more: tuple[str, object]) -> KerasLayer:
    return KerasLayer(name, (("rate", REQUIRED), *more), _dropout, check=_check_rate)


_SEED = ("seed", None)
_FORMAT = ("data_format", None)

ROWS = (
    KerasLayer("Dense", _DENSE, _dense, check=_check_dense),
    KerasLayer("Activation", (("activation", REQUIRED),), _activation, check=check_activation),
    KerasLayer("Identity", (), _identity),
    KerasLayer("ReLU", (("max_value", None), ("negative_slope", 0.0), ("threshold", 0.0)), _relu),
    KerasLayer("LeakyReLU", (("negative_slope", 0.3),), _leaky),
    KerasLayer("ELU", (("alpha", 1.0),), _elu),
    KerasLayer(
        "PReLU",
        (
            ("alpha_initializer", "Zeros"),
            *regularizers("alpha"),
            *constraints("alpha"),
            ("shared_axes", None),
        ),
        _prelu,
    ),
    KerasLayer("Softmax", (("axis", -1),), _softmax),
    _rated("Dropout", ("noise_shape", None), _SEED),
    _rated("AlphaDropout", ("noise_shape", None), _SEED),
    _rated("GaussianDropout", _SEED),
    _rated("SpatialDropout1D", _SEED),
    _rated("SpatialDropout2D", _FORMAT, _SEED),
    _rated("SpatialDropout3D", _FORMAT, _SEED),
    KerasLayer("GaussianNoise", (("stddev", REQUIRED), _SEED), _dropout),
    KerasLayer("ActivityRegularization", (("l1", 0.0), ("l2", 0.0)), _identity),
)
