"""A live `torch.export.ExportedProgram` as a `Program`. PyTorch is imported by the user already."""

from __future__ import annotations

import operator
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import ModelError
from ...layers.weight import Values
from .nodes import Evaluator, Fed, Full, Node, Owner, Program, Ref, Stored, computed, module_path
from .sizes import OTHER_BATCH, Sizes


def program_of(exported: Any, name: str) -> Program:
    """The program, with in-place operators made pure and stored-only arithmetic folded."""
    exported = untangled(exported)
    reader = _Reader(exported)
    for node in exported.graph.nodes:
        reader.take(node)
    return Program(
        name,
        tuple(reader.inputs),
        reader.stored,
        tuple(reader.nodes),
        tuple(reader.outputs),
        reader.shapes,
        reader.dtypes,
        reader.twin if reader.sizes.symbol is not None else None,
    )


# Functions that PyTorch itself defines by others which layers of ours mean.
# fmt: off
DEFINED = (
    "einsum", "cosine_similarity", "pairwise_distance", "rot90", "fliplr", "flipud",
    "tensordot", "diff", "addcdiv", "baddbmm", "linalg_norm", "linalg_vecdot",
)
# fmt: on


def untangled(exported: Any) -> Any:
    """The program without changes of tensors that others see through a view.

    Some functions are put in PyTorch's own terms, too: an einsum of activations as permutes and a
    product, which may be attention. One with a stored tensor is a layer of its own.
    """
    torch = sys.modules["torch"]
    named = [
        node
        for node in exported.graph.nodes
        if node.op == "call_function" and _word(node.target).partition(".")[0] in DEFINED
    ]
    letters = [node for node in named if _word(node.target).startswith("einsum")]
    stored = {
        getattr(spec.arg, "name", None)
        for spec in exported.graph_signature.input_specs
        if spec.kind.name != "USER_INPUT"
    }
    if all(any(part.name in stored for part in node.args[1]) for node in letters):
        named = [node for node in named if node not in letters]
    wanted = {node.target for node in named}
    if not wanted and not _changes_a_view(exported.graph):
        return exported
    terms = torch.export.default_decompositions() if wanted else {}
    return exported.run_decompositions({one: terms[one] for one in wanted if one in terms})


Runner = Callable[..., tuple[NDArray[np.float32], ...]]

# Operators whose result may be the same memory as their input, seen in another shape.
# fmt: off
VIEWS = frozenset(
    {
        "view", "reshape", "flatten", "unflatten", "squeeze", "unsqueeze", "permute", "transpose",
        "t", "slice", "select", "narrow", "expand", "chunk", "split", "split_with_sizes",
        "unbind", "as_strided", "alias", "detach", "contiguous", "to", "swapaxes", "swapdims",
        "movedim", "moveaxis", "mT", "numpy_T", "expand_as", "view_as", "diagonal", "unfold",
    }
)
# fmt: on


def in_place(target: Any) -> bool:
    """Whether an operator changes its first argument."""
    word = _word(target).partition(".")[0]
    return word.endswith("_") and not word.startswith("_")


def _changes_a_view(graph: Any) -> bool:
    """Whether a tensor is changed that others see through a view: only PyTorch can untangle it."""
    for node in graph.nodes:
        if node.op != "call_function" or not in_place(node.target):
            continue
        if _word(node.target).startswith("dropout_") and not node.args[2]:
            continue  # in use it changes nothing
        changed = node.args[0]
        seen = [changed, *changed.users]
        if any(_word(other.target).partition(".")[0] in VIEWS for other in seen):
            return True
        if changed.op == "placeholder" or changed.target is operator.getitem:
            return True
    return False


def as_array(tensor: Any) -> NDArray[Any]:
    """A tensor's numbers as NumPy has them; bfloat16 and float16 as float32.

    Raises ModelError for a tensor that has none.
    """
    if tensor.is_meta:
        raise ModelError(
            "the module is on the meta device: its weights have shapes and no numbers",
            needed="numbers, wherever something is run",
            hint='module.to_empty(device="cpu"), then load_state_dict with its weights',
        )
    plain = tensor.detach().cpu()
    if plain.is_floating_point():
        plain = plain.float()
    array: NDArray[Any] = plain.contiguous().numpy()
    return array


class _Reader:
    """Collects inputs, stored numbers and nodes while the graph is walked once."""

    def __init__(self, exported: Any) -> None:
        self.inputs: list[Fed] = []
        self.stored: dict[str, Stored] = {}
        self.nodes: list[Node] = []
        self.outputs: list[str] = []
        self.shapes: dict[str, Full] = {}
        self.dtypes: dict[str, str] = {}
        self.sizes = Sizes()
        self.twin: dict[str, Full] = {}
        self._real: dict[str, Callable[[], Any]] = {}
        self._place_of: dict[str, int] = {}
        self._now: dict[str, str] = {}
        self._specs = {
            getattr(spec.arg, "name", None): spec for spec in exported.graph_signature.input_specs
        }
        self._state: Mapping[str, Any] = {**exported.constants, **exported.state_dict}

    def take(self, node: Any) -> None:
        """Note one node of the graph."""
        value = node.meta.get("val")
        if node.op == "placeholder" and self._fed(node):
            self.sizes.learn(value)
        if hasattr(value, "shape"):
            self._note(node.name, value)
        if node.op == "placeholder":
            self._placeholder(node, value)
        elif node.op == "get_attr":
            self._keep(node.name, str(node.target), self._state.get(str(node.target)), False)
        elif node.op == "call_function":
            self._function(node, value)
        elif node.op == "output":
            self.outputs = [
                self._current(part.name) for part in _flat(node.args[0]) if hasattr(part, "name")
            ]

    def _note(self, name: str, value: Any) -> None:
        self.shapes[name] = tuple(map(self.sizes.number, value.shape))
        self.twin[name] = tuple(self.sizes.number(size, OTHER_BATCH) for size in value.shape)
        self.dtypes[name] = str(value.dtype).removeprefix("torch.")

    def _placeholder(self, node: Any, value: Any) -> None:
        spec = self._specs.get(node.name)
        if spec is None or self._fed(node):
            if hasattr(value, "shape"):
                self.inputs.append(Fed(node.name, self.shapes[node.name], self.dtypes[node.name]))
            return
        kind, target = spec.kind.name, spec.target
        self._keep(node.name, target, self._state.get(target), kind == "PARAMETER")

    def _fed(self, node: Any) -> bool:
        """Whether a placeholder is an input of the user's."""
        kind = getattr(self._specs.get(node.name), "kind", None)
        return getattr(kind, "name", "USER_INPUT") == "USER_INPUT"

    def _keep(self, name: str, path: str, tensor: Any, parameter: bool) -> None:
        if tensor is None or not hasattr(tensor, "shape"):
            return
        values = Values(lambda: as_array(tensor), "file")
        learnt = parameter and bool(getattr(tensor, "requires_grad", True))
        dtype = str(tensor.dtype).removeprefix("torch.")
        self.stored[name] = Stored(
            path, tuple(tensor.shape), learnt, values, dtype, buffer=not parameter
        )
        self.shapes[name] = tuple(tensor.shape)
        self._real[name] = lambda: tensor

    def _function(self, node: Any, value: Any) -> None:
        if node.target is operator.getitem:
            self._item(node)
            return
        if value is None:
            return  # a check that makes no tensor
        if not hasattr(value, "shape") and not isinstance(value, (list, tuple)):
            number = self.sizes.number(value)
            self._real[node.name] = lambda: number
            return  # a size, not a tensor
        arguments = self._arguments(node)
        outputs = self._outputs(node, value)
        names = _named_values(node)
        now = {name: self._current(name) for name in names}
        known = {name: self._real[name] for name in names if name in self._real}
        evaluate = evaluator_of(node, now, known)
        if in_place(node.target):
            self._now[node.args[0].name] = node.name
        made = Node(node.name, _word(node.target), arguments, outputs, _owner(node), evaluate)
        names = list(made.references())
        if all(name in self.stored for name in names):
            self._fold(node, made, names)
        else:
            self._place_of[node.name] = len(self.nodes)
            self.nodes.append(made)

    def _outputs(self, node: Any, value: Any) -> tuple[str, ...]:
        """The names of a node's values: its own, or one per part."""
        if not isinstance(value, (list, tuple)):
            return (node.name,)
        names = [f"{node.name}:{place}" for place in range(len(value))]
        for part, name in zip(value, names, strict=True):
            if hasattr(part, "shape"):
                self._note(name, part)
        return tuple(names)

    def _arguments(self, node: Any) -> dict[str, Any]:
        """Arguments by the names of the operator's schema, values of the graph as `Ref`."""
        schema = getattr(node.target, "_schema", None)
        names = [argument.name for argument in schema.arguments] if schema is not None else []
        given = dict(zip(names, node.args, strict=False)) if names else dict(enumerate(node.args))
        return {str(key): self._plain(value) for key, value in {**given, **node.kwargs}.items()}

    def _plain(self, value: Any) -> Any:
        if hasattr(value, "op") and hasattr(value, "name"):
            made = value.meta.get("val")
            size = made is not None and not hasattr(made, "shape") and not isinstance(made, list)
            return self.sizes.number(made) if size else Ref(self._current(value.name))
        if isinstance(value, (list, tuple)):
            return [self._plain(part) for part in value]
        if value is None or isinstance(value, (bool, int, float, str)):
            return value
        return str(value)

    def _current(self, name: str) -> str:
        """What a value is called after the in-place operators that changed it."""
        while name in self._now:
            name = self._now[name]
        return name

    def _item(self, node: Any) -> None:
        """`getitem` only names a part: from here on the part goes by that name."""
        source, place = node.args
        old = f"{source.name}:{place}"
        if old in self.stored:
            self.stored[node.name] = self.stored.pop(old)
            self._real[node.name] = self._real.pop(old)
            return
        place_of_node = self._place_of.get(source.name)
        if place_of_node is not None:
            known = self.nodes[place_of_node]
            outputs = tuple(node.name if name == old else name for name in known.outputs)
            self.nodes[place_of_node] = replace(known, outputs=outputs)

    def _fold(self, node: Any, made: Node, names: list[str]) -> None:
        """Arithmetic on stored numbers alone (weight norm) gives a stored number, when asked for."""
        real = [self._real[name] for name in names]
        sizes = {name: self._real[name] for name in _named_values(node) if name in self._real}
        once: list[Any] = []

        def compute() -> Any:
            if not once:
                found = {name: get() for name, get in sizes.items()}
                found.update((name, get()) for name, get in zip(names, real, strict=True))
                once.append(_run(node, found))
            return once[0]

        many = len(made.outputs) > 1 or made.outputs[0] != node.name
        for place, name in enumerate(made.outputs):

            def one(place: int = place) -> Any:
                return compute()[place] if many else compute()

            shape = tuple(size or 0 for size in self.shapes.get(name, ()))
            values = Values(lambda one=one: as_array(one()), "file")  # type: ignore[misc]
            self.stored[name] = computed(made, shape, values, self.stored)
            self._real[name] = one


def _run(node: Any, found: Mapping[str, Any]) -> Any:
    """Run one of PyTorch's own operators on real tensors."""
    torch = sys.modules["torch"]

    def real(value: Any) -> Any:
        if hasattr(value, "op") and hasattr(value, "name"):
            return found[value.name]
        if isinstance(value, (list, tuple)):
            return type(value)(real(part) for part in value)
        return value

    with torch.no_grad():
        arguments = [real(value) for value in node.args]
        named = {key: real(value) for key, value in node.kwargs.items()}
        return node.target(*arguments, **named)


def _flat(value: Any) -> list[Any]:
    if isinstance(value, (list, tuple)):
        return [leaf for part in value for leaf in _flat(part)]
    if isinstance(value, dict):
        return [leaf for part in value.values() for leaf in _flat(part)]
    return [value]


def _word(target: Any) -> str:
    """`conv2d.default` for aten.conv2d.default; other namespaces keep theirs."""
    return str(target).removeprefix("aten.")


def _owner(node: Any) -> Owner:
    stack = node.meta.get("nn_module_stack") or {}
    if not stack:
        return Owner()
    key, (path, kind) = list(stack.items())[-1]
    word = kind if isinstance(kind, str) else f"{kind.__module__}.{kind.__qualname__}"
    return Owner(module_path(path), word, str(key))


def evaluator_of(
    node: Any, now: Mapping[str, str], real: Mapping[str, Callable[[], Any]]
) -> Evaluator:
    """A function that runs one of PyTorch's own operators on tensors by name.

    `now` has the name that each value goes by here, `real` the stored ones.
    """

    def evaluate(values: Mapping[str, Any]) -> tuple[Any, ...]:
        found = {
            name: values[now[name]] if now[name] in values else real[name]()
            for name in _named_values(node)
        }
        made = _run(node, found)
        return tuple(made) if isinstance(made, (list, tuple)) else (made,)

    return evaluate


def runner_of(node: Node, reads: tuple[str, ...], dtypes: Mapping[str, str]) -> Runner:
    """A function that runs a node on arrays, in groups of samples: (batch, *arrays) to arrays.

    The program was recorded for a batch of that size; the last group is filled up with its own
    last sample.
    """

    def run(batch: int, *arrays: NDArray[np.float32]) -> tuple[NDArray[np.float32], ...]:
        torch = sys.modules["torch"]
        count = len(arrays[0])
        groups: list[list[NDArray[np.float32]]] = []
        for start in range(0, count, batch):
            found = {
                name: torch.from_numpy(np.array(_filled(array[start : start + batch], batch))).to(
                    getattr(torch, dtypes.get(name, "float32"))
                )
                for name, array in zip(reads, arrays, strict=True)
            }
            with torch.no_grad():
                made = node.evaluate(found) if node.evaluate is not None else ()
            groups.append([as_array(part).astype(np.float32) for part in made])
        return tuple(np.concatenate(column)[:count] for column in zip(*groups, strict=True))

    return run


def _filled(group: NDArray[np.float32], size: int) -> NDArray[np.float32]:
    """The group with its last sample repeated up to `size`."""
    missing = size - len(group)
    return np.concatenate([group, *[group[-1:]] * missing]) if missing > 0 else group


def _named_values(node: Any) -> list[str]:
    """Names of the values a node reads, each once, in order."""
    return list(dict.fromkeys(value.name for value in node.all_input_nodes))
