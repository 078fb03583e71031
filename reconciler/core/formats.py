"""What single texts in a policy may look like, beyond what a pattern can say well: addresses, durations, days, zones.

A format is a function from a text to a `Flaw` or None. The schemas name them with `format`; `schema.py` asks here both
when a format fails and when the pattern beside it does, so that the reader gets one sentence and the corrected text.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError


@dataclass(frozen=True, slots=True)
class Flaw:
    """What is wrong with a text, after the words "<key> is", and what to write instead."""

    what: str
    fix: str


Format = Callable[[str], Flaw | None]

UNITS: Final[Mapping[str, int]] = {
    "ms": 1,
    "s": 1_000,
    "m": 60_000,
    "h": 3_600_000,
    "d": 86_400_000,
    "w": 604_800_000,
}
LONGEST_MS: Final = 90 * UNITS["d"]

_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_FULL_DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")

#: ISO 3166-1 alpha-2, officially assigned.
_COUNTRY_CODES: Final = """
    AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR BS BT BV BW BY BZ
    CA CC CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ EC EE EG EH ER ES ET FI FJ FK FM FO FR
    GA GB GD GE GF GG GH GI GL GM GN GP GQ GR GS GT GU GW GY HK HM HN HR HT HU ID IE IL IM IN IO IQ IR IS IT JE JM JO
    JP KE KG KH KI KM KN KP KR KW KY KZ LA LB LC LI LK LR LS LT LU LV LY MA MC MD ME MF MG MH MK ML MM MN MO MP MQ MR
    MS MT MU MV MW MX MY MZ NA NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM PN PR PS PT PW PY QA RE RO
    RS RU RW SA SB SC SD SE SG SH SI SJ SK SL SM SN SO SR SS ST SV SX SY SZ TC TD TF TG TH TJ TK TL TM TN TO TR TT TV
    TW TZ UA UG UM US UY UZ VA VC VE VG VI VN VU WF WS YE YT ZA ZM ZW
    """
COUNTRIES: Final = frozenset(_COUNTRY_CODES.split())
_COUNTRY_SLIPS: Final[Mapping[str, str]] = {"UK": "GB", "EL": "GR", "EN": "GB"}

_SPAN = re.compile(r"([1-9][0-9]{0,11})(ms|s|m|h|d|w)\Z")
_TIME = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])\Z|24:00\Z")
_WILDCARD = re.compile(r"(?:(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])\.){1,3}\*\Z")
_LABEL = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?\Z")
_POINTER = re.compile(r"(?:/(?:[^~/]|~[01])*)*\Z")
_ISO_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}\Z")


@lru_cache(maxsize=4096)
def ip_entry(text: str) -> Flaw | None:
    """An address, a CIDR without host bits, a range `a-b`, or an IPv4 with a trailing `*` (semantics.md B.6)."""
    if "*" in text:
        if _WILDCARD.match(text):
            return None
        return Flaw("not an address: * may only stand for whole numbers at the end", "write 192.168.* or a CIDR")
    if "-" in text:
        return _ip_range(text)
    if "%" in text:
        return Flaw("an address with a zone, which no policy can match", "write the address without %…")
    if "/" not in text:
        return None if _address(text) else Flaw("not an IP address", "write an address, a CIDR, a-b or 192.168.*")
    base, _, length = text.partition("/")
    if not _address(base) or not re.fullmatch(r"0|[1-9][0-9]{0,2}", length):
        return Flaw("not an address range", "write address/length, for example 10.0.0.0/8")
    try:
        network = ipaddress.ip_network(text, strict=False)
    except ValueError:
        return Flaw("an address range with a length that is too long", "use at most /32 for IPv4 and /128 for IPv6")
    if str(ipaddress.ip_address(base)) != str(network.network_address):
        return Flaw("an address range that starts in its middle", f"write {network}")
    return None


def _ip_range(text: str) -> Flaw | None:
    low, _, high = text.partition("-")
    first, last = _address(low), _address(high)
    if first is None or last is None:
        return Flaw("not an address range", "write two addresses with - between, for example 10.0.0.1-10.0.0.9")
    if first.version != last.version:
        return Flaw("a range from IPv4 to IPv6", "write two addresses of one family")
    return Flaw("a range that ends before it starts", f"write {last}-{first}") if int(first) > int(last) else None


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text) if "%" not in text else None
    except ValueError:
        return None


def span_of_time(text: str) -> Flaw | None:
    """A duration such as 10m, at most 90 days (semantics.md B.2)."""
    match = _SPAN.match(text)
    if match is None:
        return Flaw("not a duration", "write a whole number and ms, s, m, h, d or w, for example 10m")
    if int(match[1]) * UNITS[match[2]] > LONGEST_MS:
        return Flaw("longer than 90 days", "write at most 90d")
    return None


def minutes_of(value: object) -> int | None:
    """Return the minute of the day of an hour or an "HH:MM", 0 to 1440; None for anything else.

    >>> minutes_of(8), minutes_of("08:30"), minutes_of("8"), minutes_of(True), minutes_of(float("inf"))
    (480, 510, None, None, None)
    """
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return int(value * 60) if 0 <= value <= 24 and value == int(value) else None
    if isinstance(value, str) and _TIME.match(value):
        return int(value[:2]) * 60 + int(value[3:])
    return None


def time_of_day(text: str) -> Flaw | None:
    """ "HH:MM" on the 24-hour clock; `24:00` is the end of a day and never its start."""
    if text == "24:00":
        return Flaw("24:00, which is an end and no start", "write 00:00")
    return None if _TIME.match(text) else Flaw("not a time of day", 'write an hour from 0 to 24, or "08:30"')


def end_of_day(text: str) -> Flaw | None:
    """ "HH:MM" on the 24-hour clock, up to `24:00`."""
    return None if _TIME.match(text) else Flaw("not a time of day", 'write an hour from 0 to 24, or "17:45"')


def country_code(text: str) -> Flaw | None:
    """An ISO 3166-1 alpha-2 code in either case, or EU (semantics.md B.6)."""
    code = text.upper()
    if text.isascii() and (code in COUNTRIES or code == "EU"):
        return None
    if slip := _COUNTRY_SLIPS.get(code):
        return Flaw("not a country code of ISO 3166", f"write {slip}")
    return Flaw("not a country code of ISO 3166", "write two letters, for example DE, or EU for its members")


def day_name(text: str) -> Flaw | None:
    """mon to sun or the full English name, in any case (semantics.md B.2)."""
    if text.isascii() and text.lower() in _DAYS + _FULL_DAYS:
        return None
    for short in _DAYS:
        if text.lower().startswith(short[:2]):
            return Flaw("not a day", f"write {short}")
    return Flaw("not a day", "write mon, tue, wed, thu, fri, sat or sun")


def iana_timezone(text: str) -> Flaw | None:
    """A zone of the IANA database; where the machine has no database, any name that could be one."""
    flaw = Flaw("not a time zone", "write an IANA name, for example Europe/Berlin or UTC")
    if not re.match(r"[A-Za-z][A-Za-z0-9_+-]{0,31}(?:/[A-Za-z0-9_+-]{1,32}){0,2}\Z", text):
        return flaw
    if _has_zone(text) or not _has_zone("Etc/UTC"):
        return None
    return flaw


def _has_zone(name: str) -> bool:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return True


def iso_date(text: str) -> Flaw | None:
    """A day that exists, as YYYY-MM-DD."""
    if not _ISO_DATE.match(text):
        return Flaw("not a date", "write YYYY-MM-DD, for example 2027-01-31")
    try:
        date.fromisoformat(text)
    except ValueError:
        return Flaw("not a day of any calendar", "write a day that exists, as YYYY-MM-DD")
    return None


def scope(text: str) -> Flaw | None:
    """Whom a policy looks at; an unknown kind would be silently everybody on the live API (semantics.md B.3)."""
    kind, colon, rest = text.partition(":")
    if not colon:
        known = kind in ("all", "all_agents")
    elif kind == "trust_score_below":
        known = bool(re.match(r"[0-9]{1,9}(?:\.[0-9]{1,9})?\Z", rest))
    else:
        known = kind in ("agent_id", "agent_type", "role", "user", "tenant") and bool(rest) and "\n" not in rest
    if known:
        return None
    return Flaw(
        "not a scope",
        "write all, all_agents, agent_id:…, agent_type:…, role:…, user:…, tenant:… or trust_score_below:<number>",
    )


def domain_entry(text: str) -> Flaw | None:
    """A host, `*.host`, `*`, `localhost`, or an address range for hosts that are addresses (semantics.md B.7)."""
    if text == "*":
        return None
    if "://" in text:
        return Flaw("a URL, not a domain", "write the host only, for example mcp.example.com")
    if "/" in text or _address(text):
        return ip_entry(text)
    host = text.removeprefix("*.")
    if not text.isascii():
        return Flaw("not in the form that names travel in", f"write {_a_label(host, text)}")
    if host.endswith("."):
        return Flaw("a domain with a dot at its end", f"write {text.rstrip('.')}")
    if ":" in host:
        return Flaw("a domain with a port", "write the host only; ports are not compared")
    if len(host) > 253 or not all(_LABEL.match(label) for label in host.split(".")):
        return Flaw("not a domain", "write a host such as mcp.example.com, *.example.com, or localhost")
    return None


def _a_label(host: str, text: str) -> str:
    try:
        return ("*." if text != host else "") + host.encode("idna").decode("ascii")
    except UnicodeError:
        return "the host's ASCII form (xn--…)"


def json_pointer(text: str) -> Flaw | None:
    """RFC 6901."""
    return None if _POINTER.match(text) else Flaw("not a JSON pointer", "write for example /conditions/block_vpn")


def _fits(pattern: str, flaw: Flaw) -> Format:
    compiled = re.compile(pattern)
    return lambda text: None if compiled.fullmatch(text) else flaw


FORMATS: Final[Mapping[str, Format]] = {
    "base-url": _fits(
        r"https?://[^\s/?#@]{1,255}(?:/[^\s?#]{0,1000})?",
        Flaw("not a base URL", "write https://host/path without user, query or fragment"),
    ),
    "country-code": country_code,
    "date": iso_date,
    "day-name": day_name,
    "domain-entry": domain_entry,
    "end-of-day": end_of_day,
    "iana-timezone": iana_timezone,
    "ip-entry": ip_entry,
    "json-pointer": json_pointer,
    "notice-url": _fits(
        r"https?://[^\s/?#@]{1,255}(?:/[A-Za-z0-9._~-]{1,128}){0,20}/[A-Za-z0-9][A-Za-z0-9._-]{0,127}",
        Flaw("not an address for notices", "write https://host/path without user, query or fragment"),
    ),
    "policy-id": _fits(
        r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}",
        Flaw(
            "not a policy id",
            "write letters, digits, dots, hyphens and underscores, at most 128, a letter or digit first",
        ),
    ),
    "remote-name": _fits(
        r"[A-Za-z0-9][A-Za-z0-9._/-]{0,127}", Flaw("not a remote's name", "write its name as `git remote` prints it")
    ),
    "scope": scope,
    "span-of-time": span_of_time,
    "target-name": _fits(
        r"[a-z0-9-]{1,63}", Flaw("not a target's name", "use lower-case letters, digits and hyphens, at most 63")
    ),
    "time-of-day": time_of_day,
}
