"""`.pt2` files (torch.export.save) read as what they are: JSON and raw numbers, no torch, no pickle."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import MissingDependency, ModelError
from ...layers.weight import Values
from ...model import Graph
from ..files import shown
from ..zips import Archive
from .build import build
from .in_place import pure
from .nodes import Fed, Full, Node, Owner, Program, Ref, Stored, computed, module_path
from .region import fused
from .sizes import BATCH, OTHER_BATCH
from .weights import TYPES, program_in, weights_of

LARGEST_PROGRAM = 512 << 20
MOST_NODES = 400_000
# How a program writes so many times a size: `Mul(Integer(2), Symbol('s0'))`, or `2*s0`.
TIMES = re.compile(r"(?:Mul\(Integer\()?(\d{1,9})(?:\),|\*)(.*?)\)?")
LARGEST_FILLED = 1 << 24
DEEPEST = 8


def read_archive(archive: Archive, path: str) -> Graph:
    """The graph of an exported program. Raises ModelError for a damaged one."""
    try:
        graph = build(fused(_Program(archive, Path(path).stem).whole()), path=path)
    except (KeyError, TypeError, ValueError, IndexError, AttributeError, RecursionError) as problem:
        raise ModelError(
            "the exported program cannot be read",
            where=archive.source.name,
            given=f"{type(problem).__name__}: {shown(str(problem))}",
            needed="a file written by torch.export.save",
            hint="export it again, with a current PyTorch",
        ) from None
    kinds = dict.fromkeys(call.kind for call in graph.calls if not call.layer.runs)
    if not kinds:
        return graph
    named = ", ".join(f"`{kind}`" for kind in kinds)
    fact = f"{named}: no layer of ours, so that the file runs up to there; "
    fact += f"convlens.load(torch.export.load({str(path)!r})) runs it all, by PyTorch"
    return replace(graph, facts=(*graph.facts, fact))


class _Program:
    """The parts of the file, brought together."""

    def __init__(self, archive: Archive, name: str) -> None:
        main = program_in(archive.members)
        self.archive, self.name, self.main = archive, name, main
        module = json.loads(archive.text(main, LARGEST_PROGRAM))["graph_module"]
        self.graph, self.signature = module["graph"], module["signature"]
        if len(self.graph["nodes"]) > MOST_NODES:
            raise ModelError("the program is larger than any network", where=archive.source.name)
        self.tensors = self.graph["tensor_values"]
        self.batch = self._batch()

    def whole(self) -> Program:
        shapes = {name: self._shape(entry) for name, entry in self.tensors.items()}
        dtypes = {n: TYPES.get(entry["dtype"], "unknown") for n, entry in self.tensors.items()}
        inputs, stored = self._placeholders(shapes, dtypes)
        outputs = [
            _name_in(spec["user_output"]["arg"])
            for spec in self.signature["output_specs"]
            if "user_output" in spec
        ]
        numbers = {
            name: self._size(value)
            for name, value in self.graph.get("sym_int_values", {}).items()
            if isinstance(value, dict)
        }
        read = [_sized(_node(entry), numbers) for entry in self.graph["nodes"]]
        twin = None
        if self.batch:
            twin = {name: self._shape(entry, OTHER_BATCH) for name, entry in self.tensors.items()}
        strides = {name: self._strides(entry) for name, entry in self.tensors.items()}
        known = (shapes,) if twin is None else (shapes, twin)
        nodes, outputs = pure(read, outputs, known, strides)
        # Sizes and checks are nodes too: what makes no tensor is no layer.
        nodes = [node for node in nodes if any(name in shapes for name in node.outputs)]
        kept = [node for node in nodes if not self._folded(node, stored, shapes)]
        return Program(
            self.name, tuple(inputs), stored, tuple(kept), tuple(outputs), shapes, dtypes, twin
        )

    def _batch(self) -> str:
        """The name of an open batch size: the first size of the first input, where it has one."""
        for spec in self.signature["input_specs"]:
            name = _name_in(spec.get("user_input", {}).get("arg"))
            if name in self.tensors and self.tensors[name]["sizes"]:
                return _symbol(self.tensors[name]["sizes"][0])
        return ""

    def _shape(self, entry: Any, batch: int = BATCH) -> Full:
        return tuple(self._size(size, batch) for size in entry["sizes"])

    def _strides(self, entry: Any) -> Full:
        """How many numbers apart neighbours on each axis lie, in the recorded batch."""
        return tuple(self._size(step) for step in entry.get("strides", ()))

    def _size(self, value: Any, batch: int = BATCH) -> int | None:
        if "as_int" in value:
            size = int(value["as_int"])
            if size < 0:
                raise ValueError(f"a size of {size}")
            return size
        # So many times the samples: heads or windows that share their axis.
        whole = _symbol(value)
        times = TIMES.fullmatch(whole)
        count, symbol = (int(times[1]), times[2]) if times else (1, whole)
        return count * batch if symbol and symbol == self.batch else None

    def _placeholders(
        self, shapes: Mapping[str, Full], dtypes: Mapping[str, str]
    ) -> tuple[list[Fed], dict[str, Stored]]:
        weights = weights_of(self.archive, self.main)
        inputs: list[Fed] = []
        stored: dict[str, Stored] = {}
        for spec in self.signature["input_specs"]:
            (kind, entry), *_ = spec.items()
            name = _name_in(entry.get("arg"))
            if name not in shapes:
                continue
            if kind == "user_input":
                inputs.append(Fed(name, shapes[name], dtypes[name]))
                continue
            key = next((str(v) for k, v in entry.items() if k.endswith("_name")), name)
            values = weights.get(key) or _absent(key, self.archive.source.name)
            sizes = tuple(size or 0 for size in shapes[name])
            learnt = kind == "parameter"
            stored[name] = Stored(key, sizes, learnt, values, dtypes[name], buffer=not learnt)
        return inputs, stored

    def _folded(self, node: Node, stored: dict[str, Stored], shapes: Mapping[str, Full]) -> bool:
        """Arithmetic on stored numbers alone gives stored numbers, worked out when asked for."""
        used = list(dict.fromkeys(node.references()))
        if not used:
            return self._made_of_nothing(node, stored, shapes)
        if not all(name in stored for name in used) or "." not in node.operator:
            return False
        sources = [stored[name] for name in used]
        for place, name in enumerate(node.outputs):
            sizes = tuple(size or 0 for size in shapes.get(name, ()))
            values = Values(_Computed(node, used, sources, place), "file")
            stored[name] = computed(node, sizes, values, stored)
        return True

    def _made_of_nothing(
        self, node: Node, stored: dict[str, Stored], shapes: Mapping[str, Full]
    ) -> bool:
        """Zeros, ones or one number everywhere (the states that an LSTM starts from), or a row."""
        word = node.operator.partition(".")[0]
        sizes = shapes.get(node.outputs[0], (None,)) if node.outputs else (None,)
        known = tuple(size for size in sizes if size is not None)
        if len(known) < len(sizes) or math.prod(known) > LARGEST_FILLED:
            return False
        row = evenly(word, node.arguments, known)
        if row is not None:
            stored[node.outputs[0]] = computed(node, known, Values(lambda: row, "file"), stored)
            return True
        if word == "eye" and len(known) == 2:
            square = Values(lambda: np.eye(*known, dtype=np.float32), "file")
            stored[node.outputs[0]] = computed(node, known, square, stored)
            return True
        number = {"zeros": 0.0, "ones": 1.0}.get(word, node.arguments.get("fill_value"))
        if word not in ("zeros", "ones", "full") or not isinstance(number, (int, float)):
            return False
        values = Values(lambda: np.full(known, number, np.float32), "file")
        stored[node.outputs[0]] = computed(node, known, values, stored)
        return True


def evenly(
    word: str, arguments: Mapping[str, Any], sizes: tuple[int, ...]
) -> NDArray[np.float32] | None:
    """The numbers of `arange` and `linspace`, as PyTorch rounds them; None for anything else."""
    given = [arguments.get(name, other) for name, other in (("start", 0), ("end", None))]
    if word not in ("arange", "linspace") or len(sizes) != 1:
        return None
    if not all(isinstance(number, (int, float)) for number in given):
        return None
    (start, end), count = given, sizes[0]
    places = np.arange(count)
    if word == "arange":
        step = arguments.get("step", 1)
        if not isinstance(step, (int, float)):
            return None
        row: NDArray[np.float32] = (start + step * places).astype(np.float32)
        return row
    # From both ends to the middle, so that the last number is the end itself; a float32 step, and
    # one rounding for each number.
    first, last = float(np.float32(start)), float(np.float32(end))
    width = float(np.float32(np.float32(last - first) / np.float32(max(count - 1, 1))))
    rising, falling = first + width * places, last - width * (count - 1 - places)
    return np.where(places < max(count // 2, count == 1), rising, falling).astype(np.float32)


def _symbol(value: Any) -> str:
    expression = value.get("as_expr") if isinstance(value, dict) else None
    return str(expression["expr_str"]).replace(" ", "") if isinstance(expression, dict) else ""


def _sized(node: Node, numbers: Mapping[str, int | None]) -> Node:
    """The node with the sizes that its arguments name, as far as they are known."""

    def plain(value: Any) -> Any:
        if isinstance(value, list):
            return [plain(part) for part in value]
        found = numbers.get(value) if isinstance(value, str) else None
        return value if found is None else found

    return replace(node, arguments={name: plain(v) for name, v in node.arguments.items()})


class _Computed:
    """Numbers that one of PyTorch's operators makes from stored ones, where PyTorch is there."""

    def __init__(self, node: Node, names: list[str], sources: list[Stored], place: int) -> None:
        self.node, self.names, self.sources, self.place = node, names, sources, place

    def __call__(self) -> NDArray[Any]:
        try:
            import torch
        except ImportError:
            raise MissingDependency(
                f"a weight of this program is computed by `{self.node.operator}`",
                needed="PyTorch",
                hint="pip install torch",
            ) from None
        real = {
            name: torch.from_numpy(np.array(source.values.array()))
            for name, source in zip(self.names, self.sources, strict=True)
        }

        def filled(value: Any) -> Any:
            if isinstance(value, Ref):
                return real[value.name]
            return [filled(part) for part in value] if isinstance(value, list) else value

        word, _, overload = self.node.operator.partition(".")
        function = getattr(getattr(torch.ops.aten, word), overload)
        try:
            with torch.no_grad():
                made = function(**{name: filled(v) for name, v in self.node.arguments.items()})
        except (RuntimeError, TypeError, ValueError) as problem:
            raise ModelError(
                f"PyTorch could not compute a weight of this program by `{self.node.operator}`",
                given=str(problem).partition("\n")[0][:200],
            ) from None
        part = made[self.place] if isinstance(made, (list, tuple)) else made
        array: NDArray[Any] = part.float().numpy()
        return array


def _absent(key: str, where: str) -> Values:
    def load() -> NDArray[Any]:
        raise ModelError(
            f"the numbers of `{shown(key)}` are not in the file in a form that is read here",
            where=where,
            hint="export the module again, or load it live",
        )

    return Values(load, "file")


def _name_in(value: Any) -> str:
    """The tensor's name in an argument, however it is wrapped."""
    for _ in range(DEEPEST):
        if not isinstance(value, dict) or not value:
            return ""
        if "name" in value:
            return str(value["name"])
        value = next(iter(value.values()))
    return ""


# --- nodes ------------------------------------------------------------------------------------


def _node(entry: Any) -> Node:
    arguments = {str(part["name"]): _plain(part["arg"], 0) for part in entry["inputs"]}
    outputs = tuple(name for out in entry["outputs"] for name in _names(out))
    operator = str(entry["target"]).removeprefix("torch.ops.").removeprefix("aten.")
    name = str(entry.get("name") or (outputs[0] if outputs else operator))
    return Node(name, operator, arguments, outputs, _owner(entry.get("metadata") or {}))


def _names(out: Any) -> list[str]:
    if "as_tensor" in out:
        return [str(out["as_tensor"]["name"])]
    if "as_tensors" in out:
        return [str(part["name"]) for part in out["as_tensors"]]
    return []


def _owner(metadata: Any) -> Owner:
    """The innermost module: its path, its class, and which call of it."""
    last = str(metadata.get("nn_module_stack") or "").rpartition(";")[2]
    call, _, rest = last.partition(",")
    path, comma, kind = rest.rpartition(",")
    return Owner(module_path(path), kind, call) if comma else Owner()


def _plain(value: Any, depth: int) -> Any:
    """An argument as plain data; tensors as references."""
    if depth > DEEPEST:
        raise ValueError("an argument that nests too deep")
    (kind, inner), *_ = value.items()
    if kind == "as_tensor":
        return Ref(str(inner["name"]))
    if kind == "as_optional_tensor":
        return _plain(inner, depth + 1)
    if kind in ("as_tensors", "as_optional_tensors"):
        return [
            Ref(str(part["name"])) if "name" in part else _plain(part, depth + 1) for part in inner
        ]
    if kind == "as_none":
        return None
    if kind in ("as_sym_int", "as_sym_float", "as_sym_bool"):
        return str(inner["as_name"]) if "as_name" in inner else _plain(inner, depth + 1)
    if kind == "as_sym_ints":
        return [part.get("as_int", part.get("as_name")) for part in inner]
    return inner
