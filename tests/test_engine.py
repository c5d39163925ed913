"""Running: budgets, layouts, unknown sizes, several inputs, and what is refused."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from convlens.axis import Window
from convlens.engine import Engine, as_feed, feed_shape
from convlens.errors import EngineError, InputError, ShapeError
from convlens.layers.activate import Clip
from convlens.layers.conv import Conv
from convlens.layers.dense import Dense
from convlens.layers.merge import Add
from convlens.layers.opaque import Opaque
from convlens.layers.rearrange import Flatten
from convlens.layers.weight import Weight, given
from convlens.model import Call, Graph, Input


def weight(name: str, array: np.ndarray, order: tuple[int, ...] = ()) -> Weight:
    axes = tuple(f"axis {n}" for n in range(array.ndim))
    return Weight(name, array.shape, axes, given(array.astype(np.float32)), order=order)


def conv(kernel: np.ndarray, bias: np.ndarray | None = None, padding: Any = "valid") -> Conv:
    """A channels-last convolution of a kernel (height, width, in, out)."""
    windows = tuple(Window(size, padding=padding) for size in kernel.shape[:2])
    held = None if bias is None else weight("bias", bias)
    return Conv(weight("kernel", kernel, (3, 2, 0, 1)), held, windows)


def chain(*layers: tuple[str, Any], shape: tuple[int | None, ...]) -> Graph:
    entry = Input("x", shape, channels_last=True)
    calls, arriving = [], entry.tensor
    for name, layer in layers:
        last = True if isinstance(layer, Conv) else None
        activation = Clip() if isinstance(layer, Conv) else None
        calls.append(Call(name, "Layer", layer, (arriving,), activation, "relu", last))
        arriving = (name, 0)
    return Graph("chain", "keras", (entry,), tuple(calls), (arriving,))


def by_hand(x: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    windows = np.lib.stride_tricks.sliding_window_view(x, kernel.shape[:2], axis=(1, 2))
    return np.einsum("nhwcab,abco->nhwo", windows, kernel.astype(np.float64))


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(5)


def test_a_channels_last_flatten_goes_into_dense_in_the_users_order(
    rng: np.random.Generator,
) -> None:
    kernel = rng.normal(size=(3, 2, 3, 4)).astype(np.float32)
    dense = rng.normal(size=(4 * 4 * 4, 5)).astype(np.float32)
    graph = chain(
        ("conv", conv(kernel)),
        ("flatten", Flatten()),
        ("dense", Dense(weight("kernel", dense, (1, 0)))),
        shape=(6, 5, 3),
    )
    x = rng.normal(size=(2, 6, 5, 3)).astype(np.float32)
    run = Engine(graph).execute({"x": x})
    expected = np.maximum(by_hand(x, kernel), 0)
    np.testing.assert_allclose(run.tensor(("conv", 0)), expected, rtol=1e-5, atol=1e-5)
    flat = expected.reshape(2, -1)
    np.testing.assert_allclose(run.tensor(("flatten", 0)), flat, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(run.tensor(("dense", 0)), flat @ dense, rtol=1e-4, atol=1e-4)
    np.testing.assert_array_equal(run.final()[0], run.tensor(("dense", 0)))


def test_a_model_of_open_size_runs_on_each_size_it_is_given(rng: np.random.Generator) -> None:
    kernel = rng.normal(size=(3, 3, 3, 2)).astype(np.float32)
    engine = Engine(chain(("conv", conv(kernel, padding="same")), shape=(None, None, 3)))
    for height, width in ((5, 9), (8, 4), (1, 1)):
        x = rng.random((1, height, width, 3), dtype=np.float32)
        run = engine.execute({"x": x})
        assert run.tensor(("conv", 0)).shape == (1, height, width, 2)
        assert run.sizes[("conv", 0)] == (height, width, 2)


def test_before_and_after_the_activation_are_both_kept(rng: np.random.Generator) -> None:
    kernel = rng.normal(size=(3, 3, 1, 4)).astype(np.float32)
    run = Engine(chain(("conv", conv(kernel)), shape=(8, 8, 1))).execute(
        {"x": rng.normal(size=(1, 8, 8, 1)).astype(np.float32)}
    )
    before, after = run.tensor(("conv", "pre_activation")), run.tensor(("conv", 0))
    assert before.min() < 0
    np.testing.assert_array_equal(np.maximum(before, 0), after)


def two_inputs() -> Graph:
    a = Input("a", (4, 4, 2), channels_last=True)
    b = Input("b", (4, 4, 2), channels_last=True)
    kernel = np.ones((1, 1, 2, 2))
    calls = (
        Call("left", "Conv", conv(kernel), (a.tensor,), channels_last=True),
        Call("sum", "Add", Add(), (("left", 0), b.tensor), channels_last=True),
    )
    return Graph("two", "keras", (a, b), calls, (("sum", 0), ("left", 0)))


def test_several_inputs_and_outputs_keep_their_order(rng: np.random.Generator) -> None:
    feeds = {name: rng.random((3, 4, 4, 2), dtype=np.float32) for name in ("a", "b")}
    total, left = Engine(two_inputs()).execute(feeds).final()
    summed = feeds["a"].sum(axis=-1, keepdims=True).repeat(2, axis=-1)
    np.testing.assert_allclose(left, summed, rtol=1e-6)
    np.testing.assert_allclose(total, summed + feeds["b"], rtol=1e-6)


def test_an_input_that_is_also_an_output_is_handed_through() -> None:
    entry = Input("x", (3,))
    graph = Graph("through", "keras", (entry,), (), (("x", 0),))
    x = np.arange(6, dtype=np.float32).reshape(2, 3)
    np.testing.assert_array_equal(Engine(graph).execute({"x": x}).final()[0], x)


def test_a_model_without_a_batch_axis_runs() -> None:
    entry = Input("x", (2, 3), batched=False)
    dense = Dense(weight("kernel", np.eye(3), (1, 0)))
    call = Call("dense", "Dense", dense, (entry.tensor,), batched=False)
    graph = Graph("bare", "torch", (entry,), (call,), (("dense", 0),))
    x = np.arange(6, dtype=np.float32).reshape(2, 3)
    np.testing.assert_array_equal(Engine(graph).execute({"x": x}).tensor(("dense", 0)), x)


# --- budgets ---------------------------------------------------------------------------------


def branching() -> Graph:
    """Twelve convolutions, the third and the last of them added up at the end."""
    kernel = np.zeros((3, 3, 2, 2))
    kernel[1, 1] = np.eye(2)
    bias = np.array([0.5, 0.25])
    entry = Input("x", (16, 16, 2), channels_last=True)
    calls, arriving = [], entry.tensor
    for n in range(12):
        layer = conv(kernel, bias, "same")
        calls.append(Call(f"c{n}", "Conv", layer, (arriving,), Clip(), "relu", True))
        arriving = (f"c{n}", 0)
    calls.append(Call("sum", "Add", Add(), (("c2", 0), arriving), channels_last=True))
    return Graph("branching", "keras", (entry,), tuple(calls), (("sum", 0),))


@pytest.mark.parametrize("tensors", [1, 3, 8, 20])
def test_beyond_the_budget_every_tensor_is_recomputed_to_the_same_numbers(tensors: int) -> None:
    graph = branching()
    x = np.random.default_rng(0).random((1, 16, 16, 2), dtype=np.float32)
    whole = Engine(graph).execute({"x": x})
    small = Engine(graph).execute({"x": x}, budget=tensors * 2048)
    names = [tensor for step in graph.steps for tensor in step.outputs]
    for tensor in [*names, *reversed(names), *names[::5]]:
        np.testing.assert_array_equal(small.tensor(tensor), whole.tensor(tensor))
    for step in graph.steps:
        for ours, theirs in zip(small.step(step), whole.step(step), strict=True):
            for one, other in zip(ours, theirs, strict=True):
                np.testing.assert_array_equal(one, other)


CHAIN = """
import numpy as np, re, resource
from pathlib import Path
from convlens.engine import Engine
from convlens.layers.weight import Weight, given
from convlens.layers.conv import Conv
from convlens.layers.activate import Clip
from convlens.axis import Window
from convlens.model import Call, Graph, Input

side, maps, count = 1800, 4, 25
entry = Input("x", (side, side, maps), channels_last=True)
calls, arriving = [], entry.tensor
for n in range(count):
    kernel = Weight("kernel", (maps, maps, 1, 1), ("a", "b", "c", "d"),
                    given(np.eye(maps).reshape(maps, maps, 1, 1)))
    bias = Weight("bias", (maps,), ("a",), given(np.full(maps, 1.0)))
    layer = Conv(kernel, bias, (Window(1), Window(1)))
    calls.append(Call(f"c{n}", "Conv", layer, (arriving,), Clip(), "relu", True))
    arriving = (f"c{n}", 0)
graph = Graph("chain", "keras", (entry,), tuple(calls), (arriving,))
run = Engine(graph).execute({"x": np.zeros((1, side, side, maps), np.float32)})
total = sum(run.bytes(t) for step in graph.steps for t in step.outputs)
assert total > 2.55e9, total
for n in (count - 1, 12):
    assert (run.tensor((f"c{n}", 0))[0, ::97, ::89] == n + 1).all()
ends = run.step(graph.calls[7].steps[0])
assert ends[0][0][0, 5, 5, 1] == 7 and ends[1][0][0, 5, 5, 1] == 8
status = Path("/proc/self/status")
if status.exists():  # ru_maxrss would start with what the process that started us took
    print(1024 * int(re.search(r"VmHWM:\\s+(\\d+)", status.read_text())[1]))
else:
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
"""


def test_a_chain_of_2_6_gb_of_tensors_runs_in_less_than_1_gb() -> None:
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(CHAIN)], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 1e9


# --- sessions --------------------------------------------------------------------------------


def test_sessions_are_used_again_until_a_weight_changes() -> None:
    kernel = np.ones((1, 1, 1, 1))
    layer = conv(kernel)
    engine = Engine(chain(("conv", layer), shape=(4, 4, 1)))
    x = np.ones((1, 4, 4, 1), np.float32)
    assert engine.execute({"x": x}).tensor(("conv", 0)).max() == 1
    first = list(engine._sessions.values())
    engine.execute({"x": 2 * x}).tensor(("conv", 0))
    assert list(engine._sessions.values()) == first
    layer.kernel.values.assign(np.full((1, 1, 1, 1), 3.0))
    assert engine.execute({"x": x}).tensor(("conv", 0)).max() == 3


def test_threads_may_share_an_engine_and_a_run() -> None:
    graph = branching()
    engine = Engine(graph)
    x = np.random.default_rng(0).random((1, 16, 16, 2), dtype=np.float32)
    expected = {t: engine.execute({"x": x}).tensor(t) for s in graph.steps for t in s.outputs}
    shared = engine.execute({"x": x}, budget=8 * 2048)

    def ask(seed: int) -> None:
        names = list(expected)
        for n in np.random.default_rng(seed).integers(0, len(names), 12):
            own = engine.execute({"x": x})
            np.testing.assert_array_equal(own.tensor(names[n]), expected[names[n]])
            np.testing.assert_array_equal(shared.tensor(names[n]), expected[names[n]])

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(ask, range(4)))


def test_what_the_user_does_with_an_input_later_changes_nothing() -> None:
    spec = Input("x", (4, 4, 1), channels_last=True)
    x = np.ones((1, 4, 4, 1), np.float32)
    run = Engine(chain(("conv", conv(np.ones((1, 1, 1, 1)))), shape=(4, 4, 1))).execute(
        {"x": as_feed(spec, x)}
    )
    x[:] = 9
    assert run.tensor(("conv", 0)).max() == 1


# --- layers that cannot run --------------------------------------------------------------------


def test_layers_before_and_beside_one_that_cannot_run_still_run() -> None:
    entry = Input("x", (4, 4, 1), channels_last=True)
    one = np.ones((1, 1, 1, 1))
    calls = (
        Call("before", "Conv2D", conv(one), (entry.tensor,), channels_last=True),
        Call("own", "MyLayer", Opaque("MyLayer", shapes=((4, 4, 1),)), (("before", 0),)),
        Call("after", "Conv2D", conv(one), (("own", 0),), channels_last=True),
        Call("beside", "Conv2D", conv(one), (("before", 0),), channels_last=True),
    )
    outputs = (("after", 0), ("beside", 0))
    run = Engine(Graph("custom", "keras", (entry,), calls, outputs)).execute(
        {"x": np.ones((1, 4, 4, 1), np.float32)}
    )
    assert run.tensor(("before", 0)).max() == 1
    assert run.tensor(("beside", 0)).max() == 1
    for ask in (lambda: run.tensor(("after", 0)), lambda: run.step(calls[2].steps[0])):
        with pytest.raises(EngineError) as caught:
            ask()
        assert str(caught.value) == (
            "`after`: `own` (MyLayer) cannot be run without its framework\n"
            "  needed: layers that convlens knows, up to the one asked for\n"
            "  hint:   the layers before it run; ask for one of those"
        )
    with pytest.raises(EngineError, match="cannot be run without its framework"):
        run.final()


def live_model(function: Any) -> Graph:
    entry = Input("x", (4, 4, 1), channels_last=True)
    two = np.full((1, 1, 1, 2), 2.0)
    calls = (
        Call("before", "Conv2D", conv(two), (entry.tensor,), channels_last=True),
        Call("own", "Own", Opaque("Own", shapes=((4, 4, 2),), compute=function), (("before", 0),)),
        Call("after", "Add", Add(), (("own", 0), ("before", 0)), channels_last=True),
    )
    return Graph("live", "torch", (entry,), calls, (("after", 0),))


@pytest.mark.parametrize("budget", [1 << 30, 256])
def test_a_layer_with_a_function_of_its_own_runs_between_sessions(budget: int) -> None:
    graph = live_model(lambda x: x[:, ::-1] + 1)
    x = np.arange(16, dtype=np.float32).reshape(1, 4, 4, 1)
    run = Engine(graph).execute({"x": x}, budget)
    expected = np.repeat(2 * x[:, ::-1] + 1 + 2 * x, 2, axis=-1)
    np.testing.assert_array_equal(run.tensor(("after", 0)), expected)
    np.testing.assert_array_equal(run.final()[0], expected)
    inputs, outputs = run.step(graph.calls[1].steps[0])
    np.testing.assert_array_equal(inputs[0][:, ::-1] + 1, outputs[0])


def test_a_function_that_fails_or_lies_is_named() -> None:
    x = np.ones((1, 4, 4, 1), np.float32)

    def fails(_: Any) -> Any:
        raise RuntimeError("no such device")

    with pytest.raises(EngineError) as caught:
        Engine(live_model(fails)).execute({"x": x}).final()
    assert str(caught.value) == (
        "`own` (Own): its own framework could not run it\n  given:  RuntimeError: no such device"
    )
    with pytest.raises(EngineError) as caught:
        Engine(live_model(lambda x: x[:, 1:])).execute({"x": x}).final()
    assert str(caught.value) == (
        "`own` (Own): what its framework made has another shape than was said\n"
        "  given:  (3, 4, 2)\n"
        "  needed: (4, 4, 2)"
    )


# --- what is refused ----------------------------------------------------------------------------


def test_absurd_sizes_are_refused_before_anything_is_allocated() -> None:
    layer = conv(np.ones((1, 1, 1, 4096)))
    engine = Engine(chain(("conv", layer), shape=(None, None, 1)))
    with pytest.raises(ShapeError) as caught:
        engine.sizes({"x": (60_000, 60_000, 1)})
    assert str(caught.value) == (
        "`x`: the tensor would take 14 GB\n"
        "  given:  (60000, 60000, 1)\n"
        "  needed: at most 9 GB\n"
        "  hint:   give a smaller picture"
    )
    with pytest.raises(ShapeError, match="fewer at a time"):
        engine.sizes({"x": (300, 300, 1)}, batch=64)


@pytest.mark.parametrize(
    ("given_shape", "made"),
    [
        ((28, 28, 1), (1, 28, 28, 1)),
        ((5, 28, 28, 1), (5, 28, 28, 1)),
        ((28, 28), (1, 28, 28, 1)),
        ((5, 28, 28), (5, 28, 28, 1)),
    ],
)
def test_a_grey_picture_may_leave_out_its_channel_and_its_batch(
    given_shape: tuple[int, ...], made: tuple[int, ...]
) -> None:
    spec = Input("x", (28, 28, 1), channels_last=True)
    assert feed_shape(spec, given_shape) == made
    assert as_feed(spec, np.zeros(given_shape, np.uint8)).shape == made


REFUSED = [
    (
        np.zeros((3, 28, 28)),
        "x: the input does not fit the model\n"
        "  given:  (3, 28, 28)\n"
        "  needed: (28, 28, 3) or a batch of them, (None, 28, 28, 3)\n"
        "  hint:   the channels stand first; the model wants them last: array.transpose(1, 2, 0)",
    ),
    (
        np.zeros((32, 32, 3)),
        "x: the input does not fit the model\n"
        "  given:  (32, 32, 3)\n"
        "  needed: (28, 28, 3) or a batch of them, (None, 28, 28, 3)\n"
        "  hint:   crop or resize the picture",
    ),
    (
        np.zeros((784,)),
        "x: the input does not fit the model\n"
        "  given:  (784,)\n"
        "  needed: (28, 28, 3) or a batch of them, (None, 28, 28, 3)\n"
        "  hint:   the axes besides the batch are those of one sample",
    ),
    (
        np.zeros((0, 28, 28, 3)),
        "x: the input is empty\n  given:  (0, 28, 28, 3)\n  needed: (28, 28, 3)",
    ),
    (np.array(["a"]), "x: the input is not an array of numbers\n  given:  <U1"),
    (np.zeros((28, 28, 3), complex), "x: the input holds complex numbers\n  given:  complex128"),
]


@pytest.mark.parametrize(("array", "message"), REFUSED)
def test_an_input_that_does_not_fit_is_refused_with_what_would(
    array: np.ndarray, message: str
) -> None:
    with pytest.raises(InputError) as caught:
        as_feed(Input("x", (28, 28, 3), channels_last=True), array)
    assert str(caught.value) == message
