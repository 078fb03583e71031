"""The table of design.md 6, row by row; what an API cannot do; the order of calls; the ledger afterwards; the laws."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.core.guard import Hold, Overrides
from reconciler.core.model import (
    MISSING,
    Action,
    Annotation,
    Applied,
    Confidence,
    Drift,
    Ignore,
    Json,
    Kind,
    LivePolicy,
    Origin,
    Plan,
    Risk,
    Strength,
)
from reconciler.core.plan import PlanInput, ledger_after, make_plan, must_record, order_rank
from reconciler.core.planform import change_to_json
from reconciler.reports.plan_json import plan_to_json
from tests.builders import BEFORE, HEAD, applied, inputs, listing, live, policy, rate_limit, schemas

A, B, C = rate_limit("A", 100), rate_limit("A", 200), rate_limit("A", 300)

MFA: dict[str, Json] = {
    "id": "pol-mfa",
    "name": "MFA Required",
    "description": "Everybody",
    "type": "access",
    "rules": ["Require MFA for login"],
}


def summary(**counts: int) -> dict[str, int]:
    names = ("create", "update", "enable", "disable", "delete", "in_sync", "unmanaged", "cannot", "held")
    return {name: counts.get(name, 0) for name in names}


# ------------------------------------------------------------------------------------- the table, row by row


def test_desired_as_live_is_in_sync() -> None:
    plan = make_plan(inputs([policy(A)], [applied(A)], [live(A)]))

    assert plan.is_empty
    assert plan.summary == summary(in_sync=1)


@pytest.mark.parametrize(
    ("desired", "last", "found", "origin", "adopts"),
    [
        (B, A, A, Origin.GIT, False),
        (A, A, B, Origin.DRIFT, False),
        (A, B, C, Origin.BOTH, False),
        (A, None, B, Origin.GIT, True),
    ],
    ids=["pending", "drift", "both", "no last-applied"],
)
def test_who_moved_is_told_from_three_sides(
    desired: dict[str, Json], last: dict[str, Json] | None, found: dict[str, Json], origin: Origin, adopts: bool
) -> None:
    ledger = [applied(last)] if last else []

    [change] = make_plan(inputs([policy(desired)], ledger, [live(found)])).changes

    assert (change.action, change.origin, change.adopts) == (Action.UPDATE, origin, adopts)
    [field] = change.fields
    assert field.pointer == "/conditions/max_requests_per_hour"
    assert field.origin is origin
    assert field.last_applied == (MISSING if last is None else last["conditions"]["max_requests_per_hour"])  # type: ignore[index,call-overload]


def test_a_policy_that_is_not_live_is_created() -> None:
    [change] = make_plan(inputs([policy(A, line=7)])).changes

    assert (change.action, change.origin, change.id, change.adopts) == (Action.CREATE, Origin.GIT, None, False)
    assert [field.pointer for field in change.fields] == [
        "/name",
        "/policy_type",
        "/enabled",
        "/conditions",
        "/actions",
    ]
    assert all(field.live is MISSING for field in change.fields)
    assert change.source is not None
    assert change.source.line == 7
    assert [(call.method, call.path) for call in change.calls] == [("POST", "/admin/security-policies")]


def test_a_policy_deleted_live_is_created_again_as_drift() -> None:
    told = Drift("admin@example.com", "2026-11-19T02:14:55Z", "log-1", Confidence.EXACT)

    plan = make_plan(inputs([policy(A)], [applied(A)], [], drift_of=lambda entry, found, content: told))

    [change] = plan.changes
    assert (change.action, change.origin, change.drift) == (Action.CREATE, Origin.DRIFT, told)


def test_an_owned_policy_that_git_dropped_is_deleted() -> None:
    [change] = make_plan(inputs([], [applied(A)], [live(A)])).changes

    assert (change.action, change.origin, change.source, change.risk) == (
        Action.DELETE,
        Origin.GIT,
        None,
        Risk.WEAKENS,
    )
    assert change.commit is not None
    assert [(call.method, call.path) for call in change.calls] == [("DELETE", "/admin/security-policies/id-a")]


def test_prune_never_keeps_what_git_dropped_and_says_so() -> None:
    plan = make_plan(inputs([], [applied(A)], [live(A)], prune="never"))

    assert plan.changes == ()
    assert [(entry.key, entry.action) for entry in plan.cannot] == [("A", Action.DELETE)]


def test_what_is_live_only_is_listed_and_never_touched() -> None:
    plan = make_plan(inputs([policy(A)], [applied(A)], [live(A), live(rate_limit("by hand"))]))

    assert plan.is_empty
    assert plan.unmanaged == ("by hand",)
    assert plan.summary == summary(in_sync=1, unmanaged=1)


def test_gone_from_git_and_from_live_is_nothing_to_do() -> None:
    plan = make_plan(inputs([], [applied(A)], []))

    assert plan.is_empty
    assert plan.summary == summary()


def test_metadata_alone_is_no_change() -> None:
    plan = make_plan(inputs([policy(A, metadata={"owner": "new"})], [applied(A, metadata={"owner": "old"})], [live(A)]))

    assert plan.is_empty


def test_the_drift_of_a_pending_change_is_not_asked_for() -> None:
    def nobody_may_ask(entry: Applied, found: LivePolicy | None, content: bool) -> Drift:
        raise AssertionError("a trail was read for nothing")

    [change] = make_plan(inputs([policy(B)], [applied(A)], [live(A)], drift_of=nobody_may_ask)).changes

    assert change.drift is None


@pytest.mark.parametrize(("found", "content"), [(live(B), True), (live(A, enabled=False), False)])
def test_drift_is_asked_for_with_what_moved(found: LivePolicy, content: bool) -> None:
    asked = []

    def remember(entry: Applied, seen: LivePolicy | None, moved: bool) -> Drift:
        asked.append((entry.key, seen, moved))
        return Drift(None, None, None, Confidence.UNKNOWN)

    make_plan(inputs([policy(A)], [applied(A)], [found], drift_of=remember))

    assert asked == [("A", found, content)]


# ------------------------------------------------------------------------------------------------- switches


@pytest.mark.parametrize(
    ("desired", "found", "action", "risk"),
    [(False, True, Action.DISABLE, Risk.WEAKENS), (True, False, Action.ENABLE, Risk.TIGHTENS)],
)
def test_a_switch_alone_is_one_toggle(desired: bool, found: bool, action: Action, risk: Risk) -> None:
    [change] = make_plan(inputs([policy(A, enabled=desired)], [applied(A)], [live(A, enabled=found)])).changes

    assert (change.action, change.risk) == (action, risk)
    assert [(call.method, call.path) for call in change.calls] == [("PATCH", "/admin/security-policies/id-a/toggle")]
    assert [(field.pointer, field.live, field.desired) for field in change.fields] == [("/enabled", found, desired)]


def test_content_and_switch_are_one_update_with_both_calls() -> None:
    [change] = make_plan(inputs([policy(B, enabled=False)], [applied(A)], [live(A)])).changes

    assert change.action is Action.UPDATE
    assert [(call.method, call.operation) for call in change.calls] == [("PUT", "update"), ("PATCH", "toggle")]
    assert [field.pointer for field in change.fields] == ["/enabled", "/conditions/max_requests_per_hour"]


# ------------------------------------------------------------------------------- what an API cannot do


def neosc(policies: Sequence[Any], ledger: Sequence[Any], found: Sequence[Any], **given: Any) -> Plan:
    return make_plan(inputs(policies, ledger, found, provider="neosc", **given))


def test_text_that_cannot_be_sent_is_under_cannot_with_its_fields() -> None:
    plan = neosc([policy({**MFA, "description": "Nobody"})], [applied(MFA)], [live(MFA)])

    assert plan.changes == ()
    [entry] = plan.cannot
    assert (entry.key, entry.action) == ("pol-mfa", Action.UPDATE)
    assert entry.reason == "NeoSC can only list and toggle (/description)"
    assert plan.summary == summary(cannot=1)


def test_the_switch_of_a_policy_whose_text_cannot_be_sent_is_still_set() -> None:
    plan = neosc([policy({**MFA, "description": "Nobody"})], [applied(MFA)], [live(MFA, enabled=False)])

    [change] = plan.changes
    assert (change.action, change.origin) == (Action.ENABLE, Origin.DRIFT)
    assert [field.pointer for field in change.fields] == ["/enabled"]
    assert [entry.action for entry in plan.cannot] == [Action.UPDATE]


@pytest.mark.parametrize(
    ("policies", "ledger", "found", "action"),
    [([policy(MFA)], [], [], Action.CREATE), ([], [applied(MFA)], [live(MFA)], Action.DELETE)],
)
def test_create_and_delete_that_the_api_lacks_are_under_cannot(
    policies: list[Any], ledger: list[Any], found: list[Any], action: Action
) -> None:
    plan = neosc(policies, ledger, found)

    assert plan.changes == ()
    assert [entry.action for entry in plan.cannot] == [action]
    assert plan.blocked == ()


def test_neosc_flips_by_the_items_own_path() -> None:
    [change] = neosc([policy(MFA)], [applied(MFA)], [live(MFA, enabled=False)]).changes

    assert [(call.method, call.path) for call in change.calls] == [("PATCH", "/policies/pol-mfa")]


# --------------------------------------------------------------------------------- incomplete, hold, only


def test_a_short_read_holds_creates_and_deletes_and_lets_the_rest_go_on() -> None:
    read = listing(live(rate_limit("gone")), live(rate_limit("moved", 5)), complete=False)

    plan = make_plan(
        inputs(
            [policy(rate_limit("new")), policy(rate_limit("moved"))],
            [applied(rate_limit("gone")), applied(rate_limit("moved", 5))],
            read,
        )
    )

    assert [change.key for change in plan.changes] == ["moved"]
    assert [(entry.key, entry.action) for entry in plan.held] == [("gone", Action.DELETE), ("new", Action.CREATE)]
    assert all("100 policies" in entry.reason for entry in plan.held)
    assert plan.blocked == ("incomplete-read",)
    assert not plan.complete


def test_a_short_read_that_holds_nothing_blocks_nothing() -> None:
    plan = make_plan(inputs([policy(B)], [applied(A)], listing(live(A), complete=False)))

    assert plan.blocked == ()
    assert not plan.complete


def test_only_looks_at_its_keys_and_deletes_nothing() -> None:
    plan = make_plan(
        inputs(
            [policy(rate_limit("one")), policy(rate_limit("two"))],
            [applied(rate_limit("gone"))],
            [live(rate_limit("gone")), live(rate_limit("by hand"))],
            only=["one", "gone"],
        )
    )

    assert [(change.key, change.action) for change in plan.changes] == [("one", Action.CREATE)]
    assert plan.unmanaged == ("by hand",)
    assert not plan.complete


def test_only_with_a_key_that_is_not_there_says_so() -> None:
    plan = make_plan(inputs([policy(A)], [applied(A)], [live(A)], only=["B"]))

    assert plan.is_empty
    assert any('"B"' in warning for warning in plan.warnings)


# ------------------------------------------------------------------------------------------- ignore rules


def test_an_ignored_difference_is_swallowed_and_counted() -> None:
    rule = Ignore("A", "/conditions", "tuned by hand")

    plan = make_plan(inputs([policy(A)], [applied(A)], [live(B)], ignore=(rule,)))

    assert plan.is_empty
    assert plan.summary["in_sync"] == 1
    assert plan.warnings == ('ignore rule /conditions of "A" swallowed 1 difference: tuned by hand',)


def test_an_update_for_another_field_leaves_an_ignored_one_as_it_is_live() -> None:
    rule = Ignore("*", "/conditions/max_requests_per_hour", "tuned by hand")
    wanted = {**A, "severity": "high"}

    [change] = make_plan(inputs([policy(wanted)], [applied(A)], [live(B)], ignore=(rule,))).changes

    assert [field.pointer for field in change.fields] == ["/severity"]
    assert change.origin is Origin.GIT
    assert change.desired is not None
    assert change.desired.body["conditions"] == {"max_requests_per_hour": 200}


def test_an_ignored_switch_is_not_set() -> None:
    rule = Ignore("A", "/enabled", "switched by the night shift")

    plan = make_plan(inputs([policy(A)], [applied(A)], [live(A, enabled=False)], ignore=(rule,)))

    assert plan.is_empty


def test_a_rule_for_one_field_does_not_swallow_its_namesake() -> None:
    rule = Ignore("A", "/cond", "a part of a name")

    assert len(make_plan(inputs([policy(A)], [applied(A)], [live(B)], ignore=(rule,))).changes) == 1


# -------------------------------------------------------------------------------------------- global mode


def mode_entry(mode: str) -> Applied:
    return Applied(
        "enforcement_mode",
        "enforcement_mode",
        {"enforcement_mode": mode},
        True,
        {},
        "policies/opena2a/settings.yaml",
        BEFORE,
    )


@pytest.mark.parametrize(
    ("last", "origin", "adopts"),
    [(None, Origin.GIT, True), ("strict", Origin.GIT, False), ("monitoring", Origin.DRIFT, False)],
)
def test_the_mode_is_a_change_of_its_own_kind(last: str | None, origin: Origin, adopts: bool) -> None:
    entry = mode_entry(last) if last else None

    plan = make_plan(inputs(found=listing(mode="STRICT"), mode="monitoring", applied_settings=entry))

    [change] = plan.changes
    assert (change.kind, change.key, change.action) == (Kind.SETTINGS, "enforcement_mode", Action.UPDATE)
    assert (change.origin, change.adopts, change.risk) == (origin, adopts, Risk.WEAKENS)
    assert [(field.pointer, field.live, field.desired) for field in change.fields] == [
        ("/enforcement_mode", "strict", "monitoring")
    ]
    assert [(call.method, call.path) for call in change.calls] == [("PUT", "/admin/enforcement-settings")]
    assert change.source is not None
    assert change.source.path == "policies/opena2a/settings.yaml"


def test_a_mode_that_is_live_already_is_no_change() -> None:
    assert make_plan(inputs(found=listing(mode="STRICT"), mode="strict")).is_empty


def test_a_mode_the_server_does_not_have_is_under_cannot() -> None:
    plan = make_plan(inputs(found=listing(mode=None), mode="strict"))

    assert [(entry.key, entry.action) for entry in plan.cannot] == [("enforcement_mode", Action.UPDATE)]


# ---------------------------------------------------------------------------------------- order, form, risk


def one_of_each() -> PlanInput:
    """Changes of every rank, named so that their keys are in the wrong order."""
    at_start = [
        ("z create", None, None),
        ("y tightens", rate_limit("y tightens", 1000), rate_limit("y tightens", 10)),
        ("x enable", rate_limit("x enable"), rate_limit("x enable")),
        ("w weakens", rate_limit("w weakens", 10), rate_limit("w weakens", 1000)),
        ("v disable", rate_limit("v disable"), rate_limit("v disable")),
    ]
    wanted = [policy(body or rate_limit(name), enabled=not name.startswith("v")) for name, _, body in at_start]
    found = [live(before, enabled=not name.startswith("x")) for name, before, _ in at_start if before]
    ledger = [applied(before, enabled=not name.startswith("x")) for name, before, _ in at_start if before]
    gone = rate_limit("a delete")
    return inputs(wanted, [*ledger, applied(gone)], listing(*found, live(gone), mode="STRICT"), mode="monitoring")


def test_what_tightens_is_called_first_and_what_loosens_last() -> None:
    plan = make_plan(one_of_each())

    assert [change.key for change in plan.changes] == [
        "z create",
        "y tightens",
        "x enable",
        "w weakens",
        "enforcement_mode",
        "v disable",
        "a delete",
    ]


def test_a_wave_never_mixes_policies_and_the_mode() -> None:
    ranks: dict[int, set[Kind]] = {}
    for change in make_plan(one_of_each()).changes:
        ranks.setdefault(order_rank(change), set()).add(change.kind)

    assert all(len(kinds) == 1 for kinds in ranks.values())


def test_a_plan_has_the_documented_shape() -> None:
    assert schemas().violations("plan", plan_to_json(make_plan(one_of_each()))) == ()


def test_the_fingerprint_covers_what_a_reviewer_agrees_to_and_no_clock() -> None:
    first = inputs([policy(B)], [applied(A)], [live(A)])
    later = replace(
        first, now=first.now.replace(year=2027), live=replace(first.live, read_at=first.now.replace(year=2027))
    )
    other = inputs([policy(C)], [applied(A)], [live(A)])

    assert make_plan(first).fingerprint == make_plan(later).fingerprint
    assert make_plan(first).fingerprint != make_plan(other).fingerprint


def test_the_digest_moves_with_the_policies_in_changes_and_with_no_other() -> None:
    wanted, ledger = [policy(B), policy(rate_limit("X"))], [applied(A), applied(rate_limit("X"))]
    plan = make_plan(inputs(wanted, ledger, [live(A), live(rate_limit("X"))]))
    beside = make_plan(inputs(wanted, ledger, [live(A), live(rate_limit("X")), live(rate_limit("by hand"))]))
    moved = make_plan(inputs(wanted, ledger, [live({**A, "severity": "low"}), live(rate_limit("X"))]))

    assert plan.live.digest == beside.live.digest
    assert plan.live.digest != moved.live.digest


def test_a_file_that_is_not_committed_has_no_commit() -> None:
    [change] = make_plan(inputs([policy(B)], [applied(A)], [live(A)], commits={})).changes

    assert change_to_json(change)["commit"] is None


def test_a_field_that_goes_both_ways_makes_the_change_mixed_and_the_field_unknown() -> None:
    def allow(*ips: str) -> dict[str, Json]:
        return {"name": "A", "policy_type": "ip_allowlist", "conditions": {"allowed_ips": list(ips)}}

    wanted, before = allow("10.0.0.0/8"), allow("192.168.0.0/16")

    [change] = make_plan(inputs([policy(wanted)], [applied(before)], [live(before)])).changes

    assert change.risk is Risk.MIXED
    assert [field.risk for field in change.fields] == [Risk.UNKNOWN]


def test_a_live_field_nobody_knows_is_named_and_kept() -> None:
    plan = make_plan(inputs([policy(A)], [applied(A)], [live({**A, "surprise": 1})]))

    assert plan.is_empty
    assert plan.warnings == ('"A" has live fields nobody here knows, left as they are: /surprise',)


def test_a_review_that_is_late_is_a_warning() -> None:
    late = policy(A, metadata={"review_by": "2026-11-19"})
    in_time = policy(rate_limit("B"), metadata={"review_by": "2026-11-20"})

    plan = make_plan(inputs([late, in_time], [applied(A), applied(rate_limit("B"))], [live(A), live(rate_limit("B"))]))

    assert plan.warnings == ('"A" was to be reviewed by 2026-11-19',)


# -------------------------------------------------------------------------------------------- the ledger


def after_apply(given: PlanInput) -> tuple[dict[str, Applied], Applied | None]:
    """The ledger after a run in which everything went well."""
    plan = make_plan(given)
    settled = {change.key: _as_applied(change) for change in plan.changes}
    proof = Annotation(Strength.SAME_ENTRY, True, "log-9")
    return ledger_after(given, settled, {change.key: proof for change in plan.changes})


def _as_applied(change: Any) -> LivePolicy | None:
    if change.action is Action.DELETE:
        return None
    identity = change.id or f"made-by-server-{change.key}"
    body = change.desired.body if change.action in (Action.CREATE, Action.UPDATE) else change.live.body
    return LivePolicy(identity, change.key, body, change.desired.enabled, body)


def test_what_was_applied_is_recorded_with_its_commit_and_audit_entry() -> None:
    entries, _ = after_apply(inputs([policy(B, critical=True, path="p/a.yaml")], [applied(A)], [live(A)]))

    assert entries == {"A": Applied("A", "id-a", B, True, {"critical": True}, "p/a.yaml", HEAD, "log-9")}


def test_a_create_is_recorded_with_the_servers_id_and_a_delete_removes_its_entry() -> None:
    gone = rate_limit("gone")

    entries, _ = after_apply(inputs([policy(A)], [applied(gone)], [live(gone)]))

    assert {key: entry.id for key, entry in entries.items()} == {"A": "made-by-server-A"}


def test_a_change_that_failed_keeps_its_old_entry() -> None:
    given = inputs([policy(B), policy(rate_limit("new"))], [applied(A)], [live(A)])

    assert ledger_after(given, {}, {}) == ({"A": applied(A)}, None)
    assert not must_record(given)


def test_what_is_held_keeps_its_old_entry_and_nothing_new_is_owned() -> None:
    holds = Overrides(holds=(Hold("*", "Incident 311", "2026-11-30"),))
    given = inputs(
        [policy(B), policy(rate_limit("adopted", 5))],
        [applied(A), applied(rate_limit("gone"))],
        [live(A), live(rate_limit("adopted")), live(rate_limit("gone"))],
        overrides=holds,
    )

    assert set(ledger_after(given, {}, {})[0]) == {"A", "gone"}
    assert not must_record(given)


def test_ownership_is_recorded_even_when_nothing_differs() -> None:
    given = inputs([policy(A)], [], [live(A)])

    assert make_plan(given).is_empty
    assert must_record(given)
    assert ledger_after(given, {}, {})[0]["A"].commit == HEAD


def test_what_became_equal_by_itself_brings_the_ledger_up_to_date() -> None:
    given = inputs([policy(B)], [applied(A)], [live(B)])

    assert make_plan(given).is_empty
    assert ledger_after(given, {}, {})[0]["A"].body == B


def test_metadata_alone_is_recorded_and_the_old_commit_kept() -> None:
    given = inputs([policy(A, metadata={"owner": "new"})], [applied(A, audit_id="log-1")], [live(A)])

    entry = ledger_after(given, {}, {})[0]["A"]

    assert entry == applied(A, metadata={"owner": "new"}, audit_id="log-1")


@pytest.mark.parametrize(
    "wanted",
    [policy(A, path="policies/elsewhere.yaml"), policy({**A, "severity": "medium", "priority": 0})],
    ids=["the file moved", "defaults written out"],
)
def test_nothing_changed_means_nothing_to_record(wanted: Any) -> None:
    given = inputs([wanted], [applied(A)], [live(A)])

    assert make_plan(given).is_empty
    assert not must_record(given)


def test_an_entry_of_what_is_gone_everywhere_goes_once_that_is_proven() -> None:
    gone, short = inputs([], [applied(A)], []), inputs([], [applied(A)], listing(complete=False))

    assert ledger_after(gone, {}, {})[0] == {}
    assert ledger_after(short, {}, {})[0] == {"A": applied(A)}


def test_entries_that_are_not_looked_at_stay() -> None:
    given = inputs([policy(B)], [applied(A), applied(rate_limit("other"))], [live(A)], only=["A"])

    assert set(after_apply(given)[0]) == {"A", "other"}


def test_text_that_could_not_be_sent_is_recorded_as_it_is_live() -> None:
    wanted, found = policy({**MFA, "description": "Nobody"}), live({**MFA, "extra": 1})
    given = inputs([wanted], [], [found], provider="neosc")

    entry = ledger_after(given, {}, {})[0]["pol-mfa"]

    assert entry.body == MFA  # what git speaks of, as it is live: `extra` does not become ours
    owned = inputs([wanted], [entry], [found], provider="neosc")
    assert not must_record(owned)
    assert make_plan(owned).cannot == make_plan(given).cannot


def test_a_switch_beside_text_that_cannot_be_sent_is_recorded() -> None:
    given = inputs(
        [policy({**MFA, "description": "Nobody"}, enabled=False)], [applied(MFA)], [live(MFA)], provider="neosc"
    )

    entry = after_apply(given)[0]["pol-mfa"]

    assert (entry.body, entry.enabled, entry.audit_id) == (MFA, False, "log-9")


def test_an_ignored_live_value_that_moves_is_not_recorded_again_and_again() -> None:
    rule = Ignore("A", "/conditions", "tuned by hand")
    given = inputs([policy(A)], [applied(A)], [live(B)], ignore=(rule,))

    assert not must_record(given)


def test_the_ledger_reads_no_trail() -> None:
    def nobody_may_ask(entry: Applied, found: LivePolicy | None, content: bool) -> Drift:
        raise AssertionError("a trail was read for nothing")

    assert not must_record(inputs([policy(A)], [applied(A)], [live(B)], drift_of=nobody_may_ask))


def test_a_new_key_takes_the_entry_over_and_the_protection_with_it() -> None:
    given = inputs([policy(A, key="new", enabled=False)], [applied(A, key="old", id="id-a", critical=True)], [live(A)])

    plan = make_plan(given)

    assert plan.blocked == ("critical-disabled",)
    assert set(after_apply(given)[0]) == {"new"}
    assert set(ledger_after(given, {}, {})[0]) == {"old"}


def test_the_mode_is_recorded_and_forgotten_with_its_file() -> None:
    wanted = inputs(found=listing(mode="STRICT"), mode="monitoring")
    dropped = inputs(found=listing(mode="STRICT"), applied_settings=mode_entry("strict"))

    entry = after_apply(wanted)[1]

    assert entry is not None
    assert (entry.body, entry.audit_id) == ({"enforcement_mode": "monitoring"}, "log-9")
    assert ledger_after(wanted, {}, {})[1] is None
    assert ledger_after(dropped, {}, {})[1] is None
    assert must_record(dropped)


# ------------------------------------------------------------------------------------------------- laws

names = st.sampled_from(["A", "B", "C", "D", "E"])
bodies = st.builds(
    lambda limit, severity: {"limit": limit, "severity": severity},
    st.sampled_from([10, 20, 30]),
    st.sampled_from([None, "low", "high"]),
)
sides = st.dictionaries(names, st.tuples(bodies, st.booleans()), max_size=5)


def body_of(name: str, given: Mapping[str, Any]) -> dict[str, Json]:
    extra = {} if given["severity"] is None else {"severity": given["severity"]}
    return rate_limit(name, given["limit"], **extra)


def world(desired: Any, ledger: Any, found: Any, shuffle: random.Random | None = None, **given: Any) -> PlanInput:
    wanted = [policy(body_of(name, body), enabled=on) for name, (body, on) in desired.items()]
    entries = [applied(body_of(name, body), enabled=on) for name, (body, on) in ledger.items()]
    read = [live(body_of(name, body), enabled=on) for name, (body, on) in found.items()]
    for each in (wanted, entries, read):
        if shuffle is not None:
            shuffle.shuffle(each)
    return inputs(wanted, entries, listing(*read, mode="STRICT"), **given)


@given(sides, sides, sides, st.randoms(use_true_random=False))
def test_the_order_of_files_list_and_ledger_does_not_matter(
    desired: Any, ledger: Any, found: Any, shuffle: random.Random
) -> None:
    plan = make_plan(world(desired, ledger, found))
    shuffled = make_plan(world(desired, ledger, found, shuffle))

    assert plan_to_json(plan) == plan_to_json(shuffled)


@given(sides, sides, sides)
def test_what_we_do_not_own_and_git_does_not_want_is_never_touched(desired: Any, ledger: Any, found: Any) -> None:
    plan = make_plan(world(desired, ledger, found))

    ours = desired.keys() | ledger.keys()
    assert {change.key for change in plan.changes} <= ours
    assert set(plan.unmanaged) == found.keys() - ours
    assert all(change.key in ledger for change in plan.changes if change.action is Action.DELETE)


@given(sides, sides, sides)
def test_planning_from_the_applied_state_finds_nothing_to_do_and_nothing_to_record(
    desired: Any, ledger: Any, found: Any
) -> None:
    given = world(desired, ledger, found)
    entries, _ = after_apply(given)
    changed = {change.key: _as_applied(change) for change in make_plan(given).changes}
    now_live = [each for each in given.live.policies if each.natural_key not in changed]
    now_live += [each for each in changed.values() if each is not None]

    again = replace(given, applied=entries, live=replace(given.live, policies=tuple(now_live)))

    assert make_plan(again).is_empty
    assert not must_record(again)
    assert entries.keys() == desired.keys()


@given(sides, sides, sides)
def test_every_policy_is_counted_once(desired: Any, ledger: Any, found: Any) -> None:
    plan = make_plan(world(desired, ledger, found))

    deleted = sum(change.action is Action.DELETE for change in plan.changes)
    assert len(plan.changes) - deleted + plan.summary["in_sync"] == len(desired)
    assert len({change.key for change in plan.changes}) == len(plan.changes)
