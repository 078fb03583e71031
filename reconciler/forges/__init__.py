"""GitHub and GitLab as places for comments: where we are, who we are, what is there, what is written.

Speaks their documented REST APIs (and GraphQL for what GitHub has nowhere else) over whatever sends a request for it;
decides nothing, see `reports/comment.py`. Replies are as untrusted as a live policy API's.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from reconciler.core.model import Json
from reconciler.core.secret import Secret
from reconciler.errors import ConfigError, LiveError

PAGE_SIZE: Final = 50
MAX_PAGES: Final = 200
_NO_QUERY: Final[Mapping[str, str]] = {}
#: GitHub lists no more commits of a pull request than this.
_MOST_COMMITS: Final = 250

_REPOSITORY = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,99}/[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_PULL_REF = re.compile(r"refs/pull/([1-9][0-9]{0,9})/(?:merge|head)")
_NUMBER = re.compile(r"[1-9][0-9]{0,17}")
_NEXT = re.compile(r'<[^<>]*[?&]page=([1-9][0-9]{0,5})(?:&[^<>]*)?>;[^,]*\brel="next"')

_COMMENTS_QUERY = """
query($ids: [ID!]!) { viewer { login } nodes(ids: $ids) { ... on IssueComment { id isMinimized } } }
"""
_MINIMIZE = """
mutation($id: ID!) {
  minimizeComment(input: {subjectId: $id, classifier: OUTDATED}) { minimizedComment { isMinimized } }
}
"""


@dataclass(frozen=True, slots=True)
class Answer:
    """A reply that came whole: decoded JSON, header names in lower case."""

    value: Json
    headers: Mapping[str, str]


class Http(Protocol):
    """One origin, our token, JSON both ways. Every failure is a `LiveError`; nothing is sent twice."""

    def get(self, path: str, query: Mapping[str, str]) -> Answer: ...

    def send(self, method: str, path: str, body: Mapping[str, Json]) -> Answer: ...


@dataclass(frozen=True, slots=True)
class Comment:
    """A comment as the forge has it. `handle` is what the forge marks it as outdated by; `hidden`: it was minimised."""

    id: str
    handle: str
    body: str
    mine: bool
    hidden: bool = False


class Forge(Protocol):
    """One pull or merge request."""

    name: str

    def fetch_comments(self, first_line: str) -> Sequence[Comment]:
        """Return every comment that begins with *first_line*, from all pages, newest first."""
        ...

    def fetch_commits(self) -> frozenset[str] | None:
        """Return the commits of the request; None when the forge does not list them all."""
        ...

    def create(self, body: str) -> None: ...

    def edit(self, comment: Comment, body: str) -> None: ...

    def outdate(self, comment: Comment, body: str) -> None:
        """Mark a comment as past; *body* is what it says from now on, where the forge cannot fold it away."""
        ...


# ------------------------------------------------------------------------------------------------- where we are


@dataclass(frozen=True, slots=True)
class Spot:
    """The request that a CI job runs for. `fork`: its author may not learn the live state."""

    kind: str
    url: str
    token: Secret
    project: str
    number: int
    fork: bool
    files: str | None
    report: str | None


def find_spot(environ: Mapping[str, str], event: bytes | None) -> Spot:
    """Return where to comment, from the variables of GitHub Actions or GitLab CI and the event that started the job.

    When nothing says that the request comes from the same repository, it counts as a fork's.
    """
    if environ.get("GITHUB_REPOSITORY"):
        return _github_spot(environ, _event(event))
    if environ.get("CI_API_V4_URL"):
        return _gitlab_spot(environ)
    raise ConfigError(
        "no pull or merge request to comment on",
        where="environment",
        fix="run it in GitHub Actions on pull_request, or in a GitLab merge request pipeline",
        code="no-request",
    )


def _event(data: bytes | None) -> Mapping[str, Json]:
    try:
        value = json.loads(data) if data else {}
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise ConfigError(
            "the event is no JSON object",
            where="GITHUB_EVENT_PATH",
            fix="leave the variable as GitHub Actions sets it",
            code="no-request",
        )
    return value


def _github_spot(environ: Mapping[str, str], event: Mapping[str, Json]) -> Spot:
    repository = environ["GITHUB_REPOSITORY"]
    if not _REPOSITORY.fullmatch(repository):
        raise odd_variable("GITHUB_REPOSITORY", "owner/name")
    pull = event.get("pull_request")
    number = pull.get("number") if isinstance(pull, dict) else None
    if type(number) is not int or number < 1:
        ref = _PULL_REF.fullmatch(environ.get("GITHUB_REF", ""))
        number = int(ref[1]) if ref else 0
    if not number:
        raise ConfigError(
            "this job runs for no pull request",
            where="GITHUB_EVENT_PATH",
            fix="run `comment` in a workflow that starts on pull_request",
            code="no-request",
        )
    server = environ.get("GITHUB_SERVER_URL", "https://github.com").rstrip("/")
    run = environ.get("GITHUB_RUN_ID", "")
    return Spot(
        kind="github",
        url=environ.get("GITHUB_API_URL", "https://api.github.com"),
        token=token_from(environ, "GITHUB_TOKEN"),
        project=repository,
        number=number,
        fork=_name_of(pull, "head") != repository or _name_of(pull, "base") != repository,
        files=f"{server}/{repository}/blob",
        report=f"{server}/{repository}/actions/runs/{run}" if _NUMBER.fullmatch(run) else None,
    )


def _name_of(pull: Json, side: str) -> str | None:
    """The full name of the repository of one side; None for one that was deleted, or an odd event."""
    value: Json = pull
    for key in (side, "repo", "full_name"):
        value = value.get(key) if isinstance(value, dict) else None
    return value if isinstance(value, str) else None


def _gitlab_spot(environ: Mapping[str, str]) -> Spot:
    project = environ.get("CI_MERGE_REQUEST_PROJECT_ID") or environ.get("CI_PROJECT_ID", "")
    number = environ.get("CI_MERGE_REQUEST_IID", "")
    if not _NUMBER.fullmatch(project):
        raise odd_variable("CI_PROJECT_ID", "a number")
    if not _NUMBER.fullmatch(number):
        raise ConfigError(
            "this job runs for no merge request",
            where="CI_MERGE_REQUEST_IID",
            fix="run `comment` in a merge request pipeline",
            code="no-request",
        )
    site = environ.get("CI_MERGE_REQUEST_PROJECT_URL") or environ.get("CI_PROJECT_URL")
    return Spot(
        kind="gitlab",
        url=environ["CI_API_V4_URL"],
        token=token_from(environ, "RECONCILER_FORGE_TOKEN", "GITLAB_TOKEN"),
        project=project,
        number=int(number),
        fork=environ.get("CI_MERGE_REQUEST_SOURCE_PROJECT_ID") != project,
        files=f"{site}/-/blob" if site else None,
        report=environ.get("CI_JOB_URL"),
    )


def is_repository(text: str) -> bool:
    """Whether *text* is `owner/name` as GitHub spells it."""
    return _REPOSITORY.fullmatch(text) is not None


def is_number(text: str) -> bool:
    return _NUMBER.fullmatch(text) is not None


def token_from(environ: Mapping[str, str], *names: str) -> Secret:
    for name in names:
        if environ.get(name):
            return Secret(environ[name])
    raise ConfigError(
        "there is no token to comment with",
        where=" or ".join(names),
        fix=f"give the job {names[0]} with the right to comment on the request",
        code="no-token",
    )


def odd_variable(name: str, wanted: str) -> ConfigError:
    return ConfigError(
        f"is not {wanted}", where=name, fix="leave the variable as the CI system sets it", code="no-request"
    )


# ------------------------------------------------------------------------------------------------------ GitHub


def root_of(spot: Spot) -> str:
    """Return the address that all requests of a forge go below: GitHub's GraphQL stands beside its REST API."""
    url = spot.url.rstrip("/")
    return url.removesuffix("/v3") if spot.kind == "github" else url


def prefix_of(spot: Spot) -> str:
    """Return what stands before the paths of GitHub's REST API, below `root_of`."""
    return "/v3" if spot.url.rstrip("/").endswith("/v3") else ""


class GitHub:
    """A pull request. Comments of pull requests are those of the issue with the same number."""

    name = "GitHub"

    def __init__(self, http: Http, spot: Spot) -> None:
        self._http = http
        self._repository = f"{prefix_of(spot)}/repos/{spot.project}"
        self._number = spot.number

    def fetch_comments(self, first_line: str) -> Sequence[Comment]:
        """See `Forge`. Author and minimised state come by GraphQL, for the comments with the marker only."""
        found: list[tuple[str, str, str, str]] = []
        for item in github_pages(self._http, f"{self._repository}/issues/{self._number}/comments"):
            body, user = item.get("body"), item.get("user")
            login = user.get("login") if isinstance(user, dict) else None
            if isinstance(body, str) and first_line_of(body) == first_line:
                handle = item.get("node_id")
                if not isinstance(handle, str) or not isinstance(login, str):
                    raise odd_reply("a comment has no node_id or user")
                found.append((id_of(item), handle, body, login))
        if not found:
            return ()
        found = found[::-1][:100]  # newest first; GitHub answers for a hundred nodes at once
        viewer, hidden = self._ask([handle for _, handle, _, _ in found])
        return [
            Comment(number, handle, body, mine=login == viewer, hidden=handle in hidden)
            for number, handle, body, login in found
        ]

    def fetch_commits(self) -> frozenset[str] | None:
        commits = {
            text_of(item, "sha")
            for item in github_pages(self._http, f"{self._repository}/pulls/{self._number}/commits")
        }
        return frozenset(commits) if len(commits) < _MOST_COMMITS else None

    def create(self, body: str) -> None:
        self._http.send("POST", f"{self._repository}/issues/{self._number}/comments", {"body": body})

    def edit(self, comment: Comment, body: str) -> None:
        self._http.send("PATCH", f"{self._repository}/issues/comments/{comment.id}", {"body": body})

    def outdate(self, comment: Comment, body: str) -> None:
        """Minimise as OUTDATED; the text stays for whoever unfolds it."""
        github_graphql(self._http, _MINIMIZE, {"id": comment.handle})

    def _ask(self, handles: Sequence[str]) -> tuple[str, frozenset[str]]:
        """Return our own login, and which of the comments are minimised."""
        data = github_graphql(self._http, _COMMENTS_QUERY, {"ids": list(handles)})
        viewer, nodes = data.get("viewer"), data.get("nodes")
        login = viewer.get("login") if isinstance(viewer, dict) else None
        if not isinstance(login, str) or not login or not isinstance(nodes, list):
            raise odd_reply("GraphQL does not say who we are")
        hidden = {
            text_of(node, "id") for node in nodes if isinstance(node, dict) and node.get("isMinimized") is not False
        }
        return login, frozenset(hidden)


# ------------------------------------------------------------------------------------------------------ GitLab


class GitLab:
    """A merge request. A comment is the first note of a thread, because only threads can be resolved."""

    name = "GitLab"

    def __init__(self, http: Http, spot: Spot) -> None:
        self._http = http
        self._request = f"/projects/{spot.project}/merge_requests/{spot.number}"

    def fetch_comments(self, first_line: str) -> Sequence[Comment]:
        found: list[tuple[str, str, str, Json]] = []
        for thread in gitlab_pages(self._http, f"{self._request}/discussions"):
            notes = thread.get("notes")
            first = notes[0] if isinstance(notes, list) and notes else None
            if not isinstance(first, dict):
                continue
            body, author = first.get("body"), first.get("author")
            if isinstance(body, str) and first.get("system") is not True and first_line_of(body) == first_line:
                writer = author.get("id") if isinstance(author, dict) else None
                found.append((id_of(first), text_of(thread, "id"), body, writer))
        if not found:
            return ()
        me = id_of(object_from(self._http.get("/user", {}).value))
        newest_first = sorted(found, key=lambda each: int(each[0]), reverse=True)
        return [
            Comment(number, thread, body, mine=type(writer) is int and str(writer) == me)
            for number, thread, body, writer in newest_first
        ]

    def fetch_commits(self) -> frozenset[str] | None:
        return frozenset(text_of(item, "id") for item in gitlab_pages(self._http, f"{self._request}/commits"))

    def create(self, body: str) -> None:
        self._http.send("POST", f"{self._request}/discussions", {"body": body})

    def edit(self, comment: Comment, body: str) -> None:
        self._http.send("PUT", f"{self._request}/notes/{comment.id}", {"body": body})

    def outdate(self, comment: Comment, body: str) -> None:
        """Resolve the thread, then say so in the note: in this order a run that dies between is taken up again."""
        self._http.send("PUT", f"{self._request}/discussions/{comment.handle}", {"resolved": True})
        self.edit(comment, body)


def make_forge(http: Http, spot: Spot) -> Forge:
    return GitHub(http, spot) if spot.kind == "github" else GitLab(http, spot)


# ---------------------------------------------------------------------------------------------------- replies


def first_line_of(body: str) -> str:
    return body.split("\n", 1)[0].rstrip("\r")


def _objects(value: Json) -> list[dict[str, Json]]:
    if not isinstance(value, list):
        raise odd_reply("expected a list")
    return [object_from(item) for item in value]


def object_from(value: Json) -> dict[str, Json]:
    if not isinstance(value, dict):
        raise odd_reply("expected an object")
    return value


def id_of(item: Mapping[str, Json]) -> str:
    value = item.get("id")
    if type(value) is not int or value < 1:
        raise odd_reply("expected a number as id")
    return str(value)


def text_of(item: Mapping[str, Json], key: str) -> str:
    value = item.get(key)
    if not isinstance(value, str) or not value:
        raise odd_reply(f"expected a text as {key}")
    return value


def odd_reply(what: str) -> LiveError:
    return LiveError(
        f"the reply is not the forge's: {what}",
        where="forge",
        fix="check GITHUB_API_URL or CI_API_V4_URL; something else may be answering there",
        code="not-the-forge",
    )


# ------------------------------------------------------------------------------------------------------ pages


def github_pages(http: Http, path: str, query: Mapping[str, str] = _NO_QUERY) -> Iterator[Mapping[str, Json]]:
    """Yield the items of a list from all its pages, as the header `Link` says where they are."""
    page = 1
    for _ in range(MAX_PAGES):
        answer = http.get(path, {**query, "per_page": str(PAGE_SIZE), "page": str(page)})
        yield from _objects(answer.value)
        following = _NEXT.search(answer.headers.get("link", ""))
        if following is None:
            return
        if int(following[1]) <= page:
            raise odd_reply("the pages of a list go backwards")
        page = int(following[1])
    raise odd_reply(f"a list has more than {MAX_PAGES} pages")


def gitlab_pages(http: Http, path: str, query: Mapping[str, str] = _NO_QUERY) -> Iterator[Mapping[str, Json]]:
    """Yield the items of a list from all its pages, as the header `X-Next-Page` says where they are."""
    page = 1
    for _ in range(MAX_PAGES):
        answer = http.get(path, {**query, "per_page": str(PAGE_SIZE), "page": str(page)})
        yield from _objects(answer.value)
        following = answer.headers.get("x-next-page", "").strip()
        if not following:
            return
        if not _NUMBER.fullmatch(following) or int(following) <= page:
            raise odd_reply("the pages of a list go backwards")
        page = int(following)
    raise odd_reply(f"a list has more than {MAX_PAGES} pages")


def github_graphql(http: Http, query: str, variables: Mapping[str, Json]) -> Mapping[str, Json]:
    """Ask GitHub what its REST API has nowhere, and return the data."""
    answer = http.send("POST", "/graphql", {"query": query, "variables": dict(variables)})
    value = answer.value
    data = value.get("data") if isinstance(value, dict) else None
    if not isinstance(value, dict) or value.get("errors") or not isinstance(data, dict):
        raise LiveError(
            "GitHub does not answer the GraphQL query",
            where="POST /graphql",
            fix="give the job `permissions: {pull-requests: write}`, or `issues: write` for an issue",
            code="refused",
        )
    return data
