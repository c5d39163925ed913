"""The interactive page, served to this computer alone.

The server listens on loopback. Its address holds a token that is compared in constant time and
never sent on as a referrer; Host and Origin must be its own. What is uploaded is size-limited and
goes to a temporary folder that is gone when the server ends.
"""

from __future__ import annotations

import contextlib
import hmac
import os
import re
import secrets
import socket
import sys
import tempfile
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .api import Model, Run, load
from .errors import ArgumentError, ConvlensError, InputError, ModelError
from .explain.facts import InputFact
from .inputs import Preprocessing, read_picture
from .page import document, policy_of, safe_json, shuffled
from .page.build import Built, build
from .page.gallery import surroundings
from .page.schema import facts

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response

LARGEST_MODEL = 1 << 30
LARGEST_INPUT = 64 << 20
MODEL_ENDINGS = {".keras", ".h5", ".hdf5", ".onnx", ".pt2"}
Handler = Callable[["Request"], Awaitable["Response"]]


class Session:
    """What the page shows: one run of one model, replaced by uploads. Used by one thread a time."""

    def __init__(self, run: Run, folder: Path) -> None:
        self.lock = threading.Lock()
        self.folder = folder
        self.known: dict[str, Model] = {}
        self._uploads = 0
        self.run = run
        # The picture that was given last, and what was done to it: another preprocessing starts
        # from it again.
        self.picture: Path | None = None
        self.pixels: NDArray[np.float32] | None = None
        self.prep = Preprocessing(fit="crop" if run.origin.cut else "stretch")
        if run.origin.picture is not None:
            with contextlib.suppress(OSError):
                self.picture = self._keep(run.origin.picture.name, run.origin.picture.read_bytes())
        self.built = self._build()
        # Written before anybody asks, so that the first picture does not wait for it.
        self._written: tuple[Built, str] = (self.built, document(self.built.page, {}))

    def html(self) -> str:
        """The whole page; written once for each run."""
        built, text = self._written
        if built is not self.built:
            text = document(self.built.page, {})
            self._written = (self.built, text)
        return text

    def _build(self) -> Built:
        from . import samples

        self.known[self.run.model.name] = self.run.model
        # The network runs now, so that the first pictures are there when the page asks.
        _ = self.run.output
        names = (*self.known, *(name for name in samples.NAMES if name not in self.known))
        around = surroundings(self.run, str(self.prep))
        return build(self.run, mode="served", around=around, recent=names)

    def blob(self, name: str) -> bytes | None:
        """The bytes of one array, None when the page names no such array."""
        with self.lock:
            make = self.built.blobs.get(name)
            return None if make is None else shuffled(make())

    def page(self) -> str:
        """The facts as JSON."""
        return safe_json(facts(self.built.page))

    def show(self, run: Run) -> str:
        """Show another run; the facts of its page."""
        with self.lock:
            self.run = run
            self.built = self._build()
            return self.page()

    def numbers(self, body: bytes) -> str:
        """Run the model on raw float32 numbers of its input's size. Raises InputError."""
        graph = self.run.model.graph
        shape = self.run.execution.sizes[graph.inputs[0].tensor]
        values = np.frombuffer(body, dtype="<f4") if len(body) % 4 == 0 else np.zeros(0)
        if values.size != int(np.prod(shape)):
            raise InputError(
                "these numbers do not fill the model's input",
                given=f"{values.size:,} numbers",
                needed=f"{int(np.prod(shape)):,} for {shape}",
            )
        self._forget()
        return self.show(self.run.model.run(values.astype(np.float32).reshape(shape)))

    def file(self, body: bytes, name: str, prep: str) -> str:
        """Run the model on an uploaded picture or `.npy`. Raises InputError, ArgumentError."""
        path = self._keep(name, body)
        if path.suffix.lower() != ".npy":
            self._forget()
            self.picture = path
            try:
                return self.again(prep)
            except ConvlensError:
                self._forget()
                raise
        try:
            return self.show(self.run.model.run(path))
        finally:
            path.unlink(missing_ok=True)

    def again(self, prep: str) -> str:
        """Run on the same picture with another preprocessing. Raises InputError, ArgumentError.

        Without a picture the present input is taken back to pixels first.
        """
        graph = self.run.model.graph
        spec = graph.inputs[0]
        shape = self.run.execution.sizes[spec.tensor]
        last = spec.channels_last is not False
        channels = (shape[-1] if last else shape[0]) if len(shape) == 3 else 1
        how = Preprocessing.of(prep, channels) if prep else self.prep
        if self.picture is not None:
            pixels, said = read_picture(
                self.picture, shape, last, resize=True, crop=how.fit == "crop"
            )
        else:
            if self.pixels is None:
                given = np.asarray(self.run.execution.tensor(spec.tensor))
                self.pixels = self.prep.undo(given[0] if spec.batched else given, last)
            pixels, said = self.pixels, []
        run = self.run.model.run(how.apply(pixels, last))
        remarks = (*said, *how.said())
        self.prep = how
        source = self.run.origin.source if self.picture is None else "file"
        seed = self.run.origin.seed if self.picture is None else None
        origin = InputFact(source, seed, remarks, self.picture)
        return self.show(Run(run.model, run.execution, origin))

    def _forget(self) -> None:
        """Another input comes: the last picture goes."""
        if self.picture is not None:
            self.picture.unlink(missing_ok=True)
        self.picture = self.pixels = None

    def model(self, path: Path) -> str:
        """Open an uploaded model. Raises ModelError."""
        return self._another(load(path))

    def _another(self, model: Model) -> str:
        run = model.run()
        self._forget()
        self.prep = Preprocessing()
        return self.show(run)

    def built_in(self, name: str) -> str:
        """Open a built-in network, or a model that was open before. Raises ArgumentError."""
        from . import samples

        if name not in self.known and name not in samples.NAMES:
            raise ArgumentError(f"`{name}` is not open and not built in", given=name)
        return self._another(self.known.get(name) or load(name))

    def place(self, name: str) -> Path:
        """A fresh path for an upload: its own folder, its own last name, nothing else of it."""
        self._uploads += 1
        last = PurePosixPath(name.replace("\\", "/")).name.lstrip(".") or "upload"
        clean = "".join(char if char.isalnum() or char in "._- " else "_" for char in last)[-80:]
        folder = self.folder / str(self._uploads)
        folder.mkdir()
        return folder / clean

    def _keep(self, name: str, body: bytes) -> Path:
        path = self.place(name)
        path.write_bytes(body)
        return path

    def number(self, layer: str, at: tuple[int, ...]) -> dict[str, Any]:
        """The facts of one number, by Python: what the page cannot make itself."""
        name, _, stage = layer.partition(":")
        with self.lock:
            return self.run.explain(name, at, stage=stage or None).to_dict()


def application(session: Session, token: str, hosts: frozenset[str]) -> Starlette:
    """The web application. `hosts` are the Host headers it answers to."""
    from starlette.applications import Starlette
    from starlette.concurrency import run_in_threadpool
    from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
    from starlette.routing import Route

    def allowed(request: Request) -> bool:
        host = request.headers.get("host", "")
        origin = request.headers.get("origin")
        given = request.query_params.get("token", "")
        return (
            host in hosts
            and (origin is None or origin in {f"http://{name}" for name in hosts})
            and hmac.compare_digest(given.encode(), token.encode())
        )

    def guarded(handler: Handler) -> Handler:
        async def answer(request: Request) -> Response:
            if not allowed(request):
                return PlainTextResponse("not allowed", status_code=403, headers=_HEADERS)
            try:
                response = await handler(request)
            except ConvlensError as error:
                # Where an upload lies is nothing to its reader.
                said = re.sub(re.escape(f"{session.folder}{os.sep}") + r"\d+[/\\]", "", str(error))
                response = PlainTextResponse(said, status_code=400)
            response.headers.update(_HEADERS)
            return response

        return answer

    async def home(request: Request) -> Response:
        text = await run_in_threadpool(session.html)
        return HTMLResponse(text, headers={"Content-Security-Policy": policy_of("served")})

    async def blob(request: Request) -> Response:
        data = await run_in_threadpool(session.blob, request.query_params.get("id", ""))
        if data is None:
            return PlainTextResponse("no such array", status_code=404)
        return Response(data, media_type="application/octet-stream")

    async def run(request: Request) -> Response:
        body = await _body(request, LARGEST_INPUT)
        prep = request.query_params.get("prep", "")
        if request.query_params.get("kind") == "numbers":
            text = await run_in_threadpool(session.numbers, body)
        elif request.query_params.get("kind") == "again":
            text = await run_in_threadpool(session.again, prep)
        else:
            name = request.query_params.get("name", "picture")
            text = await run_in_threadpool(session.file, body, name, prep)
        return Response(text, media_type="application/json")

    async def model(request: Request) -> Response:
        name = request.query_params.get("name", "")
        if request.query_params.get("kind") == "known":
            text = await run_in_threadpool(session.built_in, name)
            return Response(text, media_type="application/json")
        if Path(name).suffix.lower() not in MODEL_ENDINGS:
            raise ModelError(
                "this is not a model file",
                given=name or "a file without a name",
                needed=f"one of {', '.join(sorted(MODEL_ENDINGS))}",
            )
        path = session.place(name)
        try:
            await _to_file(request, path, LARGEST_MODEL)
            text = await run_in_threadpool(session.model, path)
        except BaseException:
            path.unlink(missing_ok=True)
            raise
        return Response(text, media_type="application/json")

    async def number(request: Request) -> Response:
        asked = request.query_params.get("at", "")
        try:
            at = tuple(int(part) for part in asked.split(",")) if asked else ()
        except ValueError:
            return PlainTextResponse("not a position", status_code=400)
        layer = request.query_params.get("layer", "")
        return JSONResponse(await run_in_threadpool(session.number, layer, at))

    routes = [
        Route("/", guarded(home)),
        Route("/blob", guarded(blob)),
        Route("/number", guarded(number)),
        Route("/run", guarded(run), methods=["POST"]),
        Route("/model", guarded(model), methods=["POST"]),
    ]
    return Starlette(routes=routes)


_HEADERS = {
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cache-Control": "no-store",
    "Cross-Origin-Resource-Policy": "same-origin",
}


def _too_large(limit: int) -> InputError:
    return InputError(
        "the file is too large",
        needed=f"at most {limit / 1e6:,.0f} MB",
        hint="give it to the command line instead",
    )


async def _body(request: Request, limit: int) -> bytes:
    """The whole body. Raises InputError beyond the limit, before it is held."""
    parts, size = [], 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > limit:
            raise _too_large(limit)
        parts.append(chunk)
    return b"".join(parts)


async def _to_file(request: Request, path: Path, limit: int) -> None:
    """The body into a file, piece by piece. Raises InputError beyond the limit."""
    size = 0
    with path.open("wb") as file:
        async for chunk in request.stream():
            size += len(chunk)
            if size > limit:
                raise _too_large(limit)
            file.write(chunk)


def serve(run: Run, *, port: int = 0, browser: bool = True) -> None:
    """Serve the page of a run on loopback until Ctrl-C. `port` 0 takes a free one.

    Raises ArgumentError when the port is taken.
    """
    import uvicorn

    token = secrets.token_urlsafe(24)
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind(("127.0.0.1", port))
        except OSError as error:
            raise ArgumentError(
                "the port cannot be used",
                given=f"--port {port} ({error.strerror})",
                needed="a free port",
                hint="leave --port out to take any",
            ) from None
        # From here on a browser is not refused: it waits until the server is up.
        sock.listen()
        number = sock.getsockname()[1]
        hosts = frozenset({f"127.0.0.1:{number}", f"localhost:{number}"})
        address = f"http://127.0.0.1:{number}/?token={token}"
        with tempfile.TemporaryDirectory(prefix="convlens-") as folder:
            session = Session(run, Path(folder))
            config = uvicorn.Config(
                application(session, token, hosts), log_level="error", lifespan="off"
            )
            print(f"{run.model.name} is at {address}", file=sys.stderr, flush=True)
            print("Only this computer can open it. Ctrl-C ends it.", file=sys.stderr, flush=True)
            if browser:
                import webbrowser

                threading.Timer(0.3, webbrowser.open, [address]).start()
            try:
                uvicorn.Server(config).run(sockets=[sock])
            except KeyboardInterrupt:
                print("", file=sys.stderr)
