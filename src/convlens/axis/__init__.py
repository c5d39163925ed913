"""The index relation of one spatial axis, and everything that follows from it.

Output `o` reads input `i` through kernel position `k` exactly when

    up * i  ==  stride * o  +  dilation * k  -  pad,        0 <= k < kernel

`up` is 1 for a convolution or a pool. Read from the other end it is the gradient, and the
transposed convolution (Dumoulin and Visin, arXiv:1603.07285, give the same relation as a list of
shape formulas). What the equation does not cover is a `Table` of reads `(k, i, coefficient)`;
reads have these two forms and no third. `axis.tables` makes the tables.

Padding has many spellings (`same`, `valid`, `causal`, `ceil_mode`, `output_padding`). They are
turned into integers here, by `Window` and `TransposedWindow`, and nowhere else.
"""

from __future__ import annotations

from .relation import (
    LARGEST_KERNEL,
    LARGEST_SIZE,
    Axis,
    AxisReads,
    FloatArray,
    IntArray,
    Reads,
    Table,
    check_size,
)
from .windows import Padding, Spelling, TransposedWindow, Window, same_pads

__all__ = [
    "LARGEST_KERNEL",
    "LARGEST_SIZE",
    "Axis",
    "AxisReads",
    "FloatArray",
    "IntArray",
    "Padding",
    "Reads",
    "Spelling",
    "Table",
    "TransposedWindow",
    "Window",
    "check_size",
    "same_pads",
]
