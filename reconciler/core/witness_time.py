"""A minute that one set of hours allows and another does not, as an instant (semantics.md B.6, E.2)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from reconciler.core.minutes import WEEK, turned, zone_of

#: The Monday of the first whole week of the year that `minutes.py` compares zones over.
_MONDAY: Final = datetime(2026, 1, 5, tzinfo=UTC)
_WEEKS: Final = 52
_DAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


def minute_between(allowed: int, zone: str, forbidden: int, other_zone: str, *, shown: str) -> tuple[str, str] | None:
    """Return the first minute of *allowed* in *zone* that is not in *forbidden* in *other_zone*.

    As an instant in UTC, of the first week of 2026 that has one, and as day, time and zone *shown*. A time of the week
    that a change of clocks leaves out or repeats is looked up on the clock, never computed.
    """
    zones = zone_of(zone), zone_of(other_zone), zone_of(shown)
    if zones[0] is None or zones[1] is None or zones[2] is None:
        return None
    for week in range(_WEEKS):
        monday = _MONDAY + timedelta(weeks=week)
        left = turned(allowed, -_offset(monday, zones[0])) & ~turned(forbidden, -_offset(monday, zones[1]))
        if not left:
            continue
        instant = monday + timedelta(minutes=(left & -left).bit_length() - 1)
        if _has(allowed, instant, zones[0]) and not _has(forbidden, instant, zones[1]):
            local = instant.astimezone(zones[2])
            return f"{instant:%Y-%m-%dT%H:%M:00Z}", f"{_DAYS[local.weekday()]} {local:%H:%M} {shown}"
    return None


def _offset(instant: datetime, zone: ZoneInfo) -> int:
    return (instant.astimezone(zone).utcoffset() or timedelta()) // timedelta(minutes=1)


def _has(minutes: int, instant: datetime, zone: ZoneInfo) -> bool:
    local = instant.astimezone(zone)
    return bool(minutes >> (local.weekday() * 1440 + local.hour * 60 + local.minute) % WEEK & 1)
