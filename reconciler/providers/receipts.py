"""From what the transport saw to a receipt: the same for every API, given how its replies are read."""

from __future__ import annotations

from collections.abc import Callable

from reconciler.core.model import Fate, Mutation, Receipt
from reconciler.providers.fate import Told, classify
from reconciler.providers.http import Sent, error_detail

#: What a reply says in its dialect, and the id and `enabled` it names.
ReadReply = Callable[[Sent, Mutation], tuple[Told, str | None, bool | None]]


def make_receipt(sent: Sent, mutation: Mutation, read_reply: ReadReply, clean: Callable[[str], str]) -> Receipt:
    """Return what is known of *mutation*; the server's own words pass through *clean*."""
    told, policy_id, enabled = read_reply(sent, mutation)
    fate = classify(wrote=sent.wrote, status=sent.status, told=told)
    detail = ""
    if sent.status is None or sent.status >= 300 or told is Told.NOTHING:
        detail = clean(error_detail(sent.reply.value) if sent.reply is not None else "") or sent.failure
        detail = detail or ("the reply is not the policy API's" if told is Told.NOTHING else "")
    return Receipt(fate, sent.status, detail, policy_id, enabled, sent.retry_after, renewed=sent.renewed)


def not_sendable(error: ValueError) -> Receipt:
    """The receipt of a request that cannot be written down, so nothing of it was sent."""
    return Receipt(Fate.NOT_SENT, detail=str(error))
