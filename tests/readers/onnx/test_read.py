"""ONNX graphs as layers: batch, layouts, shapes that the graph computes, several inputs."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from convlens.api import Model
from convlens.errors import ArgumentError, EngineError, InputError
from convlens.readers.onnx import read_file, read_live

from .made import explained, kinds, model_of, node, weight


def test_a_small_network_is_read_with_its_shapes_weights_and_names() -> None:
    proto = model_of(
        [
            node("Conv", "x w b", "c", pads=[1, 1, 1, 1], name="/conv1/Conv"),
            node("Relu", "c", "r"),
            node("MaxPool", "r", "p", kernel_shape=[2, 2], strides=[2, 2]),
            node("Flatten", "p", "f"),
            node("Gemm", "f w2 b2", "y", transB=1),
        ],
        {"x": ("N", 1, 8, 8)},
        ["y"],
        {"w": weight(4, 1, 3, 3), "b": weight(4), "w2": weight(10, 64), "b2": weight(10)},
    )
    graph = read_live(proto)
    assert [call.name for call in graph.calls] == [
        "/conv1/Conv", "Relu_1", "MaxPool_2", "Flatten_3", "Gemm_4",
    ]  # fmt: skip
    assert kinds(graph) == ["Conv", "Relu", "MaxPool", "Flatten", "Gemm"]
    assert [w.name for w in graph.calls[0].weights] == ["w", "b"]
    assert graph.declared["Gemm_4", 0] == (10,)
    assert graph.inputs[0].shape == (1, 8, 8)
    assert graph.channels_last["/conv1/Conv", 0] is False
    assert explained(Model(graph)) == 25


def test_initializers_that_are_also_inputs_are_weights() -> None:
    proto = model_of(
        [node("Conv", "x w", "y")],
        {"x": (1, 1, 5, 5), "w": (2, 1, 3, 3)},
        ["y"],
        {"w": weight(2, 1, 3, 3)},
    )
    proto.ir_version = 3
    graph = read_live(proto)
    assert [i.name for i in graph.inputs] == ["x"]
    assert explained(Model(graph)) == 5


def test_weights_may_be_computed_in_the_file() -> None:
    proto = model_of(
        [
            node("ConstantOfShape", "s", "w0", value=helper.make_tensor("v", 1, [1], [0.25])),
            node("Identity", "w0", "w1"),
            node("DequantizeLinear", "q scale zero", "d", axis=0),
            node("Cast", "d", "w2", to=TensorProto.FLOAT),
            node("Conv", "x w1", "c"),
            node("Conv", "c w2", "y"),
        ],
        {"x": ("N", 1, 7, 7)},
        ["y"],
        {
            "s": np.array([2, 1, 3, 3]),
            "q": np.arange(-9, 9, dtype=np.int8).reshape(1, 2, 3, 3),
            "scale": np.array([0.5], np.float32),
            "zero": np.array([1], np.int8),
        },
    )
    graph = read_live(proto)
    assert kinds(graph) == ["Conv", "Conv"]
    np.testing.assert_array_equal(
        graph.calls[1].weights[0].array(), (np.arange(-9, 9).reshape(1, 2, 3, 3) - 1) * 0.5
    )
    assert explained(Model(graph)) == 10


def test_a_shape_that_the_graph_computes_is_folded_into_the_layer_it_is_for() -> None:
    proto = model_of(
        [
            node("GlobalAveragePool", "x", "g"),
            node("Shape", "g", "s"),
            node("Gather", "s zero", "n", axis=0),
            node("Unsqueeze", "n zero1", "n1"),
            node("Concat", "n1 minus", "target", axis=0),
            node("Reshape", "g target", "y", name="flatten"),
        ],
        {"x": ("N", 6, "H", "W")},
        ["y"],
        {"zero": np.array(0), "zero1": np.array([0]), "minus": np.array([-1])},
    )
    graph = read_live(proto)
    assert kinds(graph) == ["GlobalAveragePool", "Flatten"]
    assert graph.declared["flatten", 0] == (6,)
    assert set(graph.calls[1].origin) == {
        "Shape_1", "Gather_2", "Unsqueeze_3", "Concat_4", "flatten",
    }  # fmt: skip
    x = np.random.default_rng(0).random((3, 6, 4, 5), dtype=np.float32)
    assert Model(graph).run(x)["flatten"].shape == (3, 6)


def test_open_sizes_are_null_until_a_run_binds_them() -> None:
    proto = model_of(
        [node("Conv", "x w", "c", strides=[2, 2]), node("Resize", "c - scales", "y")],
        {"x": ("N", 3, "H", "W")},
        ["y"],
        {"w": weight(4, 3, 3, 3), "scales": np.array([1, 1, 2, 2], np.float32)},
    )
    graph = read_live(proto)
    assert graph.declared["Resize_1", 0] == (4, None, None)
    model = Model(graph)
    for size in (9, 12):
        x = np.random.default_rng(0).random((1, 3, size, size), dtype=np.float32)
        assert explained(model, x) == 10
    bound = read_live(proto, (3, 9, 9))
    assert bound.declared["Resize_1", 0] == (4, 8, 8)
    with pytest.raises(ArgumentError) as caught:
        read_live(proto, (9, 9))
    assert str(caught.value) == (
        "made: the input shape does not fit the model\n"
        "  given:  (9, 9)\n"
        "  needed: (3, None, None)\n"
        "  hint:   sizes shown as None may be chosen; leave the batch axis out"
    )


def test_channels_last_pictures_and_the_transposes_of_tf2onnx_are_followed() -> None:
    proto = model_of(
        [
            node("Transpose", "x", "t", perm=[0, 3, 1, 2]),
            node("Conv", "t w", "c"),
            node("Relu", "c", "r"),
            node("Transpose", "r", "y", perm=[0, 2, 3, 1]),
        ],
        {"x": ("N", 6, 6, 3)},
        ["y"],
        {"w": weight(2, 3, 3, 3)},
    )
    graph = read_live(proto)
    assert graph.inputs[0].channels_last is True
    assert [graph.channels_last[call.name, 0] for call in graph.calls] == [
        False,
        False,
        False,
        True,
    ]
    assert explained(Model(graph)) == 20


def test_what_has_no_layer_runs_and_is_named() -> None:
    proto = model_of(
        [
            node("Conv", "x w", "c"),
            node("Erf", "c", "e"),
            node("Hardmax", "e", "y", axis=2),
        ],
        {"x": ("N", 1, 5, 5)},
        ["y"],
        {"w": weight(2, 1, 3, 3)},
    )
    graph = read_live(proto)
    last = graph.calls[-1]
    assert (last.kind, last.layer.rule) == ("Hardmax", "opaque")
    assert last.layer.why == "convlens has no layer for this operator"  # type: ignore[attr-defined]
    x = np.ones((2, 1, 5, 5), np.float32)
    run = Model(graph).run(x)
    assert np.array_equal(run["Hardmax_2"].argmax(2), run["Erf_1"].argmax(2))


def test_an_if_is_opaque_and_its_branches_run() -> None:
    branches = [
        helper.make_graph(
            [node(op, "c", "out")], op, [], [helper.make_empty_tensor_value_info("out")]
        )
        for op in ("Relu", "Neg")
    ]
    branches[0].initializer.append(numpy_helper.from_array(weight(3, 3), "inside"))
    proto = model_of(
        [
            node("Conv", "x w", "c"),
            node("ReduceMax", "x", "top", keepdims=0),
            node("Cast", "top", "yes", to=9),
            helper.make_node(
                "If", ["yes"], ["y"], then_branch=branches[0], else_branch=branches[1]
            ),
        ],
        {"x": ("N", 1, 5, 5)},
        ["y"],
        {"w": weight(2, 1, 3, 3)},
    )
    graph = read_live(proto)
    assert graph.call("If_3").inputs == (("Cast_2", 0), ("Conv_0", 0))
    assert [w.name for w in graph.call("If_3").weights] == ["inside"]
    run = Model(graph).run(np.ones((1, 1, 5, 5), np.float32))
    np.testing.assert_array_equal(run["If_3"], np.maximum(run["Conv_0"], 0))


def test_functions_of_the_file_are_written_out() -> None:
    inner = helper.make_function(
        "made", "Twice", ["a", "k"], ["b"],
        [node("Conv", "a k", "m"), node("Relu", "m", "b")],
        [helper.make_opsetid("", 17)],
    )  # fmt: skip
    proto = model_of(
        [node("Twice", "x w", "h", domain="made"), node("Twice", "h w2", "y", domain="made")],
        {"x": ("N", 1, 7, 7)},
        ["y"],
        {"w": weight(2, 1, 3, 3), "w2": weight(3, 2, 3, 3)},
        functions=[inner],
    )
    graph = read_live(proto)
    assert kinds(graph) == ["Conv", "Relu", "Conv", "Relu"]
    assert graph.calls[0].name == "Twice_1/Conv"
    assert explained(Model(graph)) == 20


def test_states_start_at_zero_and_other_inputs_must_be_named() -> None:
    proto = model_of(
        [node("Add", "x m", "a"), node("Add", "a state", "y")],
        {"x": ("N", 4), "m": ("N", 4), "state": (2, 1, 4)},
        ["y"],
    )
    graph = read_live(proto)
    assert [i.batched for i in graph.inputs] == [True, True, False]
    x = np.ones((1, 4), np.float32)
    run = Model(graph).run({"x": x, "m": x})
    np.testing.assert_array_equal(run["Add_1"], np.full((2, 1, 4), 2.0))
    with pytest.raises(InputError, match="no batch axis"):
        Model(graph).run({"x": x, "m": x, "state": np.zeros((3, 1, 4), np.float32)})


@pytest.mark.parametrize("type_", [TensorProto.FLOAT16, TensorProto.DOUBLE, TensorProto.BFLOAT16])
def test_halves_and_doubles_run_as_float32_and_the_facts_say_so(type_: int) -> None:
    w = weight(2, 1, 3, 3)
    tensor = numpy_helper.from_array(w, "w")
    tensor = helper.make_tensor("w", type_, w.shape, w.ravel().tolist())
    proto = model_of(
        [node("Conv", "x w", "c"), node("Cast", "c", "y", to=type_)],
        {"x": ("N", 1, 5, 5)},
        ["y"],
        type_=type_,
    )
    proto.graph.initializer.append(tensor)
    graph = read_live(proto)
    assert len(graph.facts) == 1
    assert graph.facts[0].endswith("are run as float32")
    assert explained(Model(graph)) == 10
    assert Model(graph).run().output.dtype == np.float32


def test_wrong_declared_shapes_do_not_matter() -> None:
    proto = model_of(
        [node("Conv", "x w", "y")], {"x": ("N", 1, 5, 5)}, ["y"], {"w": weight(2, 1, 3, 3)}
    )
    proto.graph.output[0].CopyFrom(helper.make_tensor_value_info("y", TensorProto.FLOAT, [7, 7]))
    assert Model(read_live(proto)).run().output.shape == (1, 2, 3, 3)


def test_external_data_are_mapped_and_run(tmp_path) -> None:
    import onnx

    w = weight(2, 1, 3, 3)
    proto = model_of([node("Conv", "x w", "y")], {"x": ("N", 1, 5, 5)}, ["y"], {"w": w})
    path = tmp_path / "m.onnx"
    onnx.save(proto, path, save_as_external_data=True, location="w.bin", size_threshold=0)
    graph = read_file(path)
    np.testing.assert_array_equal(graph.calls[0].weights[0].array(), w)
    assert explained(Model(graph)) == 5


def test_a_graph_the_engine_refuses_is_one_message_and_is_still_summarised() -> None:
    proto = model_of(
        [node("Conv", "x w", "c"), node("Mystery", "c", "y", domain="nowhere")],
        {"x": ("N", 1, 5, 5)},
        ["y"],
        {"w": weight(2, 1, 3, 3)},
    )
    model = Model(read_live(proto))
    assert kinds(model.graph) == ["Conv", "Mystery"]
    with pytest.raises(EngineError, match="refused loading the graph"):
        model.run()["Conv_0"]


def test_budget_runs_the_graph_again_for_what_does_not_fit() -> None:
    nodes = [node("Conv", "x w", "c0", pads=[1, 1, 1, 1])]
    nodes += [node("Conv", f"c{n} v", f"c{n + 1}", pads=[1, 1, 1, 1]) for n in range(8)]
    proto = model_of(
        nodes, {"x": (1, 1, 32, 32)}, ["c8"], {"w": weight(8, 1, 3, 3), "v": weight(8, 8, 3, 3) / 9}
    )
    model = Model(read_live(proto))
    x = np.ones((1, 1, 32, 32), np.float32)
    small, large = model.run(x, budget=1 << 16), model.run(x)
    assert len(small.execution._groups) > 1
    assert len(large.execution._groups) == 1
    for call in model.graph.calls:
        np.testing.assert_allclose(small[call.name], large[call.name], rtol=1e-4, atol=1e-6)


def test_a_size_that_the_file_fixes_is_refused_with_its_axis() -> None:
    made = model_of(
        [node("Conv", "x w", "y")], {"x": ("N", 3, "H", 16)}, ["y"], {"w": weight(2, 3, 3, 3)}
    )
    with pytest.raises(ArgumentError) as caught:
        read_live(made, (4, 12, 16))
    assert str(caught.value) == (
        "made, input `x`: the file fixes axis 0 of its input at 3\n"
        "  given:  (4, 12, 16): 4 on axis 0\n"
        "  needed: (3, None, 16)\n"
        "  hint:   sizes shown as None may be chosen; axes count from 0, without the batch"
    )
    assert read_live(made, (3, 12, 16)).inputs[0].shape == (3, 12, 16)


def test_an_input_of_whole_numbers_gets_them_and_refuses_others() -> None:
    made = model_of(
        [node("Gather", "table ids", "y")],
        {"ids": ("N", 7)},
        ["y"],
        {"table": weight(5, 3)},
        type_=7,
    )
    model = Model(read_live(made))
    run = model.run()
    fed = run.execution.tensor(("ids", 0))
    assert set(fed.ravel().tolist()) <= {0.0, 1.0}
    with pytest.raises(InputError) as caught:
        model.run(np.full((1, 7), 1.5))
    assert str(caught.value) == (
        "`ids`: the input takes whole numbers\n"
        "  given:  7 others, the first 1.5\n"
        "  needed: numbers without a part behind the point\n"
        "  hint:   token ids and bytes are whole numbers; round the array, or feed another input"
    )


@pytest.mark.parametrize("given", [1, 2, 3, 5])
def test_a_file_that_fixes_its_batch_takes_any_number_of_samples(given: int) -> None:
    """The graph itself insists on two: it reshapes to them."""
    made = model_of(
        [node("Conv", "x w", "c"), node("Reshape", "c to", "r"), node("Relu", "r", "y")],
        {"x": (2, 3, 6, 6)},
        ["y"],
        {"w": weight(4, 3, 3, 3), "to": np.array([2, 4, 16])},
    )
    model = Model(read_live(made))
    x = weight(given, 3, 6, 6)
    run = model.run(x)
    assert run["Relu_2"].shape == (given, 4, 16)
    assert np.array_equal(run["Relu_2"][0], model.run(x[:1])["Relu_2"][0])
    assert explained(model, x) == 15


def test_a_cut_far_behind_the_end_keeps_the_batch() -> None:
    weights = {"s": np.zeros(3, np.int64), "e": np.full(3, 10**9), "a": np.array([0, 2, 1])}
    made = model_of([node("Slice", "x s e a", "y")], {"x": ("N", 4, "L")}, ["y"], weights)
    graph = read_live(made)
    assert graph.calls[0].layer.rule == "choice"
    assert graph.declared[graph.calls[0].name, 0] == (4, None)


@pytest.mark.parametrize("auto", ["SAME_UPPER", "SAME_LOWER"])
@pytest.mark.parametrize("kernel", [(3, 2), (4, 1)])
def test_same_padding_of_a_dilated_convolution_runs(auto: str, kernel: tuple[int, int]) -> None:
    # ONNX Runtime refuses it, and PyTorch's exporter writes it.
    more = {"auto_pad": auto, "dilations": [2, 3], "kernel_shape": kernel}
    proto = model_of(
        [node("Conv", "x w", "y", **more)],
        {"x": ("N", 2, 9, 8)},
        ["y"],
        {"w": weight(3, 2, *kernel)},
    )
    model = Model(read_live(proto))
    assert model.run().output.shape == (1, 3, 9, 8)
    explained(model, points=12)


def test_a_piece_of_which_nothing_is_left_is_no_part_of_a_concatenation() -> None:
    # torch.roll by 1 and 0 on two axes, as PyTorch's exporter writes it.
    nodes = [
        *(node("Slice", "x last far two", "a"), node("Slice", "x zero last two", "b")),
        node("Concat", "a b", "c", axis=2),
        *(node("Slice", "c zero far three", "d"), node("Slice", "c zero zero three", "e")),
        node("Concat", "d e", "y", axis=3),
    ]
    weights = {
        **{"zero": np.array([0]), "last": np.array([-1]), "far": np.array([2**63 - 1])},
        **{"two": np.array([2]), "three": np.array([3])},
    }
    graph = read_live(model_of(nodes, {"x": ("N", 2, 3, 4)}, ["y"], weights))
    assert kinds(graph) == ["Slice", "Slice", "Concat", "Slice", "Concat"]
    x = weight(2, 2, 3, 4)
    assert explained(Model(graph), x) == 25
    np.testing.assert_array_equal(Model(graph).run(x).output, np.roll(x, 1, 2))


@pytest.mark.parametrize(
    ("equation", "reads", "shape"),
    [
        ("bchw,oc->bohw", "x w", (5, 2)),
        ("oc,bchw->bhwo", "w x", (5, 2)),
        ("...hw,wk->...hk", "x w", (4, 3)),
        ("bchw,bcij->bhwij", "x x", ()),
        ("bcij,bdij->bcd", "x x", ()),
        ("bchw->bc", "x", ()),
    ],
)
def test_an_equation_of_letters_is_explained(
    equation: str, reads: str, shape: tuple[int, ...]
) -> None:
    weights = {"w": weight(*shape)} if shape else {}
    nodes = [node("Einsum", reads, "y", equation=equation)]
    graph = read_live(model_of(nodes, {"x": ("N", 2, 3, 4)}, ["y"], weights))
    assert [call.layer.rule for call in graph.calls] == ["sum"]
    assert explained(Model(graph), weight(2, 2, 3, 4)) == 5


def test_an_equation_across_the_batch_is_not_explained() -> None:
    nodes = [node("Einsum", "x", "y", equation="bc->c")]
    graph = read_live(model_of(nodes, {"x": ("N", 3)}, ["y"]))
    assert graph.calls[0].layer.why == "it works across the batch axis"  # type: ignore[attr-defined]


def test_a_weight_that_is_cast_to_the_type_of_what_arrives_is_a_weight() -> None:
    # So PyTorch's newest exporter writes a bias, where it is told not to optimise.
    nodes = [
        node("CastLike", "zeros x", "b"),
        node("Conv", "x w b", "c"),
        node("CastLike", "half c", "h"),
        node("Mul", "c h", "y"),
    ]
    weights = {
        **{"zeros": np.arange(4, dtype=np.float32), "w": weight(4, 3, 2, 2)},
        "half": np.float32(0.5),
    }
    graph = read_live(model_of(nodes, {"x": ("N", 3, 5, 5)}, ["y"], weights, opset=18))
    assert kinds(graph) == ["Conv", "Mul"]
    assert [w.count for w in graph.calls[0].weights] == [48, 4]
    assert explained(Model(graph), weight(2, 3, 5, 5)) == 10


@pytest.mark.parametrize(("order", "wanted"), [(1, 7.0), (2, 5.0)])
def test_a_global_pool_of_lengths_is_explained(order: int, wanted: float) -> None:
    graph = read_live(
        model_of([node("GlobalLpPool", "x", "y", p=order)], {"x": ("N", 1, 1, 2)}, ["y"])
    )
    run = Model(graph).run(np.float32([[[[3, -4]]]]))
    fact = run.explain("GlobalLpPool_0", at=(0, 0, 0)).to_dict()
    assert fact["value"] == pytest.approx(wanted, abs=1e-6)
    assert explained(Model(graph), weight(2, 1, 1, 2)) == 5


def test_a_constant_cast_to_the_type_of_one_that_the_engine_makes_reads_no_more_of_it() -> None:
    # PyTorch's normalize of a weight: the limit takes its type from a length that is computed.
    nodes = [
        node("ReduceL2", "w axes", "n", keepdims=1),
        node("CastLike", "tiny n", "t"),
        node("Max", "n t", "m"),
        node("Div", "w m", "v"),
        node("MatMul", "x v", "y"),
    ]
    weights = {"w": weight(4, 3), "axes": np.array([0]), "tiny": np.float32(1e-12)}
    graph = read_live(model_of(nodes, {"x": ("N", 4)}, ["y"], weights, opset=18))
    assert kinds(graph) == ["MatMul"]
    assert explained(Model(graph), weight(2, 4)) == 5
