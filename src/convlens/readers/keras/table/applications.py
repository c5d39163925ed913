"""Layers that keras.applications defines for itself, and Embedding."""

from __future__ import annotations

from ....layers.base import Shape
from .row import (
    REQUIRED,
    Built,
    Config,
    KerasLayer,
    WeightMaker,
    count_of,
    keeping,
    real,
    single,
    whole,
)


def _layer_scale(config: Config, shapes: tuple[Shape, ...], weights: WeightMaker) -> Built:
    """ConvNeXt's: each channel times a learnt number."""
    from ....layers.scale import Affine

    shape = single(shapes)
    channels = count_of(shape[-1] if shape else None, "the number of channels", shape)
    start = {"class_name": "Constant", "config": {"value": config["init_values"]}}
    gamma = weights("gamma", (channels,), ("channels",), initializer=start)
    return keeping(Affine(gamma, None))


def _custom_scale(config: Config, shapes: tuple[Shape, ...], weights: WeightMaker) -> Built:
    """InceptionResNetV2's: the first input plus the second times a fixed number."""
    from ....layers.weighted import WeightedAdd

    return keeping(WeightedAdd((1.0, real(config, "scale"))))


def _embedding(config: Config, shapes: tuple[Shape, ...], weights: WeightMaker) -> Built:
    from ....layers.embed import Embedding

    rows, length = whole(config, "input_dim"), whole(config, "output_dim")
    table = weights(
        "embeddings", (rows, length), ("rows", "row"), initializer=config["embeddings_initializer"]
    )
    return Built(Embedding(table))


ROWS = (
    KerasLayer("LayerScale", (("init_values", 1e-6), ("projection_dim", None)), _layer_scale),
    KerasLayer("CustomScaleLayer", (("scale", REQUIRED),), _custom_scale),
    KerasLayer(
        "Embedding",
        (
            ("input_dim", REQUIRED),
            ("output_dim", REQUIRED),
            ("embeddings_initializer", "uniform"),
            ("embeddings_regularizer", None),
            ("embeddings_constraint", None),
            ("mask_zero", False),
            ("weights", None),
            ("lora_rank", None),
            ("lora_alpha", None),
            ("quantization_config", None),
        ),
        _embedding,
    ),
)
