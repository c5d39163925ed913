"""Whole texts of the built-in networks, word for word; their sums are added up again.

`python -m tests.golden.test_golden` writes them anew; read the difference before committing it.
Numbers of our own arithmetic are the same on every machine; what the engine computes may differ in
its last bits elsewhere, so its lines are compared by their words, and the numbers that are made from
its tensors to two units of their last decimal.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pytest

import convlens
from tests.render.adding import check, narrow

HERE = Path(__file__).parent
ENGINE = re.compile(
    r"(?:ONNX Runtime computes|largest\s+difference is|rounding\s+may make)[^.]*\.[^\n]*"
)


def summary(name: str, style: str) -> str:
    from convlens.render.summary import summary_text

    return summary_text(convlens.load(name).describe().facts, style, 80)


def explain(name: str, layer: str, at: tuple[int, ...] | None = None, depth: int = 0) -> str:
    return str(convlens.load(name).run().explain(layer, at=at, depth=depth))


TEXTS: dict[str, Callable[[], str]] = {
    "question-summary": lambda: summary("question", "convlens"),
    "question-summary-keras": lambda: summary("question", "keras"),
    "answer-summary-classic": lambda: summary("answer", "classic"),
    "digits-summary": lambda: summary("digits", "convlens"),
    "digits-conv2d": lambda: explain("digits", "conv2d"),
    "digits-conv2d_1": lambda: explain("digits", "conv2d_1"),
    "digits-max_pooling2d": lambda: explain("digits", "max_pooling2d"),
    "digits-flatten": lambda: explain("digits", "flatten"),
    "digits-dense": lambda: explain("digits", "dense"),
    "digits-conv2d-at": lambda: explain("digits", "conv2d", (10, 12, 5)),
    "digits-conv2d_1-at": lambda: explain("digits", "conv2d_1", (5, 7, 12)),
    "digits-max_pooling2d-at": lambda: explain("digits", "max_pooling2d", (1, 3, 3)),
    "digits-dense-at": lambda: explain("digits", "dense", (7,)),
    "digits-dense-depth": lambda: explain("digits", "dense", (7,), 4),
}


NUMBER = re.compile(r"-?\d+\.\d+")


def words(text: str) -> str:
    """The text without its decimal numbers, its spacing and what the engine's last bits decide."""
    lines = (line for line in ENGINE.sub("<engine>", text).splitlines() if "rounding " not in line)
    return re.sub(r"[\s-]+", " ", NUMBER.sub("#", "\n".join(lines)))


def decimals(text: str) -> list[Decimal]:
    """The decimal numbers that our own arithmetic decides."""
    lines = (line for line in ENGINE.sub("<engine>", text).splitlines() if "rounding " not in line)
    return [Decimal(number) for number in NUMBER.findall("\n".join(lines))]


@pytest.mark.parametrize("name", TEXTS)
def test_the_text_is_the_one_that_was_read(name: str) -> None:
    text = TEXTS[name]()
    if "keras" not in name:
        narrow(text)
    sums = check(text)
    assert sums or "pool" in name or "flatten" in name or "summary" in name
    kept = (HERE / f"{name}.txt").read_text("utf-8").rstrip("\n")
    assert words(text) == words(kept)
    for ours, read in zip(decimals(text), decimals(kept), strict=True):
        last = Decimal(1).scaleb(read.as_tuple().exponent)  # type: ignore[arg-type]
        assert abs(ours - read) <= 2 * last


if __name__ == "__main__":
    for name, make in TEXTS.items():
        (HERE / f"{name}.txt").write_text(make() + "\n", "utf-8")
