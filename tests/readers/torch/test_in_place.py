"""Changes in place in a saved program: by hand, and as PyTorch makes them."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import convlens
from convlens.errors import ModelError
from convlens.readers.torch.in_place import pure
from convlens.readers.torch.nodes import Node, Ref
from tests.readers.torch.support import Functions, torch


def node(operator: str, output: str, *reads: str, **more: Any) -> Node:
    words = ("self", "src")
    arguments = {word: Ref(name) for word, name in zip(words, reads, strict=False)}
    return Node(output, f"{operator}.default", {**arguments, **more}, (output,))


def test_who_reads_a_tensor_after_a_change_reads_what_it_is_then() -> None:
    made, outputs = pure([node("relu_", "y", "x"), node("neg", "z", "x")], ["x", "z"])
    assert [one.operator for one in made] == ["relu.default", "neg.default"]
    assert made[1].arguments == {"self": Ref("y")}
    assert outputs == ["y", "z"]


def test_a_changed_slice_is_put_back_into_its_tensor() -> None:
    shapes = {"x": (2, 3), "part": (2, 1), "new": (2, 1)}
    nodes = [node("slice", "part", "x", dim=1, start=1, end=2), node("neg_", "new", "part")]
    made, outputs = pure(nodes, ["x"], (shapes,))
    assert made[2].operator == "slice_scatter.default"
    expected = {"self": Ref("x"), "src": Ref("new"), "dim": 1, "start": 1, "end": 2, "step": 1}
    assert made[2].arguments == expected
    assert outputs == [made[2].outputs[0]]
    assert shapes[outputs[0]] == (2, 3)


def test_another_view_of_a_changed_tensor_is_taken_again() -> None:
    shapes = {"x": (2, 3), "one": (3,), "other": (3, 2), "new": (3,)}
    nodes = [
        node("select", "one", "x", dim=0, index=0),
        node("t", "other", "x"),
        node("neg_", "new", "one"),
    ]
    made, outputs = pure(nodes, ["other"], (shapes,))
    assert [one.operator for one in made][3:] == ["select_scatter.default", "t.default"]
    assert made[4].arguments == {"self": Ref(made[3].outputs[0])}
    assert outputs == [made[4].outputs[0]]


def test_a_view_without_a_way_back_is_refused() -> None:
    shapes = {"x": (3, 3), "part": (3,), "new": (3,)}
    with pytest.raises(ModelError) as error:
        pure([node("diagonal", "part", "x"), node("neg_", "new", "part")], ["x"], (shapes,))
    assert str(error.value) == (
        "a tensor is changed through `diagonal`, which convlens cannot follow in a file\n"
        "  needed: the change without a view\n"
        "  hint:   convlens.load(torch.export.load(...)) lets PyTorch put it in other terms"
    )


def test_what_may_be_a_copy_is_followed_until_its_source_is_read() -> None:
    shapes = {"x": (2, 3), "flat": (6,), "new": (6,)}
    nodes = [node("reshape", "flat", "x"), node("neg_", "new", "flat")]
    strides = {"x": (1, 2)}  # column by column
    assert pure(nodes, ["flat"], (dict(shapes),), strides)[1] == ["new"]
    with pytest.raises(ModelError) as error:
        pure(nodes, ["x"], (dict(shapes),), strides)
    assert str(error.value) == (
        "whether `x` was changed depends on how PyTorch holds its numbers\n"
        "  needed: a program that changes no reshaped tensor\n"
        "  hint:   convlens.load(torch.export.load(...)) lets PyTorch put it in other terms"
    )
    made, outputs = pure(nodes, ["x"], (shapes,), {"x": (3, 1)})  # row by row
    assert made[2].operator == "view.default"
    assert made[2].arguments == {"self": Ref("new"), "size": [2, 3]}
    assert outputs == [made[2].outputs[0]]


def boxes(self: Any, x: Any) -> Any:
    """A detector's head as many write it: places and sizes are overwritten in the raw output."""
    y = x.view(-1, 2, 5, 4, 3).permute(0, 1, 3, 4, 2).contiguous().sigmoid()
    y[..., 0:2] = y[..., 0:2] * 2 - 0.5
    y[..., 2:4] = (y[..., 2:4] * 2) ** 2
    return y.view(y.shape[0], -1, 5)


def parts(self: Any, x: Any) -> Any:
    y = x * 1.0
    whole = y.flatten(1)
    a, b = y.chunk(2, 1)
    a += b
    y[:, 3].mul_(2.0)
    y.transpose(1, 2)[:, 0] = 0.5
    y[:, 1:4:2].unsqueeze(1).clamp_(min=0.0)
    return whole, y, a


def costs(self: Any, x: Any) -> Any:
    """A stereo network's volume, filled slice by slice."""
    made = torch.zeros(x.size(0), 3, 10, 4, 3)
    for n in range(3):
        made[:, n, :, :, n:] = x[:, :, :, n:]
    return made


@pytest.mark.parametrize("function", [boxes, parts, costs])
@pytest.mark.parametrize("free", [False, True])
def test_a_saved_program_gives_what_pytorch_gives(
    function: Any, free: bool, tmp_path: Path
) -> None:
    module = Functions(function).eval()
    x = torch.randn(2, 10, 4, 3, generator=torch.Generator().manual_seed(0))
    sizes = ({0: torch.export.Dim.DYNAMIC},) if free else None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.export.save(
            torch.export.export(module, (x,), dynamic_shapes=sizes), tmp_path / "m.pt2"
        )
    model = convlens.load(tmp_path / "m.pt2")
    assert not [call.name for call in model.graph.calls if call.layer.rule == "opaque"]
    run = model.run(x.numpy())
    wanted = module(x)
    found = run.output if isinstance(run.output, (tuple, list)) else [run.output]
    wanted = wanted if isinstance(wanted, tuple) else [wanted]
    assert len(found) == len(wanted)
    for one, other in zip(found, wanted, strict=True):
        np.testing.assert_allclose(one, other.numpy(), atol=1e-6)
