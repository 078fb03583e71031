"""The provider of the self-hosted AIM server: what it reads, what it writes, how it gets in and how fast it goes."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.clock import SystemRandom
from reconciler.core.annotation import make_headers
from reconciler.core.model import Body, Fate, Json, LivePolicy, Mutation, Strength, TargetSettings, Trail
from reconciler.core.secret import Secret
from reconciler.errors import ConfigError, LiveError, UnreachableError
from reconciler.providers.aim import AimProvider, is_error
from reconciler.providers.aim_trail import trail_from_wire
from reconciler.providers.aim_wire import content, listing_from_wire, policy_from_wire, toggle_content
from reconciler.providers.http import Transport
from reconciler.providers.wire import Reply, WireError
from reconciler.trail import count_own, find_annotation, new_entries
from tests.support.aim import aim_server
from tests.support.clocks import CountingRandom, FakeClock

SHA, OTHER = "3f9c2ab0" * 5, "7d2e9011" * 5
ID = "0b7e5a1c-0000-4000-8000-000000000001"
HEADERS = make_headers("0.1.0", SHA, "Low trust score", "sha256:" + "0" * 64)
SNAKE: dict[str, Json] = {
    "id": ID,
    "organization_id": "6f1e2d3c-0000-4000-8000-000000000000",
    "name": "Low trust score",
    "description": "Below 0.5",
    "policy_type": "trust_score_low",
    "enforcement_action": "alert_only",
    "severity_threshold": "high",
    "rules": {"trust_threshold": 0.5},
    "applies_to": "all",
    "is_enabled": True,
    "priority": 100,
    "created_at": "2026-03-05T14:30:00.123457Z",
    "updated_at": "2026-03-05T14:30:00.123457Z",
    "created_by": "user-1",
}
BODY: Body = {
    "name": "Low trust score",
    "description": "Below 0.5",
    "policyType": "trust_score_low",
    "enforcementAction": "alert_only",
    "severityThreshold": "high",
    "appliesTo": "all",
    "rules": {"trust_threshold": 0.5},
    "priority": 100,
}


def camel(value: Mapping[str, Json]) -> dict[str, Json]:
    return {"".join([*key.split("_")[:1], *(p.capitalize() for p in key.split("_")[1:])]): value[key] for key in value}


def mutation(
    operation: str = "update", body: Body | None = None, *, enabled: bool = True, commit: str = SHA
) -> Mutation:
    policy_id = None if operation == "create" else ID
    return Mutation(operation, policy_id, body, enabled, commit, HEADERS)


# ------------------------------------------------------------------------------------------------- reading


@pytest.mark.parametrize("raw", [SNAKE, camel(SNAKE)], ids=["snake", "camel"])
def test_a_policy_reads_the_same_in_either_spelling(raw: dict[str, Json]) -> None:
    policy = policy_from_wire(raw, "a policy")

    assert (policy.id, policy.natural_key, policy.enabled) == (ID, "Low trust score", True)
    assert policy.body == BODY


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"rules": None}, {key: value for key, value in BODY.items() if key != "rules"}),
        ({"rules": {}}, {**BODY, "rules": {}}),
        ({"priority": 100.0}, BODY),
        (
            {"policy_type": "made_up", "severity_threshold": "urgent"},
            {**BODY, "policyType": "made_up", "severityThreshold": "urgent"},
        ),
        ({"applies_to": "all_agents"}, {**BODY, "appliesTo": "all_agents"}),
        ({"applies_to": ""}, {**BODY, "appliesTo": ""}),
        ({"description": None}, {key: value for key, value in BODY.items() if key != "description"}),
        ({"tags": ["new"], "version": 3}, BODY),
        ({"policyType": "trust_score_low"}, BODY),
        ({"rules": {"trust_threshold": 0.5, "x-reconciler": "nonsense"}}, BODY),
    ],
    ids=[
        "null rules",
        "empty rules",
        "float",
        "values of no document",
        "odd scope",
        "no scope",
        "null",
        "unknown keys",
        "both spellings",
        "odd note",
    ],
)
def test_what_live_systems_hold_is_read_as_it_is(changed: dict[str, Json], expected: Body) -> None:
    policy = policy_from_wire({**SNAKE, **changed}, "a policy")

    assert policy.body == expected
    assert policy.trailer is None


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"is_enabled": "true"}, "expected true or false for isEnabled"),
        ({"is_enabled": None}, "expected true or false for isEnabled"),
        ({"isEnabled": False}, "stands there twice, with two values"),
        ({"policyType": "config_drift"}, "stands there twice"),
        ({"name": None}, "expected text for name"),
        ({"name": 7}, "expected text for name"),
        ({"rules": []}, "expected an object for rules"),
        ({"priority": 1.5}, "expected a whole number for priority"),
        ({"priority": True}, "expected a whole number for priority"),
        ({"id": "../admin"}, "is not an id"),
        ({"applies_to": ["all"]}, "expected text for appliesTo"),
    ],
)
def test_what_is_no_policy_is_refused_with_the_reason(changed: dict[str, Json], message: str) -> None:
    with pytest.raises(WireError, match=message):
        policy_from_wire({**SNAKE, **changed}, "a policy")


def test_our_note_is_taken_off_and_names_the_commit() -> None:
    policy = policy_from_wire({**SNAKE, "rules": {"trust_threshold": 0.5, "x-reconciler": {"commit": SHA}}}, "a policy")

    assert (policy.body, policy.trailer) == (BODY, SHA)


def test_a_list_is_whole_when_its_end_was_announced() -> None:
    policies, reason = listing_from_wire(Reply(200, {}, [SNAKE]), in_description=False)
    _, cut = listing_from_wire(Reply(200, {}, [SNAKE], framed=False), in_description=False)
    _, twice = listing_from_wire(Reply(200, {}, [SNAKE, SNAKE]), in_description=False)

    assert ([policy.id for policy in policies], reason) == ([ID], None)
    assert cut == "nothing in the reply proves that the list came whole"
    assert twice == "the list holds an id twice"


@pytest.mark.parametrize("value", [{"policies": [], "total": 0}, {"logs": []}, None, "[]"])
def test_a_list_of_another_api_is_none(value: Json) -> None:
    with pytest.raises(WireError) as caught:
        listing_from_wire(Reply(200, {}, value), in_description=False)

    assert ("provider: opena2a" in str(caught.value)) is (isinstance(value, dict) and "policies" in value)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"error": "Policy not found"}, True),
        ({"error": ["a", "b"]}, True),
        ({"error": True, "message": "Cannot GET /x", "timestamp": "…"}, True),
        ({"error": True}, False),
        ({"error": None}, False),
        ({"detail": "nginx"}, False),
        ([], False),
        (None, False),
    ],
)
def test_an_error_is_aims_in_each_of_its_shapes(value: object, expected: bool) -> None:
    assert is_error(value) is expected


# ------------------------------------------------------------------------------------------------- writing


def test_every_body_has_all_nine_fields_in_both_spellings() -> None:
    sent = content(mutation(body={"name": "Only a name"}, enabled=False), in_description=False)

    assert sent == {
        "name": "Only a name",
        "description": "",
        **{"policyType": "", "policy_type": "", "enforcementAction": "", "enforcement_action": ""},
        **{"severityThreshold": "", "severity_threshold": "", "appliesTo": "", "applies_to": ""},
        "rules": {"x-reconciler": {"commit": SHA}},
        **{"isEnabled": False, "is_enabled": False},
        "priority": 0,
    }


def test_a_toggle_says_it_under_both_names() -> None:
    assert toggle_content(True) == {"isEnabled": True, "enabled": True}


def test_with_annotate_description_the_commit_stands_there_too_and_is_no_difference() -> None:
    sent = content(mutation(body=BODY), in_description=True)

    read = policy_from_wire(
        {**SNAKE, "description": sent["description"], "rules": sent["rules"]}, "p", in_description=True
    )

    assert sent["description"] == f"Below 0.5 [reconciler commit={SHA}]"
    assert (read.body, read.trailer) == (BODY, SHA)


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
RULES = st.dictionaries(
    TEXT.filter(lambda key: key != "x-reconciler"),
    st.recursive(
        st.none() | st.booleans() | st.integers(-(2**53), 2**53) | TEXT,
        lambda inner: st.lists(inner, max_size=3),
        max_leaves=5,
    ),
    max_size=3,
)


@given(
    body=st.fixed_dictionaries(
        dict.fromkeys(
            ("name", "description", "policyType", "enforcementAction", "severityThreshold", "appliesTo"), TEXT
        )
        | {"rules": RULES, "priority": st.integers(-(2**31), 2**31 - 1)}
    ),
    enabled=st.booleans(),
    newest=st.booleans(),
)
def test_what_is_written_is_what_is_read_back_in_every_dialect(
    body: dict[str, Any], enabled: bool, newest: bool
) -> None:
    sent = content(mutation(body=body, enabled=enabled), in_description=False)
    stored = {
        key: value for key, value in sent.items() if ("_" in key) is not newest or (key in SNAKE and "_" not in key)
    }

    read = policy_from_wire({"id": ID, **stored}, "a policy")

    assert (read.body, read.enabled, read.trailer) == (body, enabled, SHA)


# -------------------------------------------------------------------------------------------------- replies


def speaking(
    answer: Callable[[httpx.Request], httpx.Response], token: str | None = "a-token-0123456789", **settings: Any
) -> AimProvider:
    transport = Transport(
        "http://127.0.0.1:9/api/v1",
        None if token is None else Secret(token),
        deadline=5.0,
        clock=FakeClock(),
        random=CountingRandom(),
        wire=lambda: httpx.MockTransport(answer),
    )
    return AimProvider(TargetSettings("aim", "aim", "http://127.0.0.1:9/api/v1", "policies/aim", **settings), transport)


def without_mode(answer: Callable[[httpx.Request], httpx.Response]) -> Callable[[httpx.Request], httpx.Response]:
    """The same server, one that has no enforcement settings."""
    absent = {"error": True, "message": "Cannot GET", "timestamp": "…"}
    return lambda request: (
        httpx.Response(404, json=absent) if request.url.path.endswith("enforcement-settings") else answer(request)
    )


def answering(status: int, value: Json) -> Callable[[httpx.Request], httpx.Response]:
    def answer(request: httpx.Request) -> httpx.Response:
        if "audit-logs" in request.url.path:
            return httpx.Response(200, json={"logs": None, "total": 0, "limit": 1, "offset": 0})
        return httpx.Response(204) if status == 204 else httpx.Response(status, json=value)

    return answer


@pytest.mark.parametrize(
    ("asked", "status", "value", "fate"),
    [
        (mutation(body=BODY), 200, SNAKE, Fate.APPLIED),
        (mutation(body=BODY), 200, camel(SNAKE), Fate.APPLIED),
        (mutation(body=BODY), 200, {**SNAKE, "policy_type": "", "is_enabled": False}, Fate.APPLIED_OTHER),
        (mutation(body=BODY), 200, {**SNAKE, "applies_to": ""}, Fate.APPLIED_OTHER),
        (mutation(body=BODY), 200, {**SNAKE, "priority": 0}, Fate.APPLIED_OTHER),
        (mutation(body=BODY), 200, {**SNAKE, "id": "0b7e5a1c-0000-4000-8000-000000000002"}, Fate.APPLIED_OTHER),
        (mutation("create", BODY), 201, SNAKE, Fate.APPLIED),
        (mutation("create", BODY), 500, {"error": "Failed to create policy"}, Fate.AMBIGUOUS),
        (mutation("create", BODY), 400, {"error": "Invalid request body"}, Fate.REJECTED),
        (mutation("toggle"), 200, SNAKE, Fate.APPLIED),
        (mutation("toggle"), 200, {**SNAKE, "is_enabled": False}, Fate.APPLIED_OTHER),
        (mutation("toggle"), 200, None, Fate.AMBIGUOUS),
        (mutation("toggle"), 500, {"error": "Failed to toggle policy"}, Fate.AMBIGUOUS),
        (mutation("delete", enabled=False), 204, None, Fate.APPLIED),
        (mutation("delete", enabled=False), 404, {"error": "Policy not found"}, Fate.REJECTED),
        (mutation("delete", enabled=False), 404, {"message": "no route"}, Fate.AMBIGUOUS),
        (mutation("mode", {"enforcement_mode": "strict"}), 200, {"enforcementMode": "strict"}, Fate.APPLIED),
        (mutation("mode", {"enforcement_mode": "strict"}), 200, {"enforcementMode": "monitoring"}, Fate.APPLIED_OTHER),
        (mutation("mode", {"enforcement_mode": "strict"}), 404, {"error": True, "message": "no"}, Fate.REJECTED),
    ],
)  # fmt: skip
def test_a_reply_is_compared_with_what_was_asked(asked: Mutation, status: int, value: Json, fate: Fate) -> None:
    assert speaking(answering(status, value)).send(asked).fate is fate


def test_an_id_that_no_url_may_hold_is_not_sent() -> None:
    receipt = speaking(answering(200, SNAKE)).send(Mutation("toggle", "../users", None, True, SHA, HEADERS))

    assert receipt.fate is Fate.NOT_SENT


def test_a_server_without_a_mode_is_asked_for_it_once() -> None:
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.path)
        if request.url.path.endswith("security-policies"):
            return httpx.Response(200, json=[])
        return httpx.Response(404, json={"error": True, "message": "Cannot GET", "timestamp": "…"})

    provider = speaking(answer)
    listings = [provider.fetch_listing(), provider.fetch_listing()]

    assert [(listing.mode, listing.complete) for listing in listings] == [(None, True)] * 2
    assert [path.rpartition("/")[2] for path in asked] == [
        "security-policies",
        "enforcement-settings",
        "security-policies",
    ]


# --------------------------------------------------------------------------------------------------- login


def test_credentials_are_exchanged_for_a_token_before_the_first_request_and_never_shown() -> None:
    seen: list[tuple[str, str | None]] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append((request.url.path, request.headers.get("authorization")))
        if request.method == "POST":
            assert json.loads(request.content) == {"email": "bot@example.com", "password": "pass:word-with-colons"}
            return httpx.Response(200, json={"success": True, "accessToken": "header.claims.signature"})
        return httpx.Response(200, json=[{**SNAKE, "description": "by pass:word-with-colons"}])

    listing = speaking(without_mode(answer), "bot@example.com:pass:word-with-colons").fetch_listing()

    assert seen[0] == ("/api/v1/public/login", None)
    assert {shown for _, shown in seen[1:]} == {"Bearer header.claims.signature"}
    assert listing.policies[0].body["description"] == "by ***"


def test_a_server_with_the_older_route_only_is_logged_in_to_as_well() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/public/login"):
            return httpx.Response(404, json={"error": True, "message": "Cannot POST", "timestamp": "…"})
        if request.url.path.endswith("/auth/login/local"):
            return httpx.Response(200, json={"access_token": "header.claims.signature", "user": {}})
        return httpx.Response(200, json=[])

    assert speaking(without_mode(answer), "bot@example.com:secret-word").fetch_listing().complete


@pytest.mark.parametrize(
    ("status", "value", "error", "words"),
    [
        (200, {"success": False, "message": "Change your password"}, LiveError, "Change your password"),
        (200, {"success": True}, LiveError, r"gives no token \(200\)"),
        (200, {"accessToken": "two\nlines-of-it"}, LiveError, "gives no token"),
        (200, {"accessToken": ["x" * 40]}, LiveError, "gives no token"),
        (401, {"error": "Invalid credentials"}, LiveError, r"\(401: Invalid credentials\)"),
        (404, {"error": True, "message": "Cannot POST"}, LiveError, r"\(404: Cannot POST\)"),
        (429, {"error": "Too many attempts"}, UnreachableError, "it answers 429"),
        (503, {"error": "down"}, UnreachableError, "it answers 503"),
    ],
)  # fmt: skip
def test_a_login_without_a_token_is_an_error_in_the_servers_words(
    status: int, value: Json, error: type[LiveError], words: str
) -> None:
    provider = speaking(lambda request: httpx.Response(status, json=value), "bot@example.com:secret-word")

    with pytest.raises(error, match=words):
        provider.fetch_listing()
    assert provider.send(mutation("toggle")).fate is Fate.NOT_SENT


@pytest.mark.parametrize("token", ["a:b", "nobody:password", "bot@example.com:", ":", "a@b@c:password"])
def test_what_is_neither_a_token_nor_credentials_is_refused_before_anything_is_sent(token: str) -> None:
    with pytest.raises(ConfigError) as caught:
        speaking(answering(200, []), token)

    assert caught.value.code == "bad-token"
    assert token not in str(caught.value) or token == ":"


def test_a_token_that_is_refused_again_and_again_ends_in_an_error_not_in_a_loop() -> None:
    logins: list[int] = []

    def answer(request: httpx.Request) -> httpx.Response:
        if request.method == "POST":
            logins.append(1)
            return httpx.Response(200, json={"accessToken": f"header.claims.signature-{len(logins)}"})
        return httpx.Response(401, json={"error": "Invalid or expired token"})

    with pytest.raises(LiveError, match="does not take the token"):
        speaking(answer, "bot@example.com:secret-word").fetch_listing()

    assert len(logins) == 2


# -------------------------------------------------------------------------------------------------- the trail


def mark(
    commit: str = SHA, *, entry_id: str = "e1", operation: str = "update", newest: bool = True, **more: Json
) -> dict[str, Json]:
    agent = make_headers("0.1.0", commit, "Low trust score", "sha256:" + "0" * 64)["User-Agent"]
    value: dict[str, Json] = {
        "id": entry_id,
        "user_id": "u1",
        "action": "view",
        "resource_type": "audit_logs",
        "resource_id": "6f1e2d3c-0000-4000-8000-000000000000",
        "user_agent": agent,
        "metadata": {"filter_action": operation, "filter_resource_type": "security_policy", "filter_resource_id": ID},
        "timestamp": "2026-11-20T09:14:07.123456",
        **more,
    }
    return camel(value) if newest else value


def trail(*entries: Json) -> Trail:
    return trail_from_wire(Reply(200, {}, {"logs": list(entries), "total": len(entries), "limit": 1000, "offset": 0}))


@pytest.mark.parametrize("newest", [True, False])
def test_a_mark_is_an_entry_beside_the_change_it_names(newest: bool) -> None:
    [entry] = trail(mark(newest=newest)).entries

    assert (entry.policy_id, entry.action, entry.beside, entry.actor) == (ID, "update", True, "u1")


@pytest.mark.parametrize(
    "changed",
    [
        {"user_agent": "Mozilla/5.0"},
        {"user_agent": f"curl/8 commit={SHA}"},
        {"action": "update"},
        {"resource_type": "users"},
        {"metadata": {"filter_action": "update", "filter_resource_type": "agent", "filter_resource_id": ID}},
        {"metadata": {"filter_action": "", "filter_resource_type": "security_policy", "filter_resource_id": ID}},
        {"metadata": {"filter_action": "view", "filter_resource_type": "security_policy", "filter_resource_id": ID}},
        {"metadata": {"filter_action": "update", "filter_resource_type": "security_policy"}},
        {"metadata": None},
        {"metadata": "filter"},
    ],
)  # fmt: skip
def test_who_only_looks_at_a_policys_entries_marks_nothing(changed: dict[str, Json]) -> None:
    [entry] = trail(mark(newest=False, **changed)).entries

    assert (entry.policy_id, entry.beside) == (None, False)


def test_a_mark_proves_its_own_commit_and_no_other() -> None:
    read = trail(mark(SHA, entry_id="mine"), mark(OTHER, entry_id="theirs"))

    found = find_annotation(read, frozenset(), ID, SHA)
    known = find_annotation(read, {"mine"}, ID, SHA, on_object=True)

    assert (found.strength, found.verified, found.audit_id) == (Strength.NEIGHBOUR_ENTRY, True, "mine")
    assert (known.strength, known.audit_id) == (Strength.ON_OBJECT, None)


def test_a_mark_is_no_evidence_that_a_request_took_effect() -> None:
    read = trail(mark(SHA))

    assert new_entries(read, frozenset(), ID) == ()
    assert count_own(read, frozenset(), ID, SHA) == 0


def test_a_change_of_the_mode_is_in_the_trail_itself() -> None:
    agent = HEADERS["User-Agent"]
    entry = {"id": "m1", "action": "update", "resourceType": "enforcement_settings", "userAgent": agent, "userId": "u1"}

    found = find_annotation(trail(entry), frozenset(), "enforcement_mode", SHA)

    assert (found.strength, found.audit_id) == (Strength.SAME_ENTRY, "m1")


def test_an_empty_trail_is_null_and_a_full_page_may_not_be_all() -> None:
    empty = trail_from_wire(Reply(200, {}, {"logs": None, "total": 0}))
    full = trail(*({"id": f"e{number}", "action": "view"} for number in range(1000)))

    assert (empty.entries, empty.available, empty.complete) == ((), True, True)
    assert full.complete is False


def test_a_mark_that_could_not_be_left_at_once_is_left_before_the_trail_is_read() -> None:
    marks: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        if "audit-logs" not in request.url.path:
            return httpx.Response(200, json=SNAKE)
        if request.url.params.get("entity_id") is None:
            return httpx.Response(200, json={"logs": [], "total": 0})
        marks.append(request.headers["user-agent"])
        return httpx.Response(503 if len(marks) == 1 else 200, json={"logs": None, "total": 0})

    provider = speaking(answer)
    receipt = provider.send(mutation("toggle"))
    provider.fetch_trail()
    provider.fetch_trail()

    assert receipt.fate is Fate.APPLIED
    assert marks == [HEADERS["User-Agent"]] * 2


@pytest.mark.parametrize(("status", "marks"), [(200, 1), (500, 0), (400, 0)])
def test_only_what_took_effect_is_marked(status: int, marks: int) -> None:
    left: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        if "audit-logs" in request.url.path:
            left.append(str(request.url.params))
            return httpx.Response(200, json={"logs": None, "total": 0})
        return httpx.Response(status, json=SNAKE if status == 200 else {"error": "no"})

    speaking(answer).send(mutation("toggle"))

    assert left == [f"entity_type=security_policy&entity_id={ID}&action=toggle&limit=1"] * marks


def test_a_server_without_an_audit_log_gets_no_marks() -> None:
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.method)
        return (
            httpx.Response(404, json={"error": True, "message": "x"})
            if request.method == "GET"
            else httpx.Response(200, json=SNAKE)
        )

    provider = speaking(answer)
    for _ in range(3):
        provider.send(mutation("toggle"))

    assert asked == ["PATCH", "GET", "PATCH", "PATCH"]
    assert provider.fetch_trail().available is False


# ------------------------------------------------------------------------------------------------ the pace


def test_a_hundred_requests_a_minute_are_enough_because_nobody_asks_for_more() -> None:
    clock = FakeClock()
    with aim_server(clock=clock) as aim:
        transport = Transport(aim.url, Secret(aim.token), deadline=10.0, clock=clock, random=SystemRandom())
        provider = AimProvider(TargetSettings("aim", "aim", aim.url, "policies/aim"), transport)
        made = provider.send(mutation("create", BODY))
        receipts = []
        while len([receipt for receipt in receipts if receipt.fate is Fate.APPLIED]) < 55:
            receipt = provider.send(Mutation("toggle", made.id, None, len(receipts) % 2 == 0, SHA, HEADERS))
            receipts.append(receipt)
            if receipt.retry_after is not None:
                clock.sleep(receipt.retry_after)
        marked = [entry for entry in provider.fetch_trail().entries if entry.beside]
        transport.close()

        assert {receipt.fate for receipt in receipts} == {Fate.APPLIED, Fate.NOT_SENT}
        assert all(receipt.status != 429 for receipt in receipts)
        assert len(aim.requests) > 100
        assert len(marked) == 56


def test_one_policy_is_looked_for_in_the_list() -> None:
    provider = speaking(without_mode(answering(200, [SNAKE])))

    found = provider.fetch_one(ID)

    assert isinstance(found, LivePolicy)
    assert provider.fetch_one("0b7e5a1c-0000-4000-8000-000000000009") is None
