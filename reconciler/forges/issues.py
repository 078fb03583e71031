"""GitHub and GitLab as places for one issue that reports drift: which are ours and open, what is written.

Decides nothing, see `reports/issue.py`. For a scheduled job, so there is no pull or merge request here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from reconciler.core.model import Json
from reconciler.core.secret import Secret
from reconciler.errors import ConfigError
from reconciler.forges import (
    Http,
    Spot,
    first_line_of,
    github_graphql,
    github_pages,
    gitlab_pages,
    id_of,
    is_number,
    is_repository,
    object_from,
    odd_reply,
    odd_variable,
    prefix_of,
    token_from,
)

_VIEWER: Final = "query { viewer { login } }"


@dataclass(frozen=True, slots=True)
class Issue:
    """An open issue as the forge has it. `mine`: opened by the account we write with."""

    number: str
    title: str
    body: str
    mine: bool


class Tracker(Protocol):
    """The issues of one project."""

    name: str

    def fetch_issues(self, first_line: str) -> Sequence[Issue]:
        """Return every open issue that begins with *first_line*, from all pages, newest first."""
        ...

    def create(self, title: str, body: str) -> None: ...

    def edit(self, issue: Issue, title: str, body: str) -> None: ...

    def close(self, issue: Issue) -> None: ...


def find_project(environ: Mapping[str, str]) -> Spot:
    """Return the project that a CI job runs for, from the variables of GitHub Actions or GitLab CI."""
    if environ.get("GITHUB_REPOSITORY"):
        repository, run = environ["GITHUB_REPOSITORY"], environ.get("GITHUB_RUN_ID", "")
        if not is_repository(repository):
            raise odd_variable("GITHUB_REPOSITORY", "owner/name")
        server = environ.get("GITHUB_SERVER_URL", "https://github.com").rstrip("/")
        report = f"{server}/{repository}/actions/runs/{run}" if is_number(run) else None
        url = environ.get("GITHUB_API_URL", "https://api.github.com")
        return _spot("github", url, token_from(environ, "GITHUB_TOKEN"), repository, report)
    if environ.get("CI_API_V4_URL"):
        project = environ.get("CI_PROJECT_ID", "")
        if not is_number(project):
            raise odd_variable("CI_PROJECT_ID", "a number")
        token = token_from(environ, "RECONCILER_FORGE_TOKEN", "GITLAB_TOKEN")
        return _spot("gitlab", environ["CI_API_V4_URL"], token, project, environ.get("CI_JOB_URL"))
    raise ConfigError(
        "no project to open an issue in",
        where="environment",
        fix="run it in GitHub Actions or in GitLab CI",
        code="no-request",
    )


def _spot(kind: str, url: str, token: Secret, project: str, report: str | None) -> Spot:
    return Spot(kind, url, token, project, number=0, fork=False, files=None, report=report)


def make_tracker(http: Http, spot: Spot) -> Tracker:
    return GitHubIssues(http, spot) if spot.kind == "github" else GitLabIssues(http, spot)


class GitHubIssues:
    """Pull requests are issues, too, in GitHub's lists; they are left out."""

    name = "GitHub"

    def __init__(self, http: Http, spot: Spot) -> None:
        self._http = http
        self._issues = f"{prefix_of(spot)}/repos/{spot.project}/issues"

    def fetch_issues(self, first_line: str) -> Sequence[Issue]:
        found: list[tuple[str, str, str, str]] = []
        for item in github_pages(self._http, self._issues, {"state": "open", "sort": "created", "direction": "desc"}):
            body, user, title = item.get("body"), item.get("user"), item.get("title")
            if "pull_request" in item or not isinstance(body, str) or first_line_of(body) != first_line:
                continue
            login = user.get("login") if isinstance(user, dict) else None
            if not isinstance(login, str) or not isinstance(title, str):
                raise odd_reply("an issue has no title or user")
            found.append((_number_of(item, "number"), title, body, login))
        if not found:
            return ()
        viewer = github_graphql(self._http, _VIEWER, {}).get("viewer")
        me = viewer.get("login") if isinstance(viewer, dict) else None
        if not isinstance(me, str) or not me:
            raise odd_reply("GraphQL does not say who we are")
        return _newest_first(Issue(number, title, body, mine=login == me) for number, title, body, login in found)

    def create(self, title: str, body: str) -> None:
        self._http.send("POST", self._issues, {"title": title, "body": body})

    def edit(self, issue: Issue, title: str, body: str) -> None:
        self._http.send("PATCH", f"{self._issues}/{issue.number}", {"title": title, "body": body})

    def close(self, issue: Issue) -> None:
        body: Mapping[str, Json] = {"state": "closed", "state_reason": "completed"}
        self._http.send("PATCH", f"{self._issues}/{issue.number}", body)


class GitLabIssues:
    """An issue's text is its description there."""

    name = "GitLab"

    def __init__(self, http: Http, spot: Spot) -> None:
        self._http = http
        self._issues = f"/projects/{spot.project}/issues"

    def fetch_issues(self, first_line: str) -> Sequence[Issue]:
        found: list[tuple[str, str, str, Json]] = []
        for item in gitlab_pages(self._http, self._issues, {"state": "opened", "scope": "created_by_me"}):
            body, author, title = item.get("description"), item.get("author"), item.get("title")
            if not isinstance(body, str) or first_line_of(body) != first_line:
                continue
            if not isinstance(title, str):
                raise odd_reply("an issue has no title")
            found.append((_number_of(item, "iid"), title, body, author.get("id") if isinstance(author, dict) else None))
        if not found:
            return ()
        me = id_of(object_from(self._http.get("/user", {}).value))
        return _newest_first(
            Issue(number, title, body, mine=type(writer) is int and str(writer) == me)
            for number, title, body, writer in found
        )

    def create(self, title: str, body: str) -> None:
        self._http.send("POST", self._issues, {"title": title, "description": body})

    def edit(self, issue: Issue, title: str, body: str) -> None:
        self._http.send("PUT", f"{self._issues}/{issue.number}", {"title": title, "description": body})

    def close(self, issue: Issue) -> None:
        self._http.send("PUT", f"{self._issues}/{issue.number}", {"state_event": "close"})


def _number_of(item: Mapping[str, Json], key: str) -> str:
    """The number that people and addresses know an issue by."""
    value = item.get(key)
    if type(value) is not int or value < 1:
        raise odd_reply(f"expected a number as {key}")
    return str(value)


def _newest_first(issues: Iterable[Issue]) -> Sequence[Issue]:
    return sorted(issues, key=lambda issue: int(issue.number), reverse=True)
