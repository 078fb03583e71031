"""What the live engine remembers for each stateful node: deques and counters per key (semantics.md B.2, B.8-11, D.7).

A tracker is shown every event that its policy counts, in order, and then says `value`, its node's truth at that event.
Keys that no window can reach any more are dropped, which never changes an answer. Memory is bounded by the keys of
one or two windows and by the limit; only previous values and first events stay, until `forget`. The length of a
tracker is the number of keys that it remembers.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable
from typing import Any, Final, TypeAlias

from reconciler.semantics.ast import Baseline, Count, Distinct, Prev, Sum
from reconciler.semantics.events import Event
from reconciler.semantics.limits import BASE, LimitOf
from reconciler.semantics.matching import matcher

KeyOf: TypeAlias = Callable[[Event], "Hashable | None"]
Test: TypeAlias = Callable[[Event], "bool | None"]


class Sliding:
    """Counts within (t − W, t]; per key no more instants than the largest limit, and one."""

    def __init__(self, node: Count, key_of: KeyOf, limit_of: LimitOf, most: int, where: Test | None) -> None:
        self.value: bool | None = None
        self._window, self._key_of, self._limit_of, self._where = node.window_us, key_of, limit_of, where
        self._most = most + 1
        self._rows: dict[Hashable, deque[int]] = {}
        self._sweep_at = 0
        self._row: deque[int] = deque()
        self._limit = 0

    def see(self, event: Event) -> None:
        now = event.ts_us
        if now >= self._sweep_at:
            cut = now - self._window
            self._rows = {key: row for key, row in self._rows.items() if row and row[-1] > cut}
            self._sweep_at = now + self._window
        key = self._key_of(event)
        if key is None:
            self.value = None
            return
        row = self._rows.get(key)
        if row is None:
            row = self._rows[key] = deque()
        cut = now - self._window
        while row and row[0] <= cut:
            row.popleft()
        count = len(row) + 1
        if self._where is None or self._where(event):
            row.append(now)
            if len(row) > self._most:
                row.popleft()
        self._row = row
        self._limit = self._limit_of(event, 0)
        self.value = count > self._limit

    def retry_us(self, event: Event) -> int:
        """How long until one more event would pass if none came before: the Nth-last attempt leaves the window."""
        if self._limit == 0 or len(self._row) < self._limit:
            return self._window
        return self._row[-self._limit] + self._window - event.ts_us

    def __len__(self) -> int:
        return len(self._rows)

    def forget(self, before_us: int) -> None:
        """Nothing here lasts longer than its window."""


class Tumbling:
    """Counts within the window of W that the event falls into, and how many windows in a row exceeded the base."""

    def __init__(self, node: Count, key_of: KeyOf, limit_of: LimitOf, where: Test | None) -> None:
        self.value: bool | None = None
        self._window, self._key_of, self._limit_of, self._where = node.window_us, key_of, limit_of, where
        self._rows: dict[Hashable, list[int]] = {}  # start of the window, count in it, streak before it
        self._sweep_at = 0

    def see(self, event: Event) -> None:
        now = event.ts_us
        start = now - now % self._window
        if now >= self._sweep_at:
            self._rows = {key: row for key, row in self._rows.items() if row[0] >= start - self._window}
            self._sweep_at = start + 2 * self._window
        key = self._key_of(event)
        if key is None:
            self.value = None
            return
        row = self._rows.get(key)
        if row is None:
            row = self._rows[key] = [start, 0, 0]
        elif row[0] != start:
            exceeded = row[0] == start - self._window and row[1] > self._limit_of(event, BASE)
            row[:] = [start, 0, row[2] + 1 if exceeded else 0]
        count = row[1] + 1
        if self._where is None or self._where(event):
            row[1] = count
        self.value = count > self._limit_of(event, row[2])

    def retry_us(self, event: Event) -> int:
        """How long until the window ends."""
        return self._window - event.ts_us % self._window

    def __len__(self) -> int:
        return len(self._rows)

    def forget(self, before_us: int) -> None:
        """Nothing here lasts longer than two windows."""


class Total:
    """Sums a column within (t − W, t]; one entry per instant."""

    def __init__(self, node: Sum, key_of: KeyOf, column_of: Callable[[Event], Any]) -> None:
        self.value: bool | None = None
        self._window, self._least, self._key_of, self._column_of = node.window_us, node.least, key_of, column_of
        self._rows: dict[Hashable, tuple[deque[list[int]], list[int]]] = {}
        self._sweep_at = 0

    def see(self, event: Event) -> None:
        now = event.ts_us
        cut = now - self._window
        if now >= self._sweep_at:
            self._rows = {key: row for key, row in self._rows.items() if row[0] and row[0][-1][0] > cut}
            self._sweep_at = now + self._window
        key = self._key_of(event)
        if key is None:
            self.value = None
            return
        row, total = self._rows.setdefault(key, (deque(), [0]))
        while row and row[0][0] <= cut:
            total[0] -= row.popleft()[1]
        amount = self._column_of(event)
        if amount:
            total[0] += amount
            if row and row[-1][0] == now:
                row[-1][1] += amount
            else:
                row.append([now, amount])
        self.value = total[0] >= self._least

    def __len__(self) -> int:
        return len(self._rows)

    def forget(self, before_us: int) -> None:
        """Nothing here lasts longer than its window."""


class Different:
    """Counts different values within (t − W, t]: when each was last there, oldest first."""

    def __init__(self, node: Distinct, key_of: KeyOf, column_of: Callable[[Event], Any]) -> None:
        self.value: bool | None = None
        self._window, self._most, self._key_of, self._column_of = node.window_us, node.most, key_of, column_of
        self._rows: dict[Hashable, dict[Any, int]] = {}
        self._sweep_at = 0

    def see(self, event: Event) -> None:
        now = event.ts_us
        cut = now - self._window
        if now >= self._sweep_at:
            self._rows = {k: row for k, row in self._rows.items() if row and next(reversed(row.values())) > cut}
            self._sweep_at = now + self._window
        key = self._key_of(event)
        if key is None:
            self.value = None
            return
        row = self._rows.setdefault(key, {})
        value = self._column_of(event)
        if value is not None:
            row.pop(value, None)
            row[value] = now
        while row and row[first := next(iter(row))] <= cut:
            del row[first]
        self.value = len(row) > self._most

    def __len__(self) -> int:
        return len(self._rows)

    def forget(self, before_us: int) -> None:
        """Nothing here lasts longer than its window."""


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
