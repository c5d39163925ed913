"""Local response normalisation, put together from the arithmetic that PyTorch writes it as.

`local_response_norm(x, size)` squares x, takes the mean of `size` neighbouring maps by a pool over
a border of zeros, and divides: x / (k + alpha * mean)^beta.
Source: PyTorch's documentation of the function; Krizhevsky et al. 2012, section 3.3.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from .nodes import SHAPED, Full, Node, Program, Ref, together

OPERATOR = "local_response_norm"


def responses(
    program: Program, twin: Mapping[str, Full] | None = None
) -> tuple[Program, Mapping[str, Full] | None]:
    """The program with one node for each local response normalisation."""
    if not any(node.operator.startswith("pow") for node in program.nodes):
        return program, twin
    makers = {name: node for node in program.nodes for name in node.outputs}
    readers: dict[str, int] = dict.fromkeys(program.outputs, 1)
    for node in program.nodes:
        for name in set(node.references()):
            readers[name] = readers.get(name, 0) + 1
    found: dict[str, Node] = {}
    inside: set[str] = set()
    for node in program.nodes:
        look = _Look(program, makers, readers)
        made = look.response(node) if node.operator.startswith("div") else None
        if made is not None:
            found[node.name] = made
            inside.update(part.name for part in made.parts[:-1])
    nodes = [found.get(node.name, node) for node in program.nodes if node.name not in inside]
    return replace(program, nodes=tuple(nodes)), twin


@dataclass
class _Look:
    """The nodes of one such chain, found from its end."""

    program: Program
    makers: Mapping[str, Node]
    readers: Mapping[str, int]
    parts: list[Node] = field(default_factory=list)

    def maker(self, value: Any, *words: str) -> Node | None:
        """The node that makes a value, where it is one of these and nobody else reads it."""
        node = self.makers.get(value.name) if isinstance(value, Ref) else None
        if node is None or node.operator.partition(".")[0] not in words:
            return None
        if len(node.outputs) != 1 or self.readers.get(node.outputs[0]) != 1:
            return None
        self.parts.append(node)
        return node

    def shaped(self, value: Any) -> Any:
        """What a value is another shape of."""
        while (node := self.maker(value, *SHAPED)) is not None:
            value = node.arguments.get("self")
        return value

    def response(self, last: Node) -> Node | None:
        """One node for the chain that ends here; None where it is another."""
        x = last.arguments.get("self")
        powered = self.maker(last.arguments.get("other"), "pow")
        if not isinstance(x, Ref) or powered is None or last.arguments.get("rounding_mode"):
            return None
        added = self.maker(powered.arguments.get("self"), "add")
        scaled = self.maker(added.arguments.get("self"), "mul") if added is not None else None
        if added is None or scaled is None or added.arguments.get("alpha", 1) != 1:
            return None
        pooled = self.maker(self.shaped(scaled.arguments.get("self")), "avg_pool2d", "avg_pool3d")
        padded = pooled and self.maker(pooled.arguments.get("self"), "pad", "constant_pad_nd")
        if pooled is None or padded is None:
            return None
        squared = self.maker(self.shaped(padded.arguments.get("self")), "mul")
        size = self._size(pooled, padded, x.name)
        if squared is None or size is None:
            return None
        if squared.arguments.get("self") != x or squared.arguments.get("other") != x:
            return None
        numbers = {
            "alpha": scaled.arguments.get("other"),
            "beta": powered.arguments.get("exponent"),
            "k": added.arguments.get("other"),
        }
        if not all(isinstance(number, int | float) for number in numbers.values()):
            return None
        names = {node.name for node in (*self.parts, last)}
        parts = tuple(node for node in self.program.nodes if node.name in names)
        return replace(
            last,
            operator=f"{OPERATOR}.default",
            arguments={"input": x, "size": size, **numbers},
            evaluate=together(parts, last.outputs),
            parts=parts,
        )

    def _size(self, pooled: Node, padded: Node, x: str) -> int | None:
        """How many maps a mean is of, where the pool goes over maps alone, as PyTorch has it."""
        shapes = self.program.shapes
        source = padded.arguments.get("self")
        whole, split = shapes.get(x), shapes.get(getattr(source, "name", ""))
        kernel = list(pooled.arguments.get("kernel_size") or ())
        if whole is None or split is None or len(whole) < 3 or len(split) != len(kernel) + 2:
            return None
        size, *rest = kernel
        pads = list(padded.arguments.get("pad") or ())
        plain = (
            pooled.arguments.get("count_include_pad", True)
            and not pooled.arguments.get("ceil_mode", False)
            and pooled.arguments.get("divisor_override") is None
            and not any(pooled.arguments.get("padding") or ())
            and all(step == 1 for step in pooled.arguments.get("stride") or (0,))
            and padded.arguments.get("mode", "constant") == "constant"
            and not padded.arguments.get("value")
        )
        fits = (
            all(n == 1 for n in rest)
            and split[:3] == (whole[0], 1, whole[1])
            and pads == [0, 0] * len(rest) + [size // 2, (size - 1) // 2]
        )
        # A row of places is kept as it is; of maps the first axis is, and the rest in one.
        kept = split[3:] == whole[2:] or split[3:4] == whole[2:3]
        return int(size) if plain and fits and kept else None
