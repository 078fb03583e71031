"""GitHub and GitLab on a free port of this machine, as far as their REST documentation goes for comments.

`with running_forge(make_github(...)) as url:`. State is in plain lists, so that a test arranges and asserts directly;
`writes` are the mutating requests that were answered with success.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse

from reconciler.server.main import running

TOKEN = "forge-token-0123456789"


@dataclass
class Entry:
    """A comment of an issue, or the first note of a thread."""

    id: int
    author: str
    body: str
    past: bool = False  # minimised, resolved

    @property
    def node(self) -> str:
        return f"IC_node{self.id}"


@dataclass
class Place:
    """One request with its comments, oldest first, and everything that was written to it."""

    me: str
    comments: list[Entry] = field(default_factory=list)
    commits: list[str] = field(default_factory=list)
    writes: list[str] = field(default_factory=list)
    reads: list[str] = field(default_factory=list)
    fails: list[int] = field(default_factory=list)  # statuses for the next writes, instead of an answer
    page_limit: int = 100

    def add(self, author: str, body: str) -> Entry:
        entry = Entry(1000 + len(self.comments), author, body)
        self.comments.append(entry)
        return entry

    def find(self, number: int) -> Entry:
        return next(entry for entry in self.comments if entry.id == number)


@contextmanager
def running_forge(app: FastAPI) -> Iterator[str]:
    with running(app) as url:
        yield url


def _guarded(app: FastAPI, place: Place, unauthorized: dict[str, str]) -> None:
    """Every request needs the token; a write may be made to fail before it does anything."""

    @app.middleware("http")
    async def guard(request: Request, call_next: Any) -> Any:
        if request.headers.get("authorization") != f"Bearer {TOKEN}":
            return JSONResponse(unauthorized, status_code=401)
        if request.method != "GET" and place.fails and not request.url.path.endswith("/graphql"):
            status = place.fails.pop(0)
            return JSONResponse({"message": "no"}, status_code=status)
        if request.method == "GET":
            place.reads.append(f"{request.url.path}?{request.url.query}")
        return await call_next(request)


def _page(request: Request, place: Place, items: list[Any], default: int) -> tuple[list[Any], int, bool]:
    size = min(int(request.query_params.get("per_page", default)), place.page_limit)
    page = int(request.query_params.get("page", 1))
    start = (page - 1) * size
    return items[start : start + size], page, start + size < len(items)


def make_github(place: Place, *, repository: str = "acme/policies", number: int = 42, prefix: str = "") -> FastAPI:
    """The REST API at *prefix* (`/api/v3` for an own server) and GraphQL beside it."""
    app = FastAPI()
    _guarded(app, place, {"message": "Bad credentials"})
    repo = f"{prefix}/repos/{repository}"

    def wire(entry: Entry) -> dict[str, object]:
        return {"id": entry.id, "node_id": entry.node, "body": entry.body, "user": {"login": entry.author, "id": 1}}

    def listed(request: Request, items: list[Any]) -> JSONResponse:
        shown, page, more = _page(request, place, items, 30)
        base = f"{str(request.url).split('?')[0]}?per_page={request.query_params.get('per_page', 30)}"
        links = [f'<{base}&page={page - 1}>; rel="prev"'] if page > 1 else []
        links += [f'<{base}&page={page + 1}>; rel="next"', f'<{base}&page=99>; rel="last"'] if more else []
        return JSONResponse(shown, headers={"Link": ", ".join(links)} if links else {})

    @app.get(f"{repo}/issues/{number}/comments")
    def list_comments(request: Request) -> JSONResponse:
        return listed(request, [wire(entry) for entry in place.comments])

    @app.get(f"{repo}/pulls/{number}/commits")
    def list_commits(request: Request) -> JSONResponse:
        return listed(request, [{"sha": sha} for sha in place.commits[:250]])

    @app.post(f"{repo}/issues/{number}/comments")
    async def create(request: Request) -> JSONResponse:
        entry = place.add(place.me, (await request.json())["body"])
        place.writes.append(f"create {entry.id}")
        return JSONResponse(wire(entry), status_code=201)

    @app.patch(repo + "/issues/comments/{comment}")
    async def edit(comment: int, request: Request) -> JSONResponse:
        entry = place.find(comment)
        entry.body = (await request.json())["body"]
        place.writes.append(f"edit {comment}")
        return JSONResponse(wire(entry))

    @app.post(prefix.removesuffix("/v3") + "/graphql")
    async def graphql(request: Request) -> JSONResponse:
        asked = json.loads(await request.body())
        variables = asked["variables"]
        by_node = {entry.node: entry for entry in place.comments}
        if "minimizeComment" in asked["query"]:
            assert "classifier: OUTDATED" in asked["query"]
            by_node[variables["id"]].past = True
            place.writes.append(f"minimise {by_node[variables['id']].id}")
            return JSONResponse({"data": {"minimizeComment": {"minimizedComment": {"isMinimized": True}}}})
        nodes = [{"id": node, "isMinimized": by_node[node].past} for node in variables["ids"]]
        return JSONResponse({"data": {"viewer": {"login": place.me}, "nodes": nodes}})

    return app


def make_gitlab(place: Place, *, project: int = 7, number: int = 42) -> FastAPI:
    """Discussions of a merge request below `/api/v4`; authors are known by the number in their name (`user-3`)."""
    app = FastAPI()
    _guarded(app, place, {"message": "401 Unauthorized"})
    base = f"/api/v4/projects/{project}/merge_requests/{number}"

    def wire(entry: Entry) -> dict[str, object]:
        note = {
            "id": entry.id,
            "body": entry.body,
            "author": {"id": int(entry.author.rpartition("-")[2]), "username": entry.author},
            "system": False,
            "resolvable": True,
            "resolved": entry.past,
        }
        return {"id": f"d{entry.id:039}", "individual_note": False, "notes": [note]}

    def listed(request: Request, items: list[Any]) -> JSONResponse:
        shown, page, more = _page(request, place, items, 20)
        return JSONResponse(shown, headers={"X-Next-Page": str(page + 1) if more else "", "X-Page": str(page)})

    @app.get("/api/v4/user")
    def user() -> JSONResponse:
        return JSONResponse({"id": int(place.me.rpartition("-")[2]), "username": place.me})

    @app.get(f"{base}/discussions")
    def discussions(request: Request) -> JSONResponse:
        return listed(request, [wire(entry) for entry in place.comments])

    @app.get(f"{base}/commits")
    def commits(request: Request) -> JSONResponse:
        return listed(request, [{"id": sha} for sha in place.commits])

    @app.post(f"{base}/discussions")
    async def create(request: Request) -> JSONResponse:
        entry = place.add(place.me, (await request.json())["body"])
        place.writes.append(f"create {entry.id}")
        return JSONResponse(wire(entry), status_code=201)

    @app.put(base + "/notes/{note}")
    async def edit(note: int, request: Request) -> JSONResponse:
        entry = place.find(note)
        entry.body = (await request.json())["body"]
        place.writes.append(f"edit {note}")
        return JSONResponse({"id": note, "body": entry.body})

    @app.put(base + "/discussions/{discussion}")
    async def resolve(discussion: str, request: Request) -> JSONResponse:
        entry = place.find(int(discussion.lstrip("d")))
        entry.past = bool((await request.json())["resolved"])
        place.writes.append(f"resolve {entry.id}")
        return JSONResponse(wire(entry))

    return app
