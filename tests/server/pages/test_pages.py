"""Every page: the same as its JSON, harmless whatever stands in a policy, and nothing on it from anywhere else."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import httpx
import pytest

from tests.support.servers import RunningServer, reference_server
from tests.support.visitors import Page, Visitor, from_git, program, read_page, visitor

#: Each tries to be something else than text; each has a word by which it is found again.
HOSTILE = {
    "tag": "<script>alert('tag')</script>",
    "attribute": '" onmouseover="alert(\'attribute\')" x="',
    "single": "' onfocus='alert(1)' autofocus='single",
    "end": "</td></table></main><img src=x onerror=alert('end')>",
    "template": "{{ 7 * 7 }}{% raw %}template",
    "entity": "&lt;b&gt;entity&amp;#60;i",
    "link": "javascript:alert('link')",
    "bidi": "\u202egnp.exe bidi \u2066",
    "control": "\x1b[2Jcontrol\x07",
    "comment": "<!-- comment --><!--[if IE]>",
    "htmx": '<a hx-get="https://example.org" hx-trigger="load">htmx</a>',
}
PATHS = ("/", "/policies", "/matrix", "/trail", "/violations", "/alerts", "/mode", "/account")


@pytest.fixture(scope="module")
def running() -> Iterator[RunningServer]:
    """A server whose every text is hostile, with findings, edits in and outside git, and a rule of each kind."""
    with reference_server(neosc_crud=True) as server, program(server) as api:
        api.get("/api/policies")
        text = " ".join(HOSTILE.values())
        rules = list(HOSTILE.values())
        body: dict[str, Any] = {
            "id": "pol-x",
            "name": text[:250],
            "description": text,
            "type": "access",
            "rules": rules,
        }
        assert api.post("/api/policies", json=body).status_code == 201
        conditions = {"allowed_ips": ["10.0.0.0/8"]}
        policy = {"name": text[:200], "description": text, "policy_type": "ip_allowlist", "severity": "critical"}
        actions = {"on_violation": "block_request", "notify_admins": True, "note": text}
        body = {**policy, "conditions": conditions, "actions": actions}
        made = api.post("/v1/admin/security-policies", json=body, headers=from_git("x"))
        assert made.status_code == 201, made.text
        path = f"/v1/admin/security-policies/{made.json()['policy']['id']}"
        assert api.put(path, json={"conditions": {"allowed_ips": [], **HOSTILE}}).status_code == 200
        assert api.put(path, json={"conditions": conditions}, headers={"User-Agent": text.encode()[:500]}).is_success
        for number in range(3):
            event = {"event_id": f"e{number}", "actor_id": HOSTILE["tag"], "action": HOSTILE["end"]}
            event |= {"resource": HOSTILE["attribute"], "ts_us": 0, "source_ip": "203.0.113.9"}
            event["ts_us"] = 1_795_000_000_000_000 + number
            reply = api.post("/v1/evaluate", json=event)
            assert reply.status_code == 200, reply.text
        yield server


@pytest.fixture(scope="module")
def admin(running: RunningServer) -> Iterator[Visitor]:
    with visitor(running, "admin@example.com") as found:
        yield found


@pytest.fixture(scope="module")
def paths(admin: Visitor) -> tuple[str, ...]:
    """Every page there is to look at, those of single policies as well."""
    found = [f"/policies/{each['system']}/{each['id']}" for each in admin.get("/policies.json").json()["policies"]]
    assert len(found) == 5
    return (*PATHS, *found, *(f"{path}/break-glass" for path in found), "/nothing", "/login")


def test_nothing_that_somebody_wrote_becomes_markup(admin: Visitor, paths: tuple[str, ...]) -> None:
    shown = ""
    for path in paths:
        page = read_page(admin.get(path, headers={"Cookie": ""} if path == "/login" else {}))
        shown += page.text

        assert_is_ours(page)
    for word in HOSTILE:
        assert word in shown, word


def assert_is_ours(page: Page) -> None:
    """No element or attribute that no template has."""
    allowed = {"script": {"src", "defer"}, "use": {"href"}, "style": set()}
    for tag, attrs in page.elements:
        assert tag not in ("style", "img", "iframe", "object", "embed", "base"), tag
        assert not [name for name in attrs if name.startswith("on")], (tag, attrs)
        assert "style" not in attrs
        assert attrs.keys() <= allowed.get(tag, attrs.keys()), (tag, attrs)
        for name in ("href", "src", "action", "hx-get", "hx-post"):
            if name in attrs:
                assert re.fullmatch(r"(/(?!/)[^\s\\]*|#main)", attrs[name]), (tag, name, attrs[name])


def test_a_page_names_no_other_place(admin: Visitor, paths: tuple[str, ...]) -> None:
    for path in paths:
        reply = admin.get(path)
        attributes = [value for _, attrs in read_page(reply).elements for value in attrs.values()]

        assert "<script>" not in reply.text
        assert not [value for value in attributes if re.match(r"(https?:)?//|data:|javascript:", value)], path


def test_what_moves_the_eye_is_shown_as_an_escape(admin: Visitor) -> None:
    text = html.unescape(admin.get("/policies").text)

    assert r"\u202egnp.exe" in text
    assert r"\x1b[2Jcontrol" in text
    assert not re.search("[\u202e\u2066\x1b\x07]", text)


@pytest.mark.parametrize("path", [*PATHS, "/nothing", "/login"])
def test_every_page_has_the_headers_that_protect_it(admin: Visitor, path: str) -> None:
    headers = admin.get(path, headers={"Cookie": ""} if path == "/login" else {}).headers

    policy = dict(part.strip().split(" ", 1) for part in headers["content-security-policy"].split(";"))
    assert policy == {
        "default-src": "'self'",
        "base-uri": "'none'",
        "form-action": "'self'",
        "frame-ancestors": "'none'",
        "object-src": "'none'",
    }
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert headers["referrer-policy"] == "same-origin"
    assert headers["cache-control"] == "no-store"
    assert headers["content-type"] == "text/html; charset=utf-8"


@pytest.mark.parametrize("path", PATHS)
def test_a_page_has_one_heading_first_and_headings_in_order(admin: Visitor, path: str) -> None:
    page = admin.page(path)

    levels = [int(tag[1]) for tag, _ in page.elements if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    assert page.all("html", lang="en")
    assert page.all("main", id="main")
    assert page.all("a", class_="skip", href="#main")
    assert len(page.all("table")) == len(page.all("caption"))
    assert all(attrs.get("scope") for attrs in page.all("th"))
    ids = [attrs["id"] for _, attrs in page.elements if "id" in attrs]
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize("path", PATHS)
def test_every_form_carries_the_sessions_token(admin: Visitor, path: str) -> None:
    page = admin.page(path)

    posts = [attrs for attrs in page.all("form") if attrs.get("method") == "post"]
    assert posts
    assert len(page.all("input", type="hidden", name="csrf")) == len(posts)


@pytest.mark.parametrize("path", PATHS)
def test_the_json_of_a_page_has_what_the_page_shows(admin: Visitor, path: str) -> None:
    reply = admin.get("/overview.json" if path == "/" else f"{path}.json")
    shown = admin.page(path).text

    assert reply.headers["content-type"] == "application/json"
    data = reply.json()
    assert data.pop("format") == f"reconciler.page.{'overview' if path == '/' else path[1:]}/1"
    told = list(told_texts(data))
    assert told
    for text in told:
        assert visible(text) in shown, text


def told_texts(data: Any) -> Iterator[str]:
    """Texts of the data that a page writes out as they are: names, titles, people, ids of entries."""
    wanted = ("name", "title", "actor", "policy_name", "audit_id", "actor_id", "email", "rules")
    if isinstance(data, dict):
        for key, value in data.items():
            if key in wanted:
                yield from [value] if isinstance(value, str) else value or ()
            elif key != "mode":
                yield from told_texts(value)
            elif isinstance(value, dict):
                yield value["value"].upper()
    elif isinstance(data, list):
        for item in data:
            yield from told_texts(item)


def visible(text: str) -> str:
    from reconciler.core.safe import safe

    return " ".join(safe(text, 20_000).split())


def test_a_program_reads_json_with_a_token_and_no_page(running: RunningServer) -> None:
    with program(running) as api:
        assert api.get("/policies.json").json()["total"] == 5
        page = api.get("/policies")

    assert page.status_code == 303
    assert page.headers["location"] == "/login?next=%2Fpolicies"


def test_without_a_session_json_is_refused_as_json(running: RunningServer) -> None:
    reply = httpx.get(f"{running.url}/policies.json", trust_env=False)

    assert (reply.status_code, reply.json()) == (401, {"detail": "Not authenticated"})


def test_a_plain_user_sees_everything_and_no_control(running: RunningServer) -> None:
    with visitor(running, "viewer@example.com", "user") as viewer:
        for path in ("/", "/policies", "/policies/neosc/pol-mfa-required", "/alerts", "/violations", "/mode"):
            page = viewer.page(path)

            targets = {attrs["action"] for attrs in page.all("form") if attrs.get("method") == "post"}
            assert targets == {"/logout"}, path
            assert not [attrs for attrs in page.all("a") if attrs["href"].endswith("/break-glass")]
        assert viewer.get("/policies/neosc/pol-mfa-required/break-glass").status_code == 403


def test_nobody_sees_another_organizations_policies(running: RunningServer) -> None:
    theirs = "/v1/admin/security-policies"
    with program(running) as api:
        [policy] = api.get(theirs).json()["policies"]
    with visitor(running, "stranger@example.org", organization="other") as stranger:
        seen = stranger.get("/overview.json").json()
        refused = stranger.get(f"/policies/opena2a/{policy['id']}")

    assert refused.status_code == 404
    assert {each["system"] for each in seen["recent"]} <= {"server"}
    assert (seen["counts"]["open_alerts"], seen["counts"]["violations"], seen["counts"]["policies"]) == (0, 0, 4)


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/policies?origin=everything", 400),
        ("/policies?q=%1b", 400),
        ("/policies?q=a&q=b", 400),
        ("/trail?before=x", 400),
        ("/trail?commit=zzz", 200),
        ("/alerts?status=gone", 400),
        ("/policies/neosc/nothing", 404),
        ("/policies/nothing/pol-mfa-required", 404),
        ("/policies/neosc/%1b", 404),
        ("/policies/neosc/" + "x" * 500, 404),
        ("/nothing", 404),
    ],
)
def test_an_address_that_makes_no_sense_is_answered_by_a_page(admin: Visitor, path: str, status: int) -> None:
    reply = admin.get(path)

    assert reply.status_code == status
    assert read_page(reply).all("main")


@pytest.mark.parametrize("path", ["/nothing", "/api/nothing", "/v1/nothing", "/v1/admin/security-policies/x"])
def test_a_program_still_gets_the_errors_of_its_api(running: RunningServer, path: str) -> None:
    with program(running) as api:
        reply = api.get(path)

    assert (reply.status_code, reply.headers["content-type"]) == (404, "application/json")


def test_a_filter_narrows_the_list(admin: Visitor) -> None:
    def names(query: str) -> set[str]:
        return {each["id"] for each in admin.get(f"/policies.json?{query}").json()["policies"]}

    everything = names("")
    assert names("system=neosc") == {each for each in everything if each.startswith("pol-")}
    assert names("origin=outside") == everything - names("origin=none")
    assert names("switch=off") == set()
    assert names("q=ZERO+trust") == {"pol-network-zero-trust"}
    assert {each["lane"] for each in admin.get("/trail.json?lane=git").json()["entries"]} == {"git"}
    assert {each["lane"] for each in admin.get("/trail.json?lane=outside").json()["entries"]} == {"outside"}
    assert admin.get("/violations.json?status=resolved").json()["total"] == 0


def test_a_long_trail_comes_in_parts_that_meet(running: RunningServer, admin: Visitor) -> None:
    with program(running) as api:
        for _ in range(60):
            api.patch("/api/policies/pol-network-zero-trust")

    seen, address = [], "/trail.json"
    while address:
        part = admin.get(address).json()
        seen += [each["seq"] for each in part["entries"]]
        address = f"/trail.json?before={part['next']}" if part["next"] else ""

    assert seen == sorted(seen, reverse=True)
    assert len(seen) == len(set(seen)) == part["total"]
    assert len(seen) > 60
