"""Axes in another order by every name PyTorch has for it, and functions in PyTorch's own terms."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import convlens
from convlens.errors import NotExplained
from tests.oracles import oracle
from tests.readers.torch.support import Functions, check

torch: Any = oracle("torch")

# Two axes of one size: a wrong order would have the right shape.
CUBE = (3, 3, 3)
ORDERS: dict[str, Any] = {
    "swapaxes": lambda _, x: x.swapaxes(1, 2),
    "swapaxes, from the end": lambda _, x: x.swapaxes(-1, 1),
    "swapdims": lambda _, x: x.swapdims(1, 3),
    "transpose": lambda _, x: x.transpose(2, 1),
    "movedim": lambda _, x: x.movedim(1, -1),
    "movedim, back": lambda _, x: x.movedim(-1, 1),
    "movedim, several": lambda _, x: torch.movedim(x, (1, 2), (3, 1)),
    "moveaxis": lambda _, x: torch.moveaxis(x, 3, 1),
    "mT": lambda _, x: x.mT,
    "permute": lambda _, x: x.permute(0, -1, 1, 2),
}
FUNCTIONS: dict[str, Any] = {
    "repeat": lambda _, x: x.repeat(1, 2, 1, 3),
    "tile": lambda _, x: x.tile((1, 2, 1)),
    "hstack": lambda _, x: torch.hstack([x, x * 2]),
    "dstack": lambda _, x: torch.dstack([x, x * 2]),
    "rot90": lambda _, x: x.rot90(1, (2, 3)),
    "fliplr": lambda _, x: x.fliplr(),
    "tensordot": lambda m, x: torch.tensordot(x, m.w, dims=1),
    "diff": lambda _, x: x.diff(dim=1),
    "addcdiv": lambda _, x: torch.addcdiv(x, x, x * x + 1, value=0.5),
    "baddbmm": lambda _, x: torch.baddbmm(x[:, 0], x[:, 1], x[:, 2], beta=0.5, alpha=2),
    "linalg.norm": lambda _, x: torch.linalg.norm(x, dim=1),
    "linalg.vecdot": lambda _, x: torch.linalg.vecdot(x, x * 2, dim=1),
    "repeat_interleave": lambda _, x: x.repeat_interleave(2, 1),
    "logsumexp": lambda _, x: x.logsumexp(2),
    "absolute": lambda _, x: x.absolute(),
    "positive": lambda _, x: x.positive() * 2,
    "round": lambda _, x: (x * 2).round(),
    "argmax": lambda _, x: x.argmax(1).float(),
    "argmin": lambda _, x: x.argmin(-1, keepdim=True).float(),
}


EINSUMS = {
    "a filter at every place": lambda m, x: torch.einsum("bchw,co->bohw", x, m.w),
    "the last axis": lambda m, x: torch.einsum("...w,wk->...k", x, m.w),
    "the stored one first": lambda m, x: torch.einsum("ck,bchw->bhwk", m.w, x),
    "rows": lambda m, x: torch.einsum("bcij,ik->bckj", x, m.w),
}


@pytest.mark.parametrize("name", EINSUMS)
def test_an_einsum_with_a_parameter_is_one_layer(name: str) -> None:
    module = Functions(EINSUMS[name], w=torch.nn.Parameter(torch.randn(3, 2)))
    model = check(module, CUBE)
    assert [call.kind for call in model.graph.calls] == ["einsum"]
    row = model.describe().to_dict()["layers"][0]
    assert (row["params"], row["macs"]) == (6, 27 * 2)


@pytest.mark.parametrize("name", ORDERS)
def test_axes_are_put_in_the_order_that_pytorch_puts_them_in(name: str) -> None:
    check(Functions(ORDERS[name]), CUBE)


def test_the_number_at_a_place_comes_from_where_swapaxes_takes_it() -> None:
    model = convlens.load(Functions(ORDERS["swapaxes"]), input_shape=(2, 2, 2))
    run = model.run(np.arange(8, dtype=np.float32).reshape(1, 2, 2, 2))
    # Cell (0, 1, 0) is the input's cell (1, 0, 0).
    fact = run.explain(model.graph.calls[0].name, at=(0, 1, 0)).to_dict()
    assert (fact["value"], fact["engine_value"]) == (4.0, 4.0)


@pytest.mark.parametrize("name", ORDERS)
def test_axes_are_put_in_order_where_samples_share_one_with_others(name: str) -> None:
    def function(_: Any, x: Any) -> Any:
        windows = x.reshape(-1, 2, 3, 3, 3).flatten(0, 1)
        return ORDERS[name](None, windows).relu().reshape(-1, 2, 3, 3, 3)

    check(Functions(function), (6, 3, 3))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_that_pytorch_defines_by_others_are_explained(name: str) -> None:
    module = Functions(FUNCTIONS[name], w=torch.nn.Parameter(torch.randn(3, 2)))
    check(module, CUBE)


def test_rounding_to_a_decimal_place_is_not_explained() -> None:
    model = convlens.load(Functions(lambda _, x: x.round(decimals=1)), input_shape=CUBE)
    with pytest.raises(NotExplained):
        model.explain("round", at=(0, 0, 0))


def test_a_softplus_that_jumps_to_a_line_is_run_by_pytorch_and_not_explained() -> None:
    # At 3 * x = 2 the curve is 0.042 above the line: another function than log(1 + exp(3 * x)) / 3.
    check(Functions(lambda _, x: torch.nn.functional.softplus(x, 3, 2)), CUBE, opaque=("softplus",))
    check(Functions(lambda _, x: torch.nn.functional.softplus(x * 9, 2, 20)), CUBE)
