"""Reply shapes of both dialects: what proves a whole list, what leaves it open, and what is not the API's at all."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from reconciler.core.model import Listing, LivePolicy, Mutation, TargetSettings, ToggleStyle, Trail
from reconciler.core.secret import Secret
from reconciler.errors import ConfigError, LiveError
from reconciler.providers.base import Provider
from reconciler.providers.http import Transport
from reconciler.providers.registry import capabilities_of, make_provider
from tests.fake_api import DEFAULTS, TOKEN, FakeApi, Fault
from tests.support.clocks import CountingRandom, FakeClock

SHA = "3f9c2ab0" * 5
TRUST = {
    "id": "policy_abc123",
    "name": "Minimum Trust Score",
    "description": "Agents must be trusted",
    "policy_type": "trust_score",
    "enabled": True,
    "severity": "high",
    "conditions": {"min_trust_score": 60},
    "actions": {"on_violation": "alert"},
    "created_at": "2024-01-15T10:00:00Z",
    "updated_at": "2024-01-15T10:00:00Z",
}


class Replies:
    """A simulated network: the reply for each path, and what was asked."""

    def __init__(self, **replies: Any) -> None:
        self.replies = {"enforcement-settings": httpx.Response(404, json={"error": "Not Found"}), **replies}
        self.asked: list[str] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        name = request.url.path.rsplit("/", maxsplit=1)[-1]
        self.asked.append(name)
        found = self.replies[name]
        if isinstance(found, list) and found and isinstance(found[0], httpx.Response):
            found = found.pop(0)
        if isinstance(found, httpx.Response):
            return httpx.Response(found.status_code, headers=found.headers, content=found.content)
        return json_reply(found)


def json_reply(value: Any, **headers: str) -> httpx.Response:
    """A 200 with *value* as JSON, null too."""
    told = {name.replace("_", "-"): text for name, text in headers.items()}
    return httpx.Response(200, content=json.dumps(value), headers={"Content-Type": "application/json", **told})


def provider(dialect: str, replies: Replies, **settings: Any) -> Provider:
    target = TargetSettings("t", dialect, "http://127.0.0.1:8800/api", "policies", **settings)
    transport = Transport(
        target.url,
        Secret("t" * 20),
        deadline=5.0,
        clock=FakeClock(),
        random=CountingRandom(),
        wire=lambda: httpx.MockTransport(replies),
    )
    return make_provider(target, transport)


def neosc_list(value: Any, **headers: str) -> Listing:
    return provider("neosc", Replies(policies=json_reply(value, **headers))).fetch_listing()


def opena2a_list(value: Any, **settings: Any) -> Listing:
    return provider("opena2a", Replies(**{"security-policies": value}), **settings).fetch_listing()


def policy(number: int = 0, **fields: Any) -> dict[str, Any]:
    return {"id": f"pol-{number}", "name": f"Policy {number}", "enabled": True, "created_at": "2026", **fields}


# ------------------------------------------------------------------------------------------------------- neosc


def test_a_neosc_list_is_read_without_what_the_server_owns() -> None:
    found = neosc_list([{**DEFAULTS[0], "created_at": "2026-03-01T10:00:00.000Z"}]).policies[0]

    content = {key: value for key, value in DEFAULTS[0].items() if key != "enabled"}
    assert found == LivePolicy(
        "pol-mfa-required",
        "pol-mfa-required",
        content,
        True,
        {**DEFAULTS[0], "created_at": "2026-03-01T10:00:00.000Z"},
    )


@pytest.mark.parametrize(
    ("count", "headers", "complete"),
    [
        (0, {}, True),
        (99, {}, True),
        (100, {}, False),
        (101, {}, False),
        (100, {"X_Total_Count": "100"}, True),
        (100, {"X_Total_Count": "150"}, False),
        (3, {"X_Total_Count": "4"}, False),
        (3, {"X_Total_Count": "2"}, False),
        (3, {"X_Total_Count": "three"}, False),
        (3, {"X_Total_Count": "-3"}, False),
        (3, {"X_Total_Count": ""}, False),
    ],
)
def test_a_neosc_list_is_whole_below_the_cap_or_by_its_total(
    count: int, headers: dict[str, str], complete: bool
) -> None:
    listing = neosc_list([policy(number) for number in range(count)], **headers)

    assert len(listing.policies) == count
    assert listing.complete is complete
    assert (listing.reason is None) is complete


def test_a_list_with_an_id_twice_is_not_whole() -> None:
    listing = neosc_list([policy(1), policy(1)], X_Total_Count="2")

    assert (listing.complete, listing.reason) == (False, "the list holds an id twice")


def test_a_list_whose_end_nothing_announces_is_not_whole() -> None:
    with FakeApi("neosc", policies=DEFAULTS) as api:
        api.fail(Fault.RAW, raw=b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n[]")
        transport = Transport(api.url, Secret(TOKEN), deadline=5, clock=FakeClock(), random=CountingRandom())

        listing = make_provider(TargetSettings("t", "neosc", api.url, "p"), transport).fetch_listing()

    assert (listing.policies, listing.complete) == ((), False)


def test_the_list_that_makes_the_defaults_is_read_once_more() -> None:
    first = httpx.Response(200, json=list(DEFAULTS))
    second = httpx.Response(200, json=[{**item, "created_at": "2026"} for item in DEFAULTS])
    replies = Replies(policies=[first, second, second])
    neosc = provider("neosc", replies)

    listing = neosc.fetch_listing()
    neosc.fetch_listing()

    assert all("created_at" in found.raw for found in listing.policies)
    assert replies.asked == ["policies"] * 3


def test_a_server_that_never_tells_times_is_not_asked_twice_for_ever() -> None:
    replies = Replies(policies=list(DEFAULTS))
    neosc = provider("neosc", replies)

    for _ in range(3):
        neosc.fetch_listing()

    assert len(replies.asked) == 4


def test_a_missing_enabled_counts_as_true_where_the_server_says_so() -> None:
    assert neosc_list([{"id": "a", "created_at": "2026"}]).policies[0].enabled is True


@pytest.mark.parametrize(
    ("value", "expected", "got"),
    [
        (None, "an array for the list of policies", "null"),
        ({}, "an array for the list of policies", "an object"),
        ({"policies": []}, "an array for the list of policies", "an object"),
        ("x", "an array for the list of policies", "text"),
        ([None], "an object for policy 0", "null"),
        ([policy(), []], "an object for policy 1", "an array"),
        ([policy(id=None)], "text for the id of policy 0", "null"),
        ([{"name": "x"}], "text for the id of policy 0", "null"),
        ([policy(id=7)], "text for the id of policy 0", "a number"),
        ([policy(enabled="false")], "true or false for enabled of policy 0", "text"),
        ([policy(enabled=0)], "true or false for enabled of policy 0", "a number"),
        ([policy(enabled=None)], "true or false for enabled of policy 0", "null"),
        ([policy(name=7)], "text for name of policy 0", "a number"),
        ([policy(rules="MFA")], "an array of text for rules of policy 0", "text"),
        ([policy(rules=[1])], "an array of text for rules of policy 0", "an array of other things"),
        ([policy(description={})], "text for description of policy 0", "an object"),
    ],
)
def test_a_neosc_list_of_another_shape_is_an_error_and_never_empty(value: Any, expected: str, got: str) -> None:
    with pytest.raises(LiveError) as caught:
        neosc_list(value)

    assert f"expected {expected}, got {got}" in caught.value.what


@pytest.mark.parametrize("policy_id", ["../admin", "..", "a/b", "", "a b", "-x", "x" * 129])
def test_an_id_that_could_not_stand_in_a_url_is_an_error(policy_id: str) -> None:
    with pytest.raises(LiveError, match="is not an id"):
        neosc_list([policy(id=policy_id)])
    with pytest.raises(LiveError, match="is not an id"):
        opena2a_list({"policies": [{**TRUST, "id": policy_id}], "total": 1})


def neosc_trail(value: Any) -> Trail:
    return provider("neosc", Replies(**{"audit-logs": value})).fetch_trail()


def test_a_neosc_trail_of_five_hundred_may_have_lost_some() -> None:
    entries = [{"id": str(number)} for number in range(500)]

    assert neosc_trail(entries).complete is False
    assert neosc_trail(entries[:499]).complete is True


@pytest.mark.parametrize("dialect", ["neosc", "opena2a"])
def test_a_trail_that_is_not_there_is_not_an_error(dialect: str) -> None:
    absent = httpx.Response(404, json={"detail": "Not Found"})

    trail = provider(dialect, Replies(**{"audit-logs": absent})).fetch_trail()

    assert trail == Trail((), available=False, complete=False)


@pytest.mark.parametrize("value", [None, "x", {"entries": []}, [1]])
@pytest.mark.parametrize("dialect", ["neosc", "opena2a"])
def test_a_trail_of_another_shape_is_an_error(dialect: str, value: Any) -> None:
    with pytest.raises(LiveError, match="not the policy API's"):
        provider(dialect, Replies(**{"audit-logs": value})).fetch_trail()


# ----------------------------------------------------------------------------------------------------- opena2a


def test_an_opena2a_list_is_read_from_its_envelope_and_the_mode_with_it() -> None:
    replies = Replies(
        **{
            "security-policies": {"policies": [TRUST], "total": 1},
            "enforcement-settings": {"enforcementMode": "strict", "description": ""},
        }
    )

    listing = provider("opena2a", replies).fetch_listing()

    found = listing.policies[0]
    assert (found.id, found.natural_key, found.enabled) == ("policy_abc123", "Minimum Trust Score", True)
    assert found.body == {
        key: value for key, value in TRUST.items() if key not in ("id", "enabled", "created_at", "updated_at")
    }
    assert (listing.complete, listing.mode) == (True, "STRICT")


@pytest.mark.parametrize("status", [404, 405])
def test_a_server_without_a_mode_has_none(status: int) -> None:
    replies = Replies(
        **{
            "security-policies": {"policies": [], "total": 0},
            "enforcement-settings": httpx.Response(status, json={"error": "no"}),
        }
    )

    assert provider("opena2a", replies).fetch_listing().mode is None


@pytest.mark.parametrize("value", [None, [], {}, {"enforcementMode": None}, {"enforcementMode": "off"}, "strict"])
def test_a_mode_of_another_shape_is_an_error(value: Any) -> None:
    replies = Replies(**{"security-policies": {"policies": [], "total": 0}, "enforcement-settings": value})

    with pytest.raises(LiveError, match="not the policy API's"):
        provider("opena2a", replies).fetch_listing()


@pytest.mark.parametrize(
    ("envelope", "headers", "complete"),
    [
        ({"total": 1}, {}, True),
        ({"total": 2}, {}, False),
        ({"total": 0}, {}, False),
        ({}, {}, False),
        ({"total": None}, {}, False),
        ({}, {"X-Total-Count": "1"}, True),
        ({}, {"X-Total-Count": "2"}, False),
        ({"total": 1}, {"X-Total-Count": "2"}, False),
        ({"total": 1}, {"X-Total-Count": "1"}, True),
    ],
)
def test_an_opena2a_list_is_whole_by_its_total_only(
    envelope: dict[str, Any], headers: dict[str, str], complete: bool
) -> None:
    listing = opena2a_list(httpx.Response(200, json={"policies": [TRUST], **envelope}, headers=headers))

    assert listing.complete is complete
    assert (listing.reason is None) is complete


@pytest.mark.parametrize(
    ("value", "expected", "got"),
    [
        (None, "an object for the list of policies", "null"),
        ([TRUST], "an object for the list of policies", "an array"),
        ({}, "an array for policies", "nothing"),
        ({"policies": None, "total": 0}, "an array for policies", "null"),
        ({"policies": {}, "total": 0}, "an array for policies", "an object"),
        ({"policies": [], "total": "0"}, "a number of entries for total", "text"),
        ({"policies": [], "total": False}, "a number of entries for total", "a boolean"),
        ({"policies": [], "total": -1}, "a number of entries for total", "a number"),
        ({"policies": [1], "total": 1}, "an object for policy 0", "a number"),
        ({"policies": [{**TRUST, "name": None}], "total": 1}, "text for name of policy 0", "null"),
        ({"policies": [{**TRUST, "enabled": "true"}], "total": 1}, "true or false for enabled of policy 0", "text"),
        ({"policies": [{"id": "a", "name": "b"}], "total": 1}, "true or false for enabled of policy 0", "nothing"),
        ({"policies": [{**TRUST, "conditions": []}], "total": 1}, "an object for conditions of policy 0", "an array"),
        ({"policies": [{**TRUST, "severity": 1}], "total": 1}, "text for severity of policy 0", "a number"),
    ],
)
def test_an_opena2a_list_of_another_shape_is_an_error_and_never_empty(value: Any, expected: str, got: str) -> None:
    with pytest.raises(LiveError) as caught:
        opena2a_list(value)

    assert f"expected {expected}, got {got}" in caught.value.what


def test_one_policy_is_read_wrapped_or_bare_and_must_be_the_one_asked_for() -> None:
    for value in ({"policy": TRUST}, TRUST):
        found = provider("opena2a", Replies(policy_abc123=value)).fetch_one("policy_abc123")
        assert found is not None
        assert found.id == "policy_abc123"

    with pytest.raises(LiveError, match="another id"):
        provider("opena2a", Replies(policy_x=TRUST)).fetch_one("policy_x")
    with pytest.raises(LiveError, match="not an id"):
        provider("opena2a", Replies()).fetch_one("..")


@pytest.mark.parametrize("value", [{"logs": None, "total": 0}, {"logs": [], "total": 0}, []])
def test_an_opena2a_trail_may_be_wrapped_null_or_bare(value: Any) -> None:
    trail = provider("opena2a", Replies(**{"audit-logs": value})).fetch_trail()

    assert trail == Trail((), available=True, complete=True)


def test_a_full_page_of_the_trail_with_its_own_length_for_a_total_may_have_lost_some() -> None:
    logs = [{"id": str(number)} for number in range(100)]

    assert provider("opena2a", Replies(**{"audit-logs": {"logs": logs, "total": 100}})).fetch_trail().complete is False
    assert (
        provider("opena2a", Replies(**{"audit-logs": {"logs": logs[1:], "total": 99}})).fetch_trail().complete is True
    )


# --------------------------------------------------------------------------------------- the commit on the object


def test_a_trailer_is_taken_off_when_read_and_never_compared() -> None:
    stored = {**TRUST, "description": f"Agents must be trusted [reconciler commit={SHA}]"}
    listing = {"policies": [stored], "total": 1}

    found = opena2a_list(listing, annotate="description").policies[0]
    plain = opena2a_list(listing).policies[0]

    assert (found.body["description"], found.trailer) == ("Agents must be trusted", SHA)
    assert (plain.body["description"], plain.trailer) == (stored["description"], None)


def test_a_trailer_is_put_on_what_is_written_when_the_target_says_so() -> None:
    with FakeApi("opena2a", mode=None) as api:
        target = TargetSettings("t", "opena2a", api.url, "p", annotate="description")
        transport = Transport(api.url, Secret(api.token), deadline=5, clock=FakeClock(), random=CountingRandom())
        opena2a = make_provider(target, transport)
        body = {key: value for key, value in TRUST.items() if key not in ("id", "created_at", "updated_at", "enabled")}

        made = opena2a.send(Mutation("create", None, body, True, SHA, {}))
        opena2a.send(Mutation("update", made.id, {**body, "description": None}, True, "b" * 40, {}))

        assert api.mutations[0].json()["description"] == f"Agents must be trusted [reconciler commit={SHA}]"
        assert api.mutations[1].json()["description"] == f"[reconciler commit={'b' * 40}]"
        assert opena2a.fetch_listing().policies[0].trailer == "b" * 40


# ------------------------------------------------------------------------------------------------ capabilities


def test_what_an_api_can_do_is_known_without_asking_it() -> None:
    plain = capabilities_of(TargetSettings("t", "neosc", "not even a url", "p"))
    crud = capabilities_of(TargetSettings("t", "neosc", "", "p", crud=True))
    full = capabilities_of(TargetSettings("t", "opena2a", "", "p"))

    assert (plain.create, plain.update, plain.delete, plain.toggle) == (False, False, False, ToggleStyle.FLIP)
    assert plain.cannot
    assert (crud.create, crud.update, crud.delete, crud.toggle) == (True, True, True, ToggleStyle.FLIP)
    assert (full.create, full.update, full.delete, full.toggle) == (True, True, True, ToggleStyle.SET)
    assert (plain.list_cap, plain.trail_cap, plain.wave) == (100, 500, 256)
    assert full.toggle_path == "/admin/security-policies/{id}/toggle"


def test_a_provider_nobody_wrote_is_named() -> None:
    with pytest.raises(ConfigError, match="there is no provider aws"):
        capabilities_of(TargetSettings("t", "aws", "", "p"))
