"""The page's server: it answers this computer alone, holds images in memory while it looks at them, and writes nothing.

An image is the body of a request of its own, not part of a form, since forms are kept in temporary files.
"""

from __future__ import annotations

import base64
import io
import secrets
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import torch
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from PIL import Image
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from leuko.data.images import UnreadableImageError
from leuko.models.foreign import RATE
from leuko.prediction.heat import draw_heat_map
from leuko.prediction.model import Model, margins

MAX_MEGABYTES = 50
"""Larger files are refused."""
MAX_FILES = 200
"""More files at once are refused by the page."""
MAX_REQUESTS = 8
"""Images held at a time; further requests are asked to come again."""
SHOWN_SIDE = 256
"""The longer side of the picture that the page shows, in pixels."""


class OwnComputerOnly:
    """Middleware that refuses requests for another host than this one, and from pages of another one.

    A web page elsewhere can let its name mean this computer (DNS rebinding), or send requests here; its name then
    stands in the header Host, or in Origin.

    Args:
        app: what is protected.
        port: on which the page is served.
    """

    def __init__(self, app: ASGIApp, port: int) -> None:
        self.app = app
        self.hosts = {f"{name}:{port}" for name in ("127.0.0.1", "localhost")}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or refuse it."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = Request(scope).headers
        own_origins = {f"http://{host}" for host in self.hosts}
        site = headers.get("sec-fetch-site", "same-origin")
        is_own = headers.get("host") in self.hosts and headers.get("origin", next(iter(own_origins))) in own_origins
        if not is_own or (scope["method"] != "GET" and site != "same-origin"):
            response: Response = JSONResponse({"error": "This page answers its own computer alone."}, 403)
            await response(scope, receive, send)
            return
        await self.app(scope, receive, send)


class Desk:
    """Looks at one image after the other with a model.

    Args:
        model: the model.
        name: of its file, for the page.
    """

    def __init__(self, model: Model, name: str) -> None:
        self.model, self.name = model, name
        self.lock = threading.Lock()
        self.places = threading.BoundedSemaphore(MAX_REQUESTS)

    def look(self, content: bytes) -> dict[str, Any]:
        """Classify an image.

        Args:
            content: of its file.

        Returns:
            What the page shows of it: `predicted`, `margin`, `unlike`, `probabilities` by class, and the `picture`.

        Raises:
            UnreadableImageError: if it cannot be used.
        """
        image = self.model.preparation.read(content)
        prepared = self.model.preparation.arrays(image)
        with self.lock:  # networks compute with all cores
            probabilities = self.model.classify([prepared])
        image.thumbnail((SHOWN_SIDE, SHOWN_SIDE))
        return {
            "predicted": self.model.classes[int(probabilities.argmax())],
            "margin": float(margins(probabilities)[0]),
            "unlike": self.model.are_unlike([prepared])[0],
            "probabilities": dict(zip(self.model.classes, probabilities[0].tolist(), strict=True)),
            "picture": _as_uri(image),
        }

    def map(self, content: bytes) -> dict[str, Any]:
        """Draw where the model looks in an image.

        Args:
            content: of its file.

        Returns:
            The `picture`.

        Raises:
            UnreadableImageError: if it cannot be used.
        """
        prepared = self.model.preparation(content)
        with self.lock, torch.no_grad():
            return {"picture": _as_uri(draw_heat_map(self.model, prepared))}


def create_app(model: Model, name: str, port: int) -> Starlette:
    """Make the page's application.

    Args:
        model: what classifies.
        name: of its file, for the page.
        port: on which it is served, as requests must name it.

    Returns:
        The application.
    """
    desk = Desk(model, name)
    folder = Path(__file__).parent
    environment = Environment(loader=FileSystemLoader(folder), autoescape=True, undefined=StrictUndefined)
    template = environment.get_template("page.html")

    async def page(_: Request) -> HTMLResponse:
        """The page itself, which may load and send nothing from and to anywhere else."""
        nonce = secrets.token_urlsafe(16)
        content = template.render(
            nonce=nonce,
            name=name,
            classes=model.classes,
            draws_maps=model.looks_at_pictures,
            false_alarms=100 * RATE,
            max_files=MAX_FILES,
            max_megabytes=MAX_MEGABYTES,
        )
        policy = (
            f"default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; img-src data:; "
            "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        )
        return HTMLResponse(content, headers={"Content-Security-Policy": policy, "Cache-Control": "no-store"})

    def answer(work: Callable[[bytes], dict[str, Any]]) -> Callable[[Request], Awaitable[Response]]:
        """A handler of requests whose body is an image."""

        async def handle(request: Request) -> Response:
            if not desk.places.acquire(blocking=False):
                return JSONResponse({"error": "Too many images at once; send them one after the other."}, 503)
            try:
                content = await _body(request)
                if content is None:
                    words = f"The file is larger than {MAX_MEGABYTES} MB, which is the limit here."
                    return JSONResponse({"error": words}, 413)
                return JSONResponse(await run_in_threadpool(work, content))
            except UnreadableImageError as error:
                return JSONResponse({"error": f"This file cannot be read: {error}."}, 422)
            except MemoryError:
                return JSONResponse({"error": "This image needs more memory than there is."}, 422)
            finally:
                desk.places.release()

        return handle

    routes = [Route("/", page), Route("/predict", answer(desk.look), methods=["POST"])]
    if model.looks_at_pictures:
        routes.append(Route("/map", answer(desk.map), methods=["POST"]))
    return Starlette(routes=routes, middleware=[Middleware(OwnComputerOnly, port=port)])


async def _body(request: Request) -> bytes | None:
    """The body of a request; none if it is too large, of which no more is read than it takes to know that."""
    limit = MAX_MEGABYTES * 10**6
    if int(request.headers.get("content-length", "0")) > limit:
        return None
    content = bytearray()
    async for chunk in request.stream():
        content += chunk
        if len(content) > limit:
            return None
    return bytes(content)


def _as_uri(image: Image.Image) -> str:
    """An image as the page can hold it."""
    content = io.BytesIO()
    image.save(content, "PNG")
    return f"data:image/png;base64,{base64.b64encode(content.getvalue()).decode()}"
