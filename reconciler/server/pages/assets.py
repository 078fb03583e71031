"""The files that the pages load, all from here: read once, named by their content, and sent with an ETag.

Only what lies in `static/` exists, so no path leads out of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from importlib import resources
from importlib.resources.abc import Traversable
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

PREFIX: Final = "/static/"
_KINDS: Final = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
}
_FOREVER: Final = "public, max-age=31536000, immutable"


@dataclass(frozen=True, slots=True)
class Asset:
    """One file with its media type and the first 16 digits of its sha256."""

    content: bytes
    kind: str
    digest: str


@cache
def assets() -> Mapping[str, Asset]:
    """Every file of `static/` that browsers load, by its path below it."""
    return dict(_read(resources.files("reconciler.server.pages").joinpath("static"), ""))


def asset_url(name: str) -> str:
    """The address of a file, with its content's digest, so that it may be kept for ever."""
    return f"{PREFIX}{name}?v={assets()[name].digest}"


def asset_reply(request: Request, name: str) -> Response | None:
    """The file, or 304 when the browser has it; None when there is no such file.

    Under the address of `asset_url` it is kept for ever; under any other a browser asks each time.
    """
    asset = assets().get(name)
    if asset is None:
        return None
    tag = f'"{asset.digest}"'
    headers = {
        "ETag": tag,
        "Cache-Control": _FOREVER if request.query_params.get("v") == asset.digest else "no-cache",
        "X-Content-Type-Options": "nosniff",
        "Cross-Origin-Resource-Policy": "same-origin",
    }
    known = [each.strip().removeprefix("W/") for each in request.headers.get("if-none-match", "").split(",")]
    if tag in known or "*" in known:
        return Response(status_code=304, headers=headers)
    return Response(asset.content, headers={**headers, "Content-Type": asset.kind})


def _read(folder: Traversable, prefix: str) -> list[tuple[str, Asset]]:
    found = []
    for entry in folder.iterdir():
        name = prefix + entry.name
        if entry.is_dir():
            found += _read(entry, f"{name}/")
        elif (kind := _KINDS.get("." + entry.name.rpartition(".")[2])) is not None:
            content = entry.read_bytes()
            found.append((name, Asset(content, kind, sha256(content).hexdigest()[:16])))
    return found
