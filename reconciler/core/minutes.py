"""Hours, days and a time zone as one set of minutes of the week (semantics.md B.6, E.3).

A set is an integer with one bit per minute, Monday 00:00 first. Sets in two zones are compared at every pair of UTC
offsets that the zones have together, so that a change of clocks in one of them cannot hide a minute.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

from reconciler.core.canonical import ascii_lower
from reconciler.core.model import Json
from reconciler.core.sets import Growth, growth_from

WEEK: Final = 7 * 24 * 60
_DAY: Final = 24 * 60
_EVERY: Final = (1 << WEEK) - 1
_DAYS: Final = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_CLOCK: Final = re.compile(r"([01][0-9]|2[0-4]):([0-5][0-9])")
#: Fixed years, so that a plan made again is the same plan; the clocks of a zone repeat every year.
_FROM: Final = datetime(2026, 1, 1, tzinfo=UTC)
_SAMPLES: Final = 2 * 366


def week_set(start: Json, end: Json, days: Json) -> int | None:
    """Return the minutes of the local week from *start* up to and without *end* on *days*; None when nobody can tell.

    Start after end means over midnight, and belongs to the day it starts on. The same start and end are no time at
    all and are refused by validation, so here they are unknown.
    """
    first, last = _minute(start), _minute(end)
    if first is None or last is None or first in (last, _DAY) or not isinstance(days, list) or not days:
        return None
    length = last - first if first < last else last - first + _DAY
    minutes = 0
    for name in days:
        day = _day(name)
        if day is None:
            return None
        minutes |= turned((1 << length) - 1, day * _DAY + first)
    return minutes


def growth_of_minutes(old: int, old_zone: str, new: int, new_zone: str) -> Growth:
    """Return how one set of local minutes relates to another, as instants."""
    if old_zone == new_zone or old == new == _EVERY:
        return growth_from(old & ~new == 0, new & ~old == 0)
    pairs = _offsets(old_zone, new_zone)
    if pairs is None:
        return Growth.UNSURE
    within = without = True
    for old_offset, new_offset in pairs:
        before, after = turned(old, -old_offset), turned(new, -new_offset)
        within, without = within and before & ~after == 0, without and after & ~before == 0
    return growth_from(within, without)


def turned(minutes: int, by: int) -> int:
    """The set moved later by that many minutes, around the week."""
    by %= WEEK
    return (minutes << by | minutes >> (WEEK - by)) & _EVERY


def _minute(time: Json) -> int | None:
    if isinstance(time, str):
        found = _CLOCK.fullmatch(time)
        minute = int(found[1]) * 60 + int(found[2]) if found else None
    else:
        hour = (
            int(time) if isinstance(time, (int, float)) and not isinstance(time, bool) and time == int(time) else None
        )
        minute = None if hour is None else hour * 60
    return minute if minute is not None and 0 <= minute <= _DAY else None


def _day(name: Json) -> int | None:
    if not isinstance(name, str):
        return None
    text = ascii_lower(name)
    return next((at for at, day in enumerate(_DAYS) if text in (day, day[:3])), None)


@lru_cache(maxsize=64)
def _offsets(one: str, other: str) -> frozenset[tuple[int, int]] | None:
    """Pairs of UTC offsets in minutes that two zones have at one instant; None when a zone is not known."""
    zones = zone_of(one), zone_of(other)
    if zones[0] is None or zones[1] is None:
        return None
    pairs: set[tuple[int, int]] = set()
    for sample in range(_SAMPLES):
        instant = _FROM + timedelta(hours=12 * sample)
        offsets = [instant.astimezone(zone).utcoffset() or timedelta() for zone in zones if zone is not None]
        if any(offset % timedelta(minutes=1) for offset in offsets):
            return None
        pairs.add((offsets[0] // timedelta(minutes=1), offsets[1] // timedelta(minutes=1)))
    return frozenset(pairs)


def zone_of(name: str) -> ZoneInfo | None:
    try:
        return ZoneInfo(name)
    except (ValueError, KeyError, OSError):  # not a name, not known, a folder of the database
        return None
