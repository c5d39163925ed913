"""The lines of code that the page gives, taken by Keras and PyTorch themselves.

    python judge.py make FOLDER      pages of layers of every kind, and FOLDER/numbers.npz
    python judge.py check FOLDER     FOLDER/cases.json (what the page showed) against the libraries

A case is one state of "what if": the lines for both libraries, the shape and the parameters that
the table beside them shows. `check` prints what differs as a JSON list. Where a model of that
library was opened and nothing was changed, its weights and input must give the model's output, too.
"""

from __future__ import annotations

import json
import math
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np

import convlens
from convlens.keras import Input, Model, layers

os.environ["KERAS_BACKEND"] = "jax"

TOLERANCE = 1e-4


def keras_models() -> dict[str, Any]:
    """Every kind of layer side by side on one input, channels last."""
    made = {}
    first = Input((12, 10, 4))
    flat = layers.GlobalMaxPooling2D()(first)
    three = layers.Conv2D(6, 3, strides=2, padding="same", activation="leaky_relu")(first)
    out = [
        layers.Conv2D(8, (3, 2), activation="gelu", use_bias=False)(first),
        layers.Conv2D(8, 3, dilation_rate=2, groups=2, activation="elu")(first),
        layers.DepthwiseConv2D(3, depth_multiplier=2, padding="same", activation="softmax")(first),
        layers.SeparableConv2D(5, 3)(first),
        layers.Conv2DTranspose(3, 3, strides=2, activation="relu")(first),
        layers.Conv2DTranspose(3, 4, strides=2, padding="same")(first),
        layers.Conv2DTranspose(3, 3, strides=2, padding="same", output_padding=1)(first),
        layers.MaxPooling2D(3, 2, padding="same")(first),
        layers.AveragePooling2D(3, 2, padding="same")(first),
        layers.AveragePooling2D((2, 3))(first),
        layers.GlobalAveragePooling2D()(first),
        layers.GlobalMaxPooling2D(keepdims=True)(first),
        layers.BatchNormalization()(first),
        layers.BatchNormalization(scale=False)(first),
        layers.BatchNormalization(center=False, scale=False)(first),
        layers.GroupNormalization(2)(first),
        layers.GroupNormalization(2, center=False, scale=False)(first),
        layers.LayerNormalization()(first),
        layers.LayerNormalization(axis=[1, 2, 3])(first),
        layers.LayerNormalization(center=False)(first),
        layers.PReLU()(first),
        layers.PReLU(shared_axes=[1, 2])(first),
        layers.LeakyReLU(0.1)(first),
        layers.ELU(0.5)(first),
        layers.ReLU(6)(first),
        layers.Softmax()(first),
        layers.Dense(7, activation="tanh")(first),
        layers.UpSampling2D((2, 3))(first),
        layers.UpSampling2D(2, interpolation="bilinear")(first),
        layers.ZeroPadding2D(((1, 2), (0, 3)))(first),
        layers.Cropping2D(((1, 2), (0, 3)))(first),
        layers.Add()([three, three]),
        layers.Concatenate()([three, three]),
        layers.Concatenate(axis=1)([three, three]),
        layers.Maximum()([three, three]),
        layers.Flatten()(first),
        layers.Reshape((20, 24))(first),
        layers.Permute((3, 1, 2))(first),
        layers.Dense(5, activation="softmax", use_bias=False)(flat),
        layers.BatchNormalization()(flat),
        layers.LayerNormalization()(flat),
        layers.PReLU()(flat),
    ]
    words = "relu sigmoid tanh silu gelu softplus softsign elu exponential hard_sigmoid"
    words += " hard_silu mish selu celu log_sigmoid leaky_relu relu6 softmax"
    out += [layers.Activation(word)(first) for word in words.split()]
    made["maps"] = Model(first, out, name="maps")
    first = Input((20, 4))
    out = [
        layers.Conv1D(6, 3, activation="relu")(first),
        layers.Conv1D(6, 3, padding="causal", dilation_rate=2)(first),
        layers.Conv1D(8, 4, strides=3, padding="same", groups=2)(first),
        layers.Conv1DTranspose(3, 3, strides=2)(first),
        layers.MaxPooling1D(2)(first),
        layers.AveragePooling1D(3, 2, padding="same")(first),
        layers.GlobalAveragePooling1D()(first),
        layers.BatchNormalization()(first),
        layers.UpSampling1D(2)(first),
        layers.Dense(5, activation="softmax")(first),
        layers.Flatten()(first),
    ]
    made["row"] = Model(first, out, name="row")
    first = Input((7, 6, 5, 2))
    out = [
        layers.Conv3D(4, 3, activation="relu")(first),
        layers.Conv3DTranspose(3, 2, strides=2)(first),
        layers.MaxPooling3D(2)(first),
        layers.AveragePooling3D(2, padding="same")(first),
        layers.GlobalAveragePooling3D()(first),
        layers.BatchNormalization()(first),
        layers.UpSampling3D(2)(first),
    ]
    made["volume"] = Model(first, out, name="volume")
    return made


def torch_model() -> tuple[Any, tuple[int, ...]]:
    """The same, channels first."""
    import torch
    from torch import nn

    torch.manual_seed(3)

    class Side(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.each = nn.ModuleDict(
                {
                    "conv": nn.Conv2d(4, 6, 3, padding=1),
                    "strided": nn.Conv2d(4, 6, (3, 2), stride=2, padding=(2, 1), bias=False),
                    "same": nn.Conv2d(4, 6, 4, padding="same", dilation=2),
                    "grouped": nn.Conv2d(4, 8, 3, groups=4),
                    "turned": nn.ConvTranspose2d(4, 6, 3, stride=2, padding=1, output_padding=1),
                    "turned_groups": nn.ConvTranspose2d(4, 6, 3, groups=2, dilation=2),
                    "max": nn.MaxPool2d(3, 2, padding=1),
                    "max_dilated": nn.MaxPool2d(3, 2, dilation=2),
                    "max_ceil": nn.MaxPool2d(3, 2, ceil_mode=True),
                    "mean": nn.AvgPool2d(3, 2, padding=1),
                    "mean_real": nn.AvgPool2d(3, 2, padding=1, count_include_pad=False),
                    "mean_all": nn.AdaptiveAvgPool2d(1),
                    "batch": nn.BatchNorm2d(4),
                    "batch_plain": nn.BatchNorm2d(4, affine=False),
                    "group": nn.GroupNorm(2, 4),
                    "instance": nn.InstanceNorm2d(4),
                    "layer": nn.LayerNorm((12, 10)),
                    "layer_last": nn.LayerNorm(10),
                    "rms": nn.RMSNorm(10),
                    "prelu": nn.PReLU(),
                    "prelus": nn.PReLU(4),
                    "leaky": nn.LeakyReLU(0.01),
                    "elu": nn.ELU(0.5),
                    "celu": nn.CELU(0.5),
                    "relu6": nn.ReLU6(),
                    "gelu": nn.GELU(),
                    "gelu_tanh": nn.GELU(approximate="tanh"),
                    "softplus": nn.Softplus(),
                    "hardswish": nn.Hardswish(),
                    "softmax": nn.Softmax(1),
                    "softmax_last": nn.Softmax(-1),
                    "linear": nn.Linear(10, 3),
                    "nearest": nn.Upsample(scale_factor=2),
                    "bilinear": nn.Upsample(scale_factor=2, mode="bilinear"),
                    "flat": nn.Flatten(),
                }
            )

        def forward(self, x: Any) -> list[Any]:
            return [
                *(one(x) for one in self.each.values()),
                nn.functional.leaky_relu(self.each["conv"](x), 0.3),
                x + 2 * x,
                torch.cat((x, x), 1),
                torch.cat((x, x), 2),
            ]

    return Side().eval(), (4, 12, 10)


def make(folder: Path) -> None:
    """Write the pages, and the numbers that layers got and gave."""
    folder.mkdir(parents=True, exist_ok=True)
    module, shape = torch_model()
    opened = {name: convlens.load(model) for name, model in keras_models().items()}
    opened["torch"] = convlens.load(module, input_shape=shape)
    arrays: dict[str, Any] = {}
    for name, model in opened.items():
        run = model.run()
        run.export(folder / f"{name}.html")
        for step in run.execution.graph.steps:
            # The page names a stage that is not a call's last `call:stage`.
            for key in {f"{name}/{step.call.name}", f"{name}/{step.call.name}:{step.stage}"}:
                arrays[f"{key}/out"] = run.execution.tensor(step.outputs[0])
                if step.layer is step.call.activation:
                    continue
                for n, tensor in enumerate(step.inputs):
                    arrays[f"{key}/in/{n}"] = run.execution.tensor(tensor)
                for n, weight in enumerate(step.layer.weights()):
                    arrays[f"{key}/weight/{n}"] = weight.array()
    np.savez(folder / "numbers.npz", **arrays)


class Judge:
    """One library: how it takes a map, a line, and weights."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.words: dict[str, Any] = {"math": math}
        if name == "keras":
            import keras

            self.words |= {"keras": keras} | vars(keras.layers)
        else:
            import torch

            self.words |= {"torch": torch, "nn": torch.nn}

    def moved(self, x: Any, channel: int | None, back: bool = False) -> Any:
        """A batch in this library's layout: maps last for Keras, first for PyTorch."""
        if channel is None or x.ndim < 3:
            return x
        here, there = channel + 1, (x.ndim - 1 if self.name == "keras" else 1)
        return np.moveaxis(x, there, here) if back else np.moveaxis(x, here, there)

    def follow(
        self, lines: str, given: list[Any], weights: list[Any], first: bool, changed: bool
    ) -> tuple[Any, int, bool]:
        """What the lines make of the inputs, their parameters, and whether the weights were set."""
        torch, keras = self.words.get("torch"), self.words.get("keras")
        if keras and changed:
            # Keras' own shape inference: nothing is compiled for numbers that nobody compares.
            given = [keras.KerasTensor(one.shape) for one in given]
        x = [torch.from_numpy(np.ascontiguousarray(one)) for one in given] if torch else given
        count, whole = 0, False
        for line in lines.split("\n"):
            names = {"x": x[0], "a": x[0], "b": x[-1]}
            made = eval(line.partition("  # ")[0], self.words | names)
            if not callable(made):
                x = [made]
                continue
            if not torch:
                y = made(
                    x if len(x) > 1 else x[0], **({"training": False} if "Norm" in line else {})
                )
                # Of a PyTorch model the page counts parameters alone, as PyTorch does.
                count += sum(
                    math.prod(w.shape) for w in (made.trainable_weights if first else made.weights)
                )
                if (
                    not changed
                    and made.weights
                    and [w.shape for w in made.weights] == [w.shape for w in weights]
                ):
                    made.set_weights(weights)
                    y, whole = made(x[0]), True
                x = [y]
                continue
            made.eval()
            held = [t for n, t in made.state_dict().items() if "num_batches" not in n]
            count += sum(t.numel() for t in (made.parameters() if first else held))
            if held and [tuple(t.shape) for t in held] == [w.shape for w in weights]:
                for t, w in zip(held, weights, strict=True):
                    t.copy_(torch.from_numpy(np.array(w)))
                whole = True
            x = [made(x[0])]
        if torch:
            return x[0].detach().numpy(), count, whole
        return (np.zeros(x[0].shape) if changed else np.asarray(x[0])), count, whole


def check(folder: Path) -> list[str]:
    """Every case against both libraries."""
    numbers = np.load(folder / "numbers.npz")
    wrong, forward, taken = [], {"keras": 0, "torch": 0}, {"keras": 0, "torch": 0}
    for library in ("keras", "torch"):
        judge = Judge(library)
        for case in json.loads((folder / "cases.json").read_text()):
            lines = case[library]
            if not lines or lines.startswith("#") or "\n#" in lines:
                continue
            key = f"{case['page']}/{case['layer']}"
            given = [numbers[f"{key}/in/{n}"] for n in range(case["inputs"])]
            weights = [numbers[w] for w in numbers.files if w.startswith(f"{key}/weight/")]
            # A dense layer takes the last axis, wherever the maps lie.
            channel = None if case["as_it_is"] else case["channel"]
            last = None if case["as_it_is"] else case["channel_out"]
            where = f"{key} {case['state']}: {lines!r}"
            try:
                own = (library == "torch") == (case["page"] == "torch", case["changed"])
                moved = [judge.moved(x, channel) for x in given]
                y, count, whole = judge.follow(
                    lines, moved, weights, case["page"] == "torch", case["changed"]
                )
            except Exception as error:
                wrong.append(f"{where}: {type(error).__name__} {error}"[:400])
                continue
            taken[library] += 1
            y = judge.moved(y, last, back=True) if last is not None else y
            if list(y.shape[1:]) != case["shape"]:
                wrong.append(f"{where}: shape {y.shape[1:]}, the page says {case['shape']}")
            elif count != case["params"] and "  # here" not in lines and not case["shared"]:
                wrong.append(f"{where}: {count} parameters, the page says {case['params']}")
            elif not case["changed"] and ((whole and own) or not count):
                forward[library] += 1
                want = numbers[f"{key}/out"]
                off = float(np.abs(y - want).max()) if y.shape == want.shape else math.inf
                if not off <= TOLERANCE:
                    wrong.append(f"{where}: its numbers are off by {off:g}")
    print(f"lines taken {taken}, numbers compared {forward}", file=sys.stderr)
    return wrong


if __name__ == "__main__":
    if sys.argv[1] == "make":
        make(Path(sys.argv[2]))
    else:
        print(json.dumps(check(Path(sys.argv[2])), indent=1))
