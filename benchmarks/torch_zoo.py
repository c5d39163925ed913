"""Every convolutional network of torchvision and timm, opened by convlens and judged by PyTorch.

    python -m benchmarks.torch_zoo torchvision --size 128 --state zoo.jsonl --out docs/torch-zoo.md
    python -m benchmarks.torch_zoo timm --quick --state timm.jsonl
    python -m benchmarks.torch_zoo timm --operators

A network counts as fully explained when every layer has a rule of its own. `--quick` reads it on
PyTorch's meta device: shapes, parameters, what is explained. Without it the network also runs with
random weights: every tensor of it is compared with the one that PyTorch's own interpreter makes of
the exported program, numbers of random layers are explained and compared with the engine's, and
multiply-adds of every row with those of `torch.utils.flop_counter` and, where it is there, fvcore.

`--state` keeps results in a file and skips what is in it. `--operators` opens one network per
distinct set of module classes and names the operators that no layer means, by networks.
"""

from __future__ import annotations

import argparse
import json
import re
import time
import warnings
from collections import Counter
from pathlib import Path
from typing import Any

import torch

from .torch_judge import judge
from .torch_networks import family, timm_networks, torchvision_networks

Found = dict[str, Any]
Networks = list[tuple[str, Any, int]]


def main() -> None:
    options = _options()
    warnings.simplefilter("ignore")
    torch.set_grad_enabled(False)
    every = torchvision_networks() if options.zoo == "torchvision" else timm_networks()
    networks = [entry for entry in every if re.search(options.match, entry[0])]
    if options.operators:
        operators(networks)
        return
    known = _known(options.state)
    started = time.monotonic()
    for name, build, size in networks[:: options.every]:
        if name in known or time.monotonic() - started > options.seconds:
            continue
        known[name] = _found(build, min(size, options.size or size), options.quick)
        print(name, known[name], flush=True)
        if options.state:
            with options.state.open("a", encoding="utf-8") as out:
                out.write(json.dumps({"name": name, **known[name]}) + "\n")
    rows = {name: known[name] for name, _, _ in networks if name in known}
    text = report(options.zoo, rows, len(networks))
    print(text)
    if options.out:
        options.out.write_text(text, encoding="utf-8")


def _options() -> Any:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("zoo", choices=["torchvision", "timm"])
    parser.add_argument("--match", default="")
    parser.add_argument("--every", type=int, default=1, help="take each n-th network")
    parser.add_argument("--size", type=int, help="side of the picture at most")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--operators", action="store_true")
    parser.add_argument("--seconds", type=float, default=1e9, help="stop after this long")
    parser.add_argument("--state", type=Path, help="results so far, one JSON object per line")
    parser.add_argument("--out", type=Path)
    return parser.parse_args()


def _known(state: Path | None) -> dict[str, Found]:
    if state is None or not state.exists():
        return {}
    rows = [json.loads(row) for row in state.read_text("utf-8").splitlines()]
    return {row.pop("name"): row for row in rows}


def _found(build: Any, size: int, quick: bool) -> Found:
    try:
        return {"size": size, **judge(build, size, quick)}
    except Exception as error:
        return {"error": f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"}


def operators(networks: Networks) -> None:
    """Operators without a layer, by how many networks have them; one network per set of classes."""
    groups: dict[frozenset[str], Networks] = {}
    for entry in networks:
        with torch.device("meta"):
            parts = entry[1]().modules()
        groups.setdefault(frozenset(type(part).__name__ for part in parts), []).append(entry)
    counts: Counter[str] = Counter()
    whole = 0
    for group in groups.values():
        name, build, size = group[0]
        found = _found(build, size, True)
        missing = [found["error"]] if "error" in found else list(found["opaque"])
        whole += 0 if missing else len(group)
        counts.update({word: len(group) for word in missing})
        print(len(group), name, missing or "fully explained", flush=True)
    print(f"{whole} of {len(networks)} networks have only operators that are explained")
    for word, count in counts.most_common():
        print(f"{count:5} {word}")


# --- the report -------------------------------------------------------------------------------


def report(zoo: str, rows: dict[str, Found], total: int) -> str:
    """The totals, then a table: of networks, or of families for a zoo of hundreds."""
    opened = {name: found for name, found in rows.items() if "error" not in found}
    whole = [name for name, found in opened.items() if not found["opaque"]]
    attention = [name for name, found in opened.items() if found.get("attention")]
    pure = [name for name in opened if name not in set(attention)]
    same = [n for n in opened if opened[n]["parameters"] == opened[n]["expected"]]
    lines = [
        f"{len(rows)} of {total} networks of {zoo} were opened: {len(whole)} fully explained, "
        f"{len(opened) - len(whole)} partly, {len(rows) - len(opened)} not. {len(pure)} of them "
        f"have no product of two activations (no attention): of those "
        f"{len(set(pure) & set(whole))} are fully explained. Parameters are PyTorch's count in "
        f"{len(same)}.",
        "",
    ]
    run = {name: found for name, found in opened.items() if "worst" in found}
    if run:
        lines += [_summed(run), ""]
    lines += _networks(rows) if len(rows) < 100 else _families(rows)
    return "\n".join(lines) + "\n"


def _summed(run: dict[str, Found]) -> str:
    numbers = sum(found["numbers"] for found in run.values())
    held = sum(found["held"] for found in run.values())
    tensors = sum(found["tensors"] for found in run.values())
    worst = max(run, key=lambda name: run[name]["worst"])
    torch_same = sum(found["macs"] == found["torch_macs"] for found in run.values())
    text = (
        f"{len(run)} were run on random weights: {tensors:,} tensors compared with PyTorch's, the "
        f"largest difference {run[worst]['worst']:.1e} of the tensor's largest number ({worst}); "
        f"{held:,} of {numbers:,} explained numbers within their bound. Multiply-adds are "
        f"`torch.utils.flop_counter`'s in {torch_same} of {len(run)}"
    )
    judged = [found for found in run.values() if found.get("fvcore_macs")]
    agree = sum(not found["fvcore_macs"]["differ"] for found in judged)
    return text + (f", fvcore's, row by row, in {agree} of {len(judged)}." if judged else ".")


def _networks(rows: dict[str, Found]) -> list[str]:
    head = [
        "| network | picture | layers | not explained | parameters | tensors compared | "
        "largest difference | numbers within bound | multiply-adds |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    return head + [line(name, found) for name, found in rows.items()]


def line(name: str, found: Found) -> str:
    """One row of the table."""
    if "error" in found:
        return f"| {name} | {found['error']} | | | | | | | |"
    opaque = ", ".join(f"{kind} {n}" for kind, n in found["opaque"].items()) or "none"
    count, wanted = found["parameters"], found["expected"]
    same = f"{count:,}" if count == wanted else f"{count:,}, PyTorch {wanted:,}"
    cells = [name, f"{found['size']}", f"{found['layers']}", opaque, same, "", "", "", ""]
    if "worst" in found:
        macs = f"{found['macs']:,}"
        differs = found["macs"] != found["torch_macs"]
        macs += f", PyTorch {found['torch_macs']:,}" if differs else ""
        shapes = "" if found["shapes"] else ", shapes differ"
        cells[5:] = [
            f"{found['tensors']}{shapes}",
            f"{found['worst']:.1e}",
            f"{found['held']} of {found['numbers']}",
            macs,
        ]
    return f"| {' | '.join(cells)} |"


def _families(rows: dict[str, Found]) -> list[str]:
    """Per family, then every network that is not whole."""
    groups: dict[str, list[str]] = {}
    for name in rows:
        groups.setdefault(family(name), []).append(name)
    lines = [
        "| family | networks | fully explained | partly | of these with attention | not opened |",
        "|---|---|---|---|---|---|",
    ]
    for word, names in sorted(groups.items()):
        opened = [name for name in names if "error" not in rows[name]]
        partly = [name for name in opened if rows[name]["opaque"]]
        attention = sum(bool(rows[name].get("attention")) for name in partly)
        lines.append(
            f"| {word} | {len(names)} | {len(opened) - len(partly)} | {len(partly)} | {attention} "
            f"| {len(names) - len(opened)} |"
        )
    lines += ["", "Not whole:", "", "| network | why |", "|---|---|"]
    for name, found in rows.items():
        opaque = ", ".join(f"{kind} {n}" for kind, n in found.get("opaque", {}).items())
        if "error" in found or opaque:
            lines.append(f"| {name} | {found.get('error') or opaque} |")
    return lines


if __name__ == "__main__":
    main()
