"""`drift --issue`: one issue, found by marker and author, edited, closed when live and git agree; on both forges."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from reconciler.core.model import Action, Change, Origin, Risk
from reconciler.errors import ConfigError, LiveError
from reconciler.forges import Answer
from reconciler.forges.issues import GitHubIssues, GitLabIssues, Issue, find_project
from reconciler.reports.issue import BUDGET, Act, Decision, Text, decide, make_issue, marker
from tests.support.people import call_neosc
from tests.support.plans import change, field, plan
from tests.support.program import Ended, Program, config_text, neosc_defaults, neosc_target, opena2a_target, program_in
from tests.support.repos import make_repo
from tests.support.servers import RunningServer, reference_server
from tests.support.trackers import TOKEN, Board, make_github_issues, make_gitlab_issues, running_tracker

MFA = "pol-mfa-required"
MARKER = "<!-- reconciler:drift targets=neosc -->"
NOW = datetime(2026, 11, 20, 9, 14, 7, tzinfo=UTC)


# ----------------------------------------------------------------------------------------------- decisions


def edit(key: str = "limit", value: int = 5000, risk: Risk = Risk.TIGHTENS) -> Change:
    fields = field("/conditions/limit", value, 1000, risk, Origin.DRIFT)
    return change(key, Action.UPDATE, risk, fields, origin=Origin.DRIFT)


def issue_of(*changes: Change, now: datetime = NOW, unread: tuple[str, ...] = (), run: int = 1) -> Text:
    report = f"https://ci.example/runs/{run}"
    return make_issue([(plan(*changes), changes)], targets=["prod", *unread], unread=unread, now=now, report=report)


def there(text: Text, number: str = "1", *, mine: bool = True) -> Issue:
    return Issue(number, text.title, text.body, mine)


def test_there_is_one_issue_for_each_set_of_targets() -> None:
    assert marker(["b", "a"]) == marker(["a", "b"]) == "<!-- reconciler:drift targets=a,b -->"
    assert issue_of(edit()).body.startswith("<!-- reconciler:drift targets=prod -->\n")


def test_it_says_who_when_and_both_values() -> None:
    text = issue_of(edit())

    assert text.title == "Drift: 1 live edit outside git on prod"
    for words in ("admin&#64;example&#46;com", "log-4821", "5000", "1000", "2026-11-20 (UTC)"):
        assert words in text.body


def test_another_run_on_the_same_day_is_no_news_and_the_next_day_is() -> None:
    first = issue_of(edit())

    same_day = decide([there(first)], issue_of(edit(), now=NOW + timedelta(hours=3), run=2), sure=True)
    next_day = decide([there(first)], issue_of(edit(), now=NOW + timedelta(days=1)), sure=True)
    as_windows = decide([there(replace(first, body=first.body.replace("\n", "\r\n")))], first, sure=True)

    assert same_day.act is as_windows.act is Act.NOTHING
    assert next_day == Decision(Act.EDIT, there(first))


def test_another_edit_is_an_edit_of_the_issue() -> None:
    old = there(issue_of(edit()))

    assert decide([old], issue_of(edit(), edit("mfa")), sure=True) == Decision(Act.EDIT, old)


def test_a_strangers_issue_with_our_marker_is_not_ours() -> None:
    stranger = there(issue_of(edit()), mine=False)

    assert decide([stranger], issue_of(edit()), sure=True) == Decision(Act.OPEN)
    assert decide([stranger], None, sure=True) == Decision(Act.NOTHING)


def test_only_the_newest_of_ours_stays_open() -> None:
    newest, older = there(issue_of(edit()), "9"), there(issue_of(edit("mfa")), "5")

    assert decide([newest, older], issue_of(edit()), sure=True) == Decision(Act.NOTHING, newest, (older,))
    assert decide([newest, older], None, sure=True) == Decision(Act.CLOSE, None, (newest, older))


def test_nothing_is_closed_while_a_target_cannot_be_read() -> None:
    assert decide([there(issue_of(edit()))], None, sure=False) == Decision(Act.NOTHING)
    assert "Not read this time: <code>staging</code>" in issue_of(edit(), unread=("staging",)).body


def test_a_thousand_edits_fit_with_what_weakens_first_and_the_rest_counted() -> None:
    harmless = [edit(f"policy-{number:04}") for number in range(1000)]

    text = issue_of(*harmless, edit("zzz-weaker", risk=Risk.WEAKENS))

    assert len(text.body.encode()) <= BUDGET
    assert "zzz-weaker" in text.body
    shown = text.body.count("| UPDATE ")
    assert f"**{1001 - shown} more edits did not fit here**" in text.body


# ------------------------------------------------------------------------------------------- where we are


@pytest.mark.parametrize(
    ("environ", "says"),
    [
        ({}, "no project"),
        ({"GITHUB_REPOSITORY": "acme", "GITHUB_TOKEN": "t"}, "is not owner/name"),
        ({"GITHUB_REPOSITORY": "acme/policies"}, "no token"),
        ({"CI_API_V4_URL": "https://gitlab.example/api/v4", "GITLAB_TOKEN": "t"}, "is not a number"),
        ({"CI_API_V4_URL": "https://gitlab.example/api/v4", "CI_PROJECT_ID": "7"}, "no token"),
    ],
)
def test_without_a_project_there_is_no_issue(environ: Mapping[str, str], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        find_project(environ)


class OddHttp:
    """A forge that answers the same to everything."""

    def __init__(self, value: object) -> None:
        self.value = value

    def get(self, path: str, query: Mapping[str, str]) -> Answer:
        return Answer(self.value, {})  # type: ignore[arg-type]

    send = get  # type: ignore[assignment]


SPOT = find_project({"GITHUB_REPOSITORY": "acme/policies", "GITHUB_TOKEN": "t"})
GOOD = {"number": 1, "iid": 1, "title": "t", "body": MARKER, "description": MARKER, "user": {"login": "a"}}


@pytest.mark.parametrize("value", [None, {}, [1], [{**GOOD, "number": "../1", "iid": "../1"}], [{**GOOD, "title": 1}]])
def test_a_reply_that_is_not_the_forges_is_an_error(value: object) -> None:
    for tracker in (GitHubIssues(OddHttp(value), SPOT), GitLabIssues(OddHttp(value), SPOT)):
        with pytest.raises(LiveError, match="not the forge's"):
            tracker.fetch_issues(MARKER)


# ---------------------------------------------------------------------------------------------- end to end


@dataclass(frozen=True)
class Job:
    """A scheduled job: the program in a repository, the live system it looks at, and its forge."""

    program: Program
    server: RunningServer
    board: Board
    environ: Mapping[str, str]

    def drift(self, *arguments: str) -> Ended:
        return self.program.run("drift", "-t", "neosc", "--issue", *arguments, env=self.environ)

    def flip(self) -> None:
        call_neosc(self.server, "PATCH", f"/{MFA}", {})


@pytest.fixture(scope="module")
def server() -> Iterator[RunningServer]:
    with reference_server() as running:
        yield running


@pytest.fixture(params=["github", "gitlab"])
def job(request: pytest.FixtureRequest, tmp_path: Path, server: RunningServer) -> Iterator[Job]:
    config = config_text(neosc=neosc_target(server.neosc_url), opena2a=opena2a_target(server.opena2a_url))
    program = program_in(make_repo(tmp_path, {"reconciler.yaml": config, **neosc_defaults()}), token=server.token)
    program.ok("apply", "-t", "neosc", "--yes")
    board = Board("github-actions[bot]" if request.param == "github" else "bot-3")
    app = make_github_issues(board) if request.param == "github" else make_gitlab_issues(board)
    with running_tracker(app) as url:
        github = {"GITHUB_REPOSITORY": "acme/policies", "GITHUB_API_URL": url, "GITHUB_TOKEN": TOKEN}
        gitlab = {"CI_API_V4_URL": f"{url}/api/v4", "CI_PROJECT_ID": "7", "GITLAB_TOKEN": TOKEN}
        yield Job(program, server, board, github if request.param == "github" else gitlab)
    program.ok("apply", "-t", "neosc", "--yes")


def test_an_issue_is_opened_left_alone_and_closed(job: Job) -> None:
    clean = job.drift()
    job.flip()
    first = job.drift()
    [opened] = job.board.open
    second = job.drift()
    job.flip()
    third = job.drift()

    assert (clean.code, first.code, second.code, third.code) == (0, 2, 2, 0)
    assert opened.title == "Drift: 1 live edit outside git on neosc"
    assert opened.body.startswith(f"{MARKER}\n")
    assert "admin&#64;example&#46;com" in opened.body
    assert job.board.writes == [f"open {opened.number}", f"close {opened.number}"]
    assert "issue: opened" in first.err
    assert "issue: nothing to write" in second.err
    assert "1 closed" in third.err


def test_it_is_found_behind_other_peoples_issues_on_later_pages(job: Job) -> None:
    job.flip()
    job.drift()
    [ours] = job.board.open
    for number in range(120):
        job.board.add("someone-9", f"Issue {number}", "" if number % 2 else f"{MARKER}\n\npasted", is_pull=number == 7)
    ours.body = ours.body.replace(MFA, "pol-other")

    job.drift()
    job.flip()

    assert job.board.writes == [f"open {ours.number}", f"edit {ours.number}"]
    assert MFA in ours.body


def test_what_was_found_is_printed_when_the_forge_fails(job: Job) -> None:
    job.flip()
    job.board.fails = [403]

    ended = job.drift("--json")
    job.flip()

    assert ended.code == 1
    assert [each["key"] for each in ended.json()["changes"]] == [MFA]
    assert "403" in ended.err
    assert TOKEN not in ended.out + ended.err
    assert job.board.open == []
