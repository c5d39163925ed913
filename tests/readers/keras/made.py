"""Small Keras files made by hand, as every age of Keras wrote them, without Keras."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import h5py
import numpy as np

Arrays = dict[str, np.ndarray]


def layer(class_name: str, name: str, inbound: list[Any] | None = None, **config: Any) -> dict:
    """A layer as Keras 3 writes it; `inbound` lists, per call, the (name, call, output) it reads."""
    made = {
        "module": "keras.layers",
        "class_name": class_name,
        "config": {"name": name, "trainable": True, "dtype": "float32", **config},
        "registered_name": None,
        "name": name,
    }
    if inbound is not None:
        made["inbound_nodes"] = [
            {
                "args": [tensor(*one) if isinstance(one, tuple) else one for one in call],
                "kwargs": {},
            }
            for call in inbound
        ]
    return made


def tensor(name: str, call: int = 0, output: int = 0, shape: Any = None) -> dict:
    """A reference to a tensor as Keras 3 writes it."""
    history = [name, call, output]
    config = {"shape": shape, "dtype": "float32", "keras_history": history}
    return {"class_name": "__keras_tensor__", "config": config}


def functional(layers: list[dict], inputs: Any, outputs: Any, name: str = "model") -> dict:
    """A Functional model in Keras 3's JSON."""
    config = {
        "name": name,
        "trainable": True,
        "layers": layers,
        "input_layers": inputs,
        "output_layers": outputs,
    }
    return {
        "module": "keras.src.models.functional",
        "class_name": "Functional",
        "config": config,
        "registered_name": "Functional",
    }


def sequential(layers: list[dict], name: str = "seq", **config: Any) -> dict:
    """A Sequential model in Keras 3's JSON."""
    config = {"name": name, "trainable": True, "layers": layers, **config}
    return {"module": "keras", "class_name": "Sequential", "config": config}


def input_layer(name: str, *shape: int | None) -> dict:
    """An InputLayer in Keras 3's JSON."""
    return layer("InputLayer", name, [], batch_shape=[None, *shape])


def small() -> dict:
    """conv (2 filters of 3x3) and dense (3 units) on 6x6x1."""
    conv = layer("Conv2D", "conv", filters=2, kernel_size=[3, 3], strides=[1, 1], padding="valid",
                 data_format="channels_last", dilation_rate=[1, 1], groups=1,
                 activation="relu", use_bias=True)  # fmt: skip
    flat = layer("Flatten", "flat", data_format="channels_last")
    dense = layer("Dense", "dense", units=3, activation="softmax", use_bias=True)
    return sequential([input_layer("image", 6, 6, 1), conv, flat, dense])


def small_arrays(seed: int = 0) -> Arrays:
    """Weights of `small` by their places in Keras 3's weights file."""
    rng = np.random.default_rng(seed)
    shapes = {
        "layers/conv2d/vars/0": (3, 3, 1, 2),
        "layers/conv2d/vars/1": (2,),
        "layers/dense/vars/0": (32, 3),
        "layers/dense/vars/1": (3,),
    }
    return {path: rng.normal(size=shape).astype(np.float32) for path, shape in shapes.items()}


def hdf5(arrays: Arrays, **options: Any) -> bytes:
    """An HDF5 file of these arrays, by path."""
    stream = io.BytesIO()
    with h5py.File(stream, "w") as file:
        for path, array in arrays.items():
            made = file.create_dataset(path, data=array, **options)
            if array.dtype.kind == "V":
                made.attrs["dtype"] = "bfloat16"
    return stream.getvalue()


def keras_zip(
    path: Path,
    config: dict | bytes,
    weights: bytes | None = b"",
    method: int = zipfile.ZIP_STORED,
) -> Path:
    """A `.keras` file. Without `weights`, those of `small` are written; None writes none."""
    text = config if isinstance(config, bytes) else json.dumps(config).encode()
    with zipfile.ZipFile(path, "w", method) as archive:
        archive.writestr("metadata.json", json.dumps({"keras_version": "3.15.1"}))
        archive.writestr("config.json", text)
        if weights is not None:
            archive.writestr("model.weights.h5", weights or hdf5(small_arrays()))
    return path


def old_h5(
    path: Path,
    config: dict | list | None,
    weights: dict[str, Arrays],
    version: str | None = "2.5.0",
    backend: str | None = "tensorflow",
    text: type = bytes,
) -> Path:
    """A complete file of Keras 1 or 2 (without `config`: weights only), `weights` by layer."""
    with h5py.File(path, "w") as file:
        group = file
        if config is not None:
            value = json.dumps(config)
            file.attrs["model_config"] = value.encode() if text is bytes else value
            group = file.create_group("model_weights")
            if version is not None:
                file.attrs["keras_version"] = version.encode()
        group.attrs["layer_names"] = np.array([name.encode() for name in weights] or [], "S")
        if version is not None:
            group.attrs["keras_version"] = version.encode()
        if backend is not None:
            group.attrs["backend"] = backend.encode()
        for name, arrays in weights.items():
            inner = group.create_group(name)
            inner.attrs["weight_names"] = np.array([one.encode() for one in arrays] or [], "S")
            for weight, array in arrays.items():
                inner.create_dataset(weight, data=array)
    return path
