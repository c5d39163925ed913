"""The worker: a session that survives whatever the engine does."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import time

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from convlens import EngineError
from convlens.worker import Limits, Worker


def _graph(op: str = "Relu", **attributes: object) -> bytes:
    node = helper.make_node(op, ["x"], ["y"], **attributes)
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, None])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    graph = helper.make_graph([node], "g", [x], [y])
    opset = [helper.make_opsetid("", 17)]
    return helper.make_model(graph, opset_imports=opset, ir_version=8).SerializeToString()


def _pid(worker: Worker) -> int:
    assert worker._child is not None
    return worker._child.process.pid


def test_a_run_gives_the_engines_arrays_small_and_large() -> None:
    with Worker(_graph()) as worker:
        for size in (3, 700):
            x = np.linspace(-1, 1, size * size, dtype=np.float32).reshape(size, size)
            y = worker.run({"x": x})["y"]
            assert y.dtype == np.float32
            np.testing.assert_array_equal(y, np.maximum(x, 0))
            y += 1  # the array is the caller's own


def test_one_child_serves_many_runs() -> None:
    with Worker(_graph()) as worker:
        worker.run({"x": np.ones((2, 2), np.float32)})
        first = _pid(worker)
        worker.run({"x": np.ones((3, 2), np.float32)})
        assert _pid(worker) == first


def test_empty_arrays_and_scalars_pass() -> None:
    with Worker(_graph()) as worker:
        assert worker.run({"x": np.zeros((0, 4), np.float32)})["y"].shape == (0, 4)


def test_an_abort_of_the_engine_is_one_message_and_the_next_run_works() -> None:
    with Worker(_graph(), label="bad.onnx") as worker:
        x = np.ones((2, 2), np.float32)
        worker.run({"x": x})
        assert worker._child is not None
        with pytest.raises(EngineError) as caught:
            worker._ask(worker._child, {"do": "abort"}, {})
        assert str(caught.value).startswith(
            "bad.onnx: ONNX Runtime ended the process it ran in while running the graph\n"
            "  given:  signal SIGABRT"
        )
        np.testing.assert_array_equal(worker.run({"x": x})["y"], x)


def test_a_request_past_its_time_is_ended_and_the_next_run_works() -> None:
    with Worker(_graph(), label="slow.onnx") as worker:
        worker.run({"x": np.ones((1, 1), np.float32)})
        worker._limits = Limits(seconds=0.3)
        assert worker._child is not None
        begun = time.monotonic()
        with pytest.raises(EngineError) as caught:
            worker._ask(worker._child, {"do": "sleep", "seconds": 60}, {})
        assert time.monotonic() - begun < 5
        assert str(caught.value) == (
            "slow.onnx: ONNX Runtime did not finish running the graph\n"
            "  given:  more than 0.3 seconds\n"
            "  needed: an answer within 0.3 seconds\n"
            "  hint:   give a smaller input, or a longer limit"
        )
        worker._limits = Limits()
        assert worker.run({"x": np.ones((1, 1), np.float32)})["y"].shape == (1, 1)


def test_memory_past_the_limit_is_one_message_and_the_parent_lives() -> None:
    node = helper.make_node("ConstantOfShape", ["s"], ["y"])
    s = helper.make_tensor_value_info("s", TensorProto.INT64, [1])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [None])
    model = helper.make_model(
        helper.make_graph([node], "g", [s], [y]),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=8,
    )
    limits = Limits(memory=1 << 30)
    with Worker(model.SerializeToString(), limits=limits, label="big.onnx") as worker:
        with pytest.raises(EngineError) as caught:
            worker.run({"s": np.array([1 << 32], np.int64)})
        assert str(caught.value) == (
            "big.onnx: ONNX Runtime ran out of memory while running the graph\n"
            "  given:  a limit of 1 GiB\n"
            "  needed: more than that\n"
            "  hint:   give a smaller input, or ask for fewer tensors"
        )
        assert worker.run({"s": np.array([3], np.int64)})["y"].shape == (3,)


def test_a_graph_the_engine_does_not_know_is_refused_with_its_own_words() -> None:
    with Worker(_graph("NoSuchOperator"), label="odd.onnx") as worker:
        with pytest.raises(EngineError, match="refused loading the graph") as caught:
            worker.run({"x": np.ones((1, 1), np.float32)})
        assert "NoSuchOperator" in caught.value.given
        assert caught.value.needed == "a graph that ONNX Runtime accepts"
        assert caught.value.hint == (
            "the file is no valid ONNX for this engine; onnx.checker.check_model may say more"
        )


def test_a_wrong_input_is_refused_and_the_child_stays() -> None:
    with Worker(_graph()) as worker:
        worker.run({"x": np.ones((1, 1), np.float32)})
        first = _pid(worker)
        with pytest.raises(EngineError, match="refused running the graph"):
            worker.run({"x": np.ones((1, 1, 1), np.float32)})
        assert _pid(worker) == first


def test_the_child_is_gone_and_no_zombie_is_left_when_the_worker_is_collected() -> None:
    worker = Worker(_graph())
    worker.run({"x": np.ones((1, 1), np.float32)})
    pid = _pid(worker)
    del worker
    gc.collect()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_an_interrupt_ends_the_child_and_reaches_the_caller() -> None:
    worker = Worker(_graph())
    worker.run({"x": np.ones((1, 1), np.float32)})
    child = worker._child
    assert child is not None

    def interrupted(deadline: float) -> None:
        raise KeyboardInterrupt

    child.receive = interrupted  # type: ignore[method-assign,assignment]
    with pytest.raises(KeyboardInterrupt):
        worker.run({"x": np.ones((1, 1), np.float32)})
    with pytest.raises(ProcessLookupError):
        os.kill(child.process.pid, 0)
    assert worker.run({"x": np.ones((1, 1), np.float32)})["y"].shape == (1, 1)
    worker.close()


def test_the_child_does_not_import_from_the_current_folder(tmp_path, monkeypatch) -> None:
    (tmp_path / "onnxruntime.py").write_text("raise SystemExit('a stranger ran')")
    monkeypatch.chdir(tmp_path)
    with Worker(_graph()) as worker:
        assert worker.run({"x": np.ones((1, 1), np.float32)})["y"].shape == (1, 1)


def test_a_child_ends_with_a_parent_that_was_killed(tmp_path) -> None:
    (tmp_path / "m.onnx").write_bytes(_graph())
    code = (
        "import numpy as np, os, signal\n"
        "from convlens.worker import Worker\n"
        f"w = Worker({str(tmp_path / 'm.onnx')!r})\n"
        "w.run({'x': np.ones((1, 1), np.float32)})\n"
        "print(w._child.process.pid, flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    pid = int(done.stdout)
    for _ in range(50):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            break
        time.sleep(0.1)
    else:
        pytest.fail("the child outlived its parent")


def test_external_data_is_found_beside_the_file_when_the_graph_is_given_as_bytes(tmp_path) -> None:
    weight = np.arange(2048, dtype=np.float32)
    initializer = onnx.numpy_helper.from_array(weight, "w")
    node = helper.make_node("Add", ["x", "w"], ["y"])
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [2048])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [2048])
    model = helper.make_model(
        helper.make_graph([node], "g", [x], [y], [initializer]),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=8,
    )
    path = tmp_path / "m.onnx"
    onnx.save(model, path, save_as_external_data=True, location="w.bin", size_threshold=0)
    with Worker(path.read_bytes(), folder=tmp_path) as worker:
        np.testing.assert_array_equal(worker.run({"x": weight})["y"], 2 * weight)


def test_a_second_run_of_the_same_sizes_gives_the_same_arrays_in_place() -> None:
    with Worker(_graph()) as worker:
        x = np.linspace(-1, 1, 400 * 400, dtype=np.float32).reshape(400, 400)
        first, second = worker.run({"x": x})["y"], worker.run({"x": -x})["y"]
        np.testing.assert_array_equal(first, np.maximum(x, 0))
        np.testing.assert_array_equal(second, np.maximum(-x, 0))
        np.testing.assert_array_equal(worker.run({"x": x[:350]})["y"], np.maximum(x[:350], 0))


def test_sizes_that_follow_from_values_are_those_of_each_run() -> None:
    node = helper.make_node("NonZero", ["x"], ["y"])
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [None])
    y = helper.make_tensor_value_info("y", TensorProto.INT64, None)
    opset = [helper.make_opsetid("", 17)]
    model = helper.make_model(
        helper.make_graph([node], "g", [x], [y]), opset_imports=opset, ir_version=8
    )
    with Worker(model.SerializeToString()) as worker:
        array = np.ones(20_000, np.float32)
        for zeros in (0, 5_000, 100):
            array[:] = 1
            array[:zeros] = 0
            assert worker.run({"x": array})["y"].shape == (1, 20_000 - zeros)


def test_a_file_of_activations_is_written_again_only_when_nobody_reads_it() -> None:
    x = np.arange(1 << 17, dtype=np.float32).reshape(1, -1)
    with Worker(_graph("Neg")) as worker:
        worker.run({"x": x})  # the first run learns the sizes
        first = worker.run({"x": x})["y"]
        second = worker.run({"x": -x})["y"]
        assert worker._child is not None
        assert len(worker._child.holders) == 2
        np.testing.assert_array_equal(first, -x)
        np.testing.assert_array_equal(second, worker.run({"x": -x})["y"])
        part = second[:, :7]
        del first, second
        third = worker.run({"x": 2 * x})["y"]
        np.testing.assert_array_equal(part, x[:, :7])
        np.testing.assert_array_equal(third, -2 * x)
        del part, third
        worker.run({"x": x[:, :5]})  # other sizes: nothing is kept
        assert not worker._child.holders
