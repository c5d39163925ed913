"""Damaged and hostile ONNX files: one clear message each, nothing read outside the folder."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from convlens.errors import ConvlensError, ModelError
from convlens.readers.onnx import functions as written
from convlens.readers.onnx import read_file, read_live

from .made import model_of, node, weight


def refusal(model: onnx.ModelProto) -> str:
    with pytest.raises(ModelError) as caught:
        read_live(model)
    return str(caught.value)


def small() -> onnx.ModelProto:
    return model_of(
        [node("Conv", "x w", "c"), node("Relu", "c", "y")],
        {"x": ("N", 1, 5, 5)},
        ["y"],
        {"w": weight(2, 1, 3, 3)},
    )


def test_a_text_file_named_onnx_is_said_to_be_one(tmp_path) -> None:
    path = tmp_path / "model.onnx"
    path.write_text("hello, I am a model")
    with pytest.raises(ModelError) as caught:
        read_file(path)
    assert str(caught.value) == (
        "model.onnx: this is not an ONNX file\n"
        "  given:  a text file\n"
        "  needed: a model saved by an ONNX exporter, whole\n"
        "  hint:   download or export the file again"
    )


@pytest.mark.parametrize(
    ("data", "given"),
    [
        (b"", "an empty file"),
        (b"version https://git-lfs.github.com/spec/v1\noid", "a Git LFS pointer"),
        (b"\xff\xfe\x00\x01" * 40, "its bytes are not a protobuf message"),
        (b"\x08\x07", "a message without a graph"),
    ],
)
def test_what_is_no_model_says_what_it_is(tmp_path, data, given) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(data)
    with pytest.raises(ModelError, match="not an ONNX file") as caught:
        read_file(path)
    assert caught.value.given.startswith(given)


def test_a_truncated_file_is_refused_or_read_never_a_traceback(tmp_path) -> None:
    data = small().SerializeToString()
    path = tmp_path / "model.onnx"
    for cut in range(0, len(data), 7):
        path.write_bytes(data[:cut])
        try:
            read_file(path)
        except ConvlensError as error:
            assert str(error).startswith("model.onnx: ")


def test_a_cycle_is_named() -> None:
    model = model_of(
        [node("Relu", "b", "a", name="one"), node("Neg", "a", "b", name="two")],
        {"x": (1, 4)},
        ["b"],
    )
    assert refusal(model) == (
        "made: the graph has a cycle\n"
        "  given:  node `one` (Relu) reads what is made from its output\n"
        "  needed: nodes that can be run one after the other\n"
        "  hint:   the file is damaged; export it again"
    )


def test_an_input_that_nothing_makes_is_named() -> None:
    assert refusal(model_of([node("Relu", "ghost", "y", name="r")], {"x": (1, 4)}, ["y"])) == (
        "made: node `r` (Relu) reads a tensor that nothing makes\n"
        "  given:  `ghost`\n"
        "  needed: an input, a weight or the output of another node\n"
        "  hint:   the file is damaged or only a part of a model; export it again"
    )


def test_a_tensor_made_twice_is_refused() -> None:
    nodes = [node("Relu", "x", "y"), node("Neg", "x", "y", name="again")]
    assert refusal(model_of(nodes, {"x": (1, 4)}, ["y"])) == (
        "made: tensor `y` is made twice\n"
        "  given:  a second time by node `again`\n"
        "  hint:   the file is damaged; export it again"
    )


def test_an_output_that_nothing_makes_is_refused() -> None:
    assert "nothing in the graph makes its output `gone`" in refusal(
        model_of([node("Relu", "x", "y")], {"x": (1, 4)}, ["gone"])
    )


def test_nodes_out_of_order_are_put_in_order() -> None:
    model = model_of([node("Relu", "a", "y"), node("Neg", "x", "a")], {"x": (1, 4)}, ["y"])
    assert [call.kind for call in read_live(model).calls] == ["Neg", "Relu"]


def test_a_function_that_calls_itself_is_refused() -> None:
    own = helper.make_function(
        "made", "Loop", ["a"], ["b"], [node("Loop", "a", "b", domain="made")],
        [helper.make_opsetid("made", 1)],
    )  # fmt: skip
    model = model_of([node("Loop", "x", "y", domain="made")], {"x": (1, 4)}, ["y"], functions=[own])
    assert "functions call each other more than 32 deep" in refusal(model)


def test_functions_that_double_at_each_step_are_refused_in_bounded_time(monkeypatch) -> None:
    functions = []
    for n in range(31):
        domain = "made"
        inner = f"F{n - 1}" if n else "Relu"
        parts = [
            node(inner, "a", "m", domain=domain if n else ""),
            node(inner, "m", "b", domain=domain if n else ""),
        ]
        functions.append(
            helper.make_function(
                domain,
                f"F{n}",
                ["a"],
                ["b"],
                parts,
                [helper.make_opsetid("made", 1), helper.make_opsetid("", 17)],
            )
        )
    model = model_of(
        [node("F30", "x", "y", domain="made")], {"x": (1, 4)}, ["y"], functions=functions
    )

    # 2^31 nodes are counted, not written.
    assert "more than 400,000 nodes" in refusal(model)
    monkeypatch.setattr(written, "MOST_NODES", 2_000)
    assert "more than 2,000 nodes" in refusal(model)


def external(tmp_path: Path, location: str, **more: str) -> onnx.ModelProto:
    model = small()
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in {"location": location, **more}.items():
        entry = tensor.external_data.add()
        entry.key, entry.value = key, value
    path = tmp_path / "inner" / "m.onnx"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(model.SerializeToString())
    return path


@pytest.mark.parametrize(
    "location", ["../w.bin", "a/../../w.bin", "/etc/passwd", "C:\\w.bin", "..\\w.bin", ""]
)
def test_external_data_outside_the_folder_are_not_opened(tmp_path, location) -> None:
    (tmp_path / "w.bin").write_bytes(bytes(72))
    with pytest.raises(ModelError, match="lie outside the model's folder"):
        read_file(external(tmp_path, location))


def test_external_data_that_are_missing_are_asked_for_when_they_are_needed(tmp_path) -> None:
    graph = read_file(external(tmp_path, "w.bin"))
    assert graph.declared["Relu_1", 0] == (2, 3, 3)
    assert graph.original is not None
    for needed in (graph.original.load, graph.calls[0].weights[0].array):
        with pytest.raises(ModelError) as caught:
            needed()
        assert str(caught.value) == (
            "m.onnx: the data of tensor `w` cannot be read\n"
            "  given:  w.bin: No such file or directory\n"
            "  needed: the file that was exported together with the model\n"
            "  hint:   copy it beside the model"
        )


def test_external_data_behind_a_link_are_not_opened(tmp_path) -> None:
    (tmp_path / "w.bin").write_bytes(bytes(72))
    path = external(tmp_path, "w.bin")
    (path.parent / "w.bin").symlink_to(tmp_path / "w.bin")
    with pytest.raises(ModelError, match="are reached through a link"):
        read_file(path).calls[0].weights[0].array()


@pytest.mark.parametrize(
    "more", [{"offset": "8"}, {"offset": "-4"}, {"length": "99999999999"}, {"offset": "x"}]
)
def test_external_data_past_the_end_of_their_file_are_refused(tmp_path, more) -> None:
    path = external(tmp_path, "w.bin", **more)
    (path.parent / "w.bin").write_bytes(bytes(72))
    with pytest.raises(ModelError, match="of tensor `w`"):
        read_file(path)


def test_a_tensor_that_claims_two_gigabytes_allocates_nothing() -> None:
    model = small()
    tensor = model.graph.initializer[0]
    del tensor.dims[:]
    tensor.dims.extend([1 << 15, 1, 1 << 8, 1 << 8])
    assert refusal(model) == (
        "made: tensor `w` does not hold what its shape says\n"
        f"  given:  {tensor.ByteSize()} bytes\n"
        "  needed: 8,589,934,592 bytes for (32768, 1, 256, 256) of float32\n"
        "  hint:   the file is damaged or cut short; export or download it again"
    )


@pytest.mark.parametrize("dims", [(-1, 1, 3, 3), (1 << 40, 1 << 40, 3, 3), (0, 1, 3, 3)])
def test_impossible_shapes_do_not_stop_the_summary(dims) -> None:
    model = small()
    del model.graph.initializer[0].dims[:]
    model.graph.initializer[0].dims.extend(dims)
    assert next(call.layer.rule for call in read_live(model).calls) == "opaque"


def test_names_with_markup_and_control_characters_stay_one_line() -> None:
    model = model_of([node("Relu", "x", "y", name="<script>\x1b[31m\nalert")], {"x": (1, 4)}, ["y"])
    assert read_live(model).calls[0].name == "<script>\\x1b[31m\\nalert"


@pytest.mark.parametrize("stored", [True, False])
def test_subgraphs_as_deep_as_protobuf_allows_are_chosen_or_opaque(stored: bool) -> None:
    out = helper.make_empty_tensor_value_info("o")
    inner = helper.make_graph([node("Relu", "x", "o")], "g", [], [out])
    for _ in range(28):
        inner = helper.make_graph(
            [helper.make_node("If", ["c"], ["o"], then_branch=inner)], "g", [], [out]
        )
    late = [node("ReduceMax", "x", "top", keepdims=0), node("Cast", "top", "c", to=9)]
    model = model_of(
        [*([] if stored else late), helper.make_node("If", ["c"], ["y"], then_branch=inner)],
        {"x": (1, 4)},
        ["y"],
        {"c": np.array(True)} if stored else {},
    )
    call = read_live(model).calls[-1]
    assert (call.kind, call.layer.rule) == (("Relu", "choice") if stored else ("If", "opaque"))
    assert ("x", 0) in call.inputs


@pytest.mark.parametrize("strides", [[0, 0], [-1, 1], [1], [10**12, 1]])
def test_impossible_attributes_make_the_node_opaque(strides) -> None:
    model = model_of(
        [node("Conv", "x w", "y", strides=strides)],
        {"x": ("N", 1, 5, 5)},
        ["y"],
        {"w": weight(2, 1, 3, 3)},
    )
    rule = read_live(model).calls[0].layer.rule
    assert rule == "opaque" or strides == [10**12, 1]


def test_groups_of_billions_of_maps_are_refused_at_once() -> None:
    nodes = [
        node("Reshape", "x rows", "r"),
        node("InstanceNormalization", "r ones nils", "n"),
        node("Reshape", "n maps", "y"),
    ]
    weights = {
        **{"rows": np.array([1, 7, -1]), "maps": np.array([1, 2**40 + 1, 1, 1])},
        **{"ones": np.ones(7, np.float32), "nils": np.zeros(7, np.float32)},
    }
    graph = read_live(model_of(nodes, {"x": (1, 2**40 + 1, 1, 1)}, ["y"], weights))
    assert len(graph.calls) == 3
