"""Where a token may be sent: the rules for a target's URL, checked before anything is connected to.

A URL that two programs could read differently is refused, not interpreted (reliability.md T4.2).
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from reconciler.core.safe import quoted
from reconciler.errors import ConfigError

_PORTS: Final = {"http": 80, "https": 443}
_URL = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://(?P<netloc>[^/?#]*)(?P<path>[^?#]*)(?P<rest>.*)", re.DOTALL)
_NETLOC = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+\]|[^:@\[\]]+)(?::(?P<port>[1-9][0-9]{0,4}))?")
_LABEL = re.compile(r"(?!-)[a-z0-9-]{1,63}(?<!-)")
_PATH = re.compile(r"(?:/[A-Za-z0-9._~-]+)*")
_V4 = re.compile(r"[0-9]{1,3}(?:\.[0-9]{1,3}){3}")


@dataclass(frozen=True, slots=True)
class ParsedOrigin:
    """A checked base URL: scheme, host (lower case, without brackets), port, and the path everything stands below."""

    scheme: str
    host: str
    port: int
    prefix: str

    @property
    def is_secure(self) -> bool:
        return self.scheme == "https"

    @property
    def authority(self) -> str:
        """The host as it stands in a URL, with its port unless it is the scheme's own."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def connect_host(self) -> str:
        """The name to connect to: `localhost` is 127.0.0.1, whatever a resolver would say."""
        return "127.0.0.1" if self.host == "localhost" else self.host

    def __str__(self) -> str:
        return f"{self.scheme}://{self.authority}"


def check_url(url: str, allowed_hosts: Sequence[str] | None = None, *, where: str = "reconciler.yaml") -> ParsedOrigin:
    """Return the parts of a target's base URL, or raise `ConfigError` when a token may not be sent there.

    https to any host; http only to a literal 127.0.0.0/8 address, `[::1]` or `localhost`. No user, query, fragment,
    escape, dot segment, trailing dot, or number that is not a dotted quad. With *allowed_hosts* (the setting
    `RECONCILER_ALLOWED_HOSTS`: `host`, or `host:port` for a port that is not the scheme's own) no other host.

    >>> check_url("http://127.0.0.1:8800/api/").prefix
    '/api'
    """
    parts = _URL.fullmatch(url) if len(url) <= 2048 else None
    if parts is None or not url.isascii() or not url.isprintable() or " " in url or "\\" in url:
        raise _refused(url, where, "is not a plain absolute URL")
    scheme = parts["scheme"].lower()
    if scheme not in _PORTS:
        raise _refused(url, where, "is neither https nor http")
    if "@" in parts["netloc"]:
        raise _refused(
            url, where, "holds a user or password", fix="remove what stands before the @; tokens never stand in a URL"
        )
    if parts["rest"]:
        raise _refused(url, where, "has a query or a fragment")
    netloc = _NETLOC.fullmatch(parts["netloc"])
    port = int(netloc["port"]) if netloc is not None and netloc["port"] else _PORTS[scheme]
    if netloc is None or port > 65535:
        raise _refused(url, where, "has no plain host and port")
    path = parts["path"][:-1] if parts["path"].endswith("/") else parts["path"]
    if not _PATH.fullmatch(path) or any(part in (".", "..") for part in path.split("/")):
        raise _refused(url, where, "has a path with escapes, dots or empty parts")
    host = _check_host(netloc["host"].lower(), url, where)
    origin = ParsedOrigin(scheme, host, port, path)
    if scheme == "http" and not _is_loopback(host):
        raise _refused(
            url,
            where,
            "would send the token over plain http to another machine",
            fix="use https; http is for 127.0.0.0/8, [::1] and localhost only",
        )
    if allowed_hosts is not None and not any(_allows(entry, origin) for entry in allowed_hosts):
        raise ConfigError(
            f"{quoted(origin.authority)} is not among the hosts that the token may be sent to",
            where=where,
            fix="add it to RECONCILER_ALLOWED_HOSTS, or correct the target's url",
            code="host-not-allowed",
        )
    return origin


def _refused(url: str, where: str, what: str, *, fix: str | None = None) -> ConfigError:
    shown = re.sub(r"://[^/]*@", "://***@", url)
    return ConfigError(
        f"the url {quoted(shown, 120)} {what}",
        where=where,
        fix=fix or "write it as https://host/path, or http://127.0.0.1:8800/path",
        code="bad-url",
    )


def _check_host(host: str, url: str, where: str) -> str:
    if host.startswith("["):
        try:
            address = ipaddress.IPv6Address(host[1:-1])
        except ValueError as error:
            raise _refused(url, where, "has no valid IPv6 address") from error
        if address.ipv4_mapped is not None:
            raise _refused(url, where, "hides an IPv4 address in an IPv6 one")
        return str(address)
    if _V4.fullmatch(host):
        try:
            return str(ipaddress.IPv4Address(host))
        except ValueError as error:
            raise _refused(url, where, "has no valid IPv4 address") from error
    labels = host.split(".")
    if len(host) > 253 or not all(_LABEL.fullmatch(label) for label in labels):
        raise _refused(url, where, "has no valid host name")
    if labels[-1].isdigit() or re.fullmatch("0x[0-9a-f]*", labels[-1]):
        raise _refused(url, where, "has a number for a host that is not four decimal parts")
    return host


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    return address.is_loopback


def _allows(entry: str, origin: ParsedOrigin) -> bool:
    found = _NETLOC.fullmatch(entry.strip().lower())
    if found is None:
        return False
    port = int(found["port"]) if found["port"] else _PORTS[origin.scheme]
    host = found["host"]
    if host.startswith("["):
        try:
            host = str(ipaddress.IPv6Address(host[1:-1]))
        except ValueError:
            return False
    return (host, port) == (origin.host, origin.port)
