"""Which file, which ledger entry and which live policy are one and the same (design.md 3 "Keys").

Pairs first, compares nothing. Whatever ends up in no pair is unmanaged and never reaches the diff.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from reconciler.core.model import Applied, Body, LivePolicy, Policy
from reconciler.core.safe import quoted, safe
from reconciler.errors import LiveError


@dataclass(frozen=True, slots=True)
class Pair:
    """One policy from its three sides; at least one of them is there.

    `applied` may stand under another key in the ledger: a policy that got a new key in git is still the one we own.
    """

    key: str
    desired: Policy | None
    applied: Applied | None
    live: LivePolicy | None


@dataclass(frozen=True, slots=True)
class Matched:
    """All pairs by key, and the live policies that are nobody's here."""

    pairs: tuple[Pair, ...]
    unmanaged: tuple[LivePolicy, ...]


def match_policies(
    policies: Sequence[Policy],
    applied: Mapping[str, Applied],
    live: Sequence[LivePolicy],
    *,
    key_field: str,
    only: Collection[str] = (),
    where: str = "the live system",
) -> Matched:
    """Pair what git wants with what we own and what is live.

    A file takes the live policy with the ledger's id, else the only one with its own `key_field` (neosc: id; others:
    name). What only the ledger knows is found by id alone: a namesake made by hand is not ours to delete. Two live
    policies with one id or one name that match a key of ours (of *only*, when given) are a `LiveError`.
    """
    _refuse_twins(policies, applied, live, key_field, only, where)
    by_id = {policy.id: policy for policy in live}
    by_natural = {policy.natural_key: policy for policy in live}
    wanted = {policy.key: policy for policy in policies}
    taken: dict[str, str] = {}
    for key in sorted(wanted.keys() & applied.keys()):
        if applied[key].id in by_id:
            taken.setdefault(applied[key].id, key)
    found = {key: by_id[identity] for identity, key in taken.items()}
    for key in sorted(wanted.keys() - found.keys()):
        candidate = by_natural.get(natural_key(wanted[key].body, key_field) or "")
        if candidate is not None and candidate.id not in taken:
            found[key] = candidate
            taken[candidate.id] = key
    pairs = []
    moved = _moved_entries(wanted, applied, found)
    for key, policy in wanted.items():
        pairs.append(Pair(key, policy, applied.get(key, moved.get(key)), found.get(key)))
    for key in applied.keys() - wanted.keys():
        live_one = by_id.get(applied[key].id)
        if live_one is not None and live_one.id in taken:
            continue  # its policy lives on under another key
        if live_one is not None:
            taken[live_one.id] = key
        pairs.append(Pair(key, None, applied[key], live_one))
    unmanaged = (policy for policy in live if policy.id not in taken)
    return Matched(
        tuple(sorted(pairs, key=lambda pair: pair.key)),
        tuple(sorted(unmanaged, key=lambda policy: (policy.natural_key, policy.id))),
    )


def natural_key(body: Body, key_field: str) -> str | None:
    """What a file or a ledger entry may match a live policy by; None when the field is missing."""
    value = body.get(key_field)
    return value if isinstance(value, str) else None


def _moved_entries(
    wanted: Mapping[str, Policy], applied: Mapping[str, Applied], found: Mapping[str, LivePolicy]
) -> dict[str, Applied]:
    """Entries whose key git no longer has, by the key that took over their live policy."""
    orphans = {entry.id: entry for key, entry in sorted(applied.items()) if key not in wanted}
    return {key: orphans[live.id] for key, live in found.items() if key not in applied and live.id in orphans}


def _refuse_twins(
    policies: Sequence[Policy],
    applied: Mapping[str, Applied],
    live: Sequence[LivePolicy],
    key_field: str,
    only: Collection[str],
    where: str,
) -> None:
    by_id: dict[str, list[LivePolicy]] = {}
    by_natural: dict[str, list[LivePolicy]] = {}
    for policy in live:
        by_id.setdefault(policy.id, []).append(policy)
        by_natural.setdefault(policy.natural_key, []).append(policy)
    if len(by_id) == len(live) == len(by_natural):
        return
    wanted = {policy.key for policy in policies}
    sides = [(policy.key, policy.body, applied.get(policy.key)) for policy in policies]
    sides += [(key, entry.body, entry) for key, entry in applied.items() if key not in wanted]
    for key, body, entry in sorted(sides, key=lambda side: side[0]):
        if only and key not in only:
            continue
        namesakes = by_natural.get(natural_key(body, key_field) or "", [])
        candidates = [*namesakes, *(by_id.get(entry.id, []) if entry else [])]
        twins = namesakes if len(namesakes) > 1 else []
        twins = [*twins, *(twin for one in candidates if len(by_id[one.id]) > 1 for twin in by_id[one.id])]
        if twins:
            named = dict.fromkeys(f"{safe(twin.id)} ({quoted(twin.name)})" for twin in twins)
            raise LiveError(
                f"several live policies match {quoted(key)}: " + ", ".join(list(named)[:10]),
                where=where,
                fix="keep one of them in the live system and rename or delete the others; nothing was touched",
                code="duplicate-live",
            )
