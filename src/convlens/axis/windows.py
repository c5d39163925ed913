"""Hyper-parameters of one spatial axis: the one place that knows how padding is spelt."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ..errors import ShapeError
from .relation import Axis, check_size

Spelling = Literal["valid", "same", "same_lower", "causal"]
Padding = Spelling | tuple[int, int]


def same_pads(
    n_in: int, kernel: int, stride: int, dilation: int, odd_first: bool = False
) -> tuple[int, int]:
    """max(0, (ceil(n_in/stride) - 1)*stride + dilation*(kernel-1) + 1 - n_in), split in two.

    The odd cell goes after (Keras, ONNX SAME_UPPER), or before with `odd_first` (SAME_LOWER).
    """
    total = max(0, (-(-n_in // stride) - 1) * stride + dilation * (kernel - 1) + 1 - n_in)
    less, more = total // 2, total - total // 2
    return (more, less) if odd_first else (less, more)


@dataclass(frozen=True, slots=True)
class Window:
    """A sliding window before its axis has a size: hyper-parameters of one spatial axis.

    `padding` is a spelling or (before, after) in cells.
    """

    kernel: int
    stride: int = 1
    dilation: int = 1
    padding: Padding = "valid"
    ceil: bool = False

    def pads(self, n_in: int) -> tuple[int, int]:
        """(before, after) in cells for an axis of `n_in`."""
        if isinstance(self.padding, tuple):
            return self.padding
        if self.padding == "valid":
            return (0, 0)
        if self.padding == "causal":
            return (self.dilation * (self.kernel - 1), 0)
        lower = self.padding == "same_lower"
        return same_pads(n_in, self.kernel, self.stride, self.dilation, lower)

    def bind(self, n_in: int) -> Axis:
        """The axis for a known size. Raises ShapeError when the window does not fit."""
        return Axis.window(
            n_in, self.kernel, self.stride, self.dilation, self.pads(n_in), self.ceil
        )

    def size(self, n_in: int | None) -> int | None:
        """Output size, None for an unknown input size."""
        return None if n_in is None else self.bind(n_in).n_out

    def pads_if_known(self) -> tuple[int, int] | None:
        """(before, after) where they do not depend on the size, else None."""
        if isinstance(self.padding, str) and self.padding.startswith("same") and self.stride > 1:
            return None
        return self.pads(self.stride)


@dataclass(frozen=True, slots=True)
class TransposedWindow:
    """A transposed convolution's axis before it has a size.

    `padding` crops the output by (before, after) cells, or is Keras' `valid` or `same`.
    `output_padding` None is Keras' default: `valid` gives n*stride + max(span - stride, 0),
    `same` gives n*stride. With a number, `same` gives (n-1)*stride + span%2 + output_padding.
    What `same` crops is split in two, the odd cell at the end (Keras 3.15 on every backend).
    """

    kernel: int
    stride: int = 1
    dilation: int = 1
    padding: Padding = "valid"
    output_padding: int | None = None

    def bind(self, n_in: int) -> Axis:
        """The axis for a known size: the convolution from n_out to n_in, transposed."""
        span = self.dilation * (self.kernel - 1) + 1
        full = self.stride * (n_in - 1) + span
        if isinstance(self.padding, tuple):
            before, n_out = self.padding[0], full - sum(self.padding) + (self.output_padding or 0)
        elif self.padding == "valid":
            more = (
                max(self.stride - span, 0) if self.output_padding is None else self.output_padding
            )
            before, n_out = 0, full + more
        elif self.output_padding is None:
            before, n_out = max(span - self.stride, 0) // 2, n_in * self.stride
        else:
            before = max(span - span % 2 - self.output_padding, 0) // 2
            n_out = full - span + span % 2 + self.output_padding
        check_size(n_out)
        if n_out < 1 or n_in < 1:
            raise ShapeError(
                f"the transposed convolution would make an axis of {n_out}",
                given=f"size {n_in}, window {span}, stride {self.stride}",
                needed="at least 1",
                hint="use less padding or a larger input",
            )
        return Axis(n_out, n_in, self.kernel, self.stride, self.dilation, before).transposed()

    def size(self, n_in: int | None) -> int | None:
        """Output size, None for an unknown input size."""
        return None if n_in is None else self.bind(n_in).n_out
