"""What a pickle of PyTorch says of its tensors, read off its opcodes. Nothing in it is executed.

A pickle is a little program that builds objects by calling whatever it names. Here its opcodes are
walked with plain data: containers become dicts and lists, a rebuilt tensor becomes a `Listed`, and
every other object a `Thing` that only remembers the name it was made from.
"""

from __future__ import annotations

import pickletools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from ...errors import ModelError
from ..files import shown

MOST_OPCODES = 20_000_000
MOST_TENSORS = 1_000_000
DEEPEST = 64

STORAGES = {
    "FloatStorage": "float32",
    "DoubleStorage": "float64",
    "HalfStorage": "float16",
    "BFloat16Storage": "bfloat16",
    "LongStorage": "int64",
    "IntStorage": "int32",
    "ShortStorage": "int16",
    "CharStorage": "int8",
    "ByteStorage": "uint8",
    "BoolStorage": "bool",
    "ComplexFloatStorage": "complex64",
    "ComplexDoubleStorage": "complex128",
    "QInt8Storage": "qint8",
    "QUInt8Storage": "quint8",
    "QInt32Storage": "qint32",
}
REBUILD = (
    "torch._utils _rebuild_tensor_v2",
    "torch._utils _rebuild_tensor",
    "torch._utils _rebuild_tensor_v3",  # newer number types, named behind the hooks
    "torch._utils _rebuild_qtensor",
)
TYPE_AT = 6  # where `_rebuild_tensor_v3` names the type
SAME = ("torch._utils _rebuild_parameter", "torch._utils _rebuild_parameter_with_state")


@dataclass(frozen=True)
class Listed:
    """A tensor that a file holds: its sizes, type, and the storage its numbers lie in."""

    shape: tuple[int, ...]
    dtype: str
    storage: str
    offset: int = 0
    stride: tuple[int, ...] = ()


@dataclass
class Thing:
    """An object that was not made: the name of what would make it, and its state."""

    name: str
    args: Any = None
    state: Any = None
    entries: dict[Any, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class _Global:
    name: str


_MARK = object()


def tensors(data: bytes, where: str) -> dict[str, Listed]:
    """Name -> tensor for every tensor in a pickle, nested dicts joined by dots.

    Raises ModelError for what is no pickle, or one beyond all measure.
    """
    found: dict[str, Listed] = {}
    for name, tensor in _walk(plain(data, where), "", 0, set()):
        if len(found) >= MOST_TENSORS:
            raise ModelError("the file lists more tensors than any model has", where=where)
        if name not in found:
            found[name] = tensor
    return found


def some_tensors(data: bytes, where: str) -> dict[str, Listed]:
    """The same. Raises ModelError, which says what there is instead, where there are none."""
    found = tensors(data, where)
    if not found:
        raise ModelError(
            "this file holds no tensors",
            where=where,
            given=_what(plain(data, where)),
            needed="a state dict of PyTorch, or a checkpoint with one inside",
        )
    return found


def _what(whole: Any) -> str:
    """What a pickle holds, in a few words."""
    if isinstance(whole, Thing):
        name = shown(whole.name.replace(" ", "."))
        return f"an object of `{name}`, which is not made: nothing in a file is executed"
    if isinstance(whole, dict | list | tuple):
        kind = {dict: "a dict", list: "a list", tuple: "a tuple"}[type(whole)]
        return f"{kind} of {len(whole):,} {'entry' if len(whole) == 1 else 'entries'}"
    return f"an object of {type(whole).__name__}"


def _walk(value: Any, prefix: str, depth: int, seen: set[int]) -> Iterator[tuple[str, Listed]]:
    """(name, tensor) of all there is; what several things hold is gone through once.

    `seen` has the identities of what was gone through: a pickle may hold circles, and things that
    are shared on every level.
    """
    if isinstance(value, Listed):
        yield prefix, value
        return
    if depth > DEEPEST or id(value) in seen:
        return
    seen.add(id(value))
    if isinstance(value, dict):
        for key, part in value.items():
            # The inner workings of a module are no part of a tensor's name.
            inner = key in ("_parameters", "_buffers", "_modules") or key is None
            yield from _walk(part, prefix if inner else _joined(prefix, key), depth + 1, seen)
    elif isinstance(value, list | tuple):
        for n, part in enumerate(value):
            if isinstance(part, Listed | dict | list | tuple | Thing):
                yield from _walk(part, _joined(prefix, n), depth + 1, seen)
    elif isinstance(value, Thing):
        for part in (value.entries, value.state, value.args):
            if isinstance(part, dict | Thing):
                yield from _walk(part, prefix, depth + 1, seen)


def _joined(prefix: str, key: Any) -> str:
    name = str(key)[:500]
    return f"{prefix}.{name}" if prefix else name


def plain(data: bytes, where: str) -> Any:
    """What a pickle holds, as plain data. Raises ModelError for what is no pickle."""
    machine = _Machine()
    try:
        for count, (opcode, arg, _) in enumerate(pickletools.genops(data)):
            if count > MOST_OPCODES:
                raise ModelError("the pickle is longer than any model's", where=where)
            if machine.step(opcode.name, arg):
                return machine.stack[-1]
    except (ValueError, IndexError, KeyError, TypeError, RecursionError, OverflowError) as problem:
        raise ModelError(
            "the list of tensors in this file cannot be read",
            where=where,
            given=str(problem)[:200],
            hint="the file is damaged or cut short; save or download it again",
        ) from None
    raise ModelError("the pickle has no end", where=where, hint="the file is cut short")


class _Machine:
    """A stack, a memo, and one method per kind of opcode."""

    def __init__(self) -> None:
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}

    def step(self, name: str, arg: Any) -> bool:
        """Follow one opcode; True at the end."""
        if name == "STOP":
            return True
        if name in _LITERALS:
            self.stack.append(arg)
        elif name in _MAKERS:
            self.stack.append(_MAKERS[name]())
        elif name in ("PROTO", "FRAME"):
            pass
        elif name == "MARK":
            self.stack.append(_MARK)
        elif name in ("BINPUT", "LONG_BINPUT", "PUT"):
            self.memo[int(arg)] = self.stack[-1]
        elif name == "MEMOIZE":
            self.memo[len(self.memo)] = self.stack[-1]
        elif name in ("BINGET", "LONG_BINGET", "GET"):
            self.stack.append(self.memo[int(arg)])
        elif name == "POP":
            self.stack.pop()
        elif name == "POP_MARK":
            self._marked()
        elif name == "DUP":
            self.stack.append(self.stack[-1])
        else:
            self._build(name, arg)
        return False

    def _marked(self) -> list[Any]:
        """What lies above the last mark; the mark goes too."""
        for place in range(len(self.stack) - 1, -1, -1):
            if self.stack[place] is _MARK:
                above = self.stack[place + 1 :]
                del self.stack[place:]
                return above
        raise ValueError("a mark is missing")

    def _build(self, name: str, arg: Any) -> None:
        if name in ("TUPLE1", "TUPLE2", "TUPLE3"):
            count = int(name[-1])
            if len(self.stack) < count:
                raise ValueError("the stack is empty")
            parts = self.stack[-count:]
            del self.stack[-count:]
            self.stack.append(tuple(parts))
        elif name in ("TUPLE", "LIST", "FROZENSET"):
            parts = self._marked()
            self.stack.append(tuple(parts) if name == "TUPLE" else list(parts))
        elif name == "DICT":
            parts = self._marked()
            self.stack.append(_entries(parts))
        elif name in ("APPEND", "APPENDS", "ADDITEMS"):
            more = [self.stack.pop()] if name == "APPEND" else self._marked()
            if isinstance(self.stack[-1], list):
                self.stack[-1].extend(more)
        elif name in ("SETITEM", "SETITEMS"):
            if name == "SETITEM":
                value, key = self.stack.pop(), self.stack.pop()
                parts = [key, value]
            else:
                parts = self._marked()
            self._set(_entries(parts))
        else:
            self._object(name, arg)

    def _set(self, entries: dict[Any, Any]) -> None:
        target = self.stack[-1]
        if isinstance(target, dict):
            target.update(entries)
        elif isinstance(target, Thing):
            target.entries.update(entries)

    def _object(self, name: str, arg: Any) -> None:
        if name in ("GLOBAL", "STACK_GLOBAL"):
            if name == "GLOBAL":
                self.stack.append(_Global(str(arg)))
            else:
                second, first = self.stack.pop(), self.stack.pop()
                self.stack.append(_Global(f"{first} {second}"))
        elif name in ("REDUCE", "NEWOBJ"):
            args, function = self.stack.pop(), self.stack.pop()
            self.stack.append(_called(function, args))
        elif name == "NEWOBJ_EX":
            _, args, function = self.stack.pop(), self.stack.pop(), self.stack.pop()
            self.stack.append(_called(function, args))
        elif name == "BUILD":
            state = self.stack.pop()
            if isinstance(self.stack[-1], Thing):
                self.stack[-1].state = state
        elif name == "BINPERSID":
            self.stack.append(_storage(self.stack.pop()))
        elif name in ("INST", "OBJ"):
            parts = self._marked()
            self.stack.append(Thing(str(arg or parts[:1])))
        else:
            raise ValueError(f"opcode {name}")


_LITERALS = frozenset(
    {
        *["BININT", "BININT1", "BININT2", "INT", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT"],
        *["STRING", "BINSTRING", "SHORT_BINSTRING", "UNICODE", "SHORT_BINUNICODE", "BINUNICODE"],
        *["BINUNICODE8", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8", "PERSID"],
    }
)
_MAKERS: dict[str, Callable[[], Any]] = {
    "NONE": lambda: None,
    "NEWTRUE": lambda: True,
    "NEWFALSE": lambda: False,
    "EMPTY_DICT": dict,
    "EMPTY_LIST": list,
    "EMPTY_TUPLE": tuple,
    "EMPTY_SET": list,
}


def _entries(parts: list[Any]) -> dict[Any, Any]:
    keys = parts[::2]
    return {
        (key if isinstance(key, str | int | float | bool) or key is None else str(type(key))): value
        for key, value in zip(keys, parts[1::2], strict=False)
    }


@dataclass(frozen=True)
class _Storage:
    key: str
    dtype: str
    count: int


def _storage(value: Any) -> Any:
    """A persistent id of PyTorch: ("storage", its class, its key, its device, its length)."""
    if isinstance(value, tuple) and len(value) >= 5 and value[0] == "storage":
        kind = value[1].name if isinstance(value[1], _Global) else ""
        count = value[4] if isinstance(value[4], int) else 0
        return _Storage(str(value[2]), STORAGES.get(kind.rpartition(" ")[2], "unknown"), count)
    return Thing("persistent id")


def _called(function: Any, args: Any) -> Any:
    """What calling would give, as data."""
    name = function.name if isinstance(function, _Global) else "?"
    if not isinstance(args, tuple):
        return Thing(name)
    if name in REBUILD and len(args) >= 3 and isinstance(args[0], _Storage):
        storage, offset, shape = args[:3]
        stride = args[3] if len(args) > 3 else ()
        numbers = (offset, *shape, *stride)
        if not all(isinstance(n, int) and n >= 0 for n in numbers):
            raise ValueError("a tensor of impossible sizes")
        dtype = storage.dtype
        if name.endswith("_v3") and len(args) > TYPE_AT and isinstance(args[TYPE_AT], _Global):
            dtype = args[TYPE_AT].name.rpartition(" ")[2]
        return Listed(tuple(shape), dtype, storage.key, offset, tuple(stride))
    if name in SAME and args:
        return args[0]
    if name == "collections OrderedDict":
        pairs = args[0] if args and isinstance(args[0], list) else []
        return _entries(
            [part for pair in pairs if isinstance(pair, tuple | list) for part in pair[:2]]
        )
    if name == "torch Size" and args:
        return args[0]
    return Thing(name, args)
