"""Networks of other kinds than the built-in one, for the pages that `make.py FOLDER kinds` writes.

Weights are drawn from seeds. Each function gives what `convlens.load` takes.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from convlens.keras import Input, Model, Sequential, layers


def torch_maps() -> tuple[Any, tuple[int, ...]]:
    """A PyTorch module over pictures, and the shape it takes."""
    import torch
    from torch import nn

    torch.manual_seed(14)

    class Branches(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first = nn.Conv2d(3, 8, (5, 3), stride=(2, 1), padding=(1, 2))
            self.norm = nn.BatchNorm2d(8)
            self.grouped = nn.Conv2d(8, 12, 3, groups=4, dilation=(1, 2), padding="same")
            self.depthwise = nn.Conv2d(8, 8, 3, padding=1, groups=8, bias=False)
            self.largest = nn.MaxPool2d(3, 2, padding=1)
            self.mean = nn.AvgPool2d(3, 2, padding=1, count_include_pad=False)
            self.turned = nn.ConvTranspose2d(20, 6, 3, stride=2, padding=1, output_padding=1)
            self.slopes = nn.PReLU(6)
            self.head = nn.Linear(6, 5)
            for one in (self.norm.running_mean, self.norm.weight, self.norm.bias):
                nn.init.normal_(one)
            nn.init.uniform_(self.norm.running_var, 0.5, 2)

        def forward(self, x: Any) -> Any:
            x = nn.functional.relu(self.norm(self.first(x)))
            y = torch.cat((self.largest(self.grouped(x)), self.mean(self.depthwise(x))), 1)
            y = self.slopes(self.turned(y)).mean((2, 3))
            return nn.functional.softmax(self.head(y), 1)

    return Branches().eval(), (3, 17, 12)


def torch_row() -> tuple[Any, tuple[int, ...]]:
    """A PyTorch module over a sequence."""
    import torch
    from torch import nn

    torch.manual_seed(15)
    made = nn.Sequential(
        nn.Conv1d(2, 6, 5, stride=2, padding=2),
        nn.Tanh(),
        nn.Conv1d(6, 6, 3, dilation=3, groups=6, padding="same"),
        nn.MaxPool1d(3, 2, padding=1),
        nn.ConvTranspose1d(6, 4, 4, stride=3, padding=1),
        nn.AvgPool1d(2),
        nn.Flatten(),
        nn.Linear(52, 4),
    )
    return made.eval(), (2, 35)


def wide_row() -> Any:
    """Windows as long as an ear needs: 64 of 100 steps."""
    return Sequential(
        [
            Input((100, 2)),
            layers.Conv1D(4, 64, activation="relu"),
            layers.Conv1D(3, 64, padding="same"),
        ],
        name="wide_row",
    )


def wide_maps() -> Any:
    """Windows of 37 by 37, wider than high, and 64 high in one column."""
    return Sequential(
        [
            Input((45, 41, 2)),
            layers.Conv2D(3, 37, padding="same", activation="relu"),
            layers.Conv2D(2, (34, 40)),
            layers.Conv2D(2, (64, 1), padding="same"),
        ],
        name="wide_maps",
    )


def plain() -> Any:
    """No picture anywhere: dense layers alone, some of too many units for a line each."""
    return Sequential(
        [
            Input((12,)),
            layers.Dense(40, activation="relu", name="الطبقة_الأولى"),
            layers.BatchNormalization(),
            layers.Dense(6, activation="tanh", name="very_long_" * 15),
            layers.Dense(3, activation="softmax"),
        ],
        name="plain",
    )


def volume() -> Any:
    """Windows along three axes."""
    return Sequential(
        [
            Input((7, 8, 6, 2)),
            layers.Conv3D(4, 3, padding="same", activation="relu"),
            layers.MaxPooling3D(2),
            layers.Conv3D(3, 2),
            layers.GlobalAveragePooling3D(),
            layers.Dense(3, activation="softmax"),
        ],
        name="volume",
    )


def steps() -> Any:
    """A layer at every step of a film: windows, pools, norms, rows."""
    every = layers.TimeDistributed
    return Sequential(
        [
            Input((4, 9, 8, 2)),
            every(layers.Conv2D(5, 3, padding="same", activation="relu"), name="windows"),
            every(layers.MaxPooling2D(2), name="pools"),
            every(layers.BatchNormalization(), name="norms"),
            every(layers.LayerNormalization(), name="groups"),
            every(layers.Flatten(), name="rows"),
            every(layers.Dense(6, activation="tanh"), name="units"),
            layers.GlobalAveragePooling1D(),
        ],
        name="steps",
    )


def inputs() -> Any:
    """A picture, a sequence and numbers, each with layers of its own, then together."""
    picture, sound, numbers = (
        Input((12, 10, 3), name="picture"),
        Input((20, 2), name="sound"),
        Input((4,), name="numbers"),
    )
    a = layers.GlobalMaxPooling2D()(layers.Conv2D(5, 3, activation="relu")(picture))
    b = layers.GlobalAveragePooling1D()(layers.Conv1D(4, 5)(sound))
    x = layers.Concatenate()([a, b, layers.Normalization()(numbers)])
    return Model([picture, sound, numbers], layers.Dense(3, activation="softmax")(x), name="inputs")


def deep() -> Any:
    """Seventy layers of widths by lot, a stretch that repeats itself, and ten more."""
    first = x = Input((10, 9, 2))
    widths = np.random.default_rng(16).integers(2, 7, 80)
    for n in range(1, 71):
        x = layers.Conv2D(int(widths[n]), 3, padding="same", name=f"layer_{n}")(x)
    for n in range(1, 9):
        x = layers.Conv2D(3, 3, padding="same", name=f"same_{n}a")(x)
        x = layers.Conv2D(5, 1, name=f"same_{n}b")(x)
    for n in range(71, 80):
        x = layers.Conv2D(int(widths[n]), 3, padding="same", name=f"layer_{n}")(x)
    return Model(first, x, name="deep")
