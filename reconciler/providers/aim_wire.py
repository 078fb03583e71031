"""AIM's policies on the wire: read in either spelling, written in both, always all nine fields (systems.md 1.2).

Three generations of the server differ in how keys are spelled, and none says which it is. Keys it does not know are
ignored and `policy_type` is another key than `policyType`, so a body with both is right for every one of them. PUT
replaces the whole policy and blanks what is left out: a body is made from the fields below and is never an answer sent
back (reliability.md A2, A3). Requests and how they are sent are `aim.py`'s.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from reconciler.core.annotation import append_trailer, strip_trailer
from reconciler.core.canonical import json_equal
from reconciler.core.model import MISSING, Body, Json, LivePolicy, Mutation, Side
from reconciler.providers.wire import Reply, WireError, expect_array, expect_bool, expect_id, expect_object, expect_text

#: The older spelling of each field whose name has two words.
SNAKE: Final[Mapping[str, str]] = {
    "policyType": "policy_type",
    "enforcementAction": "enforcement_action",
    "severityThreshold": "severity_threshold",
    "appliesTo": "applies_to",
    "isEnabled": "is_enabled",
}
#: The key among a policy's rules that holds our annotation; no evaluator looks at it (systems.md 3.2).
ANNOTATION: Final = "x-reconciler"
_TEXTS: Final = ("name", "description", "policyType", "enforcementAction", "severityThreshold", "appliesTo")
#: What a reply must show as it was sent; `rules` are left to the read that follows, numbers there may be rounded.
_ECHOED: Final = (*_TEXTS[2:], "name", "priority")
_SHA: Final = re.compile("[0-9a-f]{40}")


# -------------------------------------------------------------------------------------------- from the wire


def listing_from_wire(reply: Reply, *, in_description: bool) -> tuple[tuple[LivePolicy, ...], str | None]:
    """Return the policies of a list, and why it may not be all of them (None: it is proven to be).

    The list is a bare array, whole, without a total; one in an envelope is another API's.
    """
    if isinstance(reply.value, dict) and "policies" in reply.value:
        raise WireError("this list stands in an envelope, as OpenA2A documents it; write provider: opena2a")
    values = expect_array(reply.value, "the list of policies")
    policies = tuple(
        policy_from_wire(value, f"policy {index}", in_description=in_description) for index, value in enumerate(values)
    )
    if len({policy.id for policy in policies}) < len(policies):
        return policies, "the list holds an id twice"
    return policies, None if reply.framed else "nothing in the reply proves that the list came whole"


def policy_from_wire(value: Side, what: str, *, in_description: bool = False) -> LivePolicy:
    """Return one policy, its keys in the newest spelling; what the server or our annotation put there is left out.

    Values that no document lists are read as they are: live systems are full of them (systems.md 1.2).
    """
    raw = expect_object(value, what)
    policy_id = expect_id(raw.get("id"), f"the id of {what}")
    body: dict[str, Json] = {}
    for key in _TEXTS:
        found = _field(raw, key, what)
        if found is not MISSING and found is not None:
            body[key] = expect_text(found, f"{key} of {what}")
    name = expect_text(body.get("name", MISSING), f"name of {what}")
    commit = None
    if raw.get("rules") is not None:
        body["rules"], commit = _split(expect_object(raw["rules"], f"rules of {what}"))
    if raw.get("priority") is not None:
        body["priority"] = _priority(raw["priority"], what)
    if in_description and isinstance(body.get("description"), str):
        body["description"], trailer = strip_trailer(str(body["description"]))
        commit = commit or trailer
    enabled = expect_bool(_field(raw, "isEnabled", what), f"isEnabled of {what}")
    return LivePolicy(policy_id, name, body, enabled, raw, trailer=commit)


def _field(raw: Body, key: str, what: str) -> Side:
    """The value of *key* in whichever spelling is there; both with two values are an answer nobody can trust."""
    found = [raw[name] for name in (key, SNAKE.get(key)) if name is not None and name in raw]
    if len(found) == 2 and not json_equal(found[0], found[1]):
        raise WireError(f"{key} of {what} stands there twice, with two values")
    return found[0] if found else MISSING


def _split(rules: Body) -> tuple[dict[str, Json], str | None]:
    """The rules as their author wrote them, and the commit of our annotation, if one of its form is there."""
    note = rules.get(ANNOTATION)
    commit = note.get("commit") if isinstance(note, dict) else None
    is_ours = isinstance(commit, str) and _SHA.fullmatch(commit) is not None
    return {key: value for key, value in rules.items() if key != ANNOTATION}, str(commit) if is_ours else None


def _priority(value: Json, what: str) -> int:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise WireError(f"expected a whole number for priority of {what}")
    return value


# ---------------------------------------------------------------------------------------------- to the wire


def content(mutation: Mutation, *, in_description: bool) -> dict[str, Json]:
    """Return the whole body of a create or update: nine fields, those of two words in both spellings.

    A field that neither git nor the live policy has goes as what AIM itself stores for it, so that nothing depends on
    what it makes of a missing key.
    """
    body = mutation.body or {}
    fields: dict[str, Json] = {key: _text(body.get(key), key) for key in _TEXTS}
    rules = body.get("rules")
    if rules is not None and not isinstance(rules, dict):
        raise WireError("rules of a policy are an object")
    fields["rules"] = _annotated(rules, mutation.commit)
    fields["priority"] = 0 if body.get("priority") is None else _priority(body["priority"], "the policy")
    fields["isEnabled"] = mutation.enabled
    if in_description:
        fields["description"] = append_trailer(str(fields["description"]), mutation.commit)
    return {**fields, **{snake: fields[camel] for camel, snake in SNAKE.items()}}


def toggle_content(enabled: bool) -> dict[str, Json]:
    """Return the body of a toggle for every generation: a key it does not find counts as false (systems.md 2.2)."""
    return {"isEnabled": enabled, "enabled": enabled}


def is_as_sent(policy: LivePolicy, sent: Body) -> bool:
    """Whether the server stored what *sent* asks for: one that reads other keys blanks fields, with a 200."""
    return all(json_equal(policy.body.get(key) or _zero(key), sent[key]) for key in _ECHOED)


def _zero(key: str) -> Json:
    return 0 if key == "priority" else ""


def _text(value: Json, key: str) -> str:
    return "" if value is None else expect_text(value, key)


def _annotated(rules: Body | None, commit: str) -> Json:
    if _SHA.fullmatch(commit) is None:
        return None if rules is None else dict(rules)
    return {**(rules or {}), ANNOTATION: {"commit": commit}}
