"""Notices of alerts to the address of `--alert-webhook`: queued with the alert, delivered later, signed, tried again.

A notice is `reconciler.notice/1` as of `notify:`, with the same header, so one receiver reads both: `event` "alert",
`organization`, and the alert as `GET /v1/admin/alerts/{id}` shows it. It is stored in the transaction that raises the
alert and goes when that is committed, so none is lost when the server ends, and none is waited for. A receiver may get
one twice: `id` is the alert's and tells.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Final

import sqlalchemy as sa

from reconciler import config
from reconciler.core.formats import FORMATS
from reconciler.core.model import Json
from reconciler.core.ports import Clock, Random
from reconciler.core.secret import Secret
from reconciler.errors import ConfigError
from reconciler.providers.http import Sent, Transport, check_url
from reconciler.reports.notice import signed, stamp
from reconciler.server.enforcement.tables import deliveries
from reconciler.server.store import Store

#: Pauses grow from the first to the last; after so many tries nobody is told any more, and the log says so.
FIRST_PAUSE: Final = 5.0
LAST_PAUSE: Final = 900.0
MOST_TRIES: Final = 40
REQUEST_SECONDS: Final = 5.0
#: Whoever takes a notice has it for so long; after that its process is taken for dead, and another one may.
LEASE_SECONDS: Final = 60.0
_EVERY_SECONDS: Final = 1.0
_AT_ONCE: Final = 20

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Receiver:
    """Where notices of alerts go, how they are signed, how long it may take, and the way out of this network."""

    url: str
    secret: Secret
    seconds: float = REQUEST_SECONDS
    ca_file: str | None = None
    proxy: str | None = None


@dataclass(frozen=True, slots=True)
class _Notice:
    number: int
    finding_id: str
    notice: Mapping[str, Json]
    attempts: int


def read_receiver(url: str, environ: Mapping[str, str]) -> Receiver:
    """The receiver that an option names; `ConfigError` without a secret, or for a place nothing may be sent to."""
    where = "--alert-webhook"
    if flaw := FORMATS["notice-url"](url):
        raise ConfigError(f"the address is {flaw.what}", where=where, fix=flaw.fix)
    secret = config.read_alert_secret(environ)
    if secret is None:
        raise ConfigError(
            "nothing is sent unsigned",
            where=where,
            fix=f"set {config.ALERT_SECRET} to a long random text, as from `openssl rand -hex 32`",
        )
    user = config.read_user_config(environ)
    receiver = Receiver(url, secret, ca_file=config.ca_file(environ, user), proxy=config.proxy(environ, user))
    check_url(url.rpartition("/")[0], where=where)
    return receiver


def queue_notices(connection: sa.Connection, organization: str, alerts: Sequence[dict[str, Json]], now: float) -> None:
    """Have alerts delivered, once this transaction is committed."""
    fixed = {"organization": organization, "state": "waiting", "attempts": 0, "due_at": now}
    rows = [
        {**fixed, "finding_id": each["id"], "notice": {"event": "alert", "organization": organization, "alert": each}}
        for each in alerts
    ]
    connection.execute(deliveries.insert(), rows)


@contextmanager
def delivering(store: Store, receiver: Receiver | None, clock: Clock, random: Random) -> Iterator[None]:
    """Deliver what is due, in a thread that has ended when the block has. Without a receiver nothing is sent."""
    if receiver is None:
        yield
        return
    stop = threading.Event()

    def run() -> None:
        while not stop.is_set():
            try:
                sent = deliver_due(store, receiver, clock, random)
            except (sa.exc.SQLAlchemyError, OSError):
                _log.exception("alerts could not be delivered; they are tried again")
                sent = 0
            if sent < _AT_ONCE:
                stop.wait(_EVERY_SECONDS)

    thread = threading.Thread(target=run, name="alerts", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def deliver_due(store: Store, receiver: Receiver, clock: Clock, random: Random) -> int:
    """Send the notices whose time has come, and return how many were tried. Nothing is locked while one is sent."""
    tried = 0
    base, _, name = receiver.url.rpartition("/")
    transport = Transport(
        base,
        None,
        deadline=receiver.seconds,
        clock=clock,
        random=random,
        ca_file=receiver.ca_file,
        proxy=receiver.proxy,
    )
    with closing(transport):
        while tried < _AT_ONCE and (notice := _take(store)) is not None:
            body = stamp(notice.notice, clock.now(), notice.finding_id)
            sent = transport.send("POST", f"/{name}", body, signed(body, receiver.secret))
            _settle(store, notice, sent)
            tried += 1
    return tried


def _take(store: Store) -> _Notice | None:
    """The oldest notice that is due, which nobody else takes meanwhile."""
    now = store.seconds()
    due = (deliveries.c.state == "waiting", deliveries.c.due_at <= now)
    with store.read() as connection:
        if connection.execute(sa.select(deliveries.c.number).where(*due).limit(1)).first() is None:
            return None
    with store.write() as connection:
        query = sa.select(deliveries).where(*due).order_by(deliveries.c.due_at, deliveries.c.number).limit(1)
        row = connection.execute(query).first()
        if row is None:
            return None
        taken = {"due_at": now + LEASE_SECONDS, "attempts": row.attempts + 1}
        connection.execute(deliveries.update().where(deliveries.c.number == row.number).values(**taken))
    return _Notice(row.number, row.finding_id, row.notice, row.attempts + 1)


def _settle(store: Store, notice: _Notice, sent: Sent) -> None:
    own = deliveries.c.number == notice.number
    if sent.status is not None and 200 <= sent.status < 300:
        with store.write() as connection:
            connection.execute(deliveries.delete().where(own))
        return
    why = (sent.failure if sent.status is None else f"it answers {sent.status}")[:500]
    pause = min(FIRST_PAUSE * 2 ** min(notice.attempts - 1, 16), LAST_PAUSE)
    state = "waiting" if notice.attempts < MOST_TRIES else "given-up"
    if state == "given-up":
        _log.warning("the notice of alert %s is given up: %s", notice.finding_id, why)
    due_at = store.seconds() + max(pause, sent.retry_after or 0.0)
    with store.write() as connection:
        connection.execute(deliveries.update().where(own).values(state=state, due_at=due_at, why=why))
