"""The trail over HTTP: as documented without parameters, filtered and in parts with them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from reconciler.server.trail.chain import AUDIT, append
from reconciler.server.trail.query import MAX_LIMIT, instant_of, text_of
from tests.server.trail.rows import ORGANIZATION, add_entries
from tests.support.servers import RunningServer

SHA = "c0ffee0123456789c0ffee0123456789c0ffee01"
COMMIT = {"User-Agent": f"reconciler/0.1.0 (commit={SHA})"}
NEOSC, OPENA2A = "/api/audit-logs", "/v1/admin/audit-logs"
DEFAULTS = ("pol-mfa-required", "pol-network-zero-trust", "pol-session-recording")


@pytest.fixture
def told(server: RunningServer) -> Iterator[httpx.Client]:
    """A client of a server whose trail has six entries of NeoSC's, one with a commit, and two of OpenA2A's."""
    headers = {"Authorization": f"Bearer {server.token}", "User-Agent": "someone"}
    with httpx.Client(base_url=server.url, headers=headers, trust_env=False, verify=False, timeout=60) as client:
        client.get("/api/policies")
        for policy in DEFAULTS:
            client.patch(f"/api/policies/{policy}")
        client.patch(f"/api/policies/{DEFAULTS[0]}", headers=COMMIT)
        other = {"Authorization": f"Bearer {server.store.add_token('eve@example.com', 'admin')}"}
        for policy in DEFAULTS[:2]:
            client.patch(f"/api/policies/{policy}", headers=other)
        made = client.post("/v1/admin/security-policies", json={"name": "100%_sure", "policy_type": "trust_score"})
        client.put("/v1/admin/enforcement-settings", json={"enforcementMode": "strict"})
        assert made.status_code == 201
        yield client


def seen(reply: httpx.Response) -> list[tuple[str, str]]:
    body = reply.json()
    assert reply.status_code == 200, body
    entries = body if isinstance(body, list) else body["logs"]
    return [(entry["user_email"][:3], entry["resource"]) for entry in entries]


MFA, TUNNEL, RECORDING = (f"policy:{policy}" for policy in DEFAULTS)


FILTERED: dict[str, list[tuple[str, str]]] = {
    "user=eve@example.com": [("eve", TUNNEL), ("eve", MFA)],
    "user=EVE@example.com": [("eve", TUNNEL), ("eve", MFA)],
    "user=nobody@example.com": [],
    "action=toggle_policy&user=eve@example.com": [("eve", TUNNEL), ("eve", MFA)],
    "action=login": [],
    f"resource={RECORDING}": [("git", RECORDING)],
    "policy=pol-mfa-required": [("eve", MFA), ("git", MFA), ("git", MFA)],
    f"commit={SHA}": [("git", MFA)],
    f"annotation={SHA[:7]}": [("git", MFA)],
    f"commit={'0' * 40}": [],
    "success=true&user=eve@example.com&policy=pol-mfa-required": [("eve", MFA)],
    "success=false": [],
    "from=2000-01-01&to=2001-01-01": [],
    "q=RECORDING": [("git", RECORDING)],
    "q=enabled&policy=pol-network-zero-trust": [("eve", TUNNEL)],
    "q=%25": [],
    "q=_": [("eve", TUNNEL), ("eve", MFA), ("git", MFA), ("git", RECORDING), ("git", TUNNEL), ("git", MFA)],
    "q=e_a": [],
    "q='%20OR%201=1%20--": [],
}


def test_a_filter_narrows_neosc_s_list(told: httpx.Client) -> None:
    replies = {query: told.get(f"/api/audit-logs?{query}") for query in FILTERED}

    assert {query: seen(reply) for query, reply in replies.items()} == FILTERED
    assert [int(reply.headers["x-total-count"]) for reply in replies.values()] == [*map(len, FILTERED.values())]


def test_opena2a_s_list_can_show_another_system_s_entries(told: httpx.Client) -> None:
    counts = {"opena2a": 2, "all": 9, "neosc": 6, "server": 1, "aim": 0}

    replies = {system: told.get("/v1/admin/audit-logs", params={"system": system}) for system in counts}

    assert {system: len(seen(reply)) for system, reply in replies.items()} == counts
    assert {system: reply.json()["total"] for system, reply in replies.items()} == counts
    assert told.get("/v1/admin/audit-logs").json() == replies["opena2a"].json()


def test_a_time_is_from_inclusive_to_exclusive(told: httpx.Client) -> None:
    times = [entry["timestamp"] for entry in told.get("/api/audit-logs").json()]
    newest, oldest = times[0], times[-1]

    since = told.get("/api/audit-logs", params={"from": newest}).json()
    until = told.get("/api/audit-logs", params={"to": oldest}).json()
    offset = told.get("/api/audit-logs", params={"from": f"{newest[:-1]}+00:00"}).json()
    unescaped = told.get(f"/api/audit-logs?from={newest[:-1]}+00:00").json()

    assert [entry["timestamp"] for entry in since] == [time for time in times if time >= newest]
    assert until == []
    assert offset == since == unescaped


@pytest.mark.parametrize("path", ["/api/audit-logs?", "/v1/admin/audit-logs?system=neosc&"])
def test_the_parts_of_a_list_are_the_list(told: httpx.Client, path: str) -> None:
    whole = seen(told.get(path))

    for limit in (1, 4, 5, 6, 7):
        parts, sizes, cursor = [], [], ""
        while not sizes or cursor:
            reply = told.get(f"{path}limit={limit}{cursor}")
            parts += seen(reply)
            sizes.append(len(seen(reply)))
            cursor = f"&cursor={reply.headers['x-next-cursor']}" if "x-next-cursor" in reply.headers else ""

            assert reply.headers["x-total-count"] == "6"
        assert parts == whole
        assert sizes == [limit] * (6 // limit) + ([6 % limit] if 6 % limit else [])


def test_opena2a_s_envelope_names_the_next_part(told: httpx.Client) -> None:
    first = told.get("/v1/admin/audit-logs?limit=1")

    second = told.get("/v1/admin/audit-logs", params={"limit": 1, "cursor": first.json()["next"]})

    assert first.json()["next"] == first.headers["x-next-cursor"]
    assert first.json()["total"] == second.json()["total"] == 2
    assert "next" not in second.json()


def test_a_cursor_stays_where_it_is_while_others_write(told: httpx.Client) -> None:
    whole = told.get("/api/audit-logs").json()
    first = told.get("/api/audit-logs?limit=2")

    told.patch(f"/api/policies/{DEFAULTS[0]}")
    rest = told.get("/api/audit-logs", params={"cursor": first.headers["x-next-cursor"]})

    assert first.json() + rest.json() == whole
    assert rest.headers["x-total-count"] == "7"


def test_without_parameters_the_list_is_as_documented_and_whole(told: httpx.Client) -> None:
    bare, envelope = told.get("/api/audit-logs"), told.get("/v1/admin/audit-logs")

    documented = {"id", "user_id", "user_email", "action", "resource", "details", "timestamp", "success"}
    assert len(bare.json()) == 6
    assert all(set(entry) == {*documented, "user_agent", "annotation"} for entry in bare.json())
    assert set(envelope.json()) == {"logs", "total"}
    assert "x-next-cursor" not in bare.headers


def test_a_list_longer_than_a_page_is_streamed_in_the_same_bytes(server: RunningServer) -> None:
    count = 2 * MAX_LIMIT + 3
    with server.store.write() as connection:
        row = {"system": "neosc", "user_id": "u", "user_email": "é@x", "action": "a", "resource": "r", "success": True}
        rows = [{**row, "id": f"log-{n}", "details": f'"{n}"\n', "timestamp": text_of(n)} for n in range(count)]
        append(connection, AUDIT, ORGANIZATION, rows)
        append(
            connection, AUDIT, ORGANIZATION, [{**each, "id": f"o-{each['id']}", "system": "opena2a"} for each in rows]
        )
    headers = {"Authorization": f"Bearer {server.token}"}

    bare = httpx.get(f"{server.neosc_url}/audit-logs", headers=headers, trust_env=False, verify=False)
    envelope = httpx.get(f"{server.opena2a_url}/admin/audit-logs", headers=headers, trust_env=False, verify=False)

    entries: list[dict[str, Any]] = bare.json()
    assert [entry["id"] for entry in entries] == [f"log-{n}" for n in reversed(range(count))]
    assert bare.headers["x-total-count"] == str(count)
    assert bare.content == _compact(entries)
    assert envelope.json()["total"] == len(envelope.json()["logs"]) == count
    assert envelope.content == _compact(envelope.json())
    assert bare.headers["content-type"] == envelope.headers["content-type"] == "application/json"
    assert bare.headers["x-content-type-options"] == "nosniff"


UNREADABLE = (
    *("nonsense=1", "limit=0", "limit=1001", "limit=-1", "limit=1.5", "limit=", "limit=1&limit=1", "cursor=x"),
    *("cursor=MTox", "cursor=%F0%9F%98%80", "from=yesterday", "from=2026-13-01", "to=2026-03-05T14:30:00", "to="),
    *("success=yes", "success=True", "commit=xyz", "commit=abc"),
    *("commit=c0ffee0&annotation=c0ffee0", "resource=x&policy=y", "q=", f"q={'x' * 513}"),
)


def test_a_parameter_that_cannot_be_read_is_refused_in_the_dialect_s_words(told: httpx.Client) -> None:
    replies = {query: [told.get(f"{path}?{query}") for path in (NEOSC, OPENA2A)] for query in UNREADABLE}

    said = {query: [(each.status_code, *each.json()) for each in both] for query, both in replies.items()}
    assert said == {key: [(422, "detail"), (400, "error")] for key in UNREADABLE}


def test_a_time_before_there_was_a_trail_is_before_all_of_it(told: httpx.Client) -> None:
    reply = told.get("/api/audit-logs?from=0001-01-01T00:00:00%2B23:59")

    assert len(seen(reply)) == 6


def test_a_cursor_fits_the_filters_it_was_given_for_only(told: httpx.Client) -> None:
    cursor = told.get("/api/audit-logs?limit=1").headers["x-next-cursor"]

    reply = told.get("/api/audit-logs", params={"cursor": cursor, "action": "toggle_policy"})

    assert (reply.status_code, reply.json()) == (
        422,
        {"detail": "cursor must be one that this list gave, with the same filters"},
    )


def test_nobody_sees_another_organization_s_trail(server: RunningServer) -> None:
    add_entries(server.store, 3, organization="other")
    headers = {"Authorization": f"Bearer {server.token}"}
    paths = ("audit-logs?system=all", "audit-logs/verify", "audit-logs/export")

    with httpx.Client(
        base_url=f"{server.opena2a_url}/admin/", headers=headers, trust_env=False, verify=False
    ) as client:
        listed, verdict, export = (client.get(path) for path in paths)

    assert listed.json()["logs"] == []
    assert verdict.json()["entries"] == 0
    assert export.content == b""


def test_the_trail_is_for_people_with_a_token(server: RunningServer) -> None:
    paths = ("audit-logs", "audit-logs/verify", "audit-logs/export", "events/verify", "events/export")

    replies = [httpx.get(f"{server.opena2a_url}/admin/{path}", trust_env=False, verify=False) for path in paths]

    assert [(reply.status_code, reply.json()) for reply in replies] == [(401, {"error": "Not authenticated"})] * 5


def test_the_verdict_over_http_is_about_the_whole_chain(told: httpx.Client) -> None:
    verdict = told.get("/v1/admin/audit-logs/verify").json()

    assert verdict["ok"] is True
    assert verdict["entries"] == verdict["head"]["seq"] >= 8
    assert verdict["first_broken"] is None
    assert len(verdict["head"]["hash"]) == 64


def test_a_head_that_was_kept_can_be_shown_to_the_server(told: httpx.Client) -> None:
    path = "/v1/admin/audit-logs/verify"
    kept = told.get(path).json()["head"]
    told.patch(f"/api/policies/{DEFAULTS[0]}")

    same = told.get(path, params={"known": f"{kept['seq']}:{kept['hash']}"}).json()
    other = told.get(path, params={"known": f"{kept['seq']}:{'0' * 64}"}).json()
    no_heads = [told.get(path, params={"known": text}) for text in ("1", kept["hash"], f"0:{kept['hash']}", "1:x")]

    assert (same["ok"], same["head"]["seq"]) == (True, kept["seq"] + 1)
    assert (other["ok"], other["first_broken"]) == (False, {"id": None, "seq": kept["seq"]})
    assert [(each.status_code, *each.json()) for each in no_heads] == [(400, "error")] * 4


def test_times_are_read_as_they_are_written() -> None:
    for text in ("1970-01-01T00:00:00.000Z", "2026-03-05T14:30:00.123Z", "2255-06-05T23:47:34.740Z"):
        assert text_of(instant_of(text)) == text


def _compact(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
