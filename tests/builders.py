"""Values for tests: a test names what it is about, builders fill in the rest.

Policies are OpenA2A rate limits (or NeoSC access policies), so that the real schemas say what a change means.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from reconciler.core.guard import Overrides
from reconciler.core.model import (
    Applied,
    Body,
    Capabilities,
    CommitInfo,
    Confidence,
    Drift,
    GitInfo,
    Json,
    Listing,
    LivePolicy,
    Policy,
    Source,
    TargetInfo,
    TargetSettings,
    ToggleStyle,
)
from reconciler.core.plan import Facts, PlanInput
from reconciler.core.schema import Schemas, load_schemas

HEAD = "3f9c2ab0" * 5
BEFORE = "1a2b3c4d" * 5
NOW = datetime(2026, 11, 20, 9, 14, 7, tzinfo=UTC)
URLS = {
    "neosc": "http://127.0.0.1:8800/api",
    "opena2a": "http://127.0.0.1:8800/v1",
    "aim": "http://127.0.0.1:8800/api/v1",
}

FLIP_ONLY = Capabilities(
    create=False,
    update=False,
    delete=False,
    toggle=ToggleStyle.FLIP,
    collection="/policies",
    item="/policies/{id}",
    toggle_path="/policies/{id}",
    toggle_method="PATCH",
    update_method="PUT",
    key_field="id",
    type_field="type",
    reads_one=False,
    list_cap=100,
    trail_cap=500,
    wave=256,
    cannot="NeoSC can only list and toggle",
    server_owned=frozenset({"created_at"}),
)
FULL = Capabilities(
    create=True,
    update=True,
    delete=True,
    toggle=ToggleStyle.SET,
    collection="/admin/security-policies",
    item="/admin/security-policies/{id}",
    toggle_path="/admin/security-policies/{id}/toggle",
    toggle_method="PATCH",
    update_method="PUT",
    key_field="name",
    type_field="policy_type",
    reads_one=True,
    list_cap=None,
    trail_cap=None,
    wave=256,
    cannot="",
    server_owned=frozenset({"id", "created_at"}),
    settings_path="/admin/enforcement-settings",
)


def schemas() -> Schemas:
    """The schemas as shipped; loaded once."""
    return load_schemas()


def rate_limit(name: str = "Rate Limit", limit: int = 1000, **fields: Json) -> dict[str, Json]:
    """The body of an OpenA2A rate limit. A lower limit tightens."""
    return {
        "name": name,
        "policy_type": "rate_limit",
        "conditions": {"max_requests_per_hour": limit},
        "actions": {"on_violation": "throttle"},
        **fields,
    }


def policy(
    body: Body | None = None,
    *,
    key: str | None = None,
    enabled: bool = True,
    critical: bool = False,
    metadata: Body | None = None,
    path: str | None = None,
    line: int = 1,
) -> Policy:
    """A desired policy; its key is its id or name, its file is named after the key."""
    body = rate_limit() if body is None else body
    name = key or _key_of(body)
    given = dict(metadata or {}) | ({"critical": True} if critical else {})
    return Policy(name, body, enabled, given, Source(path or f"policies/{name}.yaml", line))


def live(
    body: Body | None = None, *, id: str | None = None, enabled: bool = True, trailer: str | None = None
) -> LivePolicy:
    """A live policy. Without *id*: the body's own (NeoSC), or one made from the name."""
    body = rate_limit() if body is None else body
    identity = id or str(body.get("id") or "id-" + str(body["name"]).lower().replace(" ", "-"))
    return LivePolicy(identity, _key_of(body), body, enabled, {**body, "enabled": enabled}, trailer=trailer)


def applied(
    body: Body | None = None,
    *,
    key: str | None = None,
    id: str | None = None,
    enabled: bool = True,
    critical: bool = False,
    metadata: Body | None = None,
    path: str | None = None,
    commit: str = BEFORE,
    audit_id: str | None = None,
) -> Applied:
    """A ledger entry for the same policy that `policy` and `live` make of *body*."""
    body = rate_limit() if body is None else body
    name = key or _key_of(body)
    given = dict(metadata or {}) | ({"critical": True} if critical else {})
    identity = id or live(body).id
    return Applied(name, identity, body, enabled, given, path or f"policies/{name}.yaml", commit, audit_id)


def _key_of(body: Body) -> str:
    return str(body.get("id") or body["name"])


def listing(*policies: LivePolicy, complete: bool = True, mode: str | None = None) -> Listing:
    return Listing(policies, complete, None if complete else "it holds exactly 100 policies and no total", NOW, mode)


def nobody(entry: Applied, found: LivePolicy | None, content: bool) -> Drift:
    return Drift(None, None, None, Confidence.UNKNOWN)


def inputs(
    policies: Sequence[Policy] = (),
    ledger: Sequence[Applied] = (),
    found: Sequence[LivePolicy] | Listing = (),
    *,
    provider: str = "opena2a",
    capabilities: Capabilities | None = None,
    overrides: Overrides | None = None,
    commits: Mapping[str, CommitInfo] | None = None,
    drift_of: Callable[[Applied, LivePolicy | None, bool], Drift] = nobody,
    only: Sequence[str] = (),
    mode: str | None = None,
    applied_settings: Applied | None = None,
    now: datetime = NOW,
    dirty: bool = False,
    descends: bool = True,
    applying: bool = False,
    **settings: Any,
) -> PlanInput:
    """Everything a plan is made from. *settings* are those of the target, such as `max_deletes=1`."""
    read = found if isinstance(found, Listing) else listing(*found)
    can = capabilities or (FLIP_ONLY if provider == "neosc" else FULL)
    paths = {
        *(each.source.path for each in policies),
        *(each.path for each in ledger),
        f"policies/{provider}/settings.yaml",
    }
    info = CommitInfo(HEAD, "alice", "Change a policy")
    return PlanInput(
        tool="0.1.0",
        target=TargetInfo(provider, provider, URLS[provider], read.mode),
        capabilities=can,
        settings=TargetSettings(provider, provider, URLS[provider], f"policies/{provider}", **settings),
        git=GitInfo(HEAD, BEFORE if ledger else None, dirty, False),
        policies=policies,
        applied={entry.key: entry for entry in ledger},
        live=read,
        schema_of=lambda body: schemas().policy_schema(provider, str(body.get(can.type_field))),
        commits=dict.fromkeys(paths, info) if commits is None else commits,
        overrides=overrides or Overrides(),
        now=now,
        drift_of=drift_of,
        only=frozenset(only),
        mode=mode,
        applied_settings=applied_settings,
        facts=Facts(descends, applying),
    )
