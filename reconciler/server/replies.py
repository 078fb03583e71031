"""Replies and errors in the shape each dialect's documents show. Every reply of the server is made here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from fastapi.responses import JSONResponse, StreamingResponse

_ALWAYS = {"X-Content-Type-Options": "nosniff", "Cache-Control": "no-store"}


class ApiError(Exception):
    """A request that is refused: status, sentence, and headers that belong to it. Nothing was changed."""

    def __init__(self, status: int, sentence: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(sentence)
        self.status, self.sentence, self.headers = status, sentence, dict(headers or {})


def reply(content: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> JSONResponse:
    """JSON with its length, and told not to be taken for anything else."""
    return JSONResponse(content, status, {**_ALWAYS, **(headers or {})})


def list_reply(content: Any, total: int, headers: Mapping[str, str] | None = None) -> JSONResponse:
    """A list, or a part of it; `X-Total-Count` lets the reader prove that it is whole (design.md 6)."""
    return reply(content, headers={"X-Total-Count": str(total), **(headers or {})})


def streamed(parts: Iterator[bytes], media_type: str, headers: Mapping[str, str]) -> StreamingResponse:
    """A reply that is made while it is sent. One that fails half-way ends without its end, which every client sees."""
    return StreamingResponse(parts, 200, {**_ALWAYS, **headers}, media_type)


def error_reply(path: str, status: int, sentence: str, headers: Mapping[str, str] | None = None) -> JSONResponse:
    """An error in the shape of the API that *path* belongs to: `error` for OpenA2A, `detail` for everything else."""
    key = "error" if path == "/v1" or path.startswith("/v1/") else "detail"
    return reply({key: sentence}, status, headers)
