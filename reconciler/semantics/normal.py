"""One form for what sources write in many: addresses, hosts, instants (semantics.md B.2, B.6, B.7).

Each function returns None for a text it cannot read, and never raises.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from reconciler.core.canonical import ascii_lower

#: Instants from here on are refused: below, every engine's double is exact (semantics.md B.2).
END_OF_TIME: Final = 2**53
_V4_WITH_PORT: Final = re.compile(r"([0-9.]{7,15}):[0-9]{1,5}")
_BRACKETED: Final = re.compile(r"\[([^\[\]]{2,100})\](?::[0-9]{1,5})?")
_HOST: Final = re.compile(r"[a-z0-9_](?:[a-z0-9_.-]{0,251}[a-z0-9_])?")
_INSTANT: Final = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})[Tt ]([0-9]{2}:[0-9]{2}:[0-9]{2})(?:\.([0-9]{1,30}))?([Zz]|[+-][0-9]{2}:[0-9]{2})?"
)
_EPOCH: Final = datetime(1970, 1, 1)


def parse_address(text: str) -> IPv4Address | IPv6Address | None:
    """Return the address that a recorded text means.

    Surrounding spaces, a port and a zone go; IPv4 in IPv6 becomes IPv4. Leading zeros are unreadable: two systems
    would read two addresses.

    >>> parse_address("[::ffff:10.0.0.1]:443"), parse_address("10.0.0.01")
    (IPv4Address('10.0.0.1'), None)
    """
    text = text.strip(" \t")
    if bracketed := _BRACKETED.fullmatch(text):
        text = bracketed[1]
        if ":" not in text:
            return None
    elif with_port := _V4_WITH_PORT.fullmatch(text):
        text = with_port[1]
    base, _, _ = text.partition("%")
    try:
        address = ip_address(base)
    except ValueError:
        return None
    if isinstance(address, IPv6Address):
        return address.ipv4_mapped or address
    return address if base == text else None


def parse_host(text: str) -> str | None:
    """Return a host in lower case, as an A-label, without port and last dot; an address in its shortest form.

    >>> parse_host("MCP.Example.com.:8443"), parse_host("[::1]:443"), parse_host("bücher.example")
    ('mcp.example.com', '::1', 'xn--bcher-kva.example')
    """
    text = text.strip(" \t")
    if address := parse_address(text):
        return str(address)
    host, colon, port = text.rpartition(":")
    if colon and port.isascii() and port.isdigit():
        text = host
    text = text.removesuffix(".")
    if not text.isascii():
        try:
            text = text.encode("idna").decode("ascii")
        except UnicodeError:
            return None
    text = ascii_lower(text)
    return text if _HOST.fullmatch(text) and ".." not in text else None


def host_of_url(url: str) -> str | None:
    """Return the host of a URL, as `parse_host` does; None without one.

    >>> host_of_url("https://user@MCP.example.com:8443/sse")
    'mcp.example.com'
    """
    try:
        host = urlsplit(url).hostname
    except ValueError:
        return None
    return parse_host(host) if host else None


def parse_instant(text: str, *, assume: ZoneInfo | None = None) -> int | None:
    """Return the microseconds since 1970 of an RFC 3339 text, finer ones floored.

    Without an offset it is unreadable unless a zone is to be assumed. A leap second and all before 1970 are unreadable.

    >>> parse_instant("2026-03-02T03:14:07.1234567Z"), parse_instant("2026-03-02T03:14:07")
    (1772421247123456, None)
    """
    found = _INSTANT.fullmatch(text)
    if found is None:
        return None
    day, time, fraction, offset = found.groups()
    try:
        local = datetime.fromisoformat(f"{day}T{time}")
        if offset is None:
            if assume is None:
                return None
            shift = local.replace(tzinfo=assume).utcoffset()
        else:
            shift = datetime.fromisoformat(f"{day}T{time}{offset.upper()}").utcoffset()
    except ValueError:
        return None
    micros = (local - _EPOCH - (shift or timedelta())) // timedelta(microseconds=1)
    micros += int((fraction or "0").ljust(6, "0")[:6])
    return micros if 0 <= micros < END_OF_TIME else None
