"""The tensors of a file of weights, and where the numbers of each lie."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import ModelError
from ..files import Bytes, shown
from .pickles import Listed

SAFE = {
    "F64": "float64",
    "F32": "float32",
    "F16": "float16",
    "BF16": "bfloat16",
    "I64": "int64",
    "I32": "int32",
    "I16": "int16",
    "I8": "int8",
    "U8": "uint8",
    "BOOL": "bool",
}
SIZES = {"float64": 8, "int64": 8, "float32": 4, "int32": 4, "float16": 2, "bfloat16": 2}
SIZES |= {"int16": 2, "int8": 1, "uint8": 1, "bool": 1}


@dataclass(frozen=True)
class Listing:
    """The tensors of a file, and where the numbers of each lie."""

    what: str
    tensors: Mapping[str, Listed]
    places: Mapping[str, Bytes]

    def array(self, name: str) -> NDArray[Any]:
        """The numbers of one tensor, halves and doubles as float32. Raises ModelError."""
        tensor = self.tensors[name]
        place = self.places.get(tensor.storage)
        if place is None:
            raise ModelError(
                f"the numbers of tensor `{shown(name)}` are not in the file",
                hint="the file is damaged or cut short; save or download it again",
            )
        size = SIZES.get(tensor.dtype, 0)
        if not size:
            raise ModelError(
                f"the numbers of tensor `{shown(name)}` are of a type that is not read",
                where=place.name,
                given=tensor.dtype,
                needed=f"one of {', '.join(SIZES)}",
                hint="in Python: module.load_state_dict(torch.load(file, weights_only=True)), then "
                "convlens.load(module.float(), input_shape=...)",
            )
        stride = tensor.stride or _strides(tensor.shape)
        steps = zip(tensor.shape, stride, strict=True)
        last = tensor.offset + sum((n - 1) * step for n, step in steps)
        count = math.prod(tensor.shape)
        if count and (last + 1) * size > place.size:
            raise ModelError(
                f"tensor `{shown(name)}` does not lie inside the file",
                where=place.name,
                given=f"{tensor.shape} of {tensor.dtype} in {place.size:,} bytes",
                hint="the file is damaged or cut short; save or download it again",
            )
        if not count:
            return np.zeros(tensor.shape, np.float32)
        raw = np.frombuffer(
            place.read_at(tensor.offset * size, (last - tensor.offset + 1) * size), np.uint8
        )
        flat = _decoded(raw, tensor.dtype)
        own = tuple(step * flat.itemsize for step in stride)
        view = np.lib.stride_tricks.as_strided(flat, tensor.shape, own, writeable=False)
        return np.array(view)


def _strides(shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(math.prod(shape[n + 1 :]) for n in range(len(shape)))


def _decoded(raw: NDArray[np.uint8], dtype: str) -> NDArray[Any]:
    if dtype == "bfloat16":
        return (raw.view("<u2").astype(np.uint32) << 16).view(np.float32)
    values = raw.view(np.dtype(dtype).newbyteorder("<"))
    return values.astype(np.float32) if dtype in ("float16", "float64") else values
