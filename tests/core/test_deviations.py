"""Directions on AIM, whose policies work otherwise (semantics.md B.13, E.3 "Target exceptions")."""

from __future__ import annotations

from dataclasses import replace

import pytest

from reconciler.core.model import Action, Json, Plan, Risk, TargetSettings
from reconciler.core.plan import make_plan
from reconciler.providers import aim
from tests.builders import applied, inputs, listing, live, policy

CAN = aim.capabilities(TargetSettings("aim", "aim", "http://127.0.0.1:8800/api/v1", "policies/aim"))
Body = dict[str, Json]


def capability(name: str = "Capabilities", action: str = "alert_only", **more: Json) -> Body:
    return {"name": name, "policyType": "capability_violation", "enforcementAction": action, **more}


def trust(name: str = "Trust", action: str = "alert_only", **more: Json) -> Body:
    body: Body = {"name": name, "policyType": "trust_score_low", "enforcementAction": action}
    return {**body, "rules": {"trust_threshold": 0.5}, **more}


def blocklist(*domains: str) -> Body:
    body: Body = {"name": "Blocked", "policyType": "mcp_blocklist", "enforcementAction": "block_and_alert"}
    return {**body, "rules": {"blockedDomains": [*domains]}}


def plan_of(*given: object, mode: str | None = None) -> Plan:
    policies, ledger, found = given
    read = listing(*found, mode=mode)  # type: ignore[misc]
    return make_plan(inputs(policies, ledger, read, provider="aim", capabilities=CAN))  # type: ignore[arg-type]


def risks(plan: Plan) -> dict[str, tuple[Action, Risk]]:
    return {change.key: (change.action, change.risk) for change in plan.changes}


def test_the_last_capability_policy_tightens_as_it_is_switched_off() -> None:
    plan = plan_of([policy(capability(), enabled=False)], [applied(capability())], [live(capability())])

    assert risks(plan) == {"Capabilities": (Action.DISABLE, Risk.TIGHTENS)}
    assert [(field.pointer, field.risk) for field in plan.changes[0].fields] == [("/enabled", Risk.TIGHTENS)]
    assert [warning for warning in plan.warnings if "last enabled capability_violation" in warning]


def test_the_last_capability_policy_tightens_as_it_is_deleted() -> None:
    plan = plan_of([], [applied(capability())], [live(capability())])

    assert risks(plan) == {"Capabilities": (Action.DELETE, Risk.TIGHTENS)}


def test_an_update_that_switches_the_last_one_off_as_well_is_judged_by_both() -> None:
    desired = policy(capability(action="allow"), enabled=False)

    plan = plan_of([desired], [applied(capability())], [live(capability())])

    fields = {field.pointer: field.risk for field in plan.changes[0].fields}
    assert fields == {"/enforcementAction": Risk.WEAKENS, "/enabled": Risk.TIGHTENS}
    assert risks(plan) == {"Capabilities": (Action.UPDATE, Risk.MIXED)}


@pytest.mark.parametrize("other", [live(capability("Other")), None], ids=["live", "about to come"])
def test_with_another_capability_policy_switching_one_off_weakens_as_ever(other: object) -> None:
    wanted = [policy(capability(), enabled=False), policy(capability("Other"))]
    found = [live(capability()), *([other] if other is not None else [])]

    plan = plan_of(wanted, [applied(capability())], found)

    assert risks(plan)["Capabilities"] == (Action.DISABLE, Risk.WEAKENS)


def test_two_that_go_together_are_no_last_ones() -> None:
    names = ("One", "Two")

    plan = plan_of([], [applied(capability(name)) for name in names], [live(capability(name)) for name in names])

    assert {risk for _, risk in risks(plan).values()} == {Risk.WEAKENS}


@pytest.mark.parametrize(
    ("action", "risk"), [("allow", Risk.WEAKENS), ("alert_only", Risk.WEAKENS), ("block_and_alert", Risk.NEUTRAL)]
)
def test_the_first_capability_policy_opens_what_was_closed_unless_it_blocks(action: str, risk: Risk) -> None:
    desired = policy(capability(action=action))

    created = plan_of([desired], [], [])
    enabled = plan_of([desired], [], [live(capability(action=action), enabled=False)])

    assert risks(created) == {"Capabilities": (Action.CREATE, risk)}
    assert risks(enabled) == {"Capabilities": (Action.ENABLE, risk)}
    assert [warning for warning in created.warnings if "first enabled capability_violation" in warning]


def test_what_opens_goes_after_what_tightens() -> None:
    trusted, raised = trust(), trust(rules={"trust_threshold": 0.7})
    found = [live(trusted), live(capability("Old"), enabled=False)]

    plan = plan_of([policy(capability("Old")), policy(capability("New")), policy(raised)], [], found)

    assert [(change.action, change.key) for change in plan.changes] == [
        (Action.UPDATE, "Trust"),
        (Action.CREATE, "New"),
        (Action.ENABLE, "Old"),
    ]


def test_other_types_are_judged_as_ever() -> None:
    plan = plan_of([policy(trust(), enabled=False)], [applied(trust())], [live(trust())])

    assert risks(plan) == {"Trust": (Action.DISABLE, Risk.WEAKENS)}
    assert plan.warnings == ()


def test_whom_a_capability_policy_looks_at_has_no_sure_direction() -> None:
    desired, found = capability(appliesTo="all"), capability(appliesTo="agent_type:crawler")

    [change] = plan_of([policy(desired)], [applied(found)], [live(found)]).changes

    assert change.risk is Risk.UNKNOWN


@pytest.mark.parametrize(
    ("desired", "found"),
    [
        ([policy(blocklist("a.example"))], [live(blocklist("a.example", "b.example"))]),
        ([policy(blocklist("a.example"), enabled=False)], [live(blocklist("a.example"))]),
        ([policy(blocklist("a.example"))], []),
        ([], [live(blocklist("a.example"))]),
    ],
    ids=["update", "disable", "create", "delete"],
)
def test_a_policy_that_is_only_stored_has_no_direction_and_the_plan_says_why(desired: object, found: object) -> None:
    plan = plan_of(desired, [applied(blocklist("a.example", "b.example"))], found)

    assert [change.risk for change in plan.changes] == [Risk.NEUTRAL]
    assert {field.risk for change in plan.changes for field in change.fields} == {Risk.NEUTRAL}
    assert plan.warnings[-1:] == ('"Blocked" has no effect: AIM stores mcp_blocklist policies and evaluates none',)


def test_a_type_that_changes_to_a_stored_one_is_not_called_harmless() -> None:
    desired: Body = {**blocklist("a.example"), "name": "Trust"}

    [change] = plan_of([policy(desired)], [applied(trust())], [live(trust())]).changes

    assert change.risk in (Risk.UNKNOWN, Risk.MIXED)


def test_under_monitoring_what_blocks_is_said_to_block_later() -> None:
    desired = policy(trust(action="block_and_alert"))
    given = [desired], [applied(trust())], [live(trust())]

    monitoring, strict = plan_of(*given, mode="MONITORING"), plan_of(*given, mode="STRICT")

    assert [change.risk for change in (*monitoring.changes, *strict.changes)] == [Risk.TIGHTENS] * 2
    assert monitoring.warnings == (
        '"Trust" blocks nothing while AIM is in MONITORING mode; it tightens once STRICT returns',
    )
    assert strict.warnings == ()


def test_two_policies_of_one_type_and_priority_are_named() -> None:
    bodies = [trust("One", priority=5), trust("Two", priority=5), trust("Three", priority=6)]

    plan = plan_of([policy(body) for body in bodies], [], [live(body) for body in bodies])

    assert plan.warnings == (
        '"One", "Two" are trust_score_low policies of priority 5: AIM takes the youngest that applies',
    )


def test_on_an_api_without_deviations_nothing_is_different() -> None:
    plain = replace(CAN, deviations=None)

    plan = make_plan(inputs([], [applied(capability())], [live(capability())], provider="aim", capabilities=plain))

    assert risks(plan) == {"Capabilities": (Action.DELETE, Risk.WEAKENS)}
    assert plan.warnings == ()
