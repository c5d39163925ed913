"""Keras' Dense, the activation layers, and layers that do nothing at inference."""

from __future__ import annotations

from ...errors import ArgumentError, ShapeError
from ...layers.activate import Clip, Identity
from ...layers.base import Shape
from ...layers.dense import Dense
from ...layers.softmax import Softmax
from .activations import activation
from .entry import (
    REQUIRED,
    Arguments,
    Built,
    Config,
    KerasLayer,
    WeightMaker,
    constraints,
    count_of,
    initializers,
    keeping,
    regularizers,
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


def _dense(config: Config, shapes: tuple[Shape, ...], weights: WeightMaker) -> Built:
    (shape,) = shapes
    if not shape:
        raise ShapeError("Dense needs an axis besides the batch", given="()", needed="(features,)")
    features = count_of(
        shape[-1],
        "numbers on the last axis",
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
    if config["use_bias"]:
        bias = weights("bias", (units,), ("units",), initializer=config["bias_initializer"])
    layer = Dense(kernel, bias)
    function, name = activation(config["activation"], (*shape[:-1], units), weights)
    on_map = len(shape) > 1
    return Built(layer, function, name, same_layout=on_map)


def _activation(config: Config, shapes: tuple[Shape, ...], weights: WeightMaker) -> Built:
    function, name = activation(config["activation"], shapes[0], weights)
    return keeping(function or Identity(), activation_name=name)


def _identity(config: Config, shapes: tuple[Shape, ...], weights: WeightMaker) -> Built:
    return keeping(Identity())


def _dropout(config: Config, shapes: tuple[Shape, ...], weights: WeightMaker) -> Built:
    return keeping(Identity("dropout.identity"))


def _relu(config: Config, shapes: tuple[Shape, ...], weights: WeightMaker) -> Built:
    low, high = config["threshold"], config["max_value"]
    if low or config["negative_slope"]:
        raise ArgumentError(
            "a ReLU with a threshold or a slope is not explained yet",
            given=f"threshold={low}, negative_slope={config['negative_slope']}",
            needed="0 for both",
        )
    return keeping(Clip(0.0, high))


def _softmax(config: Config, shapes: tuple[Shape, ...], weights: WeightMaker) -> Built:
    return keeping(Softmax(_axis(config["axis"], shapes[0])))


def _axis(axis: int, shape: Shape) -> int:
    """Keras' axis (the batch is 0) as ours, which leaves the batch out."""
    if axis < 0:
        return axis
    if axis == 0:
        raise ArgumentError(
            "axis 0 is the batch", given="axis=0", needed="-1 for the last axis, or 1 and more"
        )
    return axis - 1


ROWS = (
    KerasLayer("Dense", _DENSE, _dense, check=_check_dense),
    KerasLayer("Activation", (("activation", REQUIRED),), _activation),
    KerasLayer("Identity", (), _identity),
    KerasLayer("ReLU", (("max_value", None), ("negative_slope", 0.0), ("threshold", 0.0)), _relu),
    KerasLayer("Softmax", (("axis", -1),), _softmax),
    KerasLayer("Dropout", (("rate", REQUIRED), ("noise_shape", None), ("seed", None)), _dropout),
)
