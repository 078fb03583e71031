"""The issues of GitHub and GitLab on a free port of this machine, as far as their REST documentation goes.

`with running_tracker(make_github_issues(Board("github-actions[bot]"))) as url:`. State is a plain list.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse

from reconciler.server.main import running

TOKEN = "forge-token-0123456789"


@dataclass
class Ticket:
    """An issue. `is_pull`: GitHub lists pull requests among its issues."""

    number: int
    author: str
    title: str
    body: str
    is_open: bool = True
    is_pull: bool = False


@dataclass
class Board:
    """One project's issues, oldest first, and everything that was written. Authors of GitLab end in `-<id>`."""

    me: str
    tickets: list[Ticket] = field(default_factory=list)
    writes: list[str] = field(default_factory=list)
    fails: list[int] = field(default_factory=list)  # statuses for the next writes, instead of an answer

    def add(self, author: str, title: str, body: str, **more: Any) -> Ticket:
        ticket = Ticket(100 + len(self.tickets), author, title, body, **more)
        self.tickets.append(ticket)
        return ticket

    @property
    def open(self) -> list[Ticket]:
        return [ticket for ticket in self.tickets if ticket.is_open]

    def change(self, number: int, given: dict[str, Any], body_key: str) -> Ticket:
        """Write what *given* says, and note it."""
        ticket = next(each for each in self.tickets if each.number == number)
        ticket.title = given.get("title", ticket.title)
        ticket.body = given.get(body_key, ticket.body)
        closes = given.get("state") == "closed" or given.get("state_event") == "close"
        ticket.is_open = ticket.is_open and not closes
        self.writes.append(f"{'close' if closes else 'edit'} {number}")
        return ticket


@contextmanager
def running_tracker(app: FastAPI) -> Iterator[str]:
    with running(app) as url:
        yield url


def _guarded(board: Board) -> FastAPI:
    """Every request needs the token; a write may be made to fail before it does anything."""
    app = FastAPI()

    @app.middleware("http")
    async def guard(request: Request, call_next: Any) -> Any:
        if request.headers.get("authorization") != f"Bearer {TOKEN}":
            return JSONResponse({"message": "Bad credentials"}, status_code=401)
        if request.method != "GET" and board.fails and not request.url.path.endswith("/graphql"):
            return JSONResponse({"message": "no"}, status_code=board.fails.pop(0))
        return await call_next(request)

    return app


def _page(request: Request, tickets: list[Ticket]) -> tuple[list[Ticket], int, bool]:
    size, page = int(request.query_params.get("per_page", 30)), int(request.query_params.get("page", 1))
    newest_first = sorted(tickets, key=lambda each: each.number, reverse=True)
    return newest_first[(page - 1) * size : page * size], page, page * size < len(tickets)


def make_github_issues(board: Board, *, repository: str = "acme/policies") -> FastAPI:
    app = _guarded(board)
    issues = f"/repos/{repository}/issues"

    def wire(ticket: Ticket) -> dict[str, object]:
        value: dict[str, object] = {
            "id": 9_000_000 + ticket.number,
            "number": ticket.number,
            "title": ticket.title,
            "body": ticket.body or None,
            "user": {"login": ticket.author},
            "state": "open" if ticket.is_open else "closed",
        }
        return {**value, "pull_request": {"url": "…"}} if ticket.is_pull else value

    @app.get(issues)
    def listed(request: Request) -> JSONResponse:
        state = request.query_params.get("state", "open")
        shown, page, more = _page(request, board.open if state == "open" else board.tickets)
        link = f'<{str(request.url).split("?")[0]}?state={state}&page={page + 1}>; rel="next"'
        return JSONResponse([wire(each) for each in shown], headers={"Link": link} if more else {})

    @app.post(issues)
    async def create(request: Request) -> JSONResponse:
        given = await request.json()
        ticket = board.add(board.me, given["title"], given["body"])
        board.writes.append(f"open {ticket.number}")
        return JSONResponse(wire(ticket), status_code=201)

    @app.patch(issues + "/{number}")
    async def change(number: int, request: Request) -> JSONResponse:
        return JSONResponse(wire(board.change(number, await request.json(), "body")))

    @app.post("/graphql")
    def graphql() -> JSONResponse:
        return JSONResponse({"data": {"viewer": {"login": board.me}}})

    return app


def make_gitlab_issues(board: Board, *, project: int = 7) -> FastAPI:
    app = _guarded(board)
    issues = f"/api/v4/projects/{project}/issues"

    def wire(ticket: Ticket) -> dict[str, object]:
        return {
            "id": 9_000_000 + ticket.number,
            "iid": ticket.number,
            "title": ticket.title,
            "description": ticket.body or None,
            "author": {"id": int(ticket.author.rpartition("-")[2]), "username": ticket.author},
            "state": "opened" if ticket.is_open else "closed",
        }

    @app.get("/api/v4/user")
    def user() -> JSONResponse:
        return JSONResponse({"id": int(board.me.rpartition("-")[2]), "username": board.me})

    @app.get(issues)
    def listed(request: Request) -> JSONResponse:
        assert request.query_params["scope"] == "created_by_me"
        assert request.query_params["state"] == "opened"
        shown, page, more = _page(request, board.open)
        return JSONResponse([wire(each) for each in shown], headers={"X-Next-Page": str(page + 1) if more else ""})

    @app.post(issues)
    async def create(request: Request) -> JSONResponse:
        given = await request.json()
        ticket = board.add(board.me, given["title"], given["description"])
        board.writes.append(f"open {ticket.number}")
        return JSONResponse(wire(ticket), status_code=201)

    @app.put(issues + "/{number}")
    async def change(number: int, request: Request) -> JSONResponse:
        return JSONResponse(wire(board.change(number, await request.json(), "description")))

    return app
