"""Switches and the mode: what an admin moves, what git locks, what breaking the glass asks for and leaves behind."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from reconciler.server.aim.tables import aim_policies
from reconciler.server.pages.trail import CHECKED_EVERY, ChainWatch
from tests.server.pages.test_forms import everything
from tests.support.clocks import FakeClock
from tests.support.servers import RunningServer, reference_server
from tests.support.visitors import COMMIT, Visitor, from_git, program, read_page, visitor

MFA = "/policies/neosc/pol-mfa-required"
LATER = "f" * 40


@pytest.fixture
def managed(api: httpx.Client) -> str:
    """The address of a policy that git has touched twice; it is on."""
    for _ in range(2):
        assert api.patch("/api/policies/pol-mfa-required", headers=from_git("pol-mfa-required")).is_success
    return MFA


def state(looking: Visitor, path: str = MFA) -> Mapping[str, Any]:
    policy: Mapping[str, Any] = looking.get(f"{path}.json").json()["policy"]
    return policy


def attention(looking: Visitor) -> list[tuple[str, str]]:
    return [(each["kind"], each["title"]) for each in looking.get("/overview.json").json()["attention"]]


def form(clock: FakeClock, **changed: str) -> dict[str, str]:
    until = f"{clock.now() + timedelta(hours=1):%Y-%m-%dT%H:%M}"
    filled = {"enabled": "off", "reason": "Identity provider is down", "until": until, "confirm": "pol-mfa-required"}
    return {**filled, **changed}


def test_a_switch_that_git_does_not_manage_is_set_and_recorded(api: httpx.Client, admin: Visitor) -> None:
    reply = admin.post(f"{MFA}/switch", {"enabled": "off"})

    again = admin.post(f"{MFA}/switch", {"enabled": "off"})
    [entry] = api.get("/api/audit-logs").json()
    assert [reply.status_code, again.status_code] == [303, 303]
    assert reply.headers["location"] == "/policies?note=off"
    assert (entry["action"], entry["user_email"]) == ("toggle_policy", "admin@example.com")
    assert (entry["details"], entry["annotation"]) == ("Policy disabled", None)
    assert not state(admin)["enabled"]


def test_after_a_switch_the_list_is_as_it_was_narrowed(api: httpx.Client, admin: Visitor) -> None:
    headers = {"Referer": f"{admin.url}/policies?switch=on&note=on"}

    reply = admin.post(f"{MFA}/switch", {"enabled": "off"}, headers=headers)

    assert reply.headers["location"] == "/policies?switch=on&note=off"
    assert "Switched off." in admin.page(reply.headers["location"]).text


def test_a_switch_is_set_to_on_or_off_and_nothing_else(api: httpx.Client, admin: Visitor) -> None:
    statuses = [admin.post(f"{MFA}/switch", {"enabled": wanted}).status_code for wanted in ("", "true", "OFF")]

    assert statuses == [400, 400, 400]
    assert state(admin)["enabled"]


def test_what_git_manages_is_locked_and_names_its_commit(site: RunningServer, admin: Visitor, managed: str) -> None:
    before = everything(site)

    reply = admin.post(f"{managed}/switch", {"enabled": "off"})
    page = admin.page(managed)

    assert reply.status_code == 409
    assert "Git manages MFA Required" in read_page(reply).text
    assert everything(site) == before
    [switch] = page.all("button", role="switch")
    assert (switch["aria-checked"], switch["aria-disabled"]) == ("true", "true")
    assert COMMIT[:7] in page.text
    assert (state(admin)["commit"], state(admin)["origin"]) == (COMMIT, "git")


def test_the_glass_is_broken_with_a_reason_and_an_end(
    api: httpx.Client, admin: Visitor, managed: str, clock: FakeClock
) -> None:
    reply = admin.post(f"{managed}/break-glass", form(clock))

    entry = api.get("/api/audit-logs").json()[0]
    assert reply.status_code == 303
    assert entry["details"] == "Policy disabled; break-glass until 2026-11-20T10:00Z: Identity provider is down"
    assert (entry["annotation"], entry["user_email"]) == (None, "admin@example.com")
    found = state(admin)
    assert (found["enabled"], found["origin"], found["commit"]) == (False, "outside", COMMIT)
    assert (found["glass"]["reason"], found["glass"]["audit_id"]) == ("Identity provider is down", entry["id"])
    assert ("glass", "Break-glass on MFA Required is running: it is off") in attention(admin)


LACKING: tuple[tuple[dict[str, str], str], ...] = (
    ({"reason": "short"}, "Say why in at least 10 characters."),
    ({"reason": ""}, "Say why in at least 10 characters."),
    ({"reason": "long " * 300}, "Say why in at most 1,000 characters."),
    ({"reason": f"as in {COMMIT} it was"}, "Shorten the commit id"),
    ({"until": ""}, "Give the end as a date and a time."),
    ({"until": "2026-11-20T09:00"}, "Give an end that is still to come."),
    ({"until": "2026-12-20T09:00"}, "Give an end within 7 days"),
    ({"confirm": ""}, "Type pol-mfa-required"),
    ({"confirm": "pol-mfa-require"}, "Type pol-mfa-required"),
)


def test_a_form_that_lacks_something_comes_back_as_it_was_filled(
    site: RunningServer, admin: Visitor, managed: str, clock: FakeClock
) -> None:
    before = everything(site)

    for changed, sentence in LACKING:
        filled = form(clock, **changed)
        reply = admin.post(f"{managed}/break-glass", filled)
        page = read_page(reply)

        assert reply.status_code == 422, changed
        assert sentence in page.text
        assert page.all("input", name="confirm", value=filled["confirm"])
        assert [attrs for _, attrs in page.elements if attrs.get("aria-invalid") == "true"]
    assert everything(site) == before


def test_a_switch_that_moved_meanwhile_is_looked_at_again(
    api: httpx.Client, admin: Visitor, managed: str, clock: FakeClock
) -> None:
    api.patch("/api/policies/pol-mfa-required")

    reply = admin.post(f"{managed}/break-glass", form(clock))

    assert reply.status_code == 409
    assert not state(admin)["enabled"]


def test_when_the_end_has_passed_it_needs_attention_and_nothing_flips(
    admin: Visitor, managed: str, clock: FakeClock
) -> None:
    admin.post(f"{managed}/break-glass", form(clock, until="2026-11-20T09:10"))

    clock.passed += 11 * 60

    assert ("glass-over", "Break-glass on MFA Required is over, and it is still off") in attention(admin)
    assert not state(admin)["enabled"]


def test_ending_it_puts_the_switch_back_once(api: httpx.Client, admin: Visitor, managed: str, clock: FakeClock) -> None:
    admin.post(f"{managed}/break-glass", form(clock))
    broken = api.get("/api/audit-logs").json()[0]["id"]

    replies = [admin.post(f"{managed}/end-break-glass").status_code for _ in range(2)]

    entry = api.get("/api/audit-logs").json()[0]
    assert replies == [303, 303]
    assert entry["details"] == f"Policy enabled; end of the break-glass of {broken}"
    assert len(api.get("/api/audit-logs").json()) == 4
    assert state(admin)["enabled"]
    assert not [kind for kind, _ in attention(admin) if kind.startswith("glass")]


def test_when_git_has_had_its_way_the_break_glass_is_over(
    api: httpx.Client, admin: Visitor, managed: str, clock: FakeClock
) -> None:
    admin.post(f"{managed}/break-glass", form(clock))
    clock.passed += 60

    api.patch("/api/policies/pol-mfa-required", headers=from_git("pol-mfa-required", LATER))

    assert (state(admin)["origin"], state(admin)["commit"], state(admin)["glass"]) == ("git", LATER, None)
    assert attention(admin) == []


def test_an_edit_by_somebody_else_is_named_and_is_no_break_glass(
    api: httpx.Client, admin: Visitor, managed: str
) -> None:
    api.patch("/api/policies/pol-mfa-required")

    found = state(admin)
    assert (found["origin"], found["edited_by"], found["edit"]) == ("outside", "gitops@example.com", "Policy disabled")
    assert found["locked"]
    assert attention(admin) == [("outside", "MFA Required was edited outside git")]


def test_only_critical_policies_ask_for_their_id(api: httpx.Client, admin: Visitor, clock: FakeClock) -> None:
    body = {"name": "Rates", "policy_type": "rate_limit", "conditions": {"max_requests_per_hour": 5}}
    paths = {}
    for severity in ("medium", "critical"):
        given = {**body, "name": severity, "severity": severity}
        made = api.post("/v1/admin/security-policies", json=given, headers=from_git(severity)).json()["policy"]
        paths[severity] = f"/policies/opena2a/{made['id']}/break-glass"

    replies = {name: admin.post(path, form(clock, confirm="")).status_code for name, path in paths.items()}

    assert replies == {"medium": 303, "critical": 422}


def test_there_is_no_glass_where_git_manages_nothing(
    site: RunningServer, api: httpx.Client, admin: Visitor, clock: FakeClock
) -> None:
    before = everything(site)

    replies = [admin.get(f"{MFA}/break-glass"), admin.post(f"{MFA}/break-glass", form(clock))]

    assert [reply.status_code for reply in replies] == [409, 409]
    assert everything(site) == before


def test_aims_policies_are_shown_and_not_switched_here(site: RunningServer, admin: Visitor) -> None:
    row = {"id": "a1", "organization": "default", "name": "Caps", "policy_type": "capability_violation"}
    row |= {"enforcement_action": "block_and_alert", "severity_threshold": "high", "applies_to": "all", "priority": 1}
    row |= {"is_enabled": True, "rules": {"a": 1}, "created_at": "2026-11-20", "updated_at": "2026-11-20"}
    text = f"Caps. [reconciler commit={COMMIT}]"
    with site.store.write() as connection:
        connection.execute(aim_policies.insert().values(**row, description=text, created_by="user-1"))

    found = state(admin, "/policies/aim/a1")
    replies = [admin.post(f"/policies/aim/a1/{form}").status_code for form in ("break-glass", "end-break-glass")]

    assert (found["description"], found["commit"], found["origin"]) == ("Caps.", COMMIT, "git")
    assert admin.get("/matrix.json").json()["names"][-1] == "AIM"
    assert (replies, admin.post("/policies/aim/a1/switch", {"enabled": "off"}).status_code) == ([409, 409], 409)
    assert not admin.page("/policies/aim/a1").all("a", class_="button")


def test_a_policy_that_git_deleted_is_no_longer_gits(api: httpx.Client, admin: Visitor) -> None:
    body = {"id": "pol-new", "name": "New", "type": "access", "rules": ["Require MFA for login"]}
    for _ in range(2):
        assert api.post("/api/policies", json=body, headers=from_git("pol-new")).status_code == 201
        assert api.delete("/api/policies/pol-new", headers=from_git("pol-new")).is_success

    assert api.post("/api/policies", json=body).status_code == 201

    assert state(admin, "/policies/neosc/pol-new")["origin"] == "none"


def test_the_mode_is_weakened_by_typing_the_word(api: httpx.Client, admin: Visitor) -> None:
    def mode() -> Mapping[str, Any]:
        found: Mapping[str, Any] = admin.get("/mode.json").json()["mode"]
        return found

    assert mode()["value"] == "monitoring"
    assert admin.post("/mode", {"mode": "strict", "confirm": "strict"}).status_code == 303
    assert (mode()["value"], mode()["by"]) == ("strict", "admin@example.com")

    refused = admin.post("/mode", {"mode": "monitoring", "confirm": "yes"})

    assert (refused.status_code, mode()["value"]) == (422, "strict")
    assert admin.post("/mode", {"mode": "monitoring", "confirm": "Monitoring"}).status_code == 303
    assert (mode()["value"], len(api.get("/v1/admin/audit-logs").json()["logs"])) == ("monitoring", 2)


def test_what_a_change_did_is_shown_with_its_direction(api: httpx.Client, admin: Visitor) -> None:
    body = {"name": "Rates", "policy_type": "rate_limit", "conditions": {"max_requests_per_hour": 5}}
    policy = api.post("/v1/admin/security-policies", json=body).json()["policy"]
    address = f"/policies/opena2a/{policy['id']}"
    assert admin.get(f"{address}.json").json()["diff"] is None

    api.put(f"/v1/admin/security-policies/{policy['id']}", json={"conditions": {"max_requests_per_hour": 50}})
    api.patch(f"/v1/admin/security-policies/{policy['id']}/toggle", json={"enabled": True})

    diff = admin.get(f"{address}.json").json()["diff"]
    assert diff["details"] == "Policy updated: conditions"
    assert diff["fields"] == [
        {"pointer": "/conditions/max_requests_per_hour", "before": "5", "after": "50", "risk": "weakens"}
    ]
    api.patch(f"/v1/admin/security-policies/{policy['id']}/toggle", json={"enabled": False})
    [field] = admin.get(f"{address}.json").json()["diff"]["fields"]
    assert field == {"pointer": "/enabled", "before": "true", "after": "false", "risk": "weakens"}


def test_an_id_that_ends_like_json_is_still_a_page(api: httpx.Client, admin: Visitor) -> None:
    for policy_id in ("pol-a", "pol-a.json"):
        body = {"id": policy_id, "name": policy_id, "type": "access", "rules": ["Require MFA for login"]}
        assert api.post("/api/policies", json=body).status_code == 201

    kinds = [admin.get(f"/policies/neosc/pol-a{end}").headers["content-type"] for end in ("", ".json", ".json.json")]

    assert kinds == ["text/html; charset=utf-8", "text/html; charset=utf-8", "application/json"]


def test_alerts_are_settled_by_buttons(api: httpx.Client, admin: Visitor) -> None:
    body = {
        "name": "Net",
        "policy_type": "ip_allowlist",
        "severity": "critical",
        "conditions": {"allowed_ips": ["::1"]},
    }
    assert api.post(
        "/v1/admin/security-policies", json={**body, "actions": {"on_violation": "block_request"}}
    ).is_success
    event = {"event_id": "e", "actor_id": "agent", "action": "read", "resource": "x", "source_ip": "192.0.2.1"}
    assert api.post("/v1/evaluate", json={**event, "ts_us": 1}).status_code == 200
    found = [each["id"] for each in admin.get("/alerts.json").json()["findings"] if each["severity"] == "critical"]

    replies = [admin.post(f"/alerts/{found[0]}/{verb}").status_code for verb in ("acknowledge", "resolve", "resolve")]
    refused = [admin.post(f"/alerts/{name}").status_code for name in (f"{found[0]}/acknowledge", "x/resolve", "x/y")]

    after = {each["id"]: each for each in admin.get("/alerts.json").json()["findings"]}[found[0]]
    assert (replies, refused) == ([303, 303, 303], [409, 404, 404])
    assert (after["status"], after["acknowledged_by"]) == ("resolved", "admin@example.com")


def test_a_trail_that_somebody_tampered_with_needs_attention_first(tmp_path: Path) -> None:
    path, clock = tmp_path / "server.db", FakeClock()
    with reference_server(db=str(path), clock=clock) as site, visitor(site, "admin@example.com") as admin:
        with program(site) as api:
            api.get("/api/policies")
            for _ in range(3):
                api.patch("/api/policies/pol-mfa-required")
        assert attention(admin) == []
        with closing(sqlite3.connect(path)) as raw, raw:
            for (name,) in raw.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
                raw.execute(f"DROP TRIGGER {name}")
            raw.execute("UPDATE audit_entries SET user_email = 'somebody@example.com' WHERE seq = 3")

        clock.passed += CHECKED_EVERY
        found = attention(admin)
        chain = admin.get("/trail.json").json()["chain"]

    assert found == [("chain", "The audit chain is broken")]
    assert (chain["ok"], chain["broken"]) == (False, "audit 3, the row was changed")


def test_a_long_chain_is_checked_when_somebody_asks(site: RunningServer, admin: Visitor) -> None:
    admin.post("/mode", {"mode": "strict", "confirm": "strict"})
    watch = ChainWatch(unasked=0)

    looks = [watch.look(site.store, "default", asked=asked).ok for asked in (False, True, False)]

    assert looks == [None, True, True]
