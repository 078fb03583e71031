"""NeoSC's documented calls and replies, over a real socket."""

from __future__ import annotations

import re
from typing import Any

import httpx
import pytest

from tests.support.servers import RunningServer

MFA = "pol-mfa-required"
SHA = "0123456789abcdef0123456789abcdef01234567"


def test_the_first_list_is_the_three_documented_defaults(neosc: httpx.Client) -> None:
    reply = neosc.get("/policies")

    policies = reply.json()
    assert reply.status_code == 200
    assert [policy["id"] for policy in policies] == [MFA, "pol-network-zero-trust", "pol-session-recording"]
    assert list(policies[0]) == ["id", "name", "description", "type", "rules", "enabled", "created_at"]
    assert {key: value for key, value in policies[0].items() if key != "created_at"} == {
        "id": MFA,
        "name": "MFA Required",
        "description": "Enforce multi-factor authentication for all users",
        "type": "access",
        "rules": ["Require MFA for login", "WebAuthn preferred", "TOTP as fallback"],
        "enabled": True,
    }
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", policies[0]["created_at"])


def test_a_list_says_how_long_it_is_in_entries_and_in_bytes(neosc: httpx.Client) -> None:
    for path in ("/policies", "/audit-logs"):
        reply = neosc.get(path)

        assert reply.headers["x-total-count"] == str(len(reply.json()))
        assert reply.headers["content-length"] == str(len(reply.content))
        assert reply.headers["x-content-type-options"] == "nosniff"


def test_a_second_list_is_the_first(neosc: httpx.Client) -> None:
    first = neosc.get("/policies").json()

    assert neosc.get("/policies").json() == first


def test_a_toggle_flips_whatever_it_finds(neosc: httpx.Client) -> None:
    neosc.get("/policies")

    off = neosc.patch(f"/policies/{MFA}")
    on = neosc.patch(f"/policies/{MFA}")

    assert (off.status_code, off.json()) == (200, {"message": "Policy disabled", "enabled": False})
    assert (on.status_code, on.json()) == (200, {"message": "Policy enabled", "enabled": True})


@pytest.mark.parametrize("body", [b"", b"{}", b'{"enabled": true}', b"not json", b"[" * 5000])
def test_a_toggle_ignores_its_body(neosc: httpx.Client, body: bytes) -> None:
    neosc.get("/policies")

    reply = neosc.patch(f"/policies/{MFA}", content=body)

    assert reply.json() == {"message": "Policy disabled", "enabled": False}


def test_a_toggle_of_a_policy_that_is_not_there_is_404_and_leaves_no_entry(neosc: httpx.Client) -> None:
    neosc.get("/policies")

    reply = neosc.patch("/policies/pol-nobody")

    assert (reply.status_code, reply.json()) == (404, {"detail": "Policy not found"})
    assert neosc.get("/audit-logs").json() == []


def test_the_audit_log_has_the_documented_fields_and_the_commit_newest_first(
    server: RunningServer, neosc: httpx.Client
) -> None:
    neosc.get("/policies")
    agent = f"reconciler/0.1.0 (commit={SHA}; key={MFA}; plan=0123456789ab)"

    neosc.patch(f"/policies/{MFA}")
    neosc.patch(f"/policies/{MFA}", headers={"User-Agent": agent})

    new, old = neosc.get("/audit-logs").json()
    assert list(new) == [
        "id",
        "user_id",
        "user_email",
        "action",
        "resource",
        "details",
        "timestamp",
        "success",
        "user_agent",
        "annotation",
    ]
    assert {key: new[key] for key in ("user_email", "action", "resource", "details", "success")} == {
        "user_email": "gitops@example.com",
        "action": "toggle_policy",
        "resource": f"policy:{MFA}",
        "details": "Policy enabled",
        "success": True,
    }
    assert (new["user_agent"], new["annotation"]) == (agent, SHA)
    assert (old["details"], old["annotation"]) == ("Policy disabled", None)
    assert new["id"] != old["id"]
    assert new["user_id"] == old["user_id"] != ""


def test_an_entry_names_the_person_who_did_it(server: RunningServer, neosc: httpx.Client) -> None:
    neosc.get("/policies")
    person = server.store.add_token("Admin@Example.com", "admin")

    neosc.patch(f"/policies/{MFA}", headers={"Authorization": f"Bearer {person}"})

    assert neosc.get("/audit-logs").json()[0]["user_email"] == "admin@example.com"


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("POST", "/policies", "GET"),
        ("PUT", f"/policies/{MFA}", "PATCH"),
        ("DELETE", f"/policies/{MFA}", "PATCH"),
        ("GET", f"/policies/{MFA}", "PATCH"),
        ("DELETE", "/policies", "GET"),
    ],
)
def test_what_neosc_only_announces_is_405(neosc: httpx.Client, method: str, path: str, allowed: str) -> None:
    before = neosc.get("/policies").json()

    reply = neosc.request(method, path, json={"name": "x", "type": "access"})

    assert (reply.status_code, reply.json()) == (405, {"detail": "Method Not Allowed"})
    assert reply.headers["allow"] == allowed
    assert neosc.get("/policies").json() == before


def test_an_unknown_route_has_neoscs_error_shape(neosc: httpx.Client) -> None:
    reply = neosc.get("/nowhere")

    assert (reply.status_code, reply.json()) == (404, {"detail": "Not Found"})


# ------------------------------------------------------------------------------------------ announced calls

GEO: dict[str, Any] = {
    "name": "Geo-Restriction Policy",
    "description": "Block access from specific countries",
    "type": "network",
    "rules": ["Block IPs from sanctioned countries", "Allow EU and US only", "Log all blocked attempts"],
    "enabled": True,
}


def test_the_announced_create_works_as_the_documents_show_it(neosc_crud: httpx.Client) -> None:
    neosc_crud.get("/policies")

    reply = neosc_crud.post("/policies", json=GEO)

    made = reply.json()
    assert reply.status_code == 201
    assert made == {"id": "pol-geo-restriction-policy", **GEO, "created_at": made["created_at"]}
    assert neosc_crud.get("/policies").json()[-1] == made
    assert neosc_crud.get("/audit-logs").json()[0]["action"] == "create_policy"


def test_a_create_takes_the_id_it_is_given_and_keeps_checks(neosc_crud: httpx.Client) -> None:
    checks = {"Allow EU and US only": {"allowed_countries": ["EU", "US"]}}

    made = neosc_crud.post("/policies", json={**GEO, "id": "pol-geo", "checks": checks}).json()

    assert (made["id"], made["checks"]) == ("pol-geo", checks)


def test_an_id_that_exists_is_409_and_nothing_changes(neosc_crud: httpx.Client) -> None:
    before = neosc_crud.get("/policies").json()

    reply = neosc_crud.post("/policies", json={**GEO, "id": MFA})

    assert (reply.status_code, reply.json()) == (409, {"detail": "Policy already exists"})
    assert neosc_crud.get("/policies").json() == before
    assert neosc_crud.get("/audit-logs").json() == []


def test_an_update_changes_the_fields_given_and_keeps_the_others(neosc_crud: httpx.Client) -> None:
    before = neosc_crud.get("/policies").json()[0]

    reply = neosc_crud.put(f"/policies/{MFA}", json={"rules": ["WebAuthn only"], "checks": {"WebAuthn only": {}}})

    assert reply.status_code == 200
    after = {**before, "rules": ["WebAuthn only"], "checks": {"WebAuthn only": {}}}
    assert reply.json() == after == neosc_crud.get("/policies").json()[0]
    entry = neosc_crud.get("/audit-logs").json()[0]
    assert (entry["action"], entry["details"]) == ("update_policy", "Policy updated: checks, rules")


def test_what_was_read_can_be_written_back(neosc_crud: httpx.Client) -> None:
    before = neosc_crud.get("/policies").json()[1]

    reply = neosc_crud.put(f"/policies/{before['id']}", json=before)

    assert (reply.status_code, reply.json()) == (200, before)


def test_one_is_not_true_to_an_update_or_its_entry(neosc_crud: httpx.Client) -> None:
    neosc_crud.get("/policies")
    neosc_crud.put(f"/policies/{MFA}", json={"checks": {"a": {"require_mfa": 1}}})

    reply = neosc_crud.put(f"/policies/{MFA}", json={"checks": {"a": {"require_mfa": True}}})

    assert reply.json()["checks"]["a"]["require_mfa"] is True
    assert neosc_crud.get("/audit-logs").json()[0]["details"] == "Policy updated: checks"


def test_null_takes_the_checks_away(neosc_crud: httpx.Client) -> None:
    neosc_crud.get("/policies")
    neosc_crud.put(f"/policies/{MFA}", json={"checks": {"a": {}}})

    reply = neosc_crud.put(f"/policies/{MFA}", json={"checks": None})

    assert "checks" not in reply.json()


def test_a_delete_takes_the_policy_and_leaves_an_entry(neosc_crud: httpx.Client) -> None:
    neosc_crud.get("/policies")

    reply = neosc_crud.delete(f"/policies/{MFA}")

    assert (reply.status_code, reply.json()) == (200, {"message": "Policy deleted"})
    assert MFA not in [policy["id"] for policy in neosc_crud.get("/policies").json()]
    entry = neosc_crud.get("/audit-logs").json()[0]
    assert (entry["action"], entry["resource"]) == ("delete_policy", f"policy:{MFA}")


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
def test_an_announced_call_on_a_policy_that_is_not_there_is_404(neosc_crud: httpx.Client, method: str) -> None:
    reply = neosc_crud.request(method, "/policies/pol-nobody", json={"name": "x"})

    assert (reply.status_code, reply.json()) == (404, {"detail": "Policy not found"})


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ({"type": "access"}, "name is required"),
        ({"name": "x"}, "type is required"),
        ({"name": "x", "type": "acess"}, "type must be one of access, network, session"),
        ({"name": 7, "type": "access"}, "name must be a string of 1 to 255 characters"),
        ({"name": "x" * 256, "type": "access"}, "name must be a string of 1 to 255 characters"),
        ({"name": "x", "type": "access", "enabled": 1}, "enabled must be true or false"),
        ({"name": "x", "type": "access", "rules": "all"}, "rules must be a list of strings"),
        ({"name": "x", "type": "access", "rules": ["a", None]}, "rules must be a list of strings"),
        ({"name": "x", "type": "access", "role": "admin"}, "Unknown field: role"),
        ({"name": "x", "type": "access", "created_at": "2026"}, "created_at is set by the server"),
        ({"name": "x", "type": "access", "id": "../admin"}, "id must be text like [A-Za-z0-9][A-Za-z0-9._-]{0,127}"),
    ],
)
def test_a_wrong_field_is_422_with_its_name_and_nothing_is_made(
    neosc_crud: httpx.Client, body: dict[str, Any], sentence: str
) -> None:
    before = neosc_crud.get("/policies").json()

    reply = neosc_crud.post("/policies", json=body)

    assert (reply.status_code, reply.json()) == (422, {"detail": sentence})
    assert neosc_crud.get("/policies").json() == before


def test_an_update_cannot_move_a_policy_to_another_id(neosc_crud: httpx.Client) -> None:
    before = neosc_crud.get("/policies").json()

    reply = neosc_crud.put(f"/policies/{MFA}", json={"id": "pol-other"})

    assert (reply.status_code, reply.json()) == (422, {"detail": "id cannot be changed"})
    assert neosc_crud.get("/policies").json() == before
