"""Facts and arrays as the page: one HTML file that needs nothing else.

The file holds the bundle of `web/` (script and style), the facts as JSON, and every array as
byte-shuffled deflate in base64. Its Content-Security-Policy is `default-src 'none'` plus the
hashes of its own script and style: it can load nothing and run nothing that is not in it.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import ArgumentError
from .build import Built, RunLike, Surroundings, build
from .recipe_schema import (
    FormulaRecipe,
    ListedRecipe,
    OverTimeRecipe,
    RowRecipe,
    ScatterRecipe,
    WindowRecipe,
)
from .schema import Budget, Layer, Page, Tensor, facts

STATIC = Path(__file__).parents[1] / "static"
# An exported page holds its facts, style and script deflated, which saves 78 kB. This puts them in
# their places; the policy names the hashes of what comes out, too, so nothing else can run.
UNPACK = """
const place = (id) => document.getElementById(id);
const inflated = (id) => {
  const bytes = Uint8Array.from(atob(place(id).textContent), (c) => c.charCodeAt(0));
  return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"))).text();
};
const unpack = async () => {
  place("page").textContent = await inflated("page");
  for (const tag of ["style", "script"]) {
    const element = document.createElement(tag);
    element.textContent = await inflated("bundle-" + tag);
    document.body.append(element);
  }
};
unpack().catch((error) => {
  place("app").textContent = "This page could not be unpacked. It needs a browser of 2023 or newer. (" + error + ")";
});
"""
Array = NDArray[Any]


def bundle() -> tuple[str, str]:
    """The page's script and style, as committed."""
    script = (STATIC / "page.js").read_text(encoding="utf-8")
    return script, (STATIC / "page.css").read_text(encoding="utf-8")


def shuffled(array: Array) -> bytes:
    """The array's bytes, little-endian, all first bytes first: floats deflate better so."""
    flat = np.ascontiguousarray(array).reshape(-1)
    if flat.dtype == np.uint8:
        return flat.tobytes()
    raw = flat.astype("<f4", copy=False).view(np.uint8).reshape(-1, 4)
    return raw.T.tobytes()


def packed(array: Array) -> str:
    """Byte-shuffled deflate in base64: what the page's `DecompressionStream` undoes."""
    return deflated(shuffled(array), 9 if array.size < 1 << 17 else 6)


def deflated(data: bytes, level: int = 9) -> str:
    """`data` as deflate in base64."""
    return base64.b64encode(zlib.compress(data, level)).decode("ascii")


def safe_json(value: Any) -> str:
    """JSON that may stand inside a script element: no `<`, and nothing that ends a line in JS."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    for char in "<>&\u2028\u2029":
        text = text.replace(char, f"\\u{ord(char):04x}")
    return text


def _hash(text: str) -> str:
    """A CSP source expression for inline `text`."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def policy(scripts: Sequence[str], style: str, connect: str = "'none'") -> str:
    """The page's Content-Security-Policy; `connect` is `'self'` when a server stands behind it."""
    parts = [
        "default-src 'none'",
        f"script-src {' '.join(map(_hash, scripts))}",
        f"style-src {_hash(style)}",
        "img-src data: blob:",
        f"connect-src {connect}",
        "base-uri 'none'",
        "form-action 'none'",
    ]
    return "; ".join(parts)


def policy_of(mode: str) -> str:
    """The policy of the page, served or exported."""
    script, style = bundle()
    return (
        policy([script], style, "'self'") if mode == "served" else policy([UNPACK, script], style)
    )


def document(page: Page, blobs: Mapping[str, Array]) -> str:
    """The whole page as HTML. `blobs` may be empty when a server sends the arrays."""
    script, style = bundle()
    known = safe_json(facts(page))
    arrays = [held(f"blob-{html.escape(name)}", packed(array)) for name, array in blobs.items()]
    if page.mode == "exported":
        look = ""
        scripts = [
            held("page", deflated(known.encode())),
            *arrays,
            held("bundle-style", deflated(style.encode())),
            held("bundle-script", deflated(script.encode())),
            f"<script>{UNPACK}</script>",
        ]
    else:
        look = f"\n<style>{style}</style>"
        scripts = [held("page", known, "application/json"), *arrays, f"<script>{script}</script>"]
    title = html.escape(f"{page.model} - convlens")
    code = "\n".join(scripts)
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{html.escape(policy_of(page.mode))}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<meta name="color-scheme" content="light dark">
<title>{title}</title>{look}
</head>
<body>
<div id="app"></div>
<noscript>This page draws a neural network and adds up its numbers: it needs JavaScript.</noscript>
{code}
</body>
</html>
"""


def held(id: str, text: str, kind: str = "text/plain") -> str:
    """Text that stands in the page and is not run."""
    return f'<script type="{kind}" id="{id}">{text}</script>'


# Bytes of values that an exported page holds unless told otherwise.
DEFAULT_BUDGET = 12_000_000
PREVIEW_BUDGET = 3_000_000


def fitted(built: Built, budget: int, layers: Sequence[str] | None = None) -> Built:
    """The same page with at most `budget` bytes of values, and a word on what was left out.

    The layer that the page opens on comes first, then the others in order; a layer's values are
    kept whole (its inputs, outputs and weights) or left out. `layers` names the only ones to keep.
    """
    page = built.page
    by_id = {tensor.id: tensor for tensor in page.tensors}
    start = page.start.layer if page.start.layer is not None else 0
    order = sorted(range(len(page.layers)), key=lambda n: (n != start, n))
    kept: set[str] = {by_id[page.input].blob or ""} if page.input in by_id else set()
    spent = sum(built.sizes.get(name, 0) for name in kept)
    whole: set[int] = set()
    for n in order:
        layer = page.layers[n]
        if layers is not None and layer.name not in layers:
            continue
        needs = {blob for tensor in _tensors_of(layer) for blob in _blobs_of(by_id, tensor)} - kept
        more = sum(built.sizes[name] for name in needs)
        if spent + more <= budget:
            kept |= needs
            spent += more
            whole.add(n)
    return _cut(built, kept, whole)


def _tensors_of(layer: Layer) -> list[str]:
    """Every tensor that a layer's numbers need."""
    names = [*layer.inputs, layer.output, *([layer.pre] if layer.pre else [])]
    recipe = layer.recipe.inner if isinstance(layer.recipe, OverTimeRecipe) else layer.recipe
    if layer.grids is not None and layer.grids.kernel is not None:
        names.append(layer.grids.kernel)
    if isinstance(recipe, WindowRecipe | RowRecipe):
        names += [name for name in (recipe.weight, recipe.bias) if name is not None]
    if isinstance(recipe, FormulaRecipe):
        names += [name for name in recipe.constants if isinstance(name, str)]
    if isinstance(recipe, ListedRecipe):
        names += recipe.lists
    if isinstance(recipe, ScatterRecipe) and recipe.table is not None:
        names.append(recipe.table)
    return names


def _blobs_of(by_id: Mapping[str, Tensor], name: str) -> list[str]:
    tensor = by_id[name]
    if tensor.blob is not None:
        return [tensor.blob]
    return [] if tensor.clipped_from is None else _blobs_of(by_id, tensor.clipped_from)


def _cut(built: Built, kept: set[str], whole: set[int]) -> Built:
    """The page with only the kept arrays; what lost its numbers keeps small pictures."""
    page = built.page
    blobs = set(kept)
    room = PREVIEW_BUDGET
    tensors = []
    by_id = {tensor.id: tensor for tensor in page.tensors}
    for tensor in page.tensors:
        present = all(name in kept for name in _blobs_of(by_id, tensor.id))
        small = tensor.preview
        if small is not None and (present or built.sizes[small.blob] > room):
            small = None
        if small is not None:
            room -= built.sizes[small.blob]
            blobs.add(small.blob)
        tensors.append(
            replace(
                tensor,
                blob=tensor.blob if present else None,
                preview=small,
                clipped_from=tensor.clipped_from if present else None,
            )
        )
    total = sum(built.sizes[name] for tensor in page.tensors for name in {tensor.blob} if name)
    size = sum(built.sizes[name] for name in kept if name)
    missing = len(page.layers) - len(whole)
    words = ""
    if missing:
        words = (
            f"The numbers of {missing:,} of {len(page.layers):,} layers were left out to keep this file "
            f"small ({size / 1e6:.1f} of {total / 1e6:.1f} MB are in it): their shapes, counts and small "
            "pictures are here, their sums are not."
        )
    said = "The numbers of this layer were left out of this file to keep it small."
    layers = tuple(
        layer if n in whole else replace(layer, left_out=said)
        for n, layer in enumerate(page.layers)
    )
    page = replace(
        page,
        tensors=tuple(tensors),
        layers=layers,
        budget=Budget(size, total, words),
        recomputable=page.recomputable and not missing,
    )
    return Built(
        page, {name: make for name, make in built.blobs.items() if name in blobs}, built.sizes
    )


def export(
    run: RunLike,
    path: Path,
    *,
    budget: int = DEFAULT_BUDGET,
    layers: Sequence[str] | None = None,
    around: Surroundings | None = None,
) -> Path:
    """Write the page of a run as one offline file; it is complete or not there at all.

    `budget` is how many bytes of values are kept (before packing); `layers` names the only layers
    whose values are; `around` is what is known beside the run. Raises ArgumentError when the file
    cannot be written.
    """
    built = fitted(build(run, mode="exported", around=around), budget, layers)
    text = document(built.page, {name: make() for name, make in built.blobs.items()})
    beside = path.with_name(f".{path.name}.part")
    try:
        beside.write_text(text, encoding="utf-8")
        beside.replace(path)
    except OSError as error:
        raise ArgumentError(
            "the page cannot be written",
            where=str(path),
            given=error.strerror or type(error).__name__,
            needed="a folder that exists and may be written to",
        ) from None
    finally:
        beside.unlink(missing_ok=True)
    return path
