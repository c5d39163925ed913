"""All 40 networks of keras.applications: convlens against Keras, layer by layer.

    python benchmarks/keras_zoo.py [--only ResNet50,VGG16] [--write docs/keras-zoo.md]
                                   [--results FILE]

Each network is built by Keras without trained weights (its weights are then spread out at random,
batch statistics too; scales stay below 1, else the numbers of the deepest networks grow from layer
to layer, and rounding with them, until nothing can be compared), saved as `.keras`, opened by convlens without Keras, and compared: names,
classes, output shapes and parameters of every layer as Keras reports them; every tensor of one run
on one input; and explained numbers of every kind of layer, each within its bound. Each network has
a process of its own, so that memory is given back. `--results` keeps one line of JSON per network;
networks that were run there already are not run again. Keras' backend is KERAS_BACKEND's: on
PyTorch Keras builds its larger networks thirty times faster than on JAX, which compiles an
initializer for every shape.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

NAMES = [
    "ConvNeXtTiny",
    "ConvNeXtSmall",
    "ConvNeXtBase",
    "ConvNeXtLarge",
    "ConvNeXtXLarge",
    "DenseNet121",
    "DenseNet169",
    "DenseNet201",
    "EfficientNetB0",
    "EfficientNetB1",
    "EfficientNetB2",
    "EfficientNetB3",
    "EfficientNetB4",
    "EfficientNetB5",
    "EfficientNetB6",
    "EfficientNetB7",
    "EfficientNetV2B0",
    "EfficientNetV2B1",
    "EfficientNetV2B2",
    "EfficientNetV2B3",
    "EfficientNetV2S",
    "EfficientNetV2M",
    "EfficientNetV2L",
    "InceptionResNetV2",
    "InceptionV3",
    "MobileNet",
    "MobileNetV2",
    "MobileNetV3Small",
    "MobileNetV3Large",
    "NASNetMobile",
    "NASNetLarge",
    "ResNet50",
    "ResNet101",
    "ResNet152",
    "ResNet50V2",
    "ResNet101V2",
    "ResNet152V2",
    "VGG16",
    "VGG19",
    "Xception",
]
# One number over the largest of its tensor. Whole networks add up the rounding of all layers
# before; a wrong layer is off by 1e-2 and more.
CLOSE = 1e-5
# Of the picture that is run; names, shapes and counts are compared at the full size.
SIDE, NASNET_SIDE = 96, 224
NUMBERS = 4  # explained numbers per kind of layer


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", help="names, separated by commas")
    parser.add_argument("--write", type=Path, help="write the result as a page of the docs")
    parser.add_argument("--results", type=Path, help="keep results here, and go on from them")
    parser.add_argument("--facts", action="store_true", help="names, shapes, counts; run nothing")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print("RESULT " + json.dumps(compare(options.one, options.facts)), flush=True)
        return 0
    names = options.only.split(",") if options.only else NAMES
    kept: dict[str, dict[str, Any]] = {}
    if options.results and options.results.exists():
        rows = map(json.loads, options.results.read_text(encoding="utf-8").splitlines())
        done = "layers" if options.facts else "tensors"
        kept = {row["name"]: row for row in rows if row["ok"] and done in row}
    results = []
    for name in names:
        result = kept.get(name) or in_own_process(name, options.facts)
        results.append(result)
        if options.results and name not in kept:
            with options.results.open("a", encoding="utf-8") as file:
                file.write(json.dumps(result) + "\n")
    if options.write:
        options.write.write_text(page(results), encoding="utf-8")
    failed = [result["name"] for result in results if not result["ok"]]
    print(
        f"{len(results) - len(failed)} of {len(results)} agree"
        + (f"; not: {failed}" if failed else "")
    )
    return 1 if failed else 0


def in_own_process(name: str, facts: bool) -> dict[str, Any]:
    started = time.perf_counter()
    command = [sys.executable, __file__, "--one", name, *(["--facts"] if facts else [])]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    lines = [line for line in done.stdout.splitlines() if line.startswith("RESULT ")]
    if lines:
        result: dict[str, Any] = json.loads(lines[-1].removeprefix("RESULT "))
    else:
        result = {"name": name, "ok": False, "problems": [done.stderr.strip()[-400:]]}
    result["seconds"] = round(time.perf_counter() - started, 1)
    brief = {key: value for key, value in result.items() if key not in ("name", "problems")}
    print(f"{name}: {brief}", *result["problems"][:8], sep="\n    ", flush=True)
    return result


def compare(name: str, only_facts: bool = False) -> dict[str, Any]:
    """Everything about one network."""
    os.environ.setdefault("KERAS_BACKEND", "jax")
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    import keras

    import convlens

    make = getattr(keras.applications, name)
    problems: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.keras"
        model = make(weights=None)
        model.save(path)
        started = time.perf_counter()
        ours = convlens.load(path)
        opened = time.perf_counter() - started
        facts = compare_facts(model, ours, problems)
        del model, ours
        numbers = {} if only_facts else compare_numbers(name, make, path, problems)
    return {
        "name": name, "keras": f"{keras.__version__} on {keras.backend.backend()}", **facts,
        "opened_ms": round(1000 * opened), **numbers,
        "ok": not problems, "problems": problems,
    }  # fmt: skip


def compare_facts(model: Any, ours: Any, problems: list[str]) -> dict[str, Any]:
    """Names, classes, shapes and parameters of every layer."""
    theirs = dict(walk(model))
    rows = {row["name"]: row for row in ours.describe().to_dict()["layers"]}
    for missing in theirs.keys() - rows.keys():
        problems.append(f"{missing} is missing")
    for more in rows.keys() - theirs.keys():
        problems.append(f"{more} is not Keras'")
    params = trained = 0
    for name, layer in theirs.items():
        row = rows.get(name)
        if row is None:
            continue
        counted = (
            sum(weight_count(w) for w in layer.trainable_weights)
            if hasattr(layer, "weights")
            else 0
        )
        whole = layer.count_params() if hasattr(layer, "count_params") else 0
        params, trained = params + whole, trained + counted
        shape = list(layer.output.shape)
        pairs = {
            "kind": (row["kind"], type(layer).__name__),
            "shape": (row["output_shape"], shape),
            "params": (row["params"], whole),
            "trainable": (row["trainable_params"], counted),
        }
        problems += [
            f"{name}: {what} {mine}, Keras {true}" for what, (mine, true) in pairs.items()
            if mine != true
        ]  # fmt: skip
    totals = ours.describe().to_dict()["totals"]
    if totals["params"] != model.count_params():
        problems.append(f"{totals['params']} parameters, Keras {model.count_params()}")
    opaque = [call.name for call in ours.graph.calls if call.layer.rule == "opaque"]
    problems += [f"{one} is opaque" for one in opaque]
    return {"layers": len(theirs), "parameters": totals["params"], "trained": trained}


def walk(model: Any, prefix: str = "") -> list[tuple[str, Any]]:
    """Every layer and operation of a Keras model but inputs, nested ones with their paths."""
    found: list[tuple[str, Any]] = []
    for layer in getattr(model, "operations", model.layers):
        kind = type(layer).__name__
        if kind == "InputLayer":
            continue
        if hasattr(layer, "layers"):
            found += walk(layer, f"{prefix}{layer.name}/")
        else:
            found.append((prefix + layer.name, layer))
    return found


def weight_count(weight: Any) -> int:
    count = 1
    for size in weight.shape:
        count *= size
    return count


def compare_numbers(name: str, make: Any, path: Path, problems: list[str]) -> dict[str, Any]:
    """Every tensor of one run, and explained numbers of every kind of layer."""
    import keras
    import numpy as np

    import convlens

    keras.backend.clear_session()
    side = NASNET_SIDE if name.startswith("NASNet") else SIDE
    model = make(weights=None, input_shape=(side, side, 3))
    spread(model, np.random.default_rng(0))
    model.save(path)
    x = np.random.default_rng(1).uniform(0, 255, (1, side, side, 3)).astype(np.float32)
    if not any(type(one).__name__ == "Rescaling" for one in model.layers):
        x = x / 127.5 - 1
    watched = [one for one in model.operations if type(one).__name__ != "InputLayer"]
    every = keras.Model(model.inputs, [one.output for one in watched])
    truth = [np.asarray(one) for one in every.predict_on_batch(x)]
    run = convlens.load(path).run(x)
    worst, where = 0.0, ""
    for one, true in zip(watched, truth, strict=True):
        found = np.asarray(run[last_inside(one)])
        if found.shape != true.shape or not np.isfinite(true).all():
            problems.append(f"{one.name}: {found.shape} against {true.shape}, or not finite")
            continue
        off = float(np.abs(found - true).max() / max(float(np.abs(true).max()), 1e-30))
        if off > worst:
            worst, where = off, one.name
        if off > CLOSE:
            problems.append(f"{one.name}: numbers differ by {off:.1e} of the largest")
    explained, tightest = explain(run, problems)
    return {
        "tensors": len(watched), "largest_difference": worst, "at": where,
        "output_difference": float(np.abs(np.asarray(run.output) - truth[-1]).max()),
        "explained": explained, "share_of_bound": tightest,
    }  # fmt: skip


def last_inside(layer: Any) -> str:
    """Our name of a layer's output: for a nested model that of its last layer."""
    name = layer.name
    while hasattr(layer, "layers"):
        layer = layer.layers[-1]
        name += f"/{layer.name}"
    return str(name)


def spread(model: Any, rng: Any) -> None:
    """Weights as a trained network might have them: no layer without effect."""
    for layer in model._flatten_layers(include_self=False, recursive=True):
        kind = type(layer).__name__
        if kind == "Normalization" and layer.built:
            layer.mean, layer.variance = layer.mean, layer.variance
        elif kind in ("BatchNormalization", "LayerNormalization", "LayerScale"):
            lows = {"beta": -0.2, "moving_mean": -0.2, "moving_variance": 0.7}
            for weight in layer.weights:
                low = lows.get(weight.name, 0.3)
                weight.assign(rng.uniform(low, low + 0.4, weight.shape))
        else:
            for weight in layer.weights:
                if weight.name == "bias":
                    weight.assign(rng.uniform(-0.1, 0.1, weight.shape))


def explain(run: Any, problems: list[str]) -> tuple[int, float]:
    """Explained numbers of every kind of layer against the engine's: how many, nearest a bound."""
    import numpy as np

    rng = np.random.default_rng(2)
    kinds: dict[str, list[Any]] = {}
    for call in run.model.graph.calls:
        kinds.setdefault(call.kind, []).append(call)
    count, tightest = 0, 0.0
    for calls in kinds.values():
        for _ in range(NUMBERS):
            call = calls[int(rng.integers(len(calls)))]
            shape = run[call.name].shape[1:]
            at = tuple(int(rng.choice([0, size - 1, rng.integers(size)])) for size in shape)
            fact = run.explain(call.name, at).to_dict()
            count += 1
            off, bound = abs(float(fact["difference"])), float(fact["tolerance"])
            tightest = max(tightest, off / bound if bound else float(off > 0))
            if off > bound:
                problems.append(f"{call.name} at {at}: {off:.2e} off, bound {bound:.2e}")
    return count, float(f"{tightest:.2g}")


def judges(results: list[dict[str, Any]]) -> str:
    """Which Keras judged: versions and backends, with how many networks each."""
    counts: dict[str, int] = {}
    for result in results:
        if "keras" in result:
            counts[result["keras"]] = counts.get(result["keras"], 0) + 1
    return ", ".join(f"{keras} ({count})" for keras, count in counts.items())


def page(results: list[dict[str, Any]]) -> str:
    """The result as Markdown."""
    agree = sum(result["ok"] for result in results)
    run = [result for result in results if "tensors" in result]
    layers = sum(result.get("layers", 0) for result in results)
    tensors = sum(result["tensors"] for result in run)
    explained = sum(result["explained"] for result in run)
    lines = [
        "# The networks of keras.applications",
        "",
        f"Written by `benchmarks/keras_zoo.py`: {agree} of {len(results)} networks agree with Keras in name, class, output shape",
        f"and parameters of every layer ({layers:,} layers). {len(run)} were run as well: {tensors:,} tensors agree, and {explained:,} explained numbers",
        f"lie within their bounds. A difference is the largest of a tensor, over the tensor's largest number; {CLOSE:.5f} is allowed.",
        "",
        f"Names, shapes and parameters are compared at each network's own size; runs are on one random picture of {SIDE} by {SIDE}",
        f"(NASNet: {NASNET_SIDE}), with weights and batch statistics spread out at random. Keras: {judges(results)}.",
        "",
        "| network | layers | parameters | trained | largest difference | explained numbers, nearest to their bound | agrees |",
        "|---|---|---|---|---|---|---|",
    ]
    for r in results:
        if "layers" not in r:
            lines.append(f"| {r['name']} | | | | | | no: {' '.join(r['problems'])[:200]} |")
            continue
        numbers = "not run | "
        if "tensors" in r:
            numbers = f"{r['largest_difference']:.1e} | {r['explained']}, {r['share_of_bound']:.2g}"
        lines.append(
            f"| {r['name']} | {r['layers']} | {r['parameters']:,} | {r['trained']:,} | {numbers} | "
            f"{'yes' if r['ok'] else 'no'} |"
        )
    missing = [name for name in NAMES if name not in {r["name"] for r in results}]
    if missing:
        lines += ["", f"Not compared in this run: {', '.join(missing)}."]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    raise SystemExit(main())
