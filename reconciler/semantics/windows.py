"""What the live engine remembers for each stateful node: deques and counters per key (semantics.md B.2, B.8-11, D.7).

A tracker is shown every event that its policy counts, in order, and then says `value`, its node's truth at that event.
Keys that no window can reach any more are dropped, which never changes an answer. Memory is bounded by the keys of
one or two windows and by the limit. The length of a tracker is the number of keys that it remembers. What outlasts
windows is in `history.py`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable
from typing import Any, TypeAlias

from reconciler.semantics.ast import Count, Distinct, Sum
from reconciler.semantics.events import Event
from reconciler.semantics.limits import BASE, LimitOf

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
