"""The table of semantics.md B.4: what a change of policies does to one event."""

from __future__ import annotations

import pytest

from reconciler.semantics.classify import Position, Shift, Standing, position, shift
from reconciler.semantics.interpret import Outcome, Verdict
from reconciler.semantics.program import Effect

ALLOW, BLOCK = Position(Standing.ALLOW), Position(Standing.BLOCK)
MAYBE = Position(Standing.MAYBE, frozenset({"p"}))


def verdict(outcome: Outcome, effect: Effect, policy: str = "p") -> Verdict:
    return Verdict(policy, outcome, Outcome.VIOLATE, effect, effect)


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (ALLOW, ALLOW, Shift.NONE),
        (ALLOW, MAYBE, Shift.MAYBE_BLOCKED),
        (ALLOW, BLOCK, Shift.NEWLY_BLOCKED),
        (MAYBE, ALLOW, Shift.MAYBE_ALLOWED),
        (MAYBE, MAYBE, Shift.NONE),
        (MAYBE, Position(Standing.MAYBE, frozenset({"q"})), Shift.UNKNOWN_CHANGE),
        (MAYBE, BLOCK, Shift.MAYBE_BLOCKED),
        (BLOCK, ALLOW, Shift.NEWLY_ALLOWED),
        (BLOCK, MAYBE, Shift.MAYBE_ALLOWED),
        (BLOCK, BLOCK, Shift.NONE),
        (BLOCK, Position(Standing.BLOCK, primary="q"), Shift.REATTRIBUTED),
    ],
)
def test_a_shift_is_what_the_table_says(old: Position, new: Position, expected: Shift) -> None:
    assert shift(old, new) is expected


@pytest.mark.parametrize(
    ("verdicts", "is_suspended", "expected"),
    [
        ([], False, Standing.ALLOW),
        ([], True, Standing.BLOCK),
        ([verdict(Outcome.VIOLATE, Effect.BLOCK)], False, Standing.BLOCK),
        ([verdict(Outcome.VIOLATE, Effect.THROTTLE)], False, Standing.BLOCK),
        ([verdict(Outcome.VIOLATE, Effect.ALERT)], False, Standing.ALLOW),
        ([verdict(Outcome.UNKNOWN, Effect.BLOCK)], False, Standing.MAYBE),
        ([verdict(Outcome.UNKNOWN, Effect.ALERT)], False, Standing.ALLOW),
        ([verdict(Outcome.UNKNOWN, Effect.BLOCK), verdict(Outcome.VIOLATE, Effect.BLOCK, "q")], False, Standing.BLOCK),
        ([verdict(Outcome.PASS, Effect.BLOCK), verdict(Outcome.NA, Effect.BLOCK, "q")], False, Standing.ALLOW),
    ],
)
def test_an_event_stands_where_its_known_outcomes_put_it(
    verdicts: list[Verdict], is_suspended: bool, expected: Standing
) -> None:
    assert position(verdicts, is_suspended=is_suspended).standing is expected
