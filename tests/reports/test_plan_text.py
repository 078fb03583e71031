"""A plan in a terminal: 80 columns, nothing hidden, colours that say nothing of their own."""

from __future__ import annotations

import json
import unicodedata
from dataclasses import replace
from typing import Any

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.core.guard import Hold, Overrides
from reconciler.core.model import (
    Action,
    Annotation,
    CommitInfo,
    Confidence,
    Drift,
    Ignore,
    Json,
    LogEntry,
    Outcome,
    Override,
    Plan,
    PolicyState,
    Status,
    Strength,
)
from reconciler.core.plan import make_plan
from reconciler.errors import ExitCode, ReconcilerError
from reconciler.reports.plan_json import plan_from_json, plan_to_json, plans_from_text, plans_to_json
from reconciler.reports.plan_text import STYLES, render_plan
from reconciler.reports.run_json import run_to_json, runs_to_json
from reconciler.reports.run_text import render_run
from reconciler.reports.trail_text import (
    drift_to_json,
    log_to_json,
    render_drift,
    render_log,
    render_status,
    status_to_json,
)
from tests.builders import BEFORE, HEAD, applied, inputs, listing, live, policy, rate_limit, schemas

HOSTILE = "\x1b[2J\u202egnp.exe\n::stop-commands::x\n##[group]</details>\u200b @team `"
KNOWN = Drift("admin@example.com", "2026-11-19T02:14:55Z", "log-4821", Confidence.EXACT)


def busy_plan(**given: Any) -> Plan:
    """A plan with something of everything."""
    fields: dict[str, Json] = {"description": "An agent\u202e " + "words " * 30}
    return make_plan(
        inputs(
            [
                policy(rate_limit("tighter", 10), line=3),
                policy(rate_limit("looser", 5000), critical=True),
                policy(rate_limit("off"), enabled=False, critical=True),
                policy(rate_limit("drifted")),
                policy(rate_limit("new", **fields)),
                policy(rate_limit("same")),
                policy(rate_limit("adopted", 7)),
            ],
            [applied(rate_limit(name)) for name in ("tighter", "looser", "off", "drifted", "same", "gone")],
            listing(
                *(live(rate_limit(name)) for name in ("tighter", "looser", "off", "same", "gone", "adopted", "legacy")),
                live(rate_limit("drifted", 5000)),
                mode="STRICT",
            ),
            drift_of=lambda entry, found, content: KNOWN,
            **given,
        )
    )


def width_of(line: str) -> int:
    return sum(
        0 if unicodedata.combining(char) else 2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in line
    )


# ---------------------------------------------------------------------------------------------------- text


@pytest.mark.parametrize("style", STYLES)
def test_no_line_is_over_80_columns(style: str) -> None:
    text = render_plan(busy_plan(), style=style)

    assert max(map(width_of, text.splitlines())) <= 80
    assert not any(line.endswith(" ") for line in text.splitlines())


@given(st.text(min_size=1, max_size=300), st.text(max_size=300), st.integers(0, 3))
def test_no_text_from_outside_makes_a_line_too_wide_or_a_command(name: str, words: str, which: int) -> None:
    body = rate_limit(name, description=words)
    sides = [([body], [], []), ([body], [rate_limit(name)], [rate_limit(name)]), ([], [body], [body]), ([], [], [body])]
    wanted, ledger, found = sides[which]
    commit = CommitInfo(HEAD, words, name)
    given_inputs = inputs(
        [policy(each) for each in wanted], [applied(each) for each in ledger], [live(each) for each in found]
    )
    given_inputs = replace(given_inputs, commits=dict.fromkeys(given_inputs.commits, commit))

    text = render_plan(make_plan(given_inputs))

    assert max(map(width_of, text.split("\n"))) <= 80
    assert all(char == "\n" or unicodedata.category(char) not in ("Cc", "Cf", "Cs") for char in text)
    assert not any(line.lstrip().startswith("::") for line in text.split("\n"))
    assert "##[" not in text


@pytest.mark.parametrize("style", STYLES)
def test_colour_taken_out_is_the_text_without_colour(style: str) -> None:
    plan = busy_plan()

    colored = render_plan(plan, style=style, color=True)

    assert colored != render_plan(plan, style=style)
    assert click.unstyle(colored) == render_plan(plan, style=style)


def test_an_id_of_40_characters_stays_on_its_line_and_a_longer_one_is_not_cut() -> None:
    long, longer = "x" * 40, "y" * 200
    bodies = [rate_limit(long), rate_limit(longer)]

    text = render_plan(
        make_plan(inputs([policy(body, enabled=False, critical=True) for body in bodies], [], map_live(bodies)))
    )

    assert any(
        line.startswith(f"! DISABLE  {long}  CRITICAL") and line.endswith("WEAKENS") for line in text.splitlines()
    )
    assert longer in text.replace("\n", "").replace(" ", "")


def map_live(bodies: list[dict[str, Json]]) -> list[Any]:
    return [live(body) for body in bodies]


def test_reading_order_is_worst_first_and_drift_before_what_tightens() -> None:
    lines = render_plan(busy_plan(), style="oneline").splitlines()

    assert [line.split()[2] for line in lines if line[0] in "!-~<+"] == [
        "looser",
        "off",
        "gone",
        "drifted",
        "adopted",
        "new",
        "tighter",
    ]


def test_nothing_that_must_be_seen_is_missing() -> None:
    entry = Override("critical-disabled", "off", None, "Cut-over", "identity-team", "2026-12-01")
    holds = (Hold("held", "Incident 311", "2026-12-01"),)
    plan = busy_plan(overrides=Overrides((entry,), holds), dirty=True, ignore=(Ignore("same", "/x", "why"),))

    text = " ".join(render_plan(plan).split())

    for needle in (
        "to opena2a",
        "STRICT",
        "http://127.0.0.1:8800/v1",
        "3f9c2ab DIRTY",
        "2026-11-20 09:14:07Z",
        "conditions.max_requests_per_hour: 1000 -> 5000",
        "by admin@example.com",
        "2026-11-19 02:14:55Z",
        "(audit log-4821)",
        "lifted until 2026-12-01 by identity-team",
        "Override lifts critical-disabled for off until 2026-12-01, identity-team: Cut-over",
        "Not in git: 1 live policy, never touched, not by prune either: legacy",
        "Blocked critical-weakened",
        "way out:",
        "7 calls in this order: create, update, disable, delete.",
        "\\u202e",
    ):
        assert needle in text, needle


def test_an_author_nobody_knows_is_called_unknown() -> None:
    plan = make_plan(inputs([policy(rate_limit("A"))], [applied(rate_limit("A"))], [live(rate_limit("A", 5))]))

    assert "author unknown" in render_plan(plan)


def test_every_field_of_what_goes_away_is_shown() -> None:
    body = rate_limit("gone", description="d " * 400, conditions={"max_requests_per_hour": 5, "except_actors": ["ci"]})

    text = render_plan(make_plan(inputs([], [applied(body)], [live(body)])))

    assert "- conditions.max_requests_per_hour: 5" in text
    assert '- conditions.except_actors: ["ci"]' in text
    assert text.count("d ") + text.count("d\n") >= 400


def test_text_and_number_are_told_apart() -> None:
    change: dict[str, Json] = {"conditions": {"max_requests_per_hour": 1000, "custom": "1"}}
    before: dict[str, Json] = {"conditions": {"max_requests_per_hour": 1000, "custom": 1}}

    plan = make_plan(
        inputs(
            [policy(rate_limit("A", **change))], [applied(rate_limit("A", **before))], [live(rate_limit("A", **before))]
        )
    )

    assert 'conditions.custom: 1 -> "1" (number -> text)' in render_plan(plan)


@pytest.mark.parametrize(
    ("old", "new", "needles"),
    [
        (["a", "b", "c"], ["a", "x", "c"], ['- rules[1]: "b"', '+ rules[1]: "x"', "3 -> 3 entries"]),
        (["a", "b"], ["b", "a"], ["(reordered)", '- rules[0]: "a"', '+ rules[0]: "b"']),
        (["a"], ["a", "a"], ['+ rules[1]: "a"']),
    ],
)
def test_a_list_shows_what_went_what_came_and_order(old: list[str], new: list[str], needles: list[str]) -> None:
    def body(rules: list[str]) -> dict[str, Json]:
        return {"id": "p", "name": "P", "description": "d", "type": "access", "rules": list(rules)}

    given = inputs([policy(body(new))], [applied(body(old))], [live(body(old))], provider="neosc")
    plan = make_plan(replace(given, capabilities=replace(given.capabilities, update=True)))

    text = render_plan(plan)

    for needle in needles:
        assert needle in text


def test_what_the_api_cannot_do_stands_with_its_reason() -> None:
    body: dict[str, Json] = {"id": "p", "name": "P", "description": "d", "type": "access", "rules": []}
    plan = make_plan(inputs([policy(body)], [], [], provider="neosc"))

    lines = render_plan(plan).splitlines()

    assert lines[0].startswith("In sync, 1 cannot: 0 policies at 3f9c2ab match neosc (read 09:14:07Z).")
    assert any(line.startswith("x CANNOT   p") and line.endswith("create") for line in lines)
    assert any("NeoSC can only list and toggle" in line for line in lines)


def test_a_flip_says_that_it_is_guarded() -> None:
    body: dict[str, Json] = {"id": "p", "name": "P", "description": "d", "type": "access", "rules": []}
    plan = make_plan(inputs([policy(body)], [applied(body)], [live(body, enabled=False)], provider="neosc"))

    assert "flip, guarded: read before and after" in render_plan(plan)


def test_in_sync_is_one_line() -> None:
    plan = make_plan(inputs([policy(rate_limit("A"))], [applied(rate_limit("A"))], [live(rate_limit("A"))]))

    assert render_plan(plan) == "In sync: 1 policy at 3f9c2ab matches opena2a (read 09:14:07Z)."


def test_in_sync_still_names_what_is_not_in_git() -> None:
    text = render_plan(make_plan(inputs(found=[live(rate_limit("legacy"))])))

    assert text.splitlines() == [
        "In sync: 0 policies at 3f9c2ab match opena2a (read 09:14:07Z).",
        "Not in git: 1 live policy, never touched, not by prune either: legacy",
    ]


def test_what_was_not_looked_at_is_called_incomplete() -> None:
    plan = make_plan(inputs([policy(rate_limit("A"))], [], listing(complete=False)))

    text = render_plan(plan)

    assert "INCOMPLETE" in text
    assert "= HELD     A" in text
    assert "Blocked  incomplete-read" in text


def test_quiet_is_the_four_last_lines() -> None:
    plan = busy_plan()

    quiet = render_plan(plan, style="quiet").splitlines()

    assert [line.split()[0] for line in quiet] == ["Plan", "Risk", "Blocked", "Next"]
    assert render_plan(plan).splitlines()[-4:] == quiet


def test_full_adds_the_fields_that_stay() -> None:
    plan = busy_plan()

    assert '= policy_type: "rate_limit"' in render_plan(plan, style="full")
    assert '= policy_type: "rate_limit"' not in render_plan(plan)


# ---------------------------------------------------------------------------------------------------- JSON


def test_a_saved_plan_comes_back_as_it_was_and_reads_the_same() -> None:
    plan = busy_plan()

    [again] = plans_from_text(json.dumps(plan_to_json(plan)).encode(), where="plan.json")

    assert again == plan
    assert render_plan(again) == render_plan(plan)


def test_several_plans_are_saved_and_read_together() -> None:
    neosc = make_plan(inputs(provider="neosc"))

    assert plans_from_text(json.dumps(plans_to_json([busy_plan(), neosc])).encode(), where="p") == [busy_plan(), neosc]


def edited(**given: Any) -> dict[str, Any]:
    return {**json.loads(json.dumps(plan_to_json(busy_plan()))), **given}


def without_guard() -> dict[str, Any]:
    value = edited()
    value["changes"][0]["calls"][0]["path"] = "/admin/users"
    return value


@pytest.mark.parametrize(
    "value",
    [
        None,
        [],
        {},
        edited(format="reconciler.plan/2"),
        edited(fingerprint="sha256:" + "0" * 64),
        edited(fingerprint=5),
        edited(changes=[]),
        edited(changes={}),
        edited(complete=1),
        edited(surprise=1),
        edited(summary={"create": True}),
        edited(git={"head": "main", "last_applied": None, "dirty": False, "shallow": False}),
        edited(target={"name": "x", "provider": "neosc", "url": "http://evil.example", "mode": None}),
        {key: item for key, item in edited().items() if key != "held"},
        without_guard(),
    ],
)
def test_a_plan_that_is_not_as_it_was_written_is_refused(value: Any) -> None:
    with pytest.raises(ReconcilerError) as caught:
        plan_from_json(value)

    assert caught.value.code == "plan-file"
    assert caught.value.exit is ExitCode.ERROR


@pytest.mark.parametrize(
    "data",
    [b"", b"\xff", b"{", b"NaN", b'{"a":1,"a":1}', b"[" * 200_000, b'{"format":"reconciler.plans/1"}'],
    ids=["empty", "not UTF-8", "cut", "NaN", "a key twice", "deep", "no plans"],
)
def test_a_file_that_is_no_plan_is_refused(data: bytes) -> None:
    with pytest.raises(ReconcilerError) as caught:
        plans_from_text(data, where="plan.json")

    assert caught.value.code == "plan-file"
    assert caught.value.where == "plan.json"


@pytest.mark.parametrize("where", ["changes", "fields", "commit", "call", "summary"])
def test_every_value_in_a_plan_is_checked(where: str) -> None:
    value = edited()
    change = value["changes"][0]
    spoiled: dict[str, dict[str, Any]] = {
        "changes": change,
        "fields": change["fields"][0],
        "commit": change["commit"],
        "call": change["calls"][0],
        "summary": value["summary"],
    }
    victim = spoiled[where]

    for key in list(victim):
        before = victim[key]
        victim[key] = {"not": "it"}
        with pytest.raises(ReconcilerError):
            plan_from_json(value)
        victim[key] = before
    assert plan_from_json(value) == busy_plan()


# --------------------------------------------------------------------------------------------------- a run


class Run:
    """A finished run."""

    def __init__(self, plan: Plan, outcomes: tuple[Outcome, ...], code: ExitCode, error: str | None = None) -> None:
        self.plan, self.outcomes, self.exit, self.error = plan, outcomes, code, error
        self.ledger: str | None = BEFORE


PROVEN = Annotation(Strength.SAME_ENTRY, True, "log-9")
OUTCOMES = (
    Outcome("pol-new", Action.CREATE, Status.APPLIED, HEAD, PROVEN, None, 1),
    Outcome("pol-off", Action.DISABLE, Status.APPLIED, HEAD, Annotation(Strength.LEDGER_ONLY, False, None), None, 1),
    Outcome("pol-same", Action.ENABLE, Status.ALREADY, HEAD, None, None, 0),
    Outcome("pol-" + "x" * 36, Action.UPDATE, Status.FAILED, HEAD, None, "409 \x1b[2Jchanged " + "words " * 20, 1),
    Outcome("pol-doubt", Action.DELETE, Status.UNKNOWN, HEAD, None, "sent, but not seen", 1),
    Outcome("pol-left", Action.DELETE, Status.SKIPPED, HEAD, None, None, 0),
)


def test_a_run_tells_what_came_of_each_change_and_no_more_than_was_seen() -> None:
    text = render_run(Run(busy_plan(), OUTCOMES, ExitCode.PARTIAL))

    lines = text.splitlines()
    assert any(
        line.startswith("1/6 + created   pol-new") and line.endswith("git:3f9c2ab same-entry, read back")
        for line in lines
    )
    assert any(line.startswith("2/6 ! disabled  pol-off") and line.endswith("ledger-only") for line in lines)
    assert any(line.startswith("4/6 x FAILED") for line in lines)
    assert any(line.startswith("5/6 ? IN DOUBT") for line in lines)
    assert "2 done, 1 already so, 1 failed, 1 in doubt, 1 not tried; 4 calls sent. Nothing was" in " ".join(
        text.split()
    )
    assert lines[-1].endswith("exit 4")
    assert max(map(width_of, lines)) <= 80
    assert "\x1b" not in text


def test_a_run_in_colour_is_the_same_text() -> None:
    run = Run(busy_plan(), OUTCOMES, ExitCode.PARTIAL, "the ledger cannot be pushed")

    assert click.unstyle(render_run(run, color=True)) == render_run(run)


def test_a_run_without_changes_is_one_line() -> None:
    plan = make_plan(inputs())

    assert render_run(Run(plan, (), ExitCode.DONE)) == "In sync: nothing was sent to opena2a at 3f9c2ab."


def test_a_run_as_json_has_the_documented_shape() -> None:
    run = Run(busy_plan(), OUTCOMES, ExitCode.PARTIAL)

    value = run_to_json(run)

    assert schemas().violations("run", value) == ()
    assert value["summary"] == {"applied": 2, "already": 1, "failed": 1, "skipped": 1, "unknown": 1, "calls": 4}
    assert value["blocked"] == ["critical-disabled", "critical-weakened"]


def test_runs_of_several_targets_stand_beside_the_errors_of_others() -> None:
    failed = ReconcilerError("no", where="neosc", fix="try", code="locked")

    value = runs_to_json([Run(busy_plan(), OUTCOMES, ExitCode.DONE)], [failed])

    assert value["format"] == "reconciler.runs/1"
    assert json.loads(json.dumps(value))["errors"][0]["code"] == "locked"


# ---------------------------------------------------------------------------------------- status, drift, log

STATES = {
    "neosc": (
        PolicyState("pol-mfa", "in_sync", HEAD),
        PolicyState("pol-rec", "drift", BEFORE, "enable 2026-11-19T02:14:55Z admin@example.com"),
        PolicyState("legacy-" + "x" * 60, "unmanaged", None),
        PolicyState("pol-\x1b[2J", "cannot", HEAD, "words " * 30),
    )
}


def test_status_has_a_line_per_policy() -> None:
    text = render_status(STATES)

    lines = text.splitlines()
    assert any(line.startswith("pol-mfa ") and "3f9c2ab  in sync" in line for line in lines)
    assert "DRIFTED enable" in text
    assert "admin@example.com" in text
    assert "x" * 60 in text
    assert max(map(width_of, lines)) <= 80
    assert "\x1b" not in text
    assert click.unstyle(render_status(STATES, color=True)) == text


def test_status_as_json_has_the_documented_shape() -> None:
    value = status_to_json(STATES)

    assert schemas().violations("status", value) == ()
    assert value["policies"][0] == {"key": "pol-mfa", "state": "in_sync", "commit": HEAD}  # type: ignore[index,call-overload]


def test_drift_names_who_edited_what_and_when() -> None:
    found = {"opena2a": tuple(change for change in busy_plan().changes if change.drift), "neosc": ()}

    text = render_drift(found)

    assert "1 policy at opena2a was edited outside git:" in text
    assert "live was edited outside git by admin@example.com" in text
    assert "No drift: nothing we own at neosc was edited outside git." in text
    assert schemas().violations("drift", drift_to_json(found)) == ()


LOG = {
    "neosc": (
        LogEntry(
            "2026-11-20T09:31:02Z", "updated", "pol-a", "ci@example.com", "log-2", HEAD, Strength.SAME_ENTRY, False
        ),
        LogEntry("2026-11-19T02:14:55Z", "toggled", "pol-b", "admin@example.com", "log-1", None, None, True),
        LogEntry("2026-11-18T00:00:00Z", "created", "pol-c", None, None, BEFORE, Strength.LEDGER_ONLY, False),
    )
}


def test_the_log_shows_the_commit_or_who_did_it_outside_git() -> None:
    text = render_log(LOG)

    lines = text.splitlines()
    assert lines[0].startswith("2026-11-20 09:31:02Z neosc  updated  pol-a")
    assert lines[0].endswith("git 3f9c2ab")
    assert HEAD in lines[1]
    assert "same-entry" in text
    assert any(line.endswith("OUTSIDE GIT admin@example.com") for line in lines)
    assert "no audit entry found" in text
    assert max(map(width_of, lines)) <= 80
    assert click.unstyle(render_log(LOG, color=True)) == text


def test_the_log_as_json_has_the_documented_shape() -> None:
    assert schemas().violations("log", log_to_json(LOG)) == ()


def test_hostile_text_is_harmless_in_every_text() -> None:
    body = rate_limit(HOSTILE, description=HOSTILE * 5)
    drift = Drift(HOSTILE, HOSTILE, HOSTILE, Confidence.LIKELY)
    plan = make_plan(
        inputs(
            [policy(body)], [applied(rate_limit(HOSTILE))], [live(rate_limit(HOSTILE, 5))], drift_of=lambda *_: drift
        )
    )
    run = Run(plan, (Outcome(HOSTILE, Action.UPDATE, Status.FAILED, HEAD, None, HOSTILE, 1),), ExitCode.ERROR, HOSTILE)
    states = {HOSTILE: (PolicyState(HOSTILE, "drift", HEAD, HOSTILE),)}
    log = {HOSTILE: (LogEntry(HOSTILE, HOSTILE, HOSTILE, HOSTILE, HOSTILE, None, None, True),)}

    texts = [render_plan(plan, style=style) for style in STYLES]
    texts += [render_run(run), render_status(states), render_log(log), render_drift({HOSTILE: plan.changes})]

    for text in texts:
        assert not set("\x1b\u202e\u200b\r") & set(text)
        assert not any(line.lstrip().startswith("::") for line in text.split("\n"))
        assert "##[" not in text
