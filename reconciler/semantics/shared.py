"""The keys that several policy types share: filters, exceptions, addresses, places, times, roles (semantics.md B.6)."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from reconciler.core.formats import country_code, day_name, ip_entry
from reconciler.core.minutes import WEEK, week_set
from reconciler.core.model import Json
from reconciler.semantics.ast import Argument, Cmp, Is, Lift, LocalTime, Node, Not
from reconciler.semantics.keys import Keys
from reconciler.semantics.nodes import all_of
from reconciler.semantics.program import Clause, Effect, OnMissing, State

EVERY_DAY: Final[tuple[str, ...]] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
FILTERS: Final = ("resources", "actions", "resource_types", "except_actors", "except_resources", "except_ips")
PERCENT: Final = "percent"
UNIT: Final = "unit"


@dataclass(frozen=True, slots=True)
class Data:
    """What the compiler has to know about the events: the scale of trust scores, and what ends a suspension."""

    trust_scale: str = PERCENT
    mcp_trust_scale: str = PERCENT
    reinstating: tuple[str, ...] = ("reinstate",)


#: Scores from 0 to 100, and one action that reinstates.
PLAIN_DATA: Final = Data()


@dataclass(frozen=True, slots=True)
class Context:
    """Everything a policy type is compiled from."""

    keys: Keys
    zone: str = "UTC"
    data: Data = PLAIN_DATA


@dataclass(frozen=True, slots=True)
class Meaning:
    """What a policy type makes of its conditions.

    `effect` and `duration_us` are what a violation does where the envelope is silent; `demanded` is an effect that the
    conditions themselves ask for.
    """

    clauses: tuple[Clause, ...]
    applies: Node | None = None
    ready: Node | None = None
    effect: Effect = Effect.ALERT
    duration_us: int | None = None
    demanded: Effect | None = None
    strongest: Effect = Effect.SUSPEND
    not_replayed: tuple[str, ...] = ()


def must_prove(key: str, node: Node, state: State | None = None) -> Clause:
    """A clause that null violates on the live server: somebody has to show something (semantics.md B.3)."""
    return Clause(key, node, OnMissing.VIOLATE, state)


def must_find(key: str, node: Node) -> Clause:
    """A clause that null passes on the live server: something has to be found."""
    return Clause(key, node, OnMissing.PASS)


def lift(test: str, columns: str | tuple[str, ...], *arguments: Argument) -> Lift:
    return Lift(test, (columns,) if isinstance(columns, str) else columns, arguments)


def scaled(score: Decimal, written: str, data: str) -> float:
    """Return a constant of a policy in the scale of the data; the data are never scaled (semantics.md B.2).

    >>> scaled(Decimal("57"), "percent", "unit")
    0.57
    """
    if written == data:
        return float(score)
    return float(score / 100 if data == UNIT else score * 100)


# ----------------------------------------------------------------------------------------------- filters


def filters_of(keys: Keys) -> Node | None:
    """Return which events a policy looks at by its own keys; None for all."""
    nodes: list[Node] = []
    if resources := keys.some_texts("resources"):
        nodes.append(lift("matches", "resource", resources, "resource"))
    if actions := keys.some_texts("actions"):
        nodes.append(lift("matches", "action_key", actions, "folded"))
    if kinds := keys.some_texts("resource_types"):
        nodes.append(lift("matches", "kind", kinds, "plain"))
    if actors := keys.texts("except_actors"):
        nodes.append(Not(lift("matches", "actor_id", actors, "plain")))
    if resources := keys.texts("except_resources"):
        nodes.append(Not(lift("matches", "resource", resources, "resource")))
    if addresses := keys.texts("except_ips", check=ip_entry):
        nodes.append(Not(lift("address_in", "address", addresses)))
    return all_of(tuple(nodes))


# ----------------------------------------------------------------------------------------------- clauses


def ip_clauses(keys: Keys) -> list[Clause]:
    clauses = []
    allowed, denied = keys.some_texts("allowed_ips", check=ip_entry), keys.texts("denied_ips", check=ip_entry)
    if allowed:
        clauses.append(must_prove("allowed_ips", Not(lift("address_in", "address", allowed))))
    if denied:
        clauses.append(must_find("denied_ips", lift("address_in", "address", denied)))
    if keys.flag("block_vpn"):
        clauses.append(must_find("block_vpn", Is("is_vpn")))
    return clauses


def country_clauses(keys: Keys) -> list[Clause]:
    clauses = []
    if allowed := keys.some_texts("allowed_countries", check=country_code):
        clauses.append(must_prove("allowed_countries", Not(lift("country_in", "country", allowed))))
    if denied := keys.texts("denied_countries", check=country_code):
        clauses.append(must_find("denied_countries", lift("country_in", "country", denied)))
    return clauses


def time_clauses(keys: Keys, zone: str) -> list[Clause]:
    """Outside the allowed hours, or on a day that is not listed; none when every minute is allowed."""
    names = ("allowed_days", "allowed_hours_start", "allowed_hours_end")
    zone = keys.zone(zone)
    local = local_time(keys, zone, names, (0, 24))
    return [] if local is None else [must_find(keys.written(*names), Not(local))]


def local_time(keys: Keys, zone: str, names: tuple[str, str, str], hours: tuple[int, int]) -> LocalTime | None:
    """Return the minutes that days, start and end name; None when that is every minute, or when it is wrong."""
    days = keys.some_texts(names[0], check=day_name)
    start, end = keys.minute(names[1]), keys.minute(names[2])
    if not keys.has(*names) and hours == (0, 24):
        return None
    first, last = hours[0] * 60 if start is None else start, hours[1] * 60 if end is None else end
    if first == last or first == 1440:
        keys.fault(keys.written(names[1], names[2]), "makes the window empty", "write a start before its end")
        return None
    listed: list[Json] = list(days or EVERY_DAY)
    minutes = week_set(_clock(first), _clock(last), listed)
    if minutes is None or minutes == (1 << WEEK) - 1:
        return None
    return LocalTime(zone, f"{minutes:x}")


def _clock(minute: int) -> str:
    return f"{minute // 60:02}:{minute % 60:02}"


def resource_clauses(keys: Keys, how: str = "resource") -> list[Clause]:
    clauses = []
    if restricted := keys.texts("restricted_resources"):
        clauses.append(must_find("restricted_resources", lift("matches", "resource", restricted, how)))
    if allowed := keys.some_texts("allowed_resources"):
        clauses.append(must_prove("allowed_resources", Not(lift("matches", "resource", allowed, how))))
    return clauses


def action_clauses(keys: Keys) -> list[Clause]:
    clauses = []
    if restricted := keys.texts("restricted_actions"):
        clauses.append(must_find("restricted_actions", lift("matches", "action_key", restricted, "folded")))
    if allowed := keys.some_texts("allowed_actions"):
        clauses.append(must_prove("allowed_actions", Not(lift("matches", "action_key", allowed, "folded"))))
    return clauses


def role_clauses(keys: Keys) -> list[Clause]:
    clauses = []
    if allowed := keys.some_texts("allowed_roles"):
        clauses.append(must_prove("allowed_roles", Not(lift("meets", "actor_roles", allowed))))
    if denied := keys.texts("denied_roles"):
        clauses.append(must_find("denied_roles", lift("meets", "actor_roles", denied)))
    if required := keys.texts("required_roles"):
        clauses.append(must_prove("required_roles", Not(lift("holds", "actor_roles", required))))
    return clauses


def trust_clauses(keys: Keys, data: Data, *names: str, scale: str = PERCENT) -> list[Clause]:
    """A score strictly under the minimum; equal passes (semantics.md B.7)."""
    spellings = names or ("min_trust_score",)
    least = keys.number(*spellings, high=1 if scale == UNIT else 100)
    if least is None:
        return []
    return [must_prove(keys.written(*spellings), Cmp("trust_score", "<", scaled(least, scale, data.trust_scale)))]
