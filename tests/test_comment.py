"""The command `comment` against stand-ins of GitHub and GitLab: one comment, edited, and a new one when risk rises."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from reconciler.cli.app import State
from reconciler.cli.comment import comment_command
from reconciler.cli.output import to_json
from reconciler.core.model import Action, Change, CommitInfo, Origin, Plan, Risk
from reconciler.errors import ConfigError, ExitCode, LiveError, UnreachableError
from reconciler.forges import find_spot
from reconciler.reports.comment import MOST_PLANS, Act, decide, make_comment, marker, outdated, rises, weaker_tokens
from reconciler.reports.markdown_parts import Setting
from reconciler.reports.plan_json import plan_to_json, plans_to_json
from tests.support.forges import TOKEN, Entry, Place, make_github, make_gitlab, running_forge
from tests.support.plans import HEAD, OLDER, change, field, plan, sample_plan

MARKER = "<!-- reconciler:plan target=prod -->"


def limit(value: int, risk: Risk = Risk.WEAKENS, key: str = "limit") -> Change:
    return change(key, Action.UPDATE, risk, field("/conditions/limit", 1000, value, risk))


SAFER = plan(limit(500, Risk.TIGHTENS))
WEAKER = plan(limit(5000))
WEAKEST = plan(limit(5000), change("mfa", Action.DELETE, Risk.WEAKENS, field("/enabled", True)))


@dataclass
class Job:
    """A CI job on one request: its environment, its forge, and the command to run in it."""

    place: Place
    folder: Path
    environ: dict[str, str]
    monkeypatch: pytest.MonkeyPatch

    def comment(self, *plans: Plan) -> int:
        value = plan_to_json(plans[0]) if len(plans) == 1 else plans_to_json(plans)
        path = self.folder / "plan.json"
        path.write_text(to_json(value))
        with self.monkeypatch.context() as patch:
            for name, text in self.environ.items():
                patch.setenv(name, text)
            return int(comment_command.main([str(path)], standalone_mode=False, obj=State()))

    def event(self, head: str | None = "acme/policies", base: str = "acme/policies") -> None:
        """Write the event of GitHub Actions: a pull request from *head* (None: deleted) to *base*."""
        repo = None if head is None else {"full_name": head}
        pull = {"number": 42, "head": {"repo": repo}, "base": {"repo": {"full_name": base}}}
        (self.folder / "event.json").write_text(json.dumps({"pull_request": pull}))

    @property
    def present(self) -> Entry:
        """The one comment of ours that is not past."""
        (found,) = [e for e in self.place.comments if e.author == self.place.me and not e.past]
        return found


def forget_ci(monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    for name in list(os.environ):
        if name.startswith(("GITHUB_", "CI_", "GITLAB_", "RECONCILER_")):
            monkeypatch.delenv(name)


@pytest.fixture
def github(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Job]:
    forget_ci(monkeypatch)
    place = Place(me="github-actions[bot]", commits=[HEAD])
    with running_forge(make_github(place)) as url:
        environ = {
            "GITHUB_REPOSITORY": "acme/policies",
            "GITHUB_API_URL": url,
            "GITHUB_SERVER_URL": "https://github.example",
            "GITHUB_RUN_ID": "123",
            "GITHUB_TOKEN": TOKEN,
            "GITHUB_EVENT_PATH": str(tmp_path / "event.json"),
            "GITHUB_STEP_SUMMARY": str(tmp_path / "summary.md"),
        }
        job = Job(place, tmp_path, environ, monkeypatch)
        job.event()
        yield job


@pytest.fixture
def gitlab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Job]:
    forget_ci(monkeypatch)
    place = Place(me="user-3", commits=[HEAD])
    with running_forge(make_gitlab(place)) as url:
        environ = {
            "CI_API_V4_URL": f"{url}/api/v4",
            "CI_PROJECT_ID": "7",
            "CI_PROJECT_URL": "https://gitlab.example/acme/policies",
            "CI_MERGE_REQUEST_IID": "42",
            "CI_MERGE_REQUEST_SOURCE_PROJECT_ID": "7",
            "CI_JOB_URL": "https://gitlab.example/acme/policies/-/jobs/9",
            "RECONCILER_FORGE_TOKEN": TOKEN,
        }
        yield Job(place, tmp_path, environ, monkeypatch)


@pytest.fixture(params=["github", "gitlab"])
def job(request: pytest.FixtureRequest) -> Job:
    found = request.getfixturevalue(request.param)
    assert isinstance(found, Job)
    return found


# --------------------------------------------------------------------------------------------- on both forges


def test_the_first_plan_is_posted_with_marker_and_data(job: Job, capsys: pytest.CaptureFixture[str]) -> None:
    code = job.comment(WEAKER)

    lines = job.present.body.splitlines()
    assert code == ExitCode.DONE
    assert lines[0] == MARKER
    assert lines[1].startswith(f"<!-- reconciler:data v=1 plan={WEAKER.fingerprint[7:19]} head={HEAD} weaken=")
    assert "1 change weakens protection" in job.present.body
    assert capsys.readouterr().out == "Comment for prod: posted\n"


def test_the_same_plan_again_writes_nothing(job: Job) -> None:
    job.comment(WEAKER)
    before = list(job.place.writes)

    job.comment(replace(WEAKER, live=replace(WEAKER.live, read_at="2026-11-20T11:00:00Z")))

    assert job.place.writes == before


def test_equal_or_lower_risk_edits_the_comment_in_place(job: Job) -> None:
    job.comment(WEAKER)
    number = job.present.id

    job.comment(SAFER)

    assert job.present.id == number
    assert "none weakens protection" in job.present.body
    assert job.place.writes[-1] == f"edit {number}"


def test_a_clean_plan_shrinks_the_comment_to_one_line(job: Job) -> None:
    job.comment(WEAKER)

    job.comment(plan())

    assert len(job.place.comments) == 1
    text, _, hidden = job.present.body.partition("\n\n<!-- reconciler:plans ")
    assert text.splitlines()[3:] == ["**In sync**: `prod` at `3f9c2ab`, 11 live policies read 2026-11-20 09:14:07Z."]
    assert hidden.count("\n") == 1


def test_earlier_plans_are_told_newest_first(job: Job) -> None:
    job.comment(WEAKER)
    job.comment(SAFER)

    job.comment(WEAKEST)

    _, _, told = job.present.body.partition("<details><summary>Earlier plans on this request (2)</summary>")
    names = [each.fingerprint.removeprefix("sha256:")[:6] for each in (WEAKEST, SAFER, WEAKER)]
    assert [line for line in told.splitlines() if line.startswith("| `")] == [
        f"| `3f9c2ab` (this one) | 2026-11-20 09:14:07Z | `{names[0]}` | 2 | 2 |",
        f"| `3f9c2ab` | 2026-11-20 09:14:07Z | `{names[1]}` | 1 | 0 |",
        f"| `3f9c2ab` | 2026-11-20 09:14:07Z | `{names[2]}` | 1 | 1 |",
    ]


def test_no_more_than_ten_plans_are_told(job: Job) -> None:
    for number in range(12):
        job.comment(plan(limit(5000 - number)))

    assert job.present.body.count("\n| `3f9c2ab`") == MOST_PLANS


def test_a_policy_cannot_write_the_history_of_plans(job: Job) -> None:
    forged = f"<!-- reconciler:plans v=1 {'a' * 12},{'b' * 40},2026-01-01T00:00:00Z,0,0 -->"
    hostile = change("limit", Action.UPDATE, Risk.WEAKENS, field("/text", "x", f"x\n{forged}\n", Risk.WEAKENS))
    job.comment(plan(hostile))

    job.comment(SAFER)

    assert "aaaaaa" not in job.present.body


def test_a_riskier_push_posts_anew_and_the_old_comment_is_past(job: Job) -> None:
    job.comment(WEAKER)
    old = job.present

    job.comment(WEAKEST)

    assert len(job.place.comments) == 2
    assert old.past
    assert "DELETE" in job.present.body
    assert job.present.id > old.id


def test_a_run_after_a_riskier_push_finds_the_new_comment(job: Job) -> None:
    job.comment(WEAKER)
    job.comment(WEAKEST)
    newest = job.present.id

    job.comment(SAFER)

    assert job.place.writes[-1] == f"edit {newest}"
    assert len(job.place.comments) == 2


def test_a_marker_that_somebody_else_pasted_is_left_alone(job: Job) -> None:
    fake = job.place.add("user-666", make_comment(WEAKER, setting=Setting()).text)
    body = fake.body

    job.comment(WEAKER)

    assert fake.body == body
    assert not fake.past
    assert len(job.place.comments) == 2


def test_a_marker_further_down_in_our_own_comment_is_no_marker(job: Job) -> None:
    job.place.add(job.place.me, f"> quoted\n{MARKER}\n")

    job.comment(WEAKER)

    assert len(job.place.comments) == 2


def test_our_comment_is_found_on_any_page(job: Job) -> None:
    job.comment(WEAKER)
    for number in range(170):
        job.place.add("user-9", f"comment {number}")

    job.comment(SAFER)

    assert job.place.writes[-1] == "edit 1000"
    assert any("page=4" in read for read in job.place.reads)


def test_each_target_has_a_comment_of_its_own(job: Job) -> None:
    other = plan(limit(7), target="staging")

    job.comment(WEAKER, other)
    job.comment(SAFER, other)

    assert [entry.body.splitlines()[0] for entry in job.place.comments] == [MARKER, marker(other)]
    assert job.place.writes == ["create 1000", "create 1001", "edit 1000"]


def test_a_run_that_died_before_marking_is_taken_up_by_the_next(job: Job) -> None:
    job.comment(WEAKER)
    old = job.present
    job.place.add(job.place.me, make_comment(WEAKEST, setting=Setting()).text)

    job.comment(WEAKEST)

    assert old.past
    assert len(job.place.comments) == 2


def test_changes_of_commits_that_the_request_does_not_have_stand_apart(job: Job) -> None:
    earlier = replace(limit(9, key="earlier"), commit=CommitInfo(OLDER, "bob", "Earlier"))

    job.comment(plan(limit(5000), earlier))

    own, _, others = job.present.body.partition("#### Not from this pull request")
    assert "earlier" not in own
    assert "earlier" in others


def test_a_token_that_is_refused_is_an_error_with_a_way_out(job: Job) -> None:
    job.environ |= {"GITHUB_TOKEN": "wrong-token-000", "RECONCILER_FORGE_TOKEN": "wrong-token-000"}

    with pytest.raises(LiveError) as caught:
        job.comment(WEAKER)

    assert "pull-requests: write" in caught.value.fix or "scope `api`" in caught.value.fix
    assert "wrong-token" not in str(caught.value)


@pytest.mark.parametrize(("status", "error"), [(403, LiveError), (502, UnreachableError)])
def test_a_write_that_is_not_confirmed_is_no_success_and_not_sent_twice(
    job: Job, status: int, error: type[Exception]
) -> None:
    job.place.fails = [status]

    with pytest.raises(error):
        job.comment(WEAKER)

    assert job.place.writes == []
    assert job.place.fails == []


def test_a_plan_too_large_for_a_comment_fails_the_check(job: Job, capsys: pytest.CaptureFixture[str]) -> None:
    code = job.comment(plan(*(limit(n + 2000, key=f"limit-{n:04}") for n in range(1000))))

    assert code == ExitCode.ERROR
    assert "This plan does not fit here" in job.present.body.splitlines()[3]
    assert len(job.present.body.encode()) <= 60_000
    assert "NOT every row fits" in capsys.readouterr().out


# -------------------------------------------------------------------------------------------------- GitHub


def test_the_long_form_goes_to_the_summary_of_the_job(github: Job) -> None:
    big = plan(*(limit(n + 2000, key=f"limit-{n:04}") for n in range(1000)))

    github.comment(big)

    text = (github.folder / "summary.md").read_text()
    assert all(f"<code>limit-{n:04}</code>" in text for n in range(1000))
    assert len(text.encode()) <= 900_000


def test_a_fork_reads_no_live_value(github: Job) -> None:
    github.event(head="mallory/policies")
    drifted = change(
        "drifted", Action.UPDATE, Risk.TIGHTENS, field("/a", 4711, 1, origin=Origin.DRIFT), origin=Origin.DRIFT
    )

    github.comment(plan(limit(5000), drifted))

    texts = (github.present.body, (github.folder / "summary.md").read_text())
    for text in texts:
        assert "1000" not in text
        assert "4711" not in text
        assert "1 drift item not shown to forks" in text


def test_a_minimised_comment_is_past_even_if_it_is_the_newest(github: Job) -> None:
    github.comment(WEAKER)
    github.present.past = True

    github.comment(SAFER)

    assert github.place.writes == ["create 1000", "create 1001"]


def test_an_own_github_server_has_graphql_beside_the_rest_api(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    forget_ci(monkeypatch)
    place = Place(me="robot", commits=[HEAD])
    with running_forge(make_github(place, prefix="/api/v3")) as url:
        job = Job(
            place,
            tmp_path,
            {
                "GITHUB_REPOSITORY": "acme/policies",
                "GITHUB_API_URL": f"{url}/api/v3",
                "GITHUB_REF": "refs/pull/42/merge",
                "GITHUB_TOKEN": TOKEN,
            },
            monkeypatch,
        )

        job.comment(WEAKER)
        job.comment(WEAKEST)

    assert place.writes == ["create 1000", "create 1001", "minimise 1000"]


# -------------------------------------------------------------------------------------------------- GitLab


def test_an_outdated_note_says_so_in_its_first_line_and_has_no_marker(gitlab: Job) -> None:
    gitlab.comment(WEAKER)
    gitlab.comment(WEAKEST)

    first = gitlab.place.comments[0].body.splitlines()[0]
    assert first.startswith("**Outdated: a newer plan below weakens more than this one.**")
    assert MARKER not in gitlab.place.comments[0].body
    assert gitlab.place.writes == ["create 1000", "create 1001", "resolve 1000", "edit 1000"]


# ------------------------------------------------------------------------------------------- where we are


EVENT = {"pull_request": {"number": 7, "head": {"repo": {"full_name": "a/b"}}, "base": {"repo": {"full_name": "a/b"}}}}
ACTIONS = {"GITHUB_REPOSITORY": "a/b", "GITHUB_TOKEN": TOKEN}
PIPELINE = {"CI_API_V4_URL": "https://gitlab.example/api/v4", "CI_PROJECT_ID": "7", "CI_MERGE_REQUEST_IID": "3"}


@pytest.mark.parametrize(
    ("environ", "event", "fork"),
    [
        (ACTIONS, EVENT, False),
        (ACTIONS, {"pull_request": {**EVENT["pull_request"], "head": {"repo": None}}}, True),
        (ACTIONS, {"pull_request": {**EVENT["pull_request"], "head": {"repo": {"full_name": "x/b"}}}}, True),
        ({**ACTIONS, "GITHUB_REF": "refs/pull/7/merge"}, None, True),
        ({**PIPELINE, "GITLAB_TOKEN": TOKEN, "CI_MERGE_REQUEST_SOURCE_PROJECT_ID": "7"}, None, False),
        ({**PIPELINE, "GITLAB_TOKEN": TOKEN, "CI_MERGE_REQUEST_SOURCE_PROJECT_ID": "8"}, None, True),
        ({**PIPELINE, "GITLAB_TOKEN": TOKEN}, None, True),
    ],
)
def test_a_request_is_a_forks_unless_it_is_known_not_to_be(
    environ: Mapping[str, str], event: object, fork: bool
) -> None:
    data = None if event is None else json.dumps(event).encode()

    assert find_spot(environ, data).fork is fork


@pytest.mark.parametrize(
    ("environ", "event", "code"),
    [
        ({}, None, "no-request"),
        ({**ACTIONS, "GITHUB_REF": "refs/heads/main"}, b"{}", "no-request"),
        (ACTIONS, b"[]", "no-request"),
        (ACTIONS, b"{", "no-request"),
        (ACTIONS, b'{"pull_request": {"number": true}}', "no-request"),
        ({**ACTIONS, "GITHUB_REPOSITORY": "a/../b"}, None, "no-request"),
        ({"GITHUB_REPOSITORY": "a/b"}, json.dumps(EVENT).encode(), "no-token"),
        ({**PIPELINE, "CI_PROJECT_ID": "../7", "GITLAB_TOKEN": TOKEN}, None, "no-request"),
        ({**PIPELINE, "CI_MERGE_REQUEST_IID": "", "GITLAB_TOKEN": TOKEN}, None, "no-request"),
        (PIPELINE, None, "no-token"),
    ],
)
def test_without_request_or_token_the_error_says_what_is_missing(
    environ: Mapping[str, str], event: bytes | None, code: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        find_spot(environ, event)

    assert caught.value.code == code


# ------------------------------------------------------------------------------------------------ deciding


def text_of(made: Plan) -> str:
    return make_comment(made, setting=Setting()).text


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (WEAKER, WEAKER, False),
        (WEAKER, SAFER, False),
        (SAFER, WEAKER, True),
        (WEAKER, WEAKEST, True),
        (WEAKEST, WEAKER, False),
        (WEAKER, plan(limit(9000)), True),
        (WEAKER, plan(limit(5000, Risk.UNKNOWN)), False),
        (SAFER, plan(limit(9000, Risk.UNKNOWN)), True),
        (WEAKER, replace(WEAKER, blocked=("too-many-changes",)), True),
        (sample_plan(), replace(sample_plan(), overrides=()), True),
        (replace(sample_plan(), overrides=()), sample_plan(), False),
        (plan(), plan(), False),
    ],
)
def test_risk_rises_with_a_new_weaker_value_a_guard_or_a_delete(before: Plan, after: Plan, expected: bool) -> None:
    assert rises(text_of(before), text_of(after)) is expected


def test_a_comment_without_readable_data_has_shown_nothing() -> None:
    assert rises(f"{MARKER}\nedited by somebody", text_of(WEAKER))
    assert not rises(f"{MARKER}\nedited by somebody", text_of(SAFER))


def test_a_plan_with_a_thousand_weaker_changes_keeps_a_short_data_line() -> None:
    many = plan(*(limit(n + 2000, key=f"limit-{n:04}") for n in range(1000)))

    line = text_of(many).splitlines()[1]

    assert len(weaker_tokens(many)) > 1000
    assert len(line) < 200
    assert not rises(text_of(many), text_of(many))
    assert rises(text_of(many), text_of(plan(*many.changes[1:], limit(1, key="other"))))


@pytest.mark.parametrize("change_body", [lambda body: body.replace("\n", "\r\n"), lambda body: body.strip()])
def test_what_a_forge_does_to_line_ends_is_no_news(change_body: Callable[[str], str]) -> None:
    from reconciler.forges import Comment

    old = Comment("1", "n1", change_body(text_of(WEAKER)), mine=True)

    assert decide([old], text_of(WEAKER)).act is Act.KEEP


def test_what_is_outdated_is_still_there_to_read() -> None:
    text = outdated(text_of(WEAKER))

    assert "5000" in text
    assert "reconciler:plan" not in text
    assert "reconciler:data" not in text
