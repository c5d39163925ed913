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
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .page_schema import Page, plain

STATIC = Path(__file__).parent / "static"
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
    return base64.b64encode(zlib.compress(shuffled(array), 9)).decode("ascii")


def safe_json(value: Any) -> str:
    """JSON that may stand inside a script element: no `<`, and nothing that ends a line in JS."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    for char in "<>&\u2028\u2029":
        text = text.replace(char, f"\\u{ord(char):04x}")
    return text


def _hash(text: str) -> str:
    """A CSP source expression for inline `text`."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def policy(script: str, style: str, connect: str = "'none'") -> str:
    """The page's Content-Security-Policy; `connect` is `'self'` when a server stands behind it."""
    parts = [
        "default-src 'none'",
        f"script-src {_hash(script)}",
        f"style-src {_hash(style)}",
        "img-src data: blob:",
        f"connect-src {connect}",
        "base-uri 'none'",
        "form-action 'none'",
    ]
    return "; ".join(parts)


def document(page: Page, blobs: Mapping[str, Array]) -> str:
    """The whole page as HTML. `blobs` may be empty when a server sends the arrays."""
    script, style = bundle()
    connect = "'self'" if page.mode == "served" else "'none'"
    arrays = "\n".join(
        f'<script type="text/plain" id="blob-{html.escape(name)}">{packed(array)}</script>'
        for name, array in blobs.items()
    )
    title = html.escape(f"{page.model} - convlens")
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{html.escape(policy(script, style, connect))}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<meta name="color-scheme" content="light dark">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<div id="app"></div>
<noscript>This page draws a neural network and adds up its numbers: it needs JavaScript.</noscript>
<script type="application/json" id="page">{safe_json(plain(page))}</script>
{arrays}
<script>{script}</script>
</body>
</html>
"""
