"""What a plan is made from, as one value, and the comparison of one policy's three sides.

Everything here was read before; whoever has a `PlanInput` needs neither files nor a network.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from reconciler.core.canonical import Schema, json_equal, key_field, key_schema, keyed_entries
from reconciler.core.diff import FieldDiff, create_fields, delete_fields, diff_policy
from reconciler.core.guard import EVERY, Overrides
from reconciler.core.match import Matched, Pair, match_policies
from reconciler.core.model import (
    MISSING,
    Applied,
    Body,
    Capabilities,
    CommitInfo,
    Drift,
    GitInfo,
    Ignore,
    Json,
    Listing,
    LivePolicy,
    Missing,
    Policy,
    Side,
    TargetInfo,
    TargetSettings,
)
from reconciler.core.normal import find_kept

#: The key of `settings.yaml`'s one setting, in plans, overrides and the ledger.
MODE_KEY = "enforcement_mode"


@dataclass(frozen=True, slots=True)
class Facts:
    """What only the caller can tell: HEAD follows last-applied; an apply asks, not a plan; live came from a file."""

    descends: bool = True
    applying: bool = False
    snapshot: bool = False


@dataclass(frozen=True, slots=True)
class PlanInput:
    """One target at one revision, and one read of it.

    `applied` has owned entries only. `settings` holds the stricter limits of last-applied and this commit. `schema_of`
    gives the inlined schema of a body's policy type. `commits` maps paths to who touched them last; a path without one
    is not committed. `drift_of(applied, live, content_differs)` names who moved a policy. `only` restricts the plan to
    these keys; empty: all. `mode` is what `settings.yaml` wants, None without one.
    """

    tool: str
    target: TargetInfo
    capabilities: Capabilities
    settings: TargetSettings
    git: GitInfo
    policies: Sequence[Policy]
    applied: Mapping[str, Applied]
    live: Listing
    schema_of: Callable[[Body], Schema]
    commits: Mapping[str, CommitInfo]
    overrides: Overrides
    now: datetime
    drift_of: Callable[[Applied, LivePolicy | None, bool], Drift]
    only: frozenset[str] = frozenset()
    mode: str | None = None
    applied_settings: Applied | None = None
    facts: Facts = field(default_factory=Facts)


def match(inputs: PlanInput) -> Matched:
    """Pair the inputs' files, ledger entries and live policies; a `LiveError` for twins of a key that is looked at."""
    return match_policies(
        inputs.policies,
        inputs.applied,
        inputs.live.policies,
        key_field=inputs.capabilities.key_field,
        only=inputs.only,
        where=f"target {inputs.target.name}",
    )


@dataclass(frozen=True, slots=True)
class Compared:
    """A pair and the fields in which its live side departs from git.

    Fields under an ignore rule are taken out: `pair` then says what live says in them, on every side, so that nothing
    is sent for their sake. `swallowed` has the rule for each difference taken out. `kept` has the pointers of those
    taken out because the live system makes the same of them each time (`normal.py`).
    """

    pair: Pair
    schema: Schema
    fields: tuple[FieldDiff, ...]
    swallowed: tuple[Ignore, ...] = ()
    kept: tuple[str, ...] = ()

    @property
    def desired_body(self) -> Body | Missing:
        policy = self.pair.desired
        return MISSING if policy is None else _with_enabled(policy.body, policy.enabled)

    @property
    def live_body(self) -> Body | Missing:
        live = self.pair.live
        return MISSING if live is None else _with_enabled(live.body, live.enabled)

    @property
    def applied_body(self) -> Body | Missing:
        applied = self.pair.applied
        return MISSING if applied is None else _with_enabled(applied.body, applied.enabled)


def compare(inputs: PlanInput, pair: Pair) -> Compared:
    """Compare one pair in canonical form; `enabled` is a field like the others, at `/enabled`."""
    side = pair.desired or pair.live or pair.applied
    schema = inputs.schema_of(side.body) if side is not None else {}
    whole = Compared(pair, schema, ())
    if pair.desired is not None and pair.live is not None and _is_same(pair.desired, pair.live):
        return whole
    desired, live, applied = whole.desired_body, whole.live_body, whole.applied_body
    if desired is MISSING:
        return replace(whole, fields=() if live is MISSING else delete_fields(live, applied, schema))
    if live is MISSING:
        return replace(whole, fields=create_fields(desired, applied, schema))
    if json_equal(dict(desired), dict(live)):
        return whole  # also where last-applied had more: live has it no longer
    fields = diff_policy(desired, live, applied, schema)
    rules = {diff.pointer: rule for diff in fields if (rule := _ignore_rule(inputs, pair.key, diff.pointer))}
    kept = find_kept((diff for diff in fields if diff.pointer not in rules), pair.applied, desired, live, schema)
    out = {*rules, *kept}
    if not out:
        return replace(whole, fields=fields)
    left = tuple(diff for diff in fields if diff.pointer not in out)
    return Compared(_as_live(whole, sorted(out)), schema, left, tuple(rules[p] for p in sorted(rules)), kept)


def _is_same(desired: Policy, live: LivePolicy) -> bool:
    """Whether nothing at all differs, as for nearly every policy of nearly every plan."""
    return desired.enabled is live.enabled and json_equal(dict(desired.body), dict(live.body))


def _with_enabled(body: Body, enabled: bool) -> Body:
    return {**body, "enabled": enabled}


# --------------------------------------------------------------------------------------------------- ignore


def _ignore_rule(inputs: PlanInput, key: str, pointer: str) -> Ignore | None:
    """The rule that wants to hear nothing of a difference: on the field itself or on something around it."""
    for rule in inputs.settings.ignore:
        if rule.key in (key, EVERY) and (pointer == rule.pointer or pointer.startswith(rule.pointer + "/")):
            return rule
    return None


def _as_live(compared: Compared, pointers: Iterable[str]) -> Pair:
    """The pair with what live says at *pointers* on all sides."""
    pair, live = compared.pair, compared.live_body
    assert live is not MISSING  # noqa: S101 - only a difference to something live is ignored
    sides: list[Body | Missing] = [compared.desired_body, compared.applied_body]
    for pointer in pointers:
        tokens = [token.replace("~1", "/").replace("~0", "~") for token in pointer.split("/")[1:]]
        value = _get(dict(live), tokens, compared.schema)
        sides = [side if side is MISSING else _put(side, tokens, value, compared.schema) for side in sides]
    desired, applied = pair.desired, pair.applied
    if desired is not None and sides[0] is not MISSING:
        body, enabled = _without_enabled(sides[0], desired.enabled)
        desired = replace(desired, body=body, enabled=enabled)
    if applied is not None and sides[1] is not MISSING:
        body, enabled = _without_enabled(sides[1], applied.enabled)
        applied = replace(applied, body=body, enabled=enabled)
    return replace(pair, desired=desired, applied=applied)


def _without_enabled(body: Body, otherwise: bool) -> tuple[Body, bool]:
    enabled = body.get("enabled", otherwise)
    return {key: value for key, value in body.items() if key != "enabled"}, enabled is True


def _get(value: Json, tokens: Sequence[str], schema: Schema) -> Side:
    if not tokens:
        return value
    if isinstance(value, dict):
        inner = value.get(tokens[0])
        return MISSING if inner is None else _get(inner, tokens[1:], key_schema(schema, tokens[0]))
    entries = keyed_entries(value, schema)
    return MISSING if entries is None or tokens[0] not in entries else entries[tokens[0]]


def _put(body: Body, tokens: Sequence[str], value: Side, schema: Schema) -> Body:
    """Return *body* with *value* at the place *tokens* name; `MISSING` takes it out."""
    key, inner = tokens[0], body.get(tokens[0])
    named = key_schema(schema, key)
    if len(tokens) == 1:
        changed: Side = value
    elif isinstance(inner, list) and key_field(named) is not None and len(tokens) == 2:
        entries = dict(keyed_entries(inner, named) or {})
        if value is MISSING:
            entries.pop(tokens[1], None)
        else:
            entries[tokens[1]] = value
        changed = list(entries.values())
    else:
        changed = dict(_put(inner if isinstance(inner, dict) else {}, tokens[1:], value, named))
    if changed is MISSING:
        return {name: item for name, item in body.items() if name != key}
    return {**body, key: changed}
