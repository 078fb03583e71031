"""The one interface between the program and a live policy API.

A provider maps wire payloads to model values and back, and nothing else: it decides nothing, retries no mutation and
knows no git. Every provider passes the same contract suite (`tests/providers/test_contract.py`).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from reconciler.core.model import Capabilities, Listing, LivePolicy, Mutation, Receipt, Trail
from reconciler.providers.history import Judged


class Provider(Protocol):
    """One live policy API. All methods may be called from several threads at once."""

    @property
    def name(self) -> str: ...

    @property
    def capabilities(self) -> Capabilities: ...

    def fetch_listing(self) -> Listing:
        """Read every policy, and the global mode where the API has one.

        Raises `LiveError` when the reply is not the API's, `UnreachableError` when there is none after retries.
        """
        ...

    def fetch_one(self, policy_id: str) -> LivePolicy | None:
        """Read one policy fresh; None on 404. Only where `capabilities.reads_one`."""
        ...

    def fetch_trail(self) -> Trail:
        """Read the audit trail, newest first, as far back as one read reaches."""
        ...

    def fetch_trail_parts(self) -> Iterator[Trail]:
        """Read the audit trail part by part, newest first, as far back as the API lets one go on reading.

        The last part is `complete` when the trail begins there. That it comes in parts, `fetch_listing` heard.
        """
        ...

    def fetch_judged(self, after: int) -> Iterator[Judged] | None:
        """Read the requests that the server judged after number *after*, oldest first.

        None where it does not list them, which the last `fetch_listing` heard.
        """
        ...

    def send(self, mutation: Mutation) -> Receipt:
        """Send one mutating request once, on a fresh connection, and say what was seen; no network error is raised."""
        ...
