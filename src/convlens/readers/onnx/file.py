"""An ONNX file up to its protobuf: bounded, and never outside the model's folder.

Nothing here trusts the file. `onnx.shape_inference` and `onnx.checker` are not used: on crafted
input they end the process.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import ConvlensError, ModelError
from ..files import beside

LARGEST_FILE = 2**31 - 1
LARGEST_TENSOR = 2**40
DEEPEST = 32

# TensorProto.DataType -> (numpy's name, bytes a number, the field that holds it when not raw).
# bfloat16 and the 8-bit floats have no numpy type of their own: they are read as their bits.
TYPES: dict[int, tuple[str, float, str]] = {
    1: ("float32", 4, "float_data"),
    2: ("uint8", 1, "int32_data"),
    3: ("int8", 1, "int32_data"),
    4: ("uint16", 2, "int32_data"),
    5: ("int16", 2, "int32_data"),
    6: ("int32", 4, "int32_data"),
    7: ("int64", 8, "int64_data"),
    8: ("string", 0, "string_data"),
    9: ("bool", 1, "int32_data"),
    10: ("float16", 2, "int32_data"),
    11: ("float64", 8, "double_data"),
    12: ("uint32", 4, "uint64_data"),
    13: ("uint64", 8, "uint64_data"),
    14: ("complex64", 8, "float_data"),
    15: ("complex128", 16, "double_data"),
    16: ("bfloat16", 2, "int32_data"),
    17: ("float8e4m3fn", 1, "int32_data"),
    18: ("float8e4m3fnuz", 1, "int32_data"),
    19: ("float8e5m2", 1, "int32_data"),
    20: ("float8e5m2fnuz", 1, "int32_data"),
    21: ("uint4", 0.5, "int32_data"),
    22: ("int4", 0.5, "int32_data"),
}
WIDE = {10: "float16", 11: "float64", 16: "bfloat16"}
FLOAT = 1


def printable(name: Any, limit: int = 200) -> str:
    """A name from a file as it may stand in a message: one line, no control characters.

    Bytes that are no text come from protobuf as bytes.
    """
    if isinstance(name, bytes):
        name = name.decode("utf-8", "replace")
    shown = "".join(c if c.isprintable() else repr(c)[1:-1] for c in name)
    return shown if len(shown) <= limit else shown[:limit] + "..."


def read_model(source: bytes | str | Path, label: str = "") -> tuple[Any, Path | None, str]:
    """(ModelProto, the model's folder or None, the name for messages) of a path or bytes.

    Raises ModelError for a file that is missing, too large or not ONNX.
    """
    folder: Path | None = None
    if isinstance(source, bytes):
        data, label = source, label or "the model"
    else:
        path = Path(source)
        label = label or printable(path.name)
        data = _read(path, label)
        folder = path.resolve().parent
    return parse(data, label), folder, label


def _read(path: Path, label: str) -> bytes:
    try:
        size = path.stat().st_size
        if size > LARGEST_FILE:
            raise ModelError(
                "the file is larger than protobuf allows",
                where=label,
                given=f"{size:,} bytes",
                needed=f"at most {LARGEST_FILE:,}",
                hint="save the model with its weights as external data",
            )
        return path.read_bytes()
    except OSError as problem:
        raise ModelError(
            "the file cannot be read", where=label, given=problem.strerror or str(problem)
        ) from None


def parse(data: bytes, label: str) -> Any:
    """The ModelProto in these bytes. Raises ModelError when they are none."""
    import onnx

    try:
        model = onnx.ModelProto.FromString(data)
    except Exception:  # protobuf's own errors have no common name across its versions
        raise _not_onnx(data, label, "its bytes are not a protobuf message") from None
    if not model.HasField("graph") or not (model.graph.node or model.graph.output):
        raise _not_onnx(data, label, "a message without a graph")
    return model


def _not_onnx(data: bytes, label: str, given: str) -> ModelError:
    if not data:
        given = "an empty file"
    elif data.startswith(b"version https://git-lfs"):
        given = "a Git LFS pointer: the file itself was never downloaded"
    elif len(data) < 1 << 20 and _is_text(data[:4096]):
        given = "a text file"
    return ModelError(
        "this is not an ONNX file",
        where=label,
        given=given,
        needed="a model saved by an ONNX exporter, whole",
        hint="download or export the file again",
    )


def _is_text(head: bytes) -> bool:
    try:
        text = head.decode()
    except UnicodeDecodeError:
        return False
    return all(c.isprintable() or c.isspace() for c in text)


# --- tensors ----------------------------------------------------------------------------------


def tensor_shape(tensor: Any, label: str) -> tuple[int, ...]:
    """Its declared shape. Raises ModelError when a size is negative or the whole impossible."""
    shape = tuple(int(size) for size in tensor.dims)
    if any(size < 0 for size in shape) or math.prod(shape) > LARGEST_TENSOR:
        raise ModelError(
            f"tensor `{printable(tensor.name)}` has an impossible shape",
            where=label,
            given=str(shape),
            needed=f"sizes of at least 0, at most {LARGEST_TENSOR:,} numbers",
        )
    return shape


def type_name(code: int) -> str:
    """numpy's name for a type of ONNX, `unknown` for one we do not know."""
    return TYPES.get(code, ("unknown", 0, ""))[0]


def loader(tensor: Any, folder: Path | None, label: str) -> Callable[[], NDArray[Any]]:
    """A function that reads the tensor's numbers when called (and not before).

    float16 and bfloat16 come as float32. Raises ModelError when the data do not fit the shape.
    """

    def load() -> NDArray[Any]:
        try:
            return _array(tensor, folder, label)
        except ConvlensError:
            raise
        except (ValueError, TypeError, OverflowError) as problem:
            raise ModelError(
                f"tensor `{printable(tensor.name)}` cannot be read", where=label, given=str(problem)
            ) from None

    return load


def _array(tensor: Any, folder: Path | None, label: str) -> NDArray[Any]:
    shape = tensor_shape(tensor, label)
    count = math.prod(shape)
    name, size, field = TYPES.get(tensor.data_type, ("unknown", 0, ""))
    if name in ("unknown", "string"):
        raise ModelError(
            f"tensor `{printable(tensor.name)}` holds no numbers",
            where=label,
            given=f"type {name} ({tensor.data_type})",
        )
    if tensor.data_location == 1:
        raw: Any = external_bytes(tensor, folder, label)
    elif tensor.HasField("raw_data"):
        raw = np.frombuffer(tensor.raw_data, np.uint8)
    else:
        return _typed(tensor, name, field, shape, label)
    needed = math.ceil(count * size)
    if len(raw) != needed:
        raise _wrong_length(tensor, shape, name, f"{len(raw):,} bytes", f"{needed:,}", label)
    return _decoded(raw, name, count).reshape(shape)


def _wrong_length(
    tensor: Any, shape: tuple[int, ...], name: str, given: str, needed: str, label: str
) -> ModelError:
    return ModelError(
        f"tensor `{printable(tensor.name)}` does not hold what its shape says",
        where=label,
        given=given,
        needed=f"{needed} for {shape} of {name}",
        hint="the file is damaged or cut short; export or download it again",
    )


def _typed(tensor: Any, name: str, field: str, shape: tuple[int, ...], label: str) -> NDArray[Any]:
    """Numbers stored one by one in the field of their type."""
    stored = getattr(tensor, field)
    count = math.prod(shape)
    parts = {"complex64": 2, "complex128": 2}.get(name, 1)
    expected = -(-count // 2) if name in ("uint4", "int4") else count * parts
    if len(stored) != expected:
        raise _wrong_length(tensor, shape, name, f"{len(stored):,} numbers", f"{expected:,}", label)
    if name in ("float16", "bfloat16"):
        bits = np.array(stored, np.int64).astype(np.uint16)
        return _decoded(bits.view(np.uint8), name, count).reshape(shape)
    if name.startswith("float8") or name in ("uint4", "int4"):
        raw = np.array(stored, np.int64).astype(np.uint8)
        return _decoded(raw, name, count).reshape(shape)
    if parts == 2:
        pairs = np.array(stored, np.float64).reshape(-1, 2)
        return (pairs[:, 0] + 1j * pairs[:, 1]).astype(name).reshape(shape)
    return np.array(stored).astype(name).reshape(shape)


def _decoded(raw: NDArray[np.uint8], name: str, count: int) -> NDArray[Any]:
    """Little-endian bytes as numbers; half precisions as float32, 4-bit numbers as int8."""
    if name == "bfloat16":
        return (raw.view("<u2").astype(np.uint32) << 16).view(np.float32)
    if name in ("uint4", "int4"):
        nibbles = np.stack([raw & 15, raw >> 4], axis=1).ravel()[:count]
        return (((nibbles ^ 8).astype(np.int8)) - 8) if name == "int4" else nibbles
    if name.startswith("float8"):
        return _float8(raw, name)
    values = raw.view(np.dtype(name).newbyteorder("<"))
    return values.astype(np.float32) if name == "float16" else values


def _float8(raw: NDArray[np.uint8], name: str) -> NDArray[Any]:
    """8-bit floats as float32: sign, exponent and mantissa as the name says (OCP, 2023)."""
    wide = 5 if "e5m2" in name else 4
    narrow = 7 - wide
    unsigned = name.endswith("uz")
    bias = (1 << (wide - 1)) - (0 if unsigned else 1)
    bits = np.arange(256)
    exponent, mantissa = (bits >> narrow) & ((1 << wide) - 1), bits & ((1 << narrow) - 1)
    sign = np.where(bits & 128, -1.0, 1.0)
    normal = np.ldexp(1 + mantissa / (1 << narrow), exponent - bias)
    small = np.ldexp(mantissa / (1 << narrow), 1 - bias)
    table = sign * np.where(exponent > 0, normal, small)
    if unsigned:
        table[128] = np.nan
    elif wide == 4:
        table[[127, 255]] = np.nan
    else:
        top = exponent == 31
        table[top] = np.where(mantissa[top] == 0, sign[top] * np.inf, np.nan)
    result: NDArray[Any] = table.astype(np.float32)[raw]
    return result


def subgraphs(proto: Any) -> Iterator[Any]:
    """The graphs a node owns (the branches of an If, the body of a Loop)."""
    for attribute in proto.attribute:
        if attribute.type == 5:
            yield attribute.g
        elif attribute.type == 10:
            yield from attribute.graphs


# --- external data ----------------------------------------------------------------------------


def external_path(tensor: Any, folder: Path | None, label: str) -> Path:
    """The file that holds the tensor's data, inside the model's folder and not a link.

    Raises ModelError for a path that is absolute, climbs out, or goes through a link.
    """
    entries = {entry.key: entry.value for entry in tensor.external_data}
    location = entries.get("location", "")
    what = f"the data of tensor `{printable(tensor.name)}`"
    return beside(folder, location, what, label)


def external_part(tensor: Any, folder: Path | None, label: str) -> tuple[Path, int, int]:
    """(file, start, length) of a tensor's data beside the model.

    Raises ModelError when the file is unsafe or missing, or does not reach so far.
    """
    place = external_path(tensor, folder, label)
    entries = {entry.key: entry.value for entry in tensor.external_data}
    shape = tensor_shape(tensor, label)
    size = TYPES.get(tensor.data_type, ("", 0, ""))[1]
    needed = math.ceil(math.prod(shape) * size)
    try:
        start = int(entries.get("offset", "0") or 0)
        length = int(entries.get("length", "0") or 0) or needed
        there = place.stat().st_size
        fits = place.is_file() and min(start, length) >= 0 and start + length <= there
    except (ValueError, OSError) as problem:
        raise ModelError(
            f"the data of tensor `{printable(tensor.name)}` cannot be read",
            where=label,
            given=f"{printable(entries['location'])}: {_reason(problem)}",
            needed="the file that was exported together with the model",
            hint="copy it beside the model",
        ) from None
    if not fits:
        raise ModelError(
            f"the data of tensor `{printable(tensor.name)}` lie past the end of their file",
            where=label,
            given=f"{printable(entries['location'])}: bytes {start:,} to {start + length:,} "
            f"of {there:,}",
            hint="the file is damaged or cut short; copy or export it again",
        )
    return place, start, length


def external_bytes(tensor: Any, folder: Path | None, label: str) -> NDArray[np.uint8]:
    """The tensor's bytes in its external file, mapped and not read."""
    place, start, length = external_part(tensor, folder, label)
    if not length:
        return np.zeros(0, np.uint8)
    return np.memmap(place, np.uint8, "r", offset=start, shape=(length,))


def check_claim(tensor: Any, folder: Path | None, label: str) -> None:
    """Raise ModelError for a tensor that says it is larger than what the file holds of it.

    Or whose data lie where convlens does not look, or past the end of their file (one that is not
    there is asked for when its numbers are). Nothing is read: a number takes a byte at least.
    """
    if tensor.data_location == 1:
        if folder is not None and external_path(tensor, folder, label).exists():
            external_part(tensor, folder, label)
        return
    count = math.prod(int(size) for size in tensor.dims)
    if not 0 < count <= LARGEST_TENSOR:
        return
    name, size, _ = TYPES.get(tensor.data_type, ("unknown", 0, ""))
    least = math.ceil(count * (size if tensor.HasField("raw_data") else min(size, 1)))
    held = tensor.ByteSize()
    if held < least:
        shape = tuple(int(n) for n in tensor.dims)
        raise _wrong_length(tensor, shape, name, f"{held:,} bytes", f"{least:,} bytes", label)


def _reason(problem: Exception) -> str:
    return getattr(problem, "strerror", None) or "its offset or length is no number"
