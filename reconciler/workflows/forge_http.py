"""A forge over the one transport: what `forges` asks for, with errors in words that fit a forge."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from reconciler.core.model import MISSING, Json
from reconciler.core.ports import Clock, Random
from reconciler.core.safe import safe
from reconciler.errors import LiveError, UnreachableError
from reconciler.forges import Answer, Http, Spot, root_of
from reconciler.providers.http import Transport
from reconciler.providers.wire import Reply

#: A page of fifty comments, each as long as a forge takes them.
MAX_BYTES = 64 * 1024 * 1024
DEADLINE = 30.0


@contextmanager
def forge_http(
    spot: Spot, *, what: str, right: str, environ: Mapping[str, str], clock: Clock, random: Random
) -> Iterator[Http]:
    """Open the way to a forge for the length of a block. *what* is written there; *right* is GitHub's name for that."""
    transport = Transport(
        root_of(spot),
        spot.token,
        deadline=DEADLINE,
        clock=clock,
        random=random,
        ca_file=environ.get("RECONCILER_CA_FILE") or None,
        proxy=environ.get("RECONCILER_PROXY") or None,
        max_bytes=MAX_BYTES,
    )
    try:
        yield _TransportHttp(transport, "GitHub" if spot.kind == "github" else "GitLab", what, right)
    finally:
        transport.close()


class _TransportHttp:
    """`forges.Http` over the one transport, with errors in words that fit a forge."""

    def __init__(self, transport: Transport, name: str, what: str, right: str) -> None:
        self._transport, self._name, self._what, self._right = transport, name, what, right

    def get(self, path: str, query: Mapping[str, str]) -> Answer:
        try:
            return self._transport.get(path, _answer, query=query)
        except UnreachableError as error:
            raise UnreachableError(
                f"{self._name} cannot be reached", where=error.where, fix="try again later"
            ) from error
        except LiveError as error:
            raise self._refused(error.what, str(error.where)) from error

    def send(self, method: str, path: str, body: Mapping[str, Json]) -> Answer:
        sent = self._transport.send(method, path, dict(body), {})
        where = f"{method} {self._transport.origin}{self._transport.origin.prefix}{path}"
        if sent.status is not None and sent.status in (200, 201) and sent.reply is not None:
            return _answer(sent.reply)
        if sent.status is None or sent.status >= 500 or sent.status == 429:
            why = safe(sent.failure) if sent.status is None else f"status {sent.status}"
            raise UnreachableError(
                f"{self._name} did not confirm the {self._what} ({why})",
                where=where,
                fix="run it again: it looks first at what is there",
            )
        raise self._refused(f"{self._name} answers {sent.status}", where)

    def _refused(self, what: str, where: str) -> LiveError:
        rights = {"GitHub": f"`permissions: {{{self._right}: write}}`", "GitLab": "a token with the scope `api`"}
        return LiveError(what, where=where, fix=f"give the job {rights[self._name]}", code="refused")


def _answer(reply: Reply) -> Answer:
    return Answer(None if reply.value is MISSING else reply.value, reply.headers)
