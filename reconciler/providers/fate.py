"""What became of a mutating request, decided from what the transport saw and what the reply told; nothing else.

The one function every provider uses, so that the rules of reliability.md 3.1 stand in one place and in one test table.
"""

from __future__ import annotations

from enum import Enum

from reconciler.core.model import Fate


class Told(Enum):
    """What a reply says in the dialect of its API. `NOTHING`: no reply, or one that is not the API's."""

    AS_ASKED = "as-asked"
    OTHERWISE = "otherwise"
    REFUSAL = "refusal"
    NOTHING = "nothing"


def classify(*, wrote: bool, status: int | None, told: Told) -> Fate:
    """Return the fate of one request (reliability.md 3.1).

    *wrote*: a byte of the request may have left this machine. `NOT_SENT` needs proof that none did; any doubt, every
    3xx and 5xx, and a 4xx that is not in the API's own error shape (a proxy spoke) are `AMBIGUOUS`.
    """
    if not wrote:
        return Fate.NOT_SENT
    if status is None:
        return Fate.AMBIGUOUS
    if 200 <= status < 300:
        return {Told.AS_ASKED: Fate.APPLIED, Told.OTHERWISE: Fate.APPLIED_OTHER}.get(told, Fate.AMBIGUOUS)
    if 400 <= status < 500 and told is Told.REFUSAL:
        return Fate.REJECTED
    return Fate.AMBIGUOUS
