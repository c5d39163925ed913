"""The process of a worker: `python -m convlens.worker DESCRIPTOR BYTES`."""

from __future__ import annotations

import sys

from .engine import main

main(sys.argv[1:])
