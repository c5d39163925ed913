"""Older words of Keras as Keras 3 says them: class names, argument names and their values.

Only words: what a layer means, and its defaults, are in the one table (`readers.keras.table`).
"""

from __future__ import annotations

from typing import Any

Config = dict[str, Any]

_CLASSES = {
    "GroupQueryAttention": "GroupedQueryAttention",  # the public name; files have folders by the other
    "Convolution1D": "Conv1D",
    "Convolution2D": "Conv2D",
    "Convolution3D": "Conv3D",
    "AtrousConvolution1D": "Conv1D",
    "AtrousConvolution2D": "Conv2D",
    "AtrousConv1D": "Conv1D",
    "AtrousConv2D": "Conv2D",
    "Deconvolution2D": "Conv2DTranspose",
    "Deconvolution3D": "Conv3DTranspose",
    "Deconv2D": "Conv2DTranspose",
    "Convolution2DTranspose": "Conv2DTranspose",
    "Convolution3DTranspose": "Conv3DTranspose",
    "SeparableConvolution1D": "SeparableConv1D",
    "SeparableConvolution2D": "SeparableConv2D",
    "BatchNormalizationV1": "BatchNormalization",
    "BatchNormalizationV2": "BatchNormalization",
    "SyncBatchNormalization": "BatchNormalization",
    "GlobalAvgPool1D": "GlobalAveragePooling1D",
    "GlobalAvgPool2D": "GlobalAveragePooling2D",
    "GlobalAvgPool3D": "GlobalAveragePooling3D",
    "GlobalMaxPool1D": "GlobalMaxPooling1D",
    "GlobalMaxPool2D": "GlobalMaxPooling2D",
    "GlobalMaxPool3D": "GlobalMaxPooling3D",
    "MaxPool1D": "MaxPooling1D",
    "MaxPool2D": "MaxPooling2D",
    "MaxPool3D": "MaxPooling3D",
    "AvgPool1D": "AveragePooling1D",
    "AvgPool2D": "AveragePooling2D",
    "AvgPool3D": "AveragePooling3D",
    "Relu": "ReLU",
    "CuDNNLSTM": "LSTM",
    "CuDNNGRU": "GRU",
    "LSTMV1": "LSTM",
    "GRUV1": "GRU",
    "DenseV1": "Dense",
}

# Words that mean the same in every layer that has them.
_ARGUMENTS = {
    "border_mode": "padding",
    "subsample": "strides",
    "subsample_length": "strides",
    "nb_filter": "filters",
    "bias": "use_bias",
    "init": "kernel_initializer",
    "inner_init": "recurrent_initializer",
    "inner_activation": "recurrent_activation",
    "atrous_rate": "dilation_rate",
    "pool_length": "pool_size",
    "filter_length": "kernel_size",
    "batch_input_shape": "batch_shape",
    "input_dtype": "dtype",
    "lr_multiplier": "lr_multiplier",
}
_DENSE_LIKE = frozenset(
    {"Dense", "LSTM", "GRU", "SimpleRNN", "MaxoutDense", "TimeDistributedDense", "Highway"}
)
_MERGES = {
    "sum": "Add",
    "mul": "Multiply",
    "ave": "Average",
    "max": "Maximum",
    "concat": "Concatenate",
    "dot": "Dot",
}


def modern(class_name: str, config: Config) -> tuple[str, Config]:
    """The class name and settings in Keras 3's words; unknown ones stay as they are."""
    old_name = class_name.split(">")[-1]
    name = _CLASSES.get(old_name, old_name)
    words = {_ARGUMENTS.get(key, key): value for key, value in config.items()}
    _kernel(words)
    if name in _DENSE_LIKE and "output_dim" in words and "units" not in words:
        words["units"] = words.pop("output_dim")
    if "dim_ordering" in words:
        ordering = words.pop("dim_ordering")
        formats = {"tf": "channels_last", "th": "channels_first", "default": "channels_last"}
        words["data_format"] = formats.get(ordering, ordering)
    if "p" in words and name in ("Dropout", "SpatialDropout1D", "SpatialDropout2D",
                                 "SpatialDropout3D", "GaussianDropout"):  # fmt: skip
        words["rate"] = words.pop("p")
    if name == "Merge":
        name, words = _merge(words)
    _special(name, old_name, words)
    return name, words


def _kernel(words: Config) -> None:
    """`nb_row`, `nb_col`, `kernel_dim1`... are one `kernel_size`."""
    for keys in (("nb_row", "nb_col"), ("kernel_dim1", "kernel_dim2", "kernel_dim3")):
        if all(key in words for key in keys):
            words["kernel_size"] = tuple(words.pop(key) for key in keys)


def _merge(words: Config) -> tuple[str, Config]:
    mode = words.get("mode")
    name = _MERGES.get(mode, "Merge") if isinstance(mode, str) else "Merge"
    if name in ("Concatenate", "Dot"):
        axis = "concat_axis" if name == "Concatenate" else "dot_axes"
        words["axis" if name == "Concatenate" else "axes"] = words.get(axis, -1)
    return name, words


def _special(name: str, old_name: str, words: Config) -> None:
    if "alpha" in words and name == "LeakyReLU":
        words["negative_slope"] = words.pop("alpha")
    if name in ("MaxPooling1D", "AveragePooling1D") and "stride" in words:
        words["strides"] = words.pop("stride")
    if name == "UpSampling1D" and "length" in words:
        words["size"] = words.pop("length")
    axis = words.get("axis")
    if name == "BatchNormalization" and isinstance(axis, tuple) and len(axis) == 1:
        words["axis"] = axis[0]
    if name == "BatchNormalization" and words.pop("mode", 0) not in (0, None):
        words["mode"] = "not per channel"
    if name == "Conv2DTranspose" and old_name.startswith("Deconv"):
        words.pop("output_shape", None)
    if name == "GaussianNoise" and "sigma" in words:
        words["stddev"] = words.pop("sigma")
    if name == "InputLayer" and "shape" in words and "batch_shape" not in words:
        shape = words.pop("shape")
        words["batch_shape"] = (words.get("batch_size"), *shape) if shape is not None else None


def kernel_transposed(config: Any) -> bool:
    """Whether Keras 1 stored this layer's kernel channels first."""
    return bool(config.get("data_format") == "channels_first")
