"""A policy's switch and the global mode, moved from the page by the very functions that the API's routes call."""

from __future__ import annotations

import sqlalchemy as sa

from reconciler.server import neosc, opena2a
from reconciler.server.auth import Asked
from reconciler.server.pages.facts import NEOSC, Policy


def flip(connection: sa.Connection, asked: Asked, policy: Policy, *, because: str = "") -> str:
    """Move the switch of *policy*, as it was just read in this transaction, and return the id of its audit entry.

    *because* stands behind what the entry says anyway.
    """
    switch = neosc.switch if policy.system == NEOSC else opena2a.switch
    return switch(connection, asked, policy.id, enabled=not policy.enabled, because=because).id
