"""What the live engine remembers of an actor beyond windows: previous values, first events, buckets (B.9, B.11, D.7).

Trackers as in `windows.py`. Buckets drop keys that they no longer reach; previous values and first events stay, one per
key, until `forget`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable
from typing import Any, Final, TypeAlias

from reconciler.semantics.ast import Baseline, Prev
from reconciler.semantics.events import Event
from reconciler.semantics.matching import matcher
from reconciler.semantics.windows import Different, KeyOf, Sliding, Total, Tumbling


class Previous:
    """The last recorded value of a column, and whether this one departs from it."""

    def __init__(self, node: Prev, key_of: KeyOf, column_of: Callable[[Event], Any]) -> None:
        self.value: bool | None = None
        self._key_of, self._column_of = key_of, column_of
        self._fits = matcher(node.patterns) if node.patterns else None
        self._change: Final = node.change
        self._rows: dict[Hashable, tuple[int, Any]] = {}

    def see(self, event: Event) -> None:
        key, value = self._key_of(event), self._column_of(event)
        if key is None or value is None:
            self.value = None
            return
        before = self._rows.get(key)
        self._rows[key] = event.ts_us, value
        self.value = before is not None and self._departs(before[1], value)

    def _departs(self, before: Any, now: Any) -> bool:
        if self._fits is not None:
            return any(map(self._fits, now - before))
        if self._change == "added":
            return bool(now - before)
        return bool(before - now) if self._change == "removed" else bool(before != now)

    def __len__(self) -> int:
        return len(self._rows)

    def forget(self, before_us: int) -> None:
        """Forget values that were last seen before an instant; the next one of their key has no previous one."""
        self._rows = {key: row for key, row in self._rows.items() if row[0] >= before_us}


class Since:
    """First and last instant of a key, and how many events it had; what of it is judged is the caller's."""

    def __init__(self, key_of: KeyOf, judge: Callable[[int, int, int, int], bool | None]) -> None:
        self.value: bool | None = None
        self._key_of, self._judge = key_of, judge
        self._rows: dict[Hashable, list[int]] = {}  # first, last, count

    def see(self, event: Event) -> None:
        key, now = self._key_of(event), event.ts_us
        if key is None:
            self.value = None
            return
        row = self._rows.get(key)
        if row is None:
            row = self._rows[key] = [now, now, 0]
        self.value = self._judge(now, row[0], row[1], row[2])
        row[1] = now
        row[2] += 1

    def __len__(self) -> int:
        return len(self._rows)

    def forget(self, before_us: int) -> None:
        """Forget keys that were last seen before an instant."""
        self._rows = {key: row for key, row in self._rows.items() if row[1] >= before_us}


class Bucketed:
    """Counts per bucket of time; the current one against those before it, in integers (semantics.md B.9)."""

    def __init__(self, node: Baseline, key_of: KeyOf) -> None:
        self.value: bool | None = None
        self._node, self._key_of = node, key_of
        self._rows: dict[Hashable, _Buckets] = {}
        self._sweep_at = 0

    def see(self, event: Event) -> None:
        node = self._node
        start = event.ts_us - event.ts_us % node.bucket_us
        oldest = start - node.buckets * node.bucket_us
        if event.ts_us >= self._sweep_at:
            self._rows = {key: row for key, row in self._rows.items() if row.start >= oldest}
            self._sweep_at = start + node.buckets * node.bucket_us
        key = self._key_of(event)
        if key is None:
            self.value = None
            return
        row = self._rows.get(key)
        if row is None:
            row = self._rows[key] = _Buckets(start)
        row.add(start, oldest)
        n = node.buckets
        far = n * row.count - row.total
        self.value = far > 0 and far**2 * node.q**2 > node.p**2 * (n * row.squares - row.total**2)

    def __len__(self) -> int:
        return len(self._rows)

    def forget(self, before_us: int) -> None:
        """Nothing here lasts longer than its buckets."""


class _Buckets:
    """The current bucket of a key, and those before it with their sum and sum of squares."""

    __slots__ = ("count", "past", "squares", "start", "total")

    def __init__(self, start: int) -> None:
        self.start, self.count, self.total, self.squares = start, 0, 0, 0
        self.past: deque[tuple[int, int]] = deque()

    def add(self, start: int, oldest: int) -> None:
        if start != self.start:
            self.past.append((self.start, self.count))
            self.total += self.count
            self.squares += self.count**2
            self.start, self.count = start, 0
        while self.past and self.past[0][0] < oldest:
            _, count = self.past.popleft()
            self.total -= count
            self.squares -= count**2
        self.count += 1


Tracker: TypeAlias = "Sliding | Tumbling | Total | Different | Previous | Since | Bucketed"
