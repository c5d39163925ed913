"""Every convolutional network of torchvision and timm, opened by convlens and judged by PyTorch.

    python -m benchmarks.torch_zoo torchvision [--match resnet] [--out docs/torch-zoo.md]
    python -m benchmarks.torch_zoo timm --quick

A network counts as fully explained when every layer has a rule of its own; `--quick` opens it on
PyTorch's meta device and compares shapes and parameters alone. Without it the network also runs
with random weights, its output is compared with PyTorch's, and numbers of random layers are
explained and compared with the engine's.
"""

from __future__ import annotations

import argparse
import re
import sys
import time
import warnings
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

import convlens

# timm's families of pure and hybrid convolutional networks.
FAMILIES = (
    "byobnet convnext densenet dla dpn edgenext efficientnet fasternet ghostnet hardcorenas hgnet "
    "hrnet inception_resnet_v2 inception_next inception_v3 inception_v4 mambaout metaformer "
    "mobilenetv3 mobilenetv5 nasnet nfnet pnasnet regnet repghost repvit res2net resnest resnet "
    "resnetv2 rexnet selecsls senet sknet starnet tresnet vgg vovnet xception xception_aligned "
    "cspnet csatv2 cpubone fastvit shvit tiny_vit vitamin rdnet sequencer"
)
SKIPPED = re.compile(r"vit|swin|maxvit|rcnn|retina|ssd|fcos|raft|r3d|mc3|r2plus|s3d|mvit|quantized")
ATTENTION = re.compile(r"matmul|bmm|scaled_dot|einsum")


def torchvision_networks() -> Iterator[tuple[str, Any, int]]:
    """(name, builder, picture size) of classification and segmentation networks."""
    _declare_operators()
    from torchvision import models

    for name in models.list_models():
        if SKIPPED.search(name):
            continue

        def build(name: str = name) -> Any:
            more = (
                {"weights_backbone": None}
                if models.get_model_builder(name).__module__.find("segmentation") >= 0
                else {}
            )
            if name in ("googlenet", "inception_v3"):
                more["init_weights"] = False
            return models.get_model(name, weights=None, **more)

        yield name, build, 299 if name == "inception_v3" else 224


def timm_networks() -> Iterator[tuple[str, Any, int]]:
    """(name, builder, picture size) of the families named above."""
    _declare_operators()
    import timm

    families = set(FAMILIES.split())
    for name in timm.list_models():
        if name.startswith("test_"):
            continue
        module = timm.models._registry._model_to_module.get(name, "")
        if module in families:
            size = timm.models.get_pretrained_cfg(name)
            side = size.input_size[-1] if size is not None and size.input_size else 224

            def build(name: str = name) -> Any:
                return timm.create_model(name, pretrained=False)

            yield name, build, side


def _declare_operators() -> None:
    """Name torchvision's own operators where its compiled part is missing: its import asks."""
    try:
        import torchvision  # noqa: F401
    except RuntimeError:
        library = torch.library.Library("torchvision", "DEF")
        for operator in ("nms", "qnms", "roi_align", "roi_pool", "ps_roi_align", "ps_roi_pool"):
            library.define(f"{operator}(Tensor a) -> Tensor")
            library.define(f"_{operator}_backward(Tensor a) -> Tensor")
        library.define("deform_conv2d(Tensor a) -> Tensor")
        library.define("_deform_conv2d_backward(Tensor a) -> Tensor")
        for name in [name for name in sys.modules if name.startswith("torchvision")]:
            del sys.modules[name]
        globals()["_kept_library"] = library


def judge(build: Any, size: int, quick: bool) -> dict[str, Any]:
    """What was found of one network."""
    device = "meta" if quick else "cpu"
    with torch.device(device):
        torch.manual_seed(0)
        module = build().eval()
    if not quick:
        for part in module.modules():
            if getattr(part, "running_var", None) is not None:
                part.running_mean.normal_(0, 0.1)
                part.running_var.uniform_(0.5, 1.5)
    example = torch.zeros(2, 3, size, size, device=device)
    model = convlens.load(module, example=example)
    totals = model.describe().to_dict()["totals"]
    opaque = Counter(call.kind for call in model.graph.calls if call.layer.rule == "opaque")
    used = _used_parameters(module, model)
    found: dict[str, Any] = {
        "layers": len(model.graph.calls),
        "opaque": opaque,
        "parameters": totals["params"],
        "expected": used,
    }
    if not quick:
        found.update(_run(module, model, size))
    return found


def _used_parameters(module: Any, model: Any) -> int:
    """PyTorch's count, without auxiliary heads that are not run."""
    unused = ("aux", "AuxLogits")
    return sum(
        part.numel() for name, part in module.named_parameters() if not name.startswith(unused)
    )


def _run(module: Any, model: Any, size: int) -> dict[str, Any]:
    x = np.random.default_rng(0).random((1, 3, size, size), dtype=np.float32)
    run = model.run(x)
    output = run.output[0] if isinstance(run.output, list) else run.output
    with torch.no_grad():
        wanted = module(torch.from_numpy(x))
    wanted = wanted["out"] if isinstance(wanted, dict) else wanted
    wanted = wanted.numpy()
    rng = np.random.default_rng(1)
    numbers, held = 0, 0
    for call in rng.permutation(np.array(model.graph.calls, dtype=object))[:20]:
        if call.layer.rule == "opaque":
            continue
        sizes = run.execution.sizes[(call.name, 0)]
        for _ in range(2):
            at = tuple(int(rng.integers(n)) for n in sizes)
            numbers += 1
            held += run.explain(call.name, at).facts.holds
    scale = max(float(np.abs(wanted).max()), 1e-30)
    return {
        "difference": float(np.abs(output - wanted).max()) / scale,
        "numbers": numbers,
        "held": held,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("zoo", choices=["torchvision", "timm"])
    parser.add_argument("--match", default="")
    parser.add_argument("--every", type=int, default=1, help="take each n-th network")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--seconds", type=float, default=1e9, help="stop after this long")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    torch.set_grad_enabled(False)
    networks = torchvision_networks() if options.zoo == "torchvision" else timm_networks()
    chosen = [entry for entry in networks if re.search(options.match, entry[0])][:: options.every]
    rows, started = [], time.monotonic()
    for name, build, size in chosen:
        if time.monotonic() - started > options.seconds:
            break
        try:
            found = judge(build, size, options.quick)
        except Exception as error:
            found = {"error": f"{type(error).__name__}: {str(error).splitlines()[0][:100]}"}
        rows.append((name, found))
        print(line(name, found), flush=True)
    text = report(options.zoo, rows, len(chosen))
    print(text)
    if options.out:
        options.out.write_text(text)


def line(name: str, found: dict[str, Any]) -> str:
    """One row of the table."""
    if "error" in found:
        return f"| {name} | {found['error']} | | | | |"
    opaque = ", ".join(f"{kind} {n}" for kind, n in found["opaque"].items()) or "all explained"
    same = (
        "yes"
        if found["parameters"] == found["expected"]
        else (f"{found['parameters']:,} of {found['expected']:,}")
    )
    difference = f"{found['difference']:.1e}" if "difference" in found else ""
    held = f"{found['held']} of {found['numbers']}" if "numbers" in found else ""
    return f"| {name} | {found['layers']} | {opaque} | {same} | {difference} | {held} |"


def report(zoo: str, rows: list[tuple[str, dict[str, Any]]], chosen: int) -> str:
    """The table with its totals in front."""
    errors = sum("error" in found for _, found in rows)
    full = sum("error" not in found and not found["opaque"] for _, found in rows)
    attention = sum(
        "error" not in found and any(ATTENTION.search(kind) for kind in found["opaque"])
        for _, found in rows
    )
    kinds: Counter[str] = Counter()
    for _, found in rows:
        kinds.update(dict.fromkeys(found.get("opaque", ()), 1))
    missing = ", ".join(f"`{kind}` {n}" for kind, n in kinds.most_common(12)) or "none"
    head = [
        f"{len(rows)} of {chosen} networks of {zoo} were opened: {full} fully explained, "
        f"{len(rows) - full - errors} partly ({attention} of them with attention), {errors} not.",
        f"Operators without a layer, and in how many networks: {missing}.",
        "",
        "| network | layers | not explained | parameters as PyTorch counts them | "
        "largest difference of the output (share of its largest number) | numbers within bound |",
        "|---|---|---|---|---|---|",
    ]
    return "\n".join([*head, *(line(name, found) for name, found in rows)]) + "\n"


if __name__ == "__main__":
    main()
