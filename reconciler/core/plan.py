"""Everything read → the plan: which changes, in which order, what stops it, and what the ledger holds afterwards.

Pure and deterministic: the same inputs give the same bytes, and the order of files, of the list and of the ledger does
not matter.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime

from reconciler.core.canonical import Schema, canonical, digest, json_equal
from reconciler.core.changes import ENABLED, Settled, mode_source, settle, settle_mode
from reconciler.core.deviations import deviation_warnings
from reconciler.core.diff import unknown_live_keys
from reconciler.core.exceptions import exception_warnings
from reconciler.core.guard import guards_on_plan, is_in_force, judge
from reconciler.core.inputs import MODE_KEY, Compared, Facts, PlanInput, compare, match
from reconciler.core.match import Pair
from reconciler.core.model import (
    Action,
    Annotation,
    Applied,
    Body,
    Change,
    Confidence,
    Drift,
    Ignore,
    Json,
    Kind,
    LiveInfo,
    LivePolicy,
    Plan,
    Policy,
    Risk,
)
from reconciler.core.near import did_you_mean
from reconciler.core.normal import kept_fields
from reconciler.core.planform import make_fingerprint
from reconciler.core.safe import quoted, safe

__all__ = ["Facts", "PlanInput", "ledger_after", "make_plan", "must_record", "order_rank"]


def make_plan(inputs: PlanInput) -> Plan:
    """Return the plan that makes live match git, by the table of design.md 6.

    Raises `LiveError` when two live policies are one of ours. What is neither owned nor in git is listed and never
    touched.
    """
    matched = match(inputs)
    looked_at = [pair for pair in matched.pairs if _is_looked_at(inputs, pair)]
    compared = [compare(inputs, pair) for pair in looked_at]
    settled = [settle(inputs, each) for each in compared]
    everything = [*settled, settle_mode(inputs)]
    changes = tuple(sorted((each.change for each in everything if each.change), key=lambda c: (order_rank(c), c.key)))
    held = tuple(sorted((each.held for each in everything if each.held), key=lambda entry: entry.key))
    cannot = tuple(sorted((each.cannot for each in everything if each.cannot), key=lambda entry: entry.key))
    whole = guards_on_plan(
        changes,
        owned=len(inputs.applied),
        settings=inputs.settings,
        git=inputs.git,
        descends=inputs.facts.descends,
        applying=inputs.facts.applying,
        incomplete=any(each.short for each in everything),
    )
    known = {*(policy.key for policy in inputs.policies), *inputs.applied, MODE_KEY}
    verdict = judge(changes, whole, inputs.overrides, target=inputs.target.name, now=inputs.now, known=known)
    in_sync = sum(_is_in_sync(each, what) for each, what in zip(compared, settled, strict=True))
    return Plan(
        tool=inputs.tool,
        fingerprint=make_fingerprint(inputs.target, changes, held, cannot),
        complete=inputs.live.complete and not inputs.only,
        target=inputs.target,
        git=inputs.git,
        live=LiveInfo(
            _time_text(inputs.live.read_at), len(inputs.live.policies), digest_of(changes), inputs.facts.snapshot
        ),
        changes=changes,
        held=held,
        cannot=cannot,
        unmanaged=tuple(policy.natural_key for policy in matched.unmanaged),
        blocked=verdict.blocked,
        overrides=verdict.used,
        warnings=(
            *_warnings(inputs, compared, settled),
            *deviation_warnings(inputs, compared, changes),
            *verdict.warnings,
        ),
        summary={
            **{action.value: sum(change.action is action for change in changes) for action in Action},
            "in_sync": in_sync,
            "unmanaged": len(matched.unmanaged),
            "cannot": len(cannot),
            "held": len(held),
        },
    )


def order_rank(change: Change) -> int:
    """Return a change's place in the order of calls: what tightens goes first, what loosens last.

    Create, update that tightens, enable, other updates, disable, delete. The global mode has its own places beside the
    updates, so that it never shares a wave with policies. A policy that opens what is closed without it comes with what
    loosens (`deviations.py`).
    """
    if change.kind is Kind.SETTINGS:
        return 1 if change.risk is Risk.TIGHTENS else 5
    if change.action is Action.UPDATE:
        return 2 if change.risk is Risk.TIGHTENS else 4
    if change.action in (Action.CREATE, Action.ENABLE) and change.risk is Risk.WEAKENS:
        return 6
    return {Action.CREATE: 0, Action.ENABLE: 3, Action.DISABLE: 7, Action.DELETE: 8}[change.action]


def digest_of(changes: tuple[Change, ...]) -> str:
    """Return the digest of the live policies in *changes* as they were read; one that is not there is null."""
    seen: dict[str, Json] = {}
    for change in changes:
        live = change.live
        seen[f"{change.kind.value}/{change.key}"] = (
            None if live is None else {"id": live.id, "body": dict(live.body), "enabled": live.enabled}
        )
    return digest(seen)


def _is_looked_at(inputs: PlanInput, pair: Pair) -> bool:
    """With `only`, its keys and no deletes."""
    return not inputs.only or (pair.key in inputs.only and pair.desired is not None)


def _is_in_sync(compared: Compared, settled: Settled) -> bool:
    return compared.pair.desired is not None and settled.is_nothing


def _time_text(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


# ----------------------------------------------------------------------------------------------- warnings


def _warnings(inputs: PlanInput, compared: list[Compared], settled: list[Settled]) -> list[str]:
    """What people must hear beside the changes, in a fixed order."""
    found = []
    if inputs.facts.snapshot:
        read_at = _time_text(inputs.live.read_at)
        found.append(f"against a snapshot of {read_at}: live may have moved since, and apply refuses this plan")
    if inputs.git.shallow:
        found.append("history is cut off in this clone: a commit that cannot be known is shown as HEAD")
    swallowed: Counter[Ignore] = Counter(rule for each in compared for rule in each.swallowed)
    for rule in inputs.settings.ignore:
        if rule in swallowed:
            number = swallowed.pop(rule)
            what = "difference" if number == 1 else "differences"
            found.append(
                f"ignore rule {safe(rule.pointer)} of {quoted(rule.key)} swallowed {number} {what}: {safe(rule.reason)}"
            )
    for each, outcome in zip(compared, settled, strict=True):
        pair = each.pair
        if pair.desired is None:
            continue
        if pair.live is not None:
            before: Body = {} if pair.applied is None else pair.applied.body
            keys = unknown_live_keys(pair.desired.body, pair.live.body, before, each.schema)
            if keys:
                names = ", ".join(safe(key) for key in keys[:5]) + (", .." if len(keys) > 5 else "")
                found.append(f"{quoted(pair.key)} has live fields nobody here knows, left as they are: {names}")
        if each.kept:
            names = ", ".join(safe(pointer) for pointer in each.kept)
            found.append(f"{quoted(pair.key)} is kept otherwise than it was sent, and no weaker (normalised): {names}")
        review_by = pair.desired.metadata.get("review_by")
        if isinstance(review_by, str) and not is_in_force(review_by, inputs.now):
            found.append(f"{quoted(pair.key)} was to be reviewed by {safe(review_by)}")
        fields = () if outcome.change is None else outcome.change.fields
        found += exception_warnings(pair.desired, pair.applied, fields, each.schema, inputs.now)
    for key in sorted(inputs.only - {each.pair.key for each in compared} - {MODE_KEY}):
        known = [policy.key for policy in inputs.policies]
        found.append(f"--only names {quoted(key)}, which is not in git for this target{did_you_mean(key, known)}")
    return found


# ------------------------------------------------------------------------------------------------- ledger


def must_record(inputs: PlanInput) -> bool:
    """Whether an apply that sends nothing has something to record: ownership, metadata, a body that is live already."""
    return ledger_after(inputs, {}, {}) != (dict(inputs.applied), inputs.applied_settings)


def ledger_after(
    inputs: PlanInput, settled: Mapping[str, LivePolicy | None], annotations: Mapping[str, Annotation]
) -> tuple[dict[str, Applied], Applied | None]:
    """Return what the ledger should hold after a run: the entries by key, and the one of the global mode.

    *settled* has the live policy, as last read, of every change that is now as git wants it, and None for a delete. A
    change that failed, and whatever is held, keeps its old entry. A policy in sync gets an entry when it has none or
    says something else; a file that only moved, or a new commit alone, rewrites nothing.
    """
    inputs = replace(inputs, drift_of=_nobody)
    policies = {policy.key: policy for policy in inputs.policies}
    after: dict[str, Applied] = {}
    for pair in match(inputs).pairs:
        if _is_looked_at(inputs, pair):
            compared = compare(inputs, pair)
            entry = _entry_after(inputs, compared, policies.get(pair.key), settled, annotations)
        else:
            entry = pair.applied
        if entry is not None:
            after[entry.key] = entry
    return dict(sorted(after.items())), _mode_after(inputs, settled, annotations)


def _nobody(applied: Applied, live: LivePolicy | None, content_differs: bool) -> Drift:
    """Who edited a policy does not matter to the ledger, and nobody reads a trail for it."""
    return Drift(None, None, None, Confidence.UNKNOWN)


def _entry_after(
    inputs: PlanInput,
    compared: Compared,
    policy: Policy | None,
    settled: Mapping[str, LivePolicy | None],
    annotations: Mapping[str, Annotation],
) -> Applied | None:
    """The entry of one policy. *policy* is what its file says, ignore rules or not."""
    pair, what = compared.pair, settle(inputs, compared)
    old = None if pair.applied is None else inputs.applied[pair.applied.key]
    if policy is None:
        if what.change is not None and pair.key in settled:
            return None
        # Kept while it is live (held, failed, or the API or `prune` keeps it), and while nobody knows whether it is.
        return old if pair.live is not None or not inputs.live.complete else None
    if what.change is not None:
        live = settled.get(pair.key)
        if live is None:
            return old
        commit = what.change.commit.sha if what.change.commit is not None else inputs.git.head
        entry = _entry(policy, live, commit, annotations.get(pair.key))
        if what.cannot is not None:
            return replace(entry, body=_unsent_body(policy, live, old))
        return replace(entry, kept=_kept_after(inputs, what.change, policy, live, old))
    if what.held is not None or pair.live is None:
        return old
    info = inputs.commits.get(policy.source.path)
    fresh = _entry(policy, pair.live, inputs.git.head if info is None else info.sha, None)
    if old is None or old.key != policy.key or old.id != pair.live.id:
        return fresh if what.cannot is None else replace(fresh, body=_unsent_body(policy, pair.live, old))
    kept = {pointer: old.kept[pointer] for pointer in compared.kept}
    if what.cannot is not None or _is_as_applied(policy, old, compared.schema):
        # The old commit still tells why live is as it is.
        return replace(old, enabled=policy.enabled, metadata=policy.metadata, kept=kept)
    return replace(fresh, kept=kept)


def _kept_after(inputs: PlanInput, change: Change, policy: Policy, live: LivePolicy, old: Applied | None) -> Body:
    """What the live system shows after our write in place of what was sent; a switch sends none of it."""
    if change.action not in (Action.CREATE, Action.UPDATE):
        return {} if old is None else old.kept
    fields = compare(inputs, Pair(policy.key, policy, None, live)).fields
    return kept_fields(diff for diff in fields if diff.pointer != ENABLED)


def _entry(policy: Policy, live: LivePolicy, commit: str, annotation: Annotation | None) -> Applied:
    return Applied(
        key=policy.key,
        id=live.id,
        body=policy.body,
        enabled=policy.enabled,
        metadata=policy.metadata,
        path=policy.source.path,
        commit=commit,
        audit_id=None if annotation is None else annotation.audit_id,
    )


def _is_as_applied(policy: Policy, old: Applied, schema: Schema) -> bool:
    if policy.enabled != old.enabled:
        return False
    now, before = dict(policy.body), dict(old.body)
    return json_equal(now, before) or json_equal(canonical(now, schema), canonical(before, schema))


def _unsent_body(policy: Policy, live: LivePolicy, old: Applied | None) -> Body:
    """The content of a policy whose text the API cannot change: as it was left before, else as it is live.

    Only what git speaks of; a live field nobody asked for does not become ours.
    """
    return old.body if old is not None else _shared(live.body, policy.body)


def _shared(live: Body, ours: Body) -> dict[str, Json]:
    shared: dict[str, Json] = {}
    for key, value in live.items():
        wanted = ours.get(key)
        if wanted is None:
            continue
        shared[key] = _shared(value, wanted) if isinstance(value, dict) and isinstance(wanted, dict) else value
    return shared


def _mode_after(
    inputs: PlanInput, settled: Mapping[str, LivePolicy | None], annotations: Mapping[str, Annotation]
) -> Applied | None:
    old = inputs.applied_settings
    if inputs.only and MODE_KEY not in inputs.only:
        return old
    if inputs.mode is None:
        return None
    what = settle_mode(inputs)
    if (what.change is not None and MODE_KEY not in settled) or what.held is not None or what.cannot is not None:
        return old
    wanted = inputs.mode.lower()
    if what.change is None and old is not None and old.body.get(MODE_KEY) == wanted:
        return old
    source = mode_source(inputs)
    info = inputs.commits.get(source.path)
    annotation = annotations.get(MODE_KEY)
    return Applied(
        MODE_KEY,
        MODE_KEY,
        {MODE_KEY: wanted},
        True,
        {},
        source.path,
        inputs.git.head if info is None else info.sha,
        None if annotation is None else annotation.audit_id,
    )
