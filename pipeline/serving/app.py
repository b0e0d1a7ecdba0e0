"""The HTTP service: routes, limits and metrics. No text of a request is logged or kept."""

from __future__ import annotations

import asyncio
import hmac
import time
from collections.abc import Awaitable, Callable, MutableMapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from typing import Annotated, Any

import numpy as np
from fastapi import FastAPI, HTTPException, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse, Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Histogram, generate_latest
from pydantic import BaseModel, ConfigDict, Field, StrictStr, field_validator

from pipeline.model.word_attributions import word_attributions
from pipeline.serving.batching import Batcher, Busy
from pipeline.serving.models import ModelHolder, ServedModel

PAGE = Path(__file__).parent / "page.html"
OPEN = ("/", "/health", "/ready")  # paths that need no token
SECONDS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5)
PROBABILITIES = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99)

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]


@dataclass(frozen=True)
class Limits:
    """What a request may ask for, and what the service keeps waiting."""

    max_texts: int = 1_000  # in a request
    max_bytes: int = 4_000_000  # of a request's body
    max_waiting: int = 10_000  # texts of all requests
    read_seconds: float = 10.0  # until the body of a request is there
    max_explained: int = 20_000  # characters of a text that is explained


class Texts(BaseModel):
    model_config = ConfigDict(extra="forbid")
    texts: Annotated[list[StrictStr], Field(min_length=1)]

    @field_validator("texts")
    @classmethod
    def check_texts(cls, texts: list[str]) -> list[str]:
        for number, text in enumerate(texts):
            if not text.strip():
                raise ValueError(f"text {number} is empty")
        return texts


class Text(BaseModel):
    model_config = ConfigDict(extra="forbid")
    text: StrictStr


class Prediction(BaseModel):
    label: str
    probabilities: dict[str, float]


class Predictions(BaseModel):
    predictions: list[Prediction]
    model: dict[str, str]


class Word(BaseModel):
    start: int  # position of the word in the text, in characters
    end: int
    value: float  # log-odds (nats) that it adds to the label against the runner-up


class Explanation(BaseModel):
    label: str
    runner_up: str
    words: list[Word]


def create_app(holder: ModelHolder, token: str | None, limits: Limits, refresh_seconds: float = 10.0) -> FastAPI:
    """The service of the holder's model. With a `token`, requests need the header `Authorization: Bearer <token>`."""

    @asynccontextmanager
    async def lifespan(_: FastAPI):
        Thread(target=holder.refresh_forever, args=(refresh_seconds,), daemon=True).start()
        yield
        holder.stopped.set()

    app = FastAPI(title="Text classification", lifespan=lifespan)
    html = PAGE.read_text(encoding="utf-8")
    batcher = Batcher(max_batch=256, max_waiting=limits.max_waiting)
    metrics = Metrics()
    app.add_middleware(Guard, token=token, limits=limits, metrics=metrics)

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> JSONResponse:
        """One sentence, without the text that was sent."""
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"] if part != "body") or "the body"
        return JSONResponse({"detail": f"{where}: {first['msg'].removeprefix('Value error, ')}"}, 422)

    @app.exception_handler(Busy)
    async def busy(*_: object) -> JSONResponse:
        return JSONResponse({"detail": "too many texts wait; try again later"}, 503, {"Retry-After": "1"})

    def current() -> ServedModel:
        if not holder.model:
            raise HTTPException(503, "no model is served yet", {"Retry-After": "5"})
        return holder.model

    @app.post("/predict", responses={503: {"description": "no model yet, or too many texts wait"}})
    async def predict(body: Texts) -> Predictions:
        """The label and the probability of each label, for each text."""
        if len(body.texts) > limits.max_texts:
            raise HTTPException(413, f"there are {len(body.texts):,} texts; send up to {limits.max_texts:,} at once")
        model = current()
        y_proba = await batcher.predict(model.classifier.predict_proba, body.texts)
        labels = model.classifier.labels
        metrics.observe(labels, y_proba)
        return Predictions(
            predictions=[
                Prediction(label=labels[row.argmax()], probabilities=dict(zip(labels, map(float, row), strict=True)))
                for row in y_proba
            ],
            model=model.source,
        )

    @app.post("/explain", responses={503: {"description": "no model yet, or too many texts wait"}})
    async def explain(body: Text) -> Explanation:
        """The words that moved the prediction most, by their attribution to the label against the runner-up."""
        if len(body.text) > limits.max_explained or not body.text.strip():
            raise HTTPException(422, f"text: send one of 1 to {limits.max_explained:,} characters")
        model = current()
        (row,) = await batcher.predict(model.classifier.predict_proba, [body.text])
        best, second = np.argsort(-row, kind="stable")[:2]
        target, reference = best[None], second[None]
        (words,) = await asyncio.to_thread(
            word_attributions, model.classifier, model.network, [body.text], target, reference
        )
        labels = model.classifier.labels
        found = [Word(start=start, end=end, value=value) for start, end, value in words]
        return Explanation(label=labels[best], runner_up=labels[second], words=found)

    @app.get("/health")
    async def health() -> dict[str, str]:
        """Whether the process answers."""
        return {"status": "ok"}

    @app.get("/ready", responses={503: {"description": "no model yet"}})
    async def ready() -> dict[str, str]:
        """Whether a model is loaded; `warning` says why a newer one is not."""
        current()
        return {"status": "ok"} | ({"warning": holder.error} if holder.error else {})

    @app.get("/version", responses={503: {"description": "no model yet"}})
    async def version() -> dict[str, str]:
        """The model that answers: version, run, commit, digest of its test data."""
        return current().source

    @app.get("/metrics", response_class=Response)
    async def prometheus() -> Response:
        """Metrics for Prometheus."""
        return Response(generate_latest(metrics.registry), media_type=CONTENT_TYPE_LATEST)

    @app.get("/", response_class=HTMLResponse, include_in_schema=False)
    async def page() -> HTMLResponse:
        policy = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'"
        return HTMLResponse(html, headers={"Content-Security-Policy": policy})

    return app


class Metrics:
    """Prometheus metrics of one service."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter("requests", "Requests by path and status.", ["path", "status"], registry=self.registry)
        self.seconds = Histogram(
            "request_seconds", "Seconds from request to answer.", ["path"], buckets=SECONDS, registry=self.registry
        )
        self.predictions = Counter("predictions", "Texts by predicted label.", ["label"], registry=self.registry)
        self.confidence = Histogram(
            "confidence", "Probability of the predicted label.", buckets=PROBABILITIES, registry=self.registry
        )

    def observe(self, labels: list[str], y_proba: np.ndarray) -> None:
        for label, probability in zip(y_proba.argmax(axis=1), y_proba.max(axis=1), strict=True):
            self.predictions.labels(labels[label]).inc()
            self.confidence.observe(float(probability))


class Refused(Exception):
    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status = status


class Guard:
    """ASGI middleware: the token, the size of a body, the time to send it, and the count of requests."""

    def __init__(self, app: Any, token: str | None, limits: Limits, metrics: Metrics) -> None:
        self.app, self.token, self.limits, self.metrics = app, token, limits, metrics

    async def __call__(self, scope: Message, receive: Receive, send: Callable[[Message], Awaitable[None]]) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        start, status = time.monotonic(), 500

        async def count_and_send(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            self.require_token(scope)
            body = await self.read(receive) if scope["method"] == "POST" else b""
            await self.app(scope, replay(body, receive), count_and_send)
        except Refused as refused:
            headers = {"WWW-Authenticate": "Bearer"} if refused.status == 401 else {}
            response = JSONResponse({"detail": str(refused)}, refused.status, headers | {"Connection": "close"})
            await response(scope, receive, count_and_send)
        finally:
            # The path of the route, as clients may ask for any other one.
            path = getattr(scope.get("route"), "path", "other")
            self.metrics.requests.labels(path, str(status)).inc()
            self.metrics.seconds.labels(path).observe(time.monotonic() - start)

    def require_token(self, scope: Message) -> None:
        if not self.token or scope["path"] in OPEN:
            return
        given = dict(scope["headers"]).get(b"authorization", b"")
        if not hmac.compare_digest(given, f"Bearer {self.token}".encode()):
            raise Refused(401, "send the header Authorization: Bearer with the service's token")

    async def read(self, receive: Receive) -> bytes:
        """The body of a request, within the limits."""
        body = bytearray()
        try:
            async with asyncio.timeout(self.limits.read_seconds):
                while True:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise Refused(400, "the connection ended before the body")
                    body += message.get("body", b"")
                    if len(body) > self.limits.max_bytes:
                        raise Refused(413, f"the body is larger than {self.limits.max_bytes:,} bytes")
                    if not message.get("more_body"):
                        return bytes(body)
        except TimeoutError:
            raise Refused(408, f"the body was not there after {self.limits.read_seconds:g} seconds") from None


def replay(body: bytes, receive: Receive) -> Receive:
    """A `receive` that gives the body first, and then goes on as the given one."""
    is_given = False

    async def give() -> Message:
        nonlocal is_given
        if is_given:
            return await receive()
        is_given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return give
