"""Mutated Keras files: each must open, or be refused with one message. Nothing else may happen.

    python -m tests.readers.keras.fuzz [--count 20000] [--seed 0] [--start 0] [FILE ...]

FILEs (real models) are mutated too. A crash is any exception that is not a ConvlensError, a hang
is more than `SECONDS` of work for one input, and memory is bounded by the process's own limit.
"""

from __future__ import annotations

import argparse
import io
import json
import random
import resource
import signal
import sys
import tempfile
import time
import traceback
import zipfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import convlens
from convlens.errors import ConvlensError
from tests.readers.keras import made

SECONDS = 10
GROWTH = 1 << 30  # bytes of address space that reading one small file may add
STRANGE: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 2, 3, 7, 1e308, -0.5, 2**31, 2**63, 10**30, "", "x", "same", "th",
    "<img src=x onerror=alert(1)>", "../../etc/passwd", "a/b", "\u202e", "\0", [], {}, [[]], [0], [-1],
    [None], [1, 2, 3, 4, 5], {"class_name": "__tuple__", "items": []}, float("nan"), float("inf"),
    {"class_name": "__lambda__", "config": {}}, {"class_name": "Dense", "config": {"units": 3}},
    "Lambda", "Conv2D", "Sequential", "channels_first", "float16", "int8", "relu", "nothing",
)  # fmt: skip


class TooSlow(Exception):
    """One input took longer than it may."""


def seeds(files: list[Path]) -> dict[str, bytes]:
    """Files to mutate: one of each kind, small, and the real ones given."""
    found: dict[str, bytes] = {}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "m"
        found["small.keras"] = made.keras_zip(path, made.small()).read_bytes()
        found["packed.keras"] = made.keras_zip(
            path, made.small(), made.hdf5(made.small_arrays(), compression="gzip"),
            zipfile.ZIP_DEFLATED,
        ).read_bytes()  # fmt: skip
        found["weights.h5"] = made.hdf5(made.small_arrays())
        arrays = list(made.small_arrays().values())
        stored = {
            "conv": {"conv/kernel:0": arrays[0], "conv/bias:0": arrays[1]},
            "flat": {},
            "dense": {"dense/kernel:0": arrays[2], "dense/bias:0": arrays[3]},
        }
        path.unlink()
        found["old.h5"] = made.old_h5(path, made.small(), stored).read_bytes()
        found["config.json"] = json.dumps(graph_config()).encode()
        found["graph.keras"] = made.keras_zip(path, graph_config(), None).read_bytes()
        found["film.json"] = json.dumps(film_config()).encode()
    return found | {one.name: one.read_bytes() for one in files}


def graph_config() -> dict:
    """A network with shared layers, nested models, operations, wrappers, several outputs."""
    inner = made.functional(
        [made.input_layer("i", 6, 6, 2), made.layer("ReLU", "r", [[("i",)]])],
        ["i", 0, 0], ["r", 0, 0], name="inner",
    )  # fmt: skip
    plus = {**made.layer("Add", "plus", [[("c", 0), ("c", 1)]]), "module": "keras.src.ops.numpy"}
    times = {**made.layer("Multiply", "times", [[("plus",), 2.0]]), "module": "keras.src.ops.numpy"}
    call = {"args": [made.tensor("times", shape=[None, 6, 6, 2])], "kwargs": {"training": None}}
    each = made.layer("Dense", "each", units=3, activation="linear", use_bias=True)
    layers = [
        made.input_layer("a", 6, 6, 2),
        made.layer("Conv2D", "c", [[("a",)], [("a",)]], filters=2, kernel_size=[3, 3],
                   strides=[1, 1], padding="same", data_format="channels_last",
                   dilation_rate=[1, 1], groups=1, activation="relu", use_bias=True),
        plus, times,
        {**inner, "name": "inner", "inbound_nodes": [call]},
        made.layer("BatchNormalization", "n", [[("inner", 0)]], axis=-1, epsilon=0.001,
                   center=True, scale=True),
        made.layer("MaxPooling2D", "p", [[("n",)]], pool_size=[2, 2], strides=[2, 2],
                   padding="valid", data_format="channels_last"),
        made.layer("Reshape", "s", [[("p",)]], target_shape=[9, 2]),
        made.layer("TimeDistributed", "t", [[("s",)]], layer=each),
        made.layer("LSTM", "l", [[("t",)]], units=4, return_sequences=False),
        made.layer("Mine", "m", [[("l",)]]),
        made.layer("Dense", "d", [[made.tensor("m", shape=[None, 4])]], units=2,
                   activation="softmax", use_bias=True),
    ]  # fmt: skip
    return made.functional(layers, ["a", 0, 0], [["d", 0, 0], ["n", 0, 0]])


def film_config() -> dict:
    """A network at every step of a film, both ways over the steps, and attention."""
    inner = made.sequential(
        [
            made.input_layer("i", 6, 6, 2),
            made.layer("Conv2D", "c", filters=2, kernel_size=[3, 3], padding="same"),
            made.layer("Flatten", "f"),
        ]
    )
    cell = made.layer("LSTM", "both", units=3, return_sequences=True, return_state=False)
    layers = [
        made.input_layer("a", 4, 6, 6, 2),
        made.layer("TimeDistributed", "t", [[("a",)]], layer=inner),
        made.layer("Bidirectional", "b", [[("t",)]], layer=cell, merge_mode="concat"),
        made.layer("MultiHeadAttention", "h", [[("b",), ("b",)]], num_heads=2, key_dim=3),
        made.layer("GRU", "g", [[("h",)]], units=2, reset_after=True, return_state=True),
        made.layer("Dense", "d", [[("g",)]], units=2),
    ]
    return made.functional(layers, ["a", 0, 0], [["d", 0, 0], ["g", 0, 1]])


# --- mutations --------------------------------------------------------------------------------


def mutated(rng: random.Random, name: str, data: bytes) -> bytes:
    """One mutation, or several, of a file."""
    if rng.random() < 0.4:
        if data[:2] == b"PK":
            return zip_mutated(rng, data)
        if data[:1] == b"{":
            return json.dumps(json_mutated(rng, json.loads(data))).encode()
    out = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 4, 16))):
        byte_mutated(rng, out)
    return bytes(out)


def byte_mutated(rng: random.Random, out: bytearray) -> None:
    if not out:
        return
    near = [rng.randrange(len(out)), rng.randrange(min(len(out), 4096)), interesting(rng, out)]
    at = rng.choice(near)
    kind = rng.randrange(8)
    if kind < 3:
        out[at] ^= 1 << rng.randrange(8)
    elif kind == 3:
        out[at] = rng.randrange(256)
    elif kind == 4:
        size = rng.choice((1, 2, 4, 8))
        value = rng.choice((0, 1, -1, 0x7F, len(out), len(out) + 1, 2**31, 2**62, at))
        out[at : at + size] = (value % (1 << 8 * size)).to_bytes(size, "little")
    elif kind == 5:
        del out[at:]
    elif kind == 6:
        del out[at : at + rng.randrange(1, 64)]
    else:
        other = rng.randrange(len(out))
        length = rng.randrange(1, 256)
        out[at : at + length] = out[other : other + length]


def interesting(rng: random.Random, out: bytearray) -> int:
    """Near a signature of HDF5's structures or of a zip."""
    mark = rng.choice(
        (b"TREE", b"SNOD", b"HEAP", b"GCOL", b"OHDR", b"\x89HDF", b"PK", b"FRHP", b"BTHD")
    )
    at = out.find(mark, rng.randrange(len(out)))
    return min(at + rng.randrange(64), len(out) - 1) if at >= 0 else rng.randrange(len(out))


def zip_mutated(rng: random.Random, data: bytes) -> bytes:
    """The zip made anew with a mutated member, so that its checksums fit."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    name = rng.choice(sorted(members))
    if name.endswith(".json") and rng.random() < 0.8:
        changed = json.loads(members[name])
        for _ in range(rng.choice((1, 1, 2, 3))):
            changed = json_mutated(rng, changed)
        members[name] = json.dumps(changed).encode()
    else:
        out = bytearray(members[name])
        for _ in range(rng.choice((1, 2, 4))):
            byte_mutated(rng, out)
        members[name] = bytes(out)
    stream = io.BytesIO()
    with zipfile.ZipFile(
        stream, "w", rng.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))
    ) as new:
        for name, content in members.items():
            new.writestr(name, content)
    return stream.getvalue()


def json_mutated(rng: random.Random, value: Any) -> Any:
    """A copy with one place changed: a leaf, a key, an item dropped, doubled or moved."""
    value = json.loads(json.dumps(value))
    places = list(containers(value))
    if not places:
        return rng.choice(STRANGE)
    place = rng.choice(places)
    key = rng.choice(list(place) if isinstance(place, dict) else list(range(len(place))))
    kind = rng.randrange(6)
    if kind == 0:
        del place[key]
    elif kind == 1:
        other = rng.choice(places)
        place[key] = json.loads(
            json.dumps(rng.choice(list(other.values()) if isinstance(other, dict) else other))
        )
    elif kind == 2 and isinstance(place, list):
        place.insert(rng.randrange(len(place) + 1), place[key])
    elif kind == 3 and isinstance(place[key], int):
        place[key] = rng.choice((place[key] + 1, -place[key], place[key] * 1000, 10**12))
    else:
        place[key] = rng.choice(STRANGE)
    return value


def containers(value: Any) -> Iterator[Any]:
    if isinstance(value, (dict, list)):
        if value:
            yield value
        for one in value.values() if isinstance(value, dict) else value:
            yield from containers(one)


# --- one input --------------------------------------------------------------------------------


def judge(path: Path) -> str:
    """Open, describe, read every weight: `opened`, or the kind of refusal."""
    try:
        model = convlens.load(path)
        json.dumps(model.describe().to_dict(), allow_nan=True)
        for call in model.graph.calls:
            for weight in call.weights:
                if weight.count > 1 << 24 and weight.values.origin == "random":
                    continue  # a large network is no fault; its random numbers are not needed
                weight.array()
    except ConvlensError as error:
        text = str(error)
        assert text and "\0" not in text, "a message with a null byte"
        assert len(text) < 4000, f"a message of {len(text)} characters"
        return type(error).__name__
    return "opened"


def run(
    files: list[Path], count: int, seed: int, report: Any = print, start: int = 0
) -> Counter[str]:
    """`count` mutated inputs. Raises AssertionError with the input's number on the first fault."""
    material = seeds(files)
    names = sorted(material)
    outcomes: Counter[str] = Counter()
    slowest = 0.0

    def stop(*_: Any) -> None:
        raise TooSlow

    before = signal.signal(signal.SIGVTALRM, stop)
    try:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "input"
            for number in range(start, start + count):
                rng = random.Random(f"{seed}:{number}")
                name = names[number % len(names)]
                path.write_bytes(mutated(rng, name, material[name]))
                started = time.perf_counter()
                signal.setitimer(signal.ITIMER_VIRTUAL, SECONDS)
                try:
                    outcomes[judge(path)] += 1
                except Exception as fault:
                    kept = Path(tempfile.gettempdir()) / f"convlens-fuzz-{seed}-{number}"
                    kept.write_bytes(path.read_bytes())
                    raise AssertionError(
                        f"input {number} of seed {seed} (from {name}, kept as {kept}): "
                        f"{''.join(traceback.format_exception(fault)[-6:])}"
                    ) from fault
                finally:
                    signal.setitimer(signal.ITIMER_VIRTUAL, 0)
                slowest = max(slowest, time.perf_counter() - started)
                if report and number % 1000 == 999:
                    report(f"{number + 1} inputs, slowest {slowest:.2f} s, {dict(outcomes)}")
    finally:
        signal.signal(signal.SIGVTALRM, before)
    return outcomes


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", nargs="*", type=Path, metavar="FILE")
    parser.add_argument("--count", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--start", type=int, default=0, help="number of the first input")
    options = parser.parse_args()
    convlens.load("digits").describe()
    import pyfive  # noqa: F401  (loaded before memory is limited)

    pages = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    limit = pages + GROWTH + 3 * sum(one.stat().st_size for one in options.files)
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    outcomes = run(options.files, options.count, options.seed, start=options.start)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(f"{options.count} inputs: no crash, no hang; {dict(outcomes)}; peak memory {peak} MB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
