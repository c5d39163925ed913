"""One network, opened by convlens and judged by PyTorch, fvcore and `torch.utils.flop_counter`."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import torch

import convlens
from convlens.api import Model
from convlens.readers.torch.build import built
from convlens.readers.torch.exported import program_of, untangled
from convlens.readers.torch.placed import folded
from convlens.readers.torch.region import fused

LAYERS, NUMBERS = 20, 2


def judge(build: Any, size: int, quick: bool) -> dict[str, Any]:
    """What was found of one network; `quick` reads it without numbers, on the meta device."""
    if quick:
        found = _read(build, size, "meta")
        # What depends on stored numbers can only be told where there are some.
        return _read(build, size, "cpu") if found["opaque"] else found
    torch.manual_seed(0)
    module = build().eval()
    _settle(module)
    x = torch.from_numpy(np.random.default_rng(0).random((2, 3, size, size), dtype=np.float32))
    exported = untangled(torch.export.export(module, (x,)))
    twin = untangled(torch.export.export(module, (torch.cat([x, x, x[:1]]),)))
    shapes = program_of(twin, type(module).__name__).shapes
    recorded = program_of(exported, type(module).__name__)
    program = fused(recorded, shapes)
    graph, tensors = built(program)
    held = {name: (place, recorded.shapes[name]) for name, place in program.places.items()
            if name in recorded.shapes}  # fmt: skip
    model = Model(graph)
    run = model.run(x.numpy())
    found = described(module, model)
    found.update(_tensors(exported, tensors, run, x, held))
    found.update(_numbers(model, run))
    found.update(_counted(module, model, x[:1]))
    return found


def _read(build: Any, size: int, device: str) -> dict[str, Any]:
    """What is found of a network without running it."""
    with torch.device(device):
        module = build().eval()
    model = convlens.load(module, example=torch.zeros(2, 3, size, size, device=device))
    return described(module, model)


def _settle(module: Any) -> None:
    """Batch statistics that are not 0 and 1."""
    for part in module.modules():
        if getattr(part, "running_var", None) is not None:
            part.running_mean.normal_(0, 0.1)
            part.running_var.uniform_(0.5, 1.5)


def described(module: Any, model: Any) -> dict[str, Any]:
    """Rows, what is not explained of them, parameters."""
    calls = model.graph.calls
    opaque = Counter(call.kind for call in calls if call.layer.rule == "opaque")
    words = {word for call in calls for word in call.origin}
    products = [call for call in calls if type(call.layer).__name__ == "MatMul"]
    unused = ("aux", "AuxLogits")
    return {
        "layers": len(calls),
        "opaque": dict(opaque),
        "operators": sorted({word.partition(".")[2].partition(".")[0] for word in words}),
        "attention": bool(products) or any(word.startswith("aten.scaled_dot") for word in words),
        "parameters": model.describe().to_dict()["totals"]["params"],
        # Heads that only training uses are not in the program.
        "expected": sum(
            part.numel() for name, part in module.named_parameters() if not name.startswith(unused)
        ),
    }


class _Compared(torch.fx.Interpreter):
    """Runs PyTorch's own program and compares every tensor when it is made."""

    def __init__(self, exported: Any, tensors: Any, run: Any, held: Any) -> None:
        super().__init__(exported.graph_module)
        self.held = held
        self.tensors, self.execution = tensors, run.execution
        self.compared, self.worst, self.worst_name, self.shapes = 0, 0.0, "", True
        self.last = 0.0

    def run_node(self, n: Any) -> Any:
        value = super().run_node(n)
        tensor = self.tensors.get(n.name)
        if n.op == "call_function" and tensor is not None and isinstance(value, torch.Tensor):
            ours, theirs = self.execution.tensor(tensor), value.detach().float().numpy()
            if n.name in self.held:  # samples lie elsewhere in PyTorch's
                ours = folded(torch.from_numpy(ours), *self.held[n.name], len(ours)).numpy()
            self.compared += 1
            if ours.shape != theirs.shape:
                self.shapes, self.worst_name = False, n.name
                return value
            size = max(float(np.abs(theirs).max()), 1e-30)
            self.last = float(np.abs(ours - theirs).max()) / size
            if self.last > self.worst:
                self.worst, self.worst_name = self.last, n.name
        return value


def _tensors(exported: Any, tensors: Any, run: Any, x: Any, held: Any) -> dict[str, Any]:
    """The largest difference over all tensors of the network, as a share of each one's largest."""
    state = {**exported.constants, **exported.state_dict}
    given = [
        x if spec.kind.name == "USER_INPUT" else state[spec.target]
        for spec in exported.graph_signature.input_specs
    ]
    compared = _Compared(exported, tensors, run, held)
    with torch.no_grad():
        compared.run(*given)
    return {
        "tensors": compared.compared,
        "shapes": compared.shapes,
        "difference": compared.last,
        "worst": compared.worst,
        "worst_at": compared.worst_name,
    }


def _numbers(model: Any, run: Any) -> dict[str, Any]:
    """Numbers of random layers: explained and compared with the engine's."""
    rng = np.random.default_rng(1)
    numbers, held = 0, 0
    for call in rng.permutation(np.array(model.graph.calls, dtype=object))[:LAYERS]:
        if call.layer.rule == "opaque":
            continue
        sizes = run.execution.sizes[(call.name, 0)]
        for _ in range(NUMBERS):
            at = tuple(int(rng.integers(n)) for n in sizes)
            numbers += 1
            held += run.explain(call.name, at).facts.holds
    return {"numbers": numbers, "held": held}


def _counted(module: Any, model: Any, x: Any) -> dict[str, Any]:
    """Multiply-adds of every convolution and linear row against PyTorch's and fvcore's counters."""
    ours: Counter[str] = Counter()
    for row in model.describe().to_dict()["layers"]:
        if row["macs_textbook"]:
            ours[row["name"].partition("@")[0]] += row["macs_textbook"]
    return {
        "macs": sum(ours.values()),
        "torch_macs": _by_torch(module, x),
        "fvcore_macs": _by_fvcore(module, x, ours),
    }


def _by_torch(module: Any, x: Any) -> int:
    from torch.utils.flop_counter import FlopCounterMode

    counter = FlopCounterMode(display=False)
    with counter, torch.no_grad():
        module(x)
    return int(counter.get_total_flops()) // 2


def _by_fvcore(module: Any, x: Any, ours: Counter[str]) -> dict[str, Any] | None:
    """fvcore's count, and the rows whose counts differ; None without fvcore."""
    try:
        from fvcore.nn import FlopCountAnalysis
    except ImportError:
        return None
    analysis = FlopCountAnalysis(module, x)
    analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False)
    kinds = ("conv", "linear", "addmm", "matmul")
    leaves = {name for name, part in module.named_modules() if not list(part.children())}
    theirs = {
        name: int(sum(count for kind, count in counts.items() if kind in kinds))
        for name, counts in analysis.by_module_and_operator().items()
        if name in leaves
    }
    rows = {name: count for name, count in theirs.items() if count}
    return {
        "macs": sum(rows.values()),
        "differ": sorted(n for n in {*rows, *ours} if rows.get(n, 0) != ours.get(n, 0))[:20],
    }
