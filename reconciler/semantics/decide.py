"""All policies on one event: allow or block, alerts, the reason that is shown (semantics.md B.4).

Deny overrides: any blocking violation blocks, whatever its priority, and in any order of policies. The mode decides
whether blocking happens; it changes neither outcomes nor alerts.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from reconciler.semantics.events import Event
from reconciler.semantics.interpret import Outcome, Runner, Verdict
from reconciler.semantics.program import SEVERITIES, Effect, Program
from reconciler.semantics.suspension import Suspended, Suspensions


class Mode(StrEnum):
    """The global mode: blocking happens in strict only."""

    MONITORING = "monitoring"
    STRICT = "strict"


class Composition(StrEnum):
    """`first_match_per_type` is how AIM composes: of each type only the first violated policy counts."""

    DENY_OVERRIDES = "deny_overrides"
    FIRST_MATCH_PER_TYPE = "first_match_per_type"


class Label(StrEnum):
    """What kind of block it is; throttled and needing approval are counted apart (semantics.md B.3)."""

    BLOCKED = "blocked"
    SUSPENDED = "suspended"
    APPROVAL = "approval_required"
    THROTTLED = "throttled"


@dataclass(frozen=True, slots=True)
class Alert:
    """Somebody should look: a violated policy, or (with `suspension`) a suspended actor that goes on asking."""

    policy: str
    severity: str
    effect: Effect
    notify_admins: bool
    suspension: bool = False


@dataclass(frozen=True, slots=True)
class Decision:
    """What happens to one event, and the record of it.

    `violated` are the policies that count, `unknown` those whose outcome nobody can tell. `label` is there whenever it
    would block; `status`, `retry_after_s` and `is_blocked` say what does happen in this mode.
    """

    event: Event
    mode: Mode
    verdicts: tuple[Verdict, ...]
    violated: tuple[str, ...]
    unknown: tuple[str, ...]
    would_block: bool
    is_blocked: bool
    alerts: tuple[Alert, ...]
    primary: str | None
    label: Label | None
    suspended: tuple[Suspended, ...]
    status: int
    retry_after_s: int | None


_SECOND_US: Final = 1_000_000
_MINUTE_US: Final = 60 * _SECOND_US


class Engine:
    """Enabled policies, a mode, and everything they remember. Events come in order, each once.

    With *on_missing* the live server's reading counts, in which a missing column violates or passes; without it an
    outcome that nobody can tell is no violation (semantics.md B.3).
    """

    def __init__(
        self,
        programs: Iterable[Program],
        mode: Mode = Mode.MONITORING,
        *,
        composition: Composition = Composition.DENY_OVERRIDES,
        on_missing: bool = True,
    ) -> None:
        self.mode, self._composition, self._on_missing = mode, composition, on_missing
        self.programs: tuple[Program, ...] = ()
        self._runners: list[Runner] = []
        self._last = (0, 0)
        self.replace(programs)

    def replace(self, programs: Iterable[Program]) -> tuple[Runner, ...]:
        """Go on with other policies; return the runners that remember nothing yet.

        A policy that is the same as before keeps what it remembers. The others are as good as always there once they
        were shown the past (`Runner.step`). Suspensions are forgotten: `suspensions.restore` brings them back.
        """
        programs = tuple(programs)
        by_name = {program.name: program for program in programs}
        if len(by_name) < len(programs):
            raise ValueError("two policies have one name")
        kept = {runner.program.name: runner for runner in self._runners}
        fresh: list[Runner] = []
        runners: list[Runner] = []
        for program in programs:
            runner = kept.get(program.name)
            if runner is None or runner.program != program:
                runner = Runner(program)
                fresh.append(runner)
            runners.append(runner)
        self.programs, self._by_name, self._runners = programs, by_name, runners
        self.suspensions = Suspensions(program for program in programs if program.enabled)
        return tuple(fresh)

    def count(self, event: Event) -> None:
        """Show all policies an event that was decided elsewhere: it counts, and suspends nobody."""
        self._last = max(self._last, (event.ts_us, event.seq))
        for runner in self._runners:
            runner.step(event)

    def step(self, event: Event) -> Decision:
        """Count an event and decide; raises ValueError for one that is older than its predecessor."""
        at = event.ts_us, event.seq
        if at < self._last:
            raise ValueError("events must come in the order of their time")
        self._last = at
        suspended = self.suspensions.at(event)
        verdicts = [runner.step(event) for runner in self._runners]
        self.suspensions.note(event, verdicts)
        return self._decide(event, verdicts, suspended)

    def counted(self) -> bool:
        """Whether the last event was remembered by some policy, so that it may matter to a later one."""
        return any(runner.counted for runner in self._runners)

    def forget(self, before_us: int) -> None:
        """Forget previous values of before an instant, in all policies; see `Runner.forget`."""
        for runner in self._runners:
            runner.forget(before_us)

    def _decide(self, event: Event, verdicts: Sequence[Verdict], suspended: tuple[Suspended, ...]) -> Decision:
        counted = self._counted(verdicts)
        if counted and self._composition is Composition.FIRST_MATCH_PER_TYPE:
            counted = _first_of_types(counted)
        blocking = [each for each in counted if each.effect.blocks]
        would_block = bool(blocking or suspended)
        is_blocked = would_block and self.mode is Mode.STRICT
        label = _label(blocking, suspended) if would_block else None
        is_throttled = is_blocked and label is Label.THROTTLED
        return Decision(
            event=event,
            mode=self.mode,
            verdicts=tuple(verdicts),
            violated=tuple(each.program.name for each in counted),
            unknown=tuple(each.policy for each in verdicts if each.outcome is Outcome.UNKNOWN),
            would_block=would_block,
            is_blocked=is_blocked,
            alerts=(*map(_alert, filter(_is_loud, counted)), *self._told(suspended)),
            primary=min(blocking, key=_rank).program.name if blocking else None,
            label=label,
            suspended=suspended,
            status=429 if is_throttled else 403 if is_blocked else 200,
            retry_after_s=_retry_after_s(blocking) if is_throttled else None,
        )

    def _counted(self, verdicts: Iterable[Verdict]) -> list[_Violation]:
        """The violations, as the live server reads them or as they are known."""
        pairs = zip(verdicts, self.programs, strict=True)
        if self._on_missing:
            return [
                _Violation(program, each, each.enforced_effect)
                for each, program in pairs
                if each.enforced is Outcome.VIOLATE
            ]
        return [_Violation(program, each, each.effect) for each, program in pairs if each.outcome is Outcome.VIOLATE]

    def _told(self, suspended: Iterable[Suspended]) -> list[Alert]:
        """One alert per suspension; where it blocks, the block says enough."""
        if self.mode is Mode.STRICT:
            return []
        programs = [self._by_name[each.policy] for each in suspended if each.is_new]
        return [Alert(each.name, each.severity, Effect.SUSPEND, each.notify_admins, True) for each in programs]


@dataclass(frozen=True, slots=True)
class _Violation:
    program: Program
    verdict: Verdict
    effect: Effect


def _first_of_types(violations: Iterable[_Violation]) -> list[_Violation]:
    """Of each type the one of the highest priority, then the newest, then by name."""
    first: dict[str, _Violation] = {}
    for each in sorted(violations, key=lambda each: (-each.program.priority, -each.program.created_us, _name(each))):
        first.setdefault(each.program.policy_type, each)
    return list(first.values())


def _rank(violation: _Violation) -> tuple[int, int, bytes]:
    """Highest priority first, then severity, then by name (semantics.md B.4)."""
    return -violation.program.priority, -SEVERITIES.index(violation.program.severity), _name(violation)


def _name(violation: _Violation) -> bytes:
    return violation.program.name.encode()


def _is_loud(violation: _Violation) -> bool:
    return violation.effect is Effect.ALERT or violation.effect.blocks


def _alert(violation: _Violation) -> Alert:
    program = violation.program
    return Alert(program.name, program.severity, violation.effect, program.notify_admins)


def _retry_after_s(blocking: Iterable[_Violation]) -> int:
    """Seconds until the last of the limits lets one more through, rounded up; a minute where nobody knows."""
    waits = [each.verdict.retry_us or _MINUTE_US for each in blocking]
    return -(-max(waits) // _SECOND_US)


def _label(blocking: Iterable[_Violation], suspended: tuple[Suspended, ...]) -> Label:
    """Where only throttles or only approvals block, trying again or asking helps; elsewhere neither would."""
    effects = {each.effect for each in blocking}
    if effects & {Effect.BLOCK, Effect.SUSPEND}:
        return Label.BLOCKED
    if suspended:
        return Label.SUSPENDED
    return Label.APPROVAL if Effect.APPROVAL in effects else Label.THROTTLED
