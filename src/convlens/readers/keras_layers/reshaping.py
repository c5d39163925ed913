"""Keras' layers that move numbers or join tensors, and batch normalisation."""

from __future__ import annotations

from ...layers.base import Shape
from ...layers.merge import Add
from ...layers.normalize import BatchNorm
from ...layers.rearrange import Flatten
from ...layers.weight import Weight
from .core import _axis
from .entry import (
    Arguments,
    Built,
    Config,
    KerasLayer,
    WeightMaker,
    channels_last,
    constraints,
    count_of,
    keeping,
    regularizers,
)


def _flatten(config: Config, shapes: tuple[Shape, ...], weights: WeightMaker) -> Built:
    last = channels_last(config)
    return Built(Flatten(), reads_last=None if last else False)


def _add(config: Config, shapes: tuple[Shape, ...], weights: WeightMaker) -> Built:
    return keeping(Add())


_BATCH_NORM: Arguments = (
    ("axis", -1),
    ("momentum", 0.99),
    ("epsilon", 0.001),
    ("center", True),
    ("scale", True),
    ("beta_initializer", "zeros"),
    ("gamma_initializer", "ones"),
    ("moving_mean_initializer", "zeros"),
    ("moving_variance_initializer", "ones"),
    *regularizers("beta", "gamma"),
    *constraints("beta", "gamma"),
    ("renorm", False),
    ("renorm_clipping", None),
    ("renorm_momentum", 0.99),
    ("synchronized", False),
)


def _batch_norm(config: Config, shapes: tuple[Shape, ...], weights: WeightMaker) -> Built:
    shape = shapes[0]
    axis = _axis(config["axis"], shape)
    channels = count_of(shape[axis], "channels", shape)

    def make(name: str, trainable: bool = True) -> Weight:
        return weights(
            name,
            (channels,),
            ("channels",),
            initializer=config[f"{name}_initializer"],
            trainable=trainable,
        )

    gamma = make("gamma") if config["scale"] else None
    beta = make("beta") if config["center"] else None
    mean, variance = make("moving_mean", False), make("moving_variance", False)
    return keeping(BatchNorm(gamma, beta, mean, variance, float(config["epsilon"]), axis))


ROWS = (
    KerasLayer("Flatten", (("data_format", None),), _flatten),
    KerasLayer("Add", (), _add),
    KerasLayer("BatchNormalization", _BATCH_NORM, _batch_norm),
)
