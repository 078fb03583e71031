"""The MCP policies: which servers, with which trust and capabilities (semantics.md B.7).

They look at requests to an MCP server only. Keys are taken in the documented spelling and in AIM's camelCase.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Final

from reconciler.core.formats import domain_entry
from reconciler.semantics.ast import And, Cmp, Is, Lift, Node, Not, Null, Or
from reconciler.semantics.nodes import any_of
from reconciler.semantics.program import Clause, Effect
from reconciler.semantics.shared import PERCENT, Context, Meaning, lift, must_find, must_prove, scaled

_DAY_US: Final = 86_400_000_000
#: The event is about an MCP server.
_IS_MCP: Final = Not(And((Null("mcp_server"), Null("mcp_domain"))))


def _names(name: str) -> tuple[str, str]:
    first, *rest = name.split("_")
    return name, first + "".join(word.capitalize() for word in rest)


def mcp_min_trust(context: Context) -> Meaning:
    return Meaning(tuple(_minima(context, 60)), applies=_IS_MCP)


def mcp_high_risk(context: Context) -> Meaning:
    clauses = _trust(context, 30)
    if context.keys.flag(*_names("require_verified"), default=True):
        clauses.append(must_prove("require_verified", Not(Is("mcp_verified"))))
    return Meaning(tuple(clauses), applies=_IS_MCP, effect=Effect.BLOCK)


def mcp_allowlist(context: Context) -> Meaning:
    """Neither domain nor name is listed, or one of the further demands fails."""
    keys = context.keys
    listed: list[Node] = []
    if domains := keys.some_texts(*_names("allowed_domains"), check=domain_entry):
        listed.append(lift("domain_in", "mcp_domain", domains))
    if names := keys.some_texts(*_names("allowed_names")):
        listed.append(lift("matches", "mcp_server", names, "plain"))
    clauses: list[Clause] = []
    if listed:
        written = keys.written(*_names("allowed_domains"), *_names("allowed_names"))
        clauses.append(must_prove(written, Not(any_of(tuple(listed)))))
    if keys.flag(*_names("require_verified")):
        clauses.append(must_prove("require_verified", Not(Is("mcp_verified"))))
    return Meaning((*clauses, *_minima(context, None)), applies=_IS_MCP)


def mcp_blocklist(context: Context) -> Meaning:
    """Any match blocks: domain, name, URL or a capability that the server declares."""
    keys = context.keys
    clauses: list[Clause] = []
    if domains := keys.texts(*_names("blocked_domains"), check=domain_entry):
        clauses.append(must_find("blocked_domains", lift("domain_in", "mcp_domain", domains)))
    if names := keys.texts(*_names("blocked_names")):
        clauses.append(must_find("blocked_names", lift("matches", "mcp_server", names, "plain")))
    if urls := keys.texts(*_names("blocked_urls")):
        clauses.append(must_find("blocked_urls", lift("matches", "mcp_url", urls, "resource")))
    if capabilities := keys.texts(*_names("blocked_capabilities")):
        clauses.append(must_find("blocked_capabilities", _some(capabilities)))
    return Meaning(tuple(clauses), applies=_IS_MCP, effect=Effect.BLOCK)


def mcp_capabilities(context: Context) -> Meaning:
    """What a server has to declare, may not declare, and how much of it."""
    keys = context.keys
    clauses: list[Clause] = []
    required = keys.texts(*_names("required_capabilities"))
    every = keys.flag(*_names("require_all_capabilities"))
    if required:
        declared = lift("every_pattern", "mcp_capabilities", required, "fold") if every else _some(required)
        clauses.append(must_prove("required_capabilities", Not(declared)))
    if forbidden := keys.texts(*_names("forbidden_capabilities")):
        clauses.append(must_find("forbidden_capabilities", _some(forbidden)))
    if most := keys.whole(*_names("max_capability_count")):
        clauses.append(must_find("max_capability_count", lift("more_than", "mcp_capabilities", most)))
    if keys.flag(*_names("require_capability_declaration")):
        undeclared = Or((Null("mcp_capabilities"), lift("is_empty", "mcp_capabilities")))
        clauses.append(must_prove("require_capability_declaration", undeclared))
    return Meaning(tuple(clauses), applies=_IS_MCP)


def mcp_unverified(context: Context) -> Meaning:
    """Not verified, and registered at least the days of grace ago.

    Without grace nobody needs to know when: any time ago is long enough.
    """
    days = context.keys.whole(*_names("grace_period_days"), high=36_500) or 0
    unverified: Node = Not(Is("mcp_verified"))
    if days:
        unverified = And((unverified, lift("apart", ("ts_us", "mcp_registered_at"), days * _DAY_US)))
    return Meaning((must_prove("grace_period_days", unverified),), applies=_IS_MCP)


def _trust(context: Context, default: int | None) -> list[Clause]:
    least = context.keys.number(*_names("min_trust_score"), high=100)
    if least is None and default is not None:
        least = Decimal(default)
    if least is None:
        return []
    score = scaled(least, PERCENT, context.data.mcp_trust_scale)
    return [must_prove("min_trust_score", Cmp("mcp_trust_score", "<", score))]


def _minima(context: Context, default: int | None) -> list[Clause]:
    clauses = _trust(context, default)
    attestations = context.keys.whole(*_names("min_attestations"))
    if attestations is not None:
        clauses.append(must_prove("min_attestations", Cmp("mcp_attestations", "<", attestations)))
    confidence = context.keys.number(*_names("min_confidence_score"), high=100)
    if confidence is not None:
        clauses.append(must_prove("min_confidence_score", Cmp("mcp_confidence_score", "<", float(confidence))))
    return clauses


def _some(patterns: tuple[str, ...]) -> Lift:
    return lift("some_match", "mcp_capabilities", patterns, "fold")
