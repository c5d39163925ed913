"""ONNX files and ModelProtos: parsed, put in order, inferred, and read as layers."""

from __future__ import annotations

from .read import read_file, read_live

__all__ = ["read_file", "read_live"]
