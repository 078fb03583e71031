"""The commit on every change: rendered into requests, found again in audit entries (design.md 6, Annotation).

An annotation is never part of equality. What is parsed here comes from a live system and is a claim: whether this
repository knows the commit is for the caller to ask.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote, unquote_to_bytes

GRANTED: Final = "exception-granted"
ENDED: Final = "exception-ended"
#: Why a request changes a policy whose file nobody touched: a dated exception began or ended.
REASONS: Final = (GRANTED, ENDED)

#: Texts of an audit entry are searched no further than this: whoever writes an entry decides how long it is.
MAX_SEARCHED: Final = 1 << 20

_VERSION = r"[0-9A-Za-z][0-9A-Za-z.+!_-]*"
_SHA = re.compile(r"(?<![0-9A-Fa-f])[0-9a-f]{40}(?![0-9A-Fa-f])")
_FULL_SHA = re.compile(r"[0-9a-f]{40}")
_PLAN = re.compile(r"[0-9a-f]{12}")
_USER_AGENT = re.compile(
    rf"reconciler/(?P<version>{_VERSION}) \(commit=(?P<commit>[0-9a-f]{{40}});"
    r" key=(?P<key>(?:[A-Za-z0-9_.~-]|%[0-9A-F]{2})*); plan=(?P<plan>[0-9a-f]{12})"
    rf"(?:; why=(?P<why>{'|'.join(REASONS)}))?\)"
)
_TRAILER = re.compile(r" ?\[reconciler commit=(?P<commit>[0-9a-f]{40})\]\Z")


@dataclass(frozen=True, slots=True)
class UserAgent:
    """What a `User-Agent` of ours says. `plan` is the first 12 hex digits of the plan's fingerprint."""

    version: str
    commit: str
    key: str
    plan: str
    why: str | None = None


def render_user_agent(agent: UserAgent) -> str:
    """Return the header's text: ASCII, on one line, whatever the key holds. Raise `ValueError` for what cannot be sent.

    >>> render_user_agent(UserAgent("0.1.0", "a" * 40, "PII access", "0123456789ab"))
    'reconciler/0.1.0 (commit=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa; key=PII%20access; plan=0123456789ab)'
    """
    if not re.fullmatch(_VERSION, agent.version):
        raise ValueError(f"not a version: {agent.version!r}")
    if not _FULL_SHA.fullmatch(agent.commit) or not _PLAN.fullmatch(agent.plan):
        raise ValueError("an annotation needs a full commit id and twelve digits of a fingerprint")
    if agent.why is not None and agent.why not in REASONS:
        raise ValueError(f"not a reason: {agent.why!r}")
    why = "" if agent.why is None else f"; why={agent.why}"
    key = quote(agent.key, safe="", errors="surrogatepass")
    return f"reconciler/{agent.version} (commit={agent.commit}; key={key}; plan={agent.plan}{why})"


def parse(text: str) -> UserAgent | None:
    """Return what the first `User-Agent` of ours in *text* says, None when there is none.

    A proxy may have put its own name around it.
    """
    found = _USER_AGENT.search(text[:MAX_SEARCHED])
    if found is None:
        return None
    try:
        key = unquote_to_bytes(found["key"]).decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        return None
    return UserAgent(found["version"], found["commit"], key, found["plan"], found["why"])


def make_headers(version: str, commit: str, key: str, fingerprint: str, why: str | None = None) -> dict[str, str]:
    """Return the headers every mutating request carries: who, which commit, which policy, which plan.

    `baggage` says the commit by OpenTelemetry's name for it.
    """
    plan = fingerprint.removeprefix("sha256:")[:12]
    return {
        "User-Agent": render_user_agent(UserAgent(version, commit, key, plan, why)),
        "baggage": f"vcs.ref.head.revision={commit}",
    }


def find_commit(texts: Iterable[str]) -> str | None:
    """Return the commit an audit entry with these texts belongs to, None when it names none.

    Forty lower-case hex digits that are not part of a longer run. Our own `User-Agent` comes first, wherever it stands:
    the other texts may quote an older annotation.
    """
    searched = [text[:MAX_SEARCHED] for text in texts]
    for text in searched:
        agent = parse(text)
        if agent is not None:
            return agent.commit
    for text in searched:
        found = _SHA.search(text)
        if found is not None:
            return found[0]
    return None


def append_trailer(text: str, commit: str) -> str:
    """Return a description with the commit behind it, for APIs whose audit entries keep no headers.

    >>> append_trailer("", "a" * 40)
    '[reconciler commit=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa]'
    """
    if not _FULL_SHA.fullmatch(commit):
        raise ValueError("a trailer needs a full commit id")
    return f"{text}{' ' if text else ''}[reconciler commit={commit}]"


def strip_trailer(text: str) -> tuple[str, str | None]:
    """Return a description as its author wrote it, and the commit that stood behind it, if one did.

    `strip_trailer(append_trailer(text, commit)) == (text, commit)` for every text; only one trailer is taken off.
    """
    found = _TRAILER.search(text)
    return (text, None) if found is None else (text[: found.start()], found["commit"])
