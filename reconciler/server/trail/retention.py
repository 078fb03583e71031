"""Retention: rows that are older than their kind is kept for are let go, from the beginning of a chain on.

Nothing goes silently. Each removal is one transaction with an entry of the trail that tells of it, an anchor that
keeps the hash of the last row removed, and the removal itself; the database refuses the last without the others.
"""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from typing import Final

import sqlalchemy as sa

from reconciler.errors import ConfigError
from reconciler.server.store import Store
from reconciler.server.trail.anchors import PRUNED, Anchor, describe, read_anchors, resource_of
from reconciler.server.trail.chain import Chain, read_head
from reconciler.server.trail.entries import MYSELF, add_own
from reconciler.server.trail.query import text_of
from reconciler.server.trail.records import CHAINS, SESSIONS
from reconciler.server.trail.tables import trail_anchors, trail_heads

#: How many days each chain is kept for; one that is not named is kept for ever.
Rules = Mapping[str, int]

#: "Session recordings are retained for 30 days" (seeds/neosc-security-policies.txt).
DEFAULTS: Final[Rules] = {SESSIONS.name: 30}
#: The most rows that one transaction removes, so that nobody waits long for a turn to write.
BATCH: Final = 10_000
EVERY_SECONDS: Final = 3600.0
_DAY: Final = 86_400_000_000
_log = logging.getLogger(__name__)


def parse_rules(texts: Sequence[str]) -> Rules:
    """The rules that `--retain KIND=DAYS` asks for, over the defaults; `KIND=forever` lifts one.

    >>> parse_rules(["events=365"])
    {'sessions': 30, 'events': 365}
    >>> parse_rules(["sessions=forever"])
    {}
    """
    rules = dict(DEFAULTS)
    for text in texts:
        found = re.fullmatch(rf"({'|'.join(CHAINS)})=(?:([1-9][0-9]{{0,4}})|forever)", text)
        if found is None:
            raise ConfigError(
                f"cannot read `{text}`",
                where="--retain",
                fix=f"write KIND=DAYS or KIND=forever, where KIND is {', '.join(CHAINS)}",
            )
        rules.pop(found[1], None)
        if found[2] is not None:
            rules[found[1]] = int(found[2])
    return rules


def describe_rules(rules: Rules) -> str:
    """What will be done, for people, in one line.

    >>> describe_rules({"sessions": 30})
    'kept for ever: audit, events; removed when older: sessions (30 days)'
    """
    ever = ", ".join(name for name in CHAINS if name not in rules)
    ends = ", ".join(f"{name} ({rules[name]} day{'' if rules[name] == 1 else 's'})" for name in CHAINS if name in rules)
    parts = (("kept for ever", ever), ("removed when older", ends))
    return "; ".join(f"{what}: {names}" for what, names in parts if names)


def prune(store: Store, rules: Rules, is_stopped: Callable[[], bool] = lambda: False) -> tuple[Anchor, ...]:
    """Remove all that is over its time now, in every organization, and return what was removed.

    *is_stopped* is asked before each removal: what is left then waits for the next run.
    """
    with store.read() as connection:
        heads = connection.execute(sa.select(trail_heads.c.organization, trail_heads.c.chain)).all()
    removed = []
    for organization, name in sorted((row.organization, row.chain) for row in heads):
        while name in rules and not is_stopped():
            anchor = _prune_batch(store, CHAINS[name], organization, rules[name])
            if anchor is None:
                break
            removed.append(anchor)
    return tuple(removed)


def _prune_batch(store: Store, chain: Chain, organization: str, days: int) -> Anchor | None:
    before = int(store.seconds() * 1_000_000) - days * _DAY
    with store.read() as connection:
        if _find_end(connection, chain, organization, before) is None:
            return None  # nothing to do, so nobody has to wait for us
    with store.write() as connection:
        end = _find_end(connection, chain, organization, before)
        if end is None:
            return None
        first, last = end
        own, number = chain.own(organization), chain.number
        within = sa.and_(own, number.between(first, last))
        oldest, newest = connection.execute(sa.select(sa.func.min(chain.at), sa.func.max(chain.at)).where(within)).one()
        hash_ = connection.execute(sa.select(chain.table.c.hash).where(own, number == last)).scalar_one()
        stretch = (chain.name, first, last, _shown(oldest), _shown(newest), days, hash_)
        entry = add_own(
            connection, store, organization, action=PRUNED, resource=resource_of(chain.name), details=describe(*stretch)
        )
        anchor = Anchor(
            organization, *stretch[:3], hash_, *stretch[3:6], store.timestamp(), MYSELF, entry.id, entry.seq
        )
        connection.execute(trail_anchors.insert().values(asdict(anchor)))
        connection.execute(chain.table.delete().where(within))
    _log.warning("%s: %s", organization, describe(*stretch))
    return anchor


def _find_end(connection: sa.Connection, chain: Chain, organization: str, before: int) -> tuple[int, int] | None:
    """The first and the last number to remove now: from the beginning, as long as every row is older than *before*."""
    anchors = read_anchors(connection, chain.name, organization)
    first = anchors[-1].to_number + 1 if anchors else 1
    limit = text_of(before) if isinstance(chain.at.type, sa.String) else before
    kept = sa.select(chain.number).where(chain.own(organization), chain.number >= first, chain.at >= limit)
    stays = connection.execute(kept.order_by(chain.number).limit(1)).scalar()
    last = read_head(connection, chain, organization).number if stays is None else stays - 1
    return None if last < first else (first, min(last, first + BATCH - 1))


def _shown(at: int | str) -> str:
    return at if isinstance(at, str) else text_of(at)


@contextmanager
def keeping(store: Store, rules: Rules) -> Iterator[None]:
    """Prune now and every hour, in a thread that has ended when the block has. A run that fails is tried again."""
    stop = threading.Event()

    def run() -> None:
        while True:
            try:
                prune(store, rules, stop.is_set)
            except (sa.exc.SQLAlchemyError, OSError):
                _log.exception("the retention job failed; it is tried again in an hour")
            if stop.wait(EVERY_SECONDS):
                return

    thread = threading.Thread(target=run, name="retention", daemon=True)
    if rules:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        if rules:
            thread.join()
