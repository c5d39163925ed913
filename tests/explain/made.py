"""Small models for tests, made straight from layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from convlens.axis import TransposedWindow, Window
from convlens.layers.activate import Clip
from convlens.layers.base import Layer, Shape
from convlens.layers.conv import Conv
from convlens.layers.conv_transpose import ConvTranspose
from convlens.layers.dense import Dense
from convlens.layers.merge import Add
from convlens.layers.normalize import BatchNorm
from convlens.layers.pool import AveragePool, GlobalAveragePool, MaxPool
from convlens.layers.weight import Weight, drawn, given
from convlens.model import Call, Graph, Input, TensorId

RELU = Clip()


class Maker:
    """Builds a graph call by call; each method returns the name of what it made."""

    def __init__(self, shape: Shape, name: str = "made", channels_last: bool = True) -> None:
        self.last = channels_last
        self.inputs = [Input("x", shape, channels_last)]
        self.calls: list[Call] = []
        self.name = name
        self.at = "x"
        self.counts: dict[str, int] = {}

    def call(
        self,
        stem: str,
        kind: str,
        layer: Layer,
        sources: Sequence[str] | None = None,
        relu: bool = False,
        maps: bool = True,
        **more: Any,
    ) -> str:
        """Add a call; by default it reads what was made last."""
        number = self.counts.get(stem, 0)
        self.counts[stem] = number + 1
        name = stem if number == 0 else f"{stem}_{number}"
        inputs: tuple[TensorId, ...] = tuple((source, 0) for source in sources or [self.at])
        self.calls.append(
            Call(
                name,
                kind,
                layer,
                inputs,
                activation=RELU if relu else None,
                activation_name="relu" if relu else None,
                channels_last=self.last if maps else None,
                **more,
            )
        )
        self.at = name
        return name

    def conv(
        self,
        maps: int,
        filters: int,
        kernel: int | tuple[int, ...] = 3,
        source: str | None = None,
        *,
        stride: int = 1,
        padding: Any = "same",
        dilation: int = 1,
        groups: int = 1,
        rank: int = 2,
        relu: bool = False,
        bias: bool = True,
    ) -> str:
        sizes = (kernel,) * rank if isinstance(kernel, int) else kernel
        rank = len(sizes)
        shape = (*sizes, maps // groups, filters)
        path = f"conv/{len(self.calls)}"
        weight = Weight(
            "kernel",
            shape,
            (*("height", "width", "depth")[:rank], "input maps", "filters"),
            drawn(shape, "glorot_uniform", 0, path),
            order=(rank + 1, rank, *range(rank)),
        )
        extra = (
            Weight(
                "bias", (filters,), ("filters",), drawn((filters,), "random_normal", 0, path + "b")
            )
            if bias
            else None
        )
        windows = tuple(Window(k, stride, dilation, padding) for k in sizes)
        layer = Conv(weight, extra, windows, groups, self.last)
        return self.call("conv2d", "Conv2D", layer, [source] if source else None, relu)

    def transposed(
        self, maps: int, filters: int, kernel: int, stride: int, padding: Any = "valid"
    ) -> str:
        shape = (kernel, kernel, filters, maps)
        weight = Weight(
            "kernel",
            shape,
            ("height", "width", "filters", "input maps"),
            drawn(shape, "glorot_uniform", 0, f"transposed/{len(self.calls)}"),
            order=(3, 2, 0, 1),
        )
        windows = tuple(TransposedWindow(kernel, stride, 1, padding) for _ in range(2))
        layer = ConvTranspose(weight, None, windows, 1, self.last)
        return self.call("conv2d_transpose", "Conv2DTranspose", layer)

    def pool(
        self,
        kernel: int = 2,
        stride: int | None = None,
        padding: Any = "valid",
        source: str | None = None,
        average: bool = False,
        rank: int = 2,
    ) -> str:
        windows = tuple(Window(kernel, stride or kernel, 1, padding) for _ in range(rank))
        layer = (AveragePool if average else MaxPool)(windows, self.last)
        kind = "AveragePooling2D" if average else "MaxPooling2D"
        return self.call("pool", kind, layer, [source] if source else None)

    def add(self, *sources: str) -> str:
        return self.call("add", "Add", Add(), list(sources))

    def norm(self, channels: int) -> str:
        numbers = np.random.default_rng(channels)
        parts = {
            "gamma": numbers.normal(1, 0.3, channels),
            "beta": numbers.normal(0, 0.3, channels),
            "moving_mean": numbers.normal(0, 1, channels),
            "moving_variance": numbers.uniform(0.2, 2, channels),
        }
        weights = [
            Weight(name, (channels,), ("channels",), given(array), trainable=name[0] != "m")
            for name, array in parts.items()
        ]
        return self.call("batch_normalization", "BatchNormalization", BatchNorm(*weights))

    def dense(self, features: int, units: int, relu: bool = False) -> str:
        weight = Weight(
            "kernel",
            (features, units),
            ("inputs", "units"),
            drawn((features, units), "glorot_uniform", 0, f"dense/{len(self.calls)}"),
            order=(1, 0),
        )
        bias = Weight("bias", (units,), ("units",), drawn((units,), "random_normal", 1, "d"))
        return self.call("dense", "Dense", Dense(weight, bias), relu=relu, maps=False)

    def flatten(self) -> str:
        from convlens.layers.rearrange import Flatten

        return self.call("flatten", "Flatten", Flatten(), maps=False)

    def average(self) -> str:
        return self.call("gap", "GlobalAveragePooling2D", GlobalAveragePool(self.last), maps=False)

    def graph(self) -> Graph:
        return Graph(
            self.name,
            "keras",
            tuple(self.inputs),
            tuple(self.calls),
            ((self.calls[-1].name, 0),),
            kind="Sequential",
        )
