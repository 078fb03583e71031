"""From what the transport saw to a receipt: the same for every API, given how its replies are read."""

from __future__ import annotations

from collections.abc import Callable

from reconciler.core.model import Body, Fate, LivePolicy, Mutation, Receipt
from reconciler.providers.fate import Told, classify
from reconciler.providers.http import Sent, error_detail
from reconciler.providers.wire import Reply, WireError

#: What a reply says in its dialect, and the id and `enabled` it names.
ReadReply = Callable[[Sent, Mutation], tuple[Told, str | None, bool | None]]
#: The policy in the reply to a create or update; raises `WireError` where there is none.
ReadPolicy = Callable[[Reply], LivePolicy]


def make_receipt(
    sent: Sent, mutation: Mutation, read_reply: ReadReply, clean: Callable[[str], str], read_policy: ReadPolicy
) -> Receipt:
    """Return what is known of *mutation*; the server's own words pass through *clean*."""
    told, policy_id, enabled = read_reply(sent, mutation)
    fate = classify(wrote=sent.wrote, status=sent.status, told=told)
    detail = ""
    if sent.status is None or sent.status >= 300 or told is Told.NOTHING:
        detail = clean(error_detail(sent.reply.value) if sent.reply is not None else "") or sent.failure
        detail = detail or ("the reply is not the policy API's" if told is Told.NOTHING else "")
    stored = _stored(sent, read_policy) if fate is Fate.APPLIED and mutation.operation in ("create", "update") else None
    return Receipt(fate, sent.status, detail, policy_id, enabled, sent.retry_after, stored, sent.renewed)


def _stored(sent: Sent, read_policy: ReadPolicy) -> Body | None:
    try:
        return read_policy(sent.reply).body if sent.reply is not None else None
    except WireError:
        return None


def not_sendable(error: ValueError) -> Receipt:
    """The receipt of a request that cannot be written down, so nothing of it was sent."""
    return Receipt(Fate.NOT_SENT, detail=str(error))
