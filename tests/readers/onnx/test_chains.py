"""Chains that mean one layer: recognised, exact against the graph that runs, left alone if not."""

from __future__ import annotations

import numpy as np
import pytest

from convlens.api import Model
from convlens.readers.onnx import read_live

from .made import explained, kinds, model_of, node, weight

MAP = {"x": ("N", 4, 5, 5)}
SCALARS = {
    **{"three": np.float32(3), "six": np.float32(6), "zero": np.float32(0)},
    **{"half": np.float32(0.5), "one": np.float32(1), "root": np.float32(np.sqrt(2))},
    **{"bend": np.float32(0.044715), "shrink": np.float32(np.sqrt(2 / np.pi))},
    **{"two": np.float32(2), "eps": np.float32(1e-5), "sixth": np.float32(1 / 6)},
}
CLIPPED = [node("Add", "x three", "a"), node("Clip", "a zero six", "c")]
GATE = [node("Div", "x root", "d"), node("Erf", "d", "e"), node("Add", "e one", "g")]
CENTRED = [
    node("ReduceMean", "x", "m", axes=[-1]),
    node("Sub", "x m", "d"),
    node("Pow", "d two", "p"),
    node("ReduceMean", "p", "v", axes=[-1]),
    node("Add", "v eps", "w"),
    node("Sqrt", "w", "s"),
    node("Div", "d s", "n"),
]
CUBE = [node("Pow", "x cubed", "p"), node("Mul", "p bend", "b"), node("Add", "x b", "s")]
CUBE_2 = [
    node("Mul", "x x", "p"),
    node("Mul", "p x", "q"),
    node("Mul", "bend q", "b"),
    node("Add", "b x", "s"),
]
SQUARE = [
    node("Mul", "x x", "p"),
    node("Mul", "p bend", "b"),
    node("Add", "b one", "o"),
    node("Mul", "x o", "s"),
]
SOFT = [node("Mul", "s shrink", "k"), node("Tanh", "k", "t"), node("Add", "t one", "g")]
GROUPS = [
    node("Reshape", "x rows", "r"),
    node("InstanceNormalization", "r ones nils", "n", epsilon=1e-3),
    node("Reshape", "n four", "b"),
]
SHUFFLE = [
    node("Reshape", "x five", "a"),
    node("Transpose", "a", "b", perm=[0, 2, 1, 3, 4]),
    node("Reshape", "b four", "y"),
]
TURNED = [
    node("Transpose", "x", "t", perm=[0, 2, 3, 1]),
    node("Transpose", "s", "y", perm=[0, 3, 1, 2]),
]
ENDS = [
    node("Slice", "x less far last", "a"),
    node("Slice", "x none more last", "b"),
]


@pytest.mark.parametrize(
    ("nodes", "kind"),
    [
        ([*CLIPPED, node("Mul", "x c", "m"), node("Div", "m six", "y")], "HardSwish"),
        ([*CLIPPED, node("Mul", "x c", "m"), node("Mul", "m sixth", "y")], "HardSwish"),
        ([*CLIPPED, node("Div", "c six", "h"), node("Mul", "x h", "y")], "HardSwish"),
        ([*CLIPPED, node("Div", "c six", "y")], "HardSigmoid"),
        ([node("HardSigmoid", "x", "h", alpha=1 / 6), node("Mul", "x h", "y")], "HardSwish"),
        ([node("Sigmoid", "x", "s"), node("Mul", "s x", "y")], "Swish"),
        ([node("Softplus", "x", "s"), node("Tanh", "s", "t"), node("Mul", "x t", "y")], "Mish"),
        ([*GATE, node("Mul", "x g", "m"), node("Mul", "m half", "y")], "Gelu"),
        ([*GATE, node("Mul", "x half", "h"), node("Mul", "h g", "y")], "Gelu"),
        ([*GATE, node("Mul", "g half", "h"), node("Mul", "x h", "y")], "Gelu"),
        ([*CENTRED, node("Mul", "n gamma", "k"), node("Add", "k beta", "y")], "LayerNormalization"),
        ([*CENTRED[:-1], node("Div", "d s", "y")], "LayerNormalization"),
        ([node("Mul", "x scale", "m"), node("Add", "m offset", "y")], "Mul+Add"),
        ([node("Mul", "x two", "m"), node("Add", "m offset", "y")], "Mul+Add"),
        ([node("Mul", "x scale", "m"), node("Add", "two m", "y")], "Mul+Add"),
        ([node("MatMul", "x kernel", "m"), node("Add", "m bias", "y")], "MatMul+Add"),
        (SHUFFLE, "ChannelShuffle"),
        ([node("Mul", "two x", "m"), node("Softplus", "m", "s"), node("Div", "s two", "y")], "Softplus"),
        ([*TURNED[:1], node("Softmax", "t", "s"), *TURNED[1:]], "Softmax"),
        ([*TURNED[:1], node("LogSoftmax", "t", "s", axis=3), *TURNED[1:]], "LogSoftmax"),
        ([*ENDS, node("Concat", "a x b", "y", axis=3)], "Pad"),
        ([ENDS[0], node("Concat", "a x", "y", axis=3)], "Pad"),
        ([ENDS[1], node("Concat", "x b", "y", axis=-1)], "Pad"),
        ([*CUBE, *SOFT, node("Mul", "x g", "m"), node("Mul", "m half", "y")], "Gelu"),
        ([*CUBE_2, *SOFT, node("Mul", "x half", "h"), node("Mul", "h g", "y")], "Gelu"),
        ([*SQUARE, *SOFT, node("Mul", "g half", "h"), node("Mul", "x h", "y")], "Gelu"),
        ([*GROUPS, node("Mul", "b scale", "k"), node("Add", "k offset", "y")], "GroupNormalization"),
        ([*GROUPS[:2], node("Reshape", "n four", "y")], "GroupNormalization"),
    ],
)  # fmt: skip
def test_a_chain_is_one_layer_and_its_numbers_are_the_engines(nodes, kind) -> None:
    weights = {
        **SCALARS,
        **{"gamma": weight(5), "beta": weight(5), "kernel": weight(5, 3), "bias": weight(3)},
        **{"scale": weight(1, 4, 1, 1), "offset": weight(4, 1, 1)},
        **{"rows": np.array([0, 2, -1]), "ones": np.ones(2, np.float32)},
        **{"nils": np.zeros(2, np.float32), "cubed": np.float32(3)},
        **{"five": np.array([0, 2, 2, 5, 5]), "four": np.array([0, 4, 5, 5])},
        **{"less": np.array([-2]), "far": np.array([2**63 - 1]), "last": np.array([3])},
        **{"none": np.array([0]), "more": np.array([1])},
    }
    graph = read_live(model_of(nodes, MAP, ["y"], weights))
    assert kinds(graph) == [kind]
    assert len(graph.calls[0].origin) == len(nodes)
    x = 4 * np.random.default_rng(3).standard_normal((2, 4, 5, 5)).astype(np.float32)
    assert explained(Model(graph), x, points=40) == 42


def test_a_one_dimensional_convolution_in_disguise_is_one() -> None:
    nodes = [
        node("Unsqueeze", "x two", "u"),
        node("Conv", "u w b", "c", strides=[1, 2], pads=[0, 1, 0, 1]),
        node("Squeeze", "c two", "y"),
    ]
    weights = {"two": np.array([2]), "w": weight(6, 3, 1, 4), "b": weight(6)}
    graph = read_live(model_of(nodes, {"x": ("N", 3, 20)}, ["y"], weights))
    assert kinds(graph) == ["Conv"]
    assert graph.declared["Squeeze_2", 0] == (6, 10)
    assert graph.calls[0].weights[0].shape == (6, 3, 1, 4)
    assert explained(Model(graph), points=20) == 22


def test_a_convolution_between_transposes_has_its_channels_last() -> None:
    nodes = [
        node("Transpose", "x", "t", perm=[0, 3, 1, 2]),
        node("Conv", "t w", "c", pads=[1, 1, 1, 1]),
        node("Transpose", "c", "y", perm=[0, 2, 3, 1]),
    ]
    graph = read_live(model_of(nodes, {"x": ("N", 6, 5, 3)}, ["y"], {"w": weight(4, 3, 3, 3)}))
    assert kinds(graph) == ["Conv"]
    assert graph.declared["Transpose_2", 0] == (6, 5, 4)
    assert graph.calls[0].channels_last is True
    assert explained(Model(graph), points=20) == 22


def test_a_mean_over_a_map_is_a_global_pool_and_constants_beside_it_are_padding() -> None:
    nodes = [
        node("Conv", "x w", "c"),
        node("Concat", "c zeros", "j", axis=1),
        node("ReduceMean", "j", "y", axes=[2, 3], keepdims=0),
    ]
    weights = {"w": weight(2, 4, 3, 3), "zeros": np.zeros((1, 3, 3, 3), np.float32)}
    graph = read_live(model_of(nodes, {"x": (1, 4, 5, 5)}, ["y"], weights))
    assert [type(call.layer).__name__ for call in graph.calls] == [
        "Conv", "Pad", "GlobalAveragePool",
    ]  # fmt: skip
    x = np.random.default_rng(0).random((1, 4, 5, 5), dtype=np.float32)
    assert explained(Model(graph), x) == 15


def test_a_chain_whose_inside_is_read_elsewhere_is_left_as_it_is() -> None:
    nodes = [node("Sigmoid", "x", "s"), node("Mul", "s x", "m"), node("Add", "m s", "y")]
    assert kinds(read_live(model_of(nodes, MAP, ["y"]))) == ["Sigmoid", "Mul", "Add"]
    assert kinds(read_live(model_of(nodes[:2], MAP, ["m", "s"]))) == ["Sigmoid", "Mul"]


@pytest.mark.parametrize(
    "nodes",
    [
        [node("Add", "x two", "a"), node("Clip", "a zero six", "c"), node("Div", "c six", "y")],
        [*CLIPPED, node("Div", "c three", "y")],
        [*GATE, node("Mul", "x g", "y")],
        [node("Add", "x x", "s"), *SOFT, node("Mul", "x g", "m"), node("Mul", "m half", "y")],
    ],
)
def test_what_is_nearly_a_chain_is_not_taken_for_one(nodes) -> None:
    graph = read_live(model_of(nodes, MAP, ["y"], SCALARS))
    assert not {"HardSigmoid", "Gelu", "HardSwish"} & set(kinds(graph))
    x = 4 * np.random.default_rng(3).standard_normal((1, 4, 5, 5)).astype(np.float32)
    assert explained(Model(graph), x) > 0


def test_groups_with_scales_of_their_own_are_no_group_norm() -> None:
    weights = {"rows": np.array([0, 2, -1]), "four": np.array([0, 4, 5, 5])}
    more = {"ones": np.array([1, 2], np.float32), "nils": np.zeros(2, np.float32)}
    nodes = [*GROUPS[:2], node("Reshape", "n four", "y")]
    graph = read_live(model_of(nodes, MAP, ["y"], {**weights, **more}))
    assert kinds(graph) == ["Reshape", "InstanceNormalization", "Reshape"]
    assert explained(Model(graph), weight(2, 4, 5, 5)) == 15


def test_a_transposed_convolution_between_transposes_has_its_channels_last() -> None:
    nodes = [
        node("Transpose", "x", "t", perm=[0, 3, 1, 2]),
        node("ConvTranspose", "t w", "c", strides=[2, 2]),
        node("Transpose", "c", "y", perm=[0, 2, 3, 1]),
    ]
    graph = read_live(model_of(nodes, {"x": ("N", 4, 5, 3)}, ["y"], {"w": weight(3, 4, 3, 3)}))
    assert kinds(graph) == ["ConvTranspose"]
    assert graph.declared["Transpose_2", 0] == (9, 11, 4)
    assert explained(Model(graph), points=20) == 22


FLAT = {
    "Flatten": [node("Flatten", "x", "y")],
    "Reshape to a constant": [node("Reshape", "x flat", "y")],
    "Reshape to what Shape and Gather say": [
        node("Shape", "x", "s"),
        node("Gather", "s first", "n"),
        node("Unsqueeze", "n axis", "u"),
        node("Concat", "u rest", "to", axis=0),
        node("Reshape", "x to", "y"),
    ],
}


@pytest.mark.parametrize("form", FLAT)
def test_flatten_is_one_layer_however_it_is_written(form: str) -> None:
    weights = {
        **{"flat": np.array([0, -1]), "first": np.array(0), "axis": np.array([0])},
        "rest": np.array([-1]),
    }
    graph = read_live(model_of(FLAT[form], MAP, ["y"], weights))
    assert [type(call.layer).__name__ for call in graph.calls] == ["Flatten"]
    assert graph.declared[graph.calls[0].name, 0] == (100,)
    assert len(graph.calls[0].origin) == len(FLAT[form])
    assert explained(Model(graph), weight(2, 4, 5, 5)) == 5


@pytest.mark.parametrize(
    ("nodes", "kind"),
    [
        # The start before the whole, cells of another axis, a factor that is not taken back.
        ([ENDS[1], node("Concat", "b x", "y", axis=3)], ["Slice", "Concat"]),
        ([ENDS[0], node("Concat", "x a", "y", axis=3)], ["Slice", "Concat"]),
        (
            [node("Mul", "two x", "m"), node("Softplus", "m", "s"), node("Div", "s six", "y")],
            ["Mul", "Softplus", "Div"],
        ),
        (
            [TURNED[0], node("Softmax", "t", "s", axis=1), TURNED[1]],
            ["Transpose", "Softmax", "Transpose"],
        ),
    ],
)
def test_what_only_looks_like_padding_or_an_activation_stays_as_it_is(nodes, kind) -> None:
    weights = {
        **SCALARS,
        **{"less": np.array([-2]), "far": np.array([2**63 - 1]), "last": np.array([3])},
        **{"none": np.array([0]), "more": np.array([1])},
    }
    graph = read_live(model_of(nodes, MAP, ["y"], weights))
    assert kinds(graph) == kind
    assert explained(Model(graph), weight(2, 4, 5, 5)) == 5 * len(kind)
