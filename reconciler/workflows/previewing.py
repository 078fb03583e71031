"""What a plan would have done to recorded events: the live policies against what they will be (semantics.md F)."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from reconciler.config import choose_targets
from reconciler.core.guard import judge
from reconciler.core.impact import Impact, over_budget
from reconciler.core.model import Action, Body, Change, Kind, LivePolicy, Op, Plan
from reconciler.core.safe import quoted, safe
from reconciler.errors import ConfigError, Place, ReconcilerError, UsageError
from reconciler.semantics.compile import compile_policy
from reconciler.semantics.decide import Engine, Mode
from reconciler.semantics.events import Event, parse_event
from reconciler.semantics.interpret import Outcome
from reconciler.semantics.program import Program
from reconciler.semantics.shared import Data
from reconciler.sources.git import open_repository
from reconciler.workflows.planning import Planned
from reconciler.workflows.session import Files, Session, load_desired, read_revision, require_valid

_MOST_BYTES: Final = 8 * 1024 * 1024
#: Systems whose policies mean something else than semantics.md B says (its B.13).
_NOT_REPLAYED: Final = frozenset(("aim",))
_OTHER_RULES: Final = "AIM judges by rules of its own, which are not replayed"


@dataclass(frozen=True, slots=True)
class Versions:
    """The policies that are live, those that will be, and which of them cannot be replayed, with the reason."""

    old: Mapping[str, Program]
    new: Mapping[str, Program]
    unread: tuple[str, ...]


@contextmanager
def replays() -> Iterator[None]:
    """Import what replays events; raises ConfigError where its libraries are not installed."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"the libraries that replay events are not installed ({error.name})",
            where="events",
            fix="install the extra: pip install 'reconciler[impact]'",
        ) from error


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """An engine that somebody has already and where the events are a table: its URL, and how much it may read.

    *tell* hears how much it will read.
    """

    url: str
    max_bytes: int | None = None
    tell: Callable[[str], None] = lambda text: None


@contextmanager
def _opened(
    session: Session, events: Path, elsewhere: Elsewhere | None, compiled: Callable[[Data], list[Versions]]
) -> Iterator[tuple[Any, Any, list[Versions]]]:
    """Open a folder of events, or a table of an engine; and the policies, which depend on the scales of the events."""
    from reconciler.impact.preview import MEMORY, data_of, open_events
    from reconciler.impact.store import read_manifest

    if elsewhere is None:
        memory = session.environ.get("RECONCILER_EVENTS_MEMORY") or MEMORY
        if not re.fullmatch(r"[1-9][0-9]{0,5}(MB|GB)", memory):
            raise UsageError("is no amount of memory", where="RECONCILER_EVENTS_MEMORY", fix="write 512MB or 4GB")
        with open_events(events, memory=memory) as (table, stored):
            yield table, stored, compiled(data_of(stored))
        return
    from reconciler.impact.backends import open_table

    several = compiled(data_of(read_manifest(events)) if events.is_dir() else Data())
    pairs = [(versions.old, versions.new) for versions in several]
    with open_table(elsewhere.url, str(events), pairs, max_bytes=elsewhere.max_bytes, tell=elsewhere.tell) as (
        table,
        stored,
    ):
        yield table, stored, several


def with_impact(session: Session, planned: Planned, events: Path, *, elsewhere: Elsewhere | None = None) -> Planned:
    """Return a plan with its preview over *events*, a folder or a table; its guards say when it goes over a budget.

    Raises ReconcilerError for a folder or a table that is none of events.
    """
    with replays():
        from reconciler.impact.preview import preview

    with _opened(session, events, elsewhere, lambda data: [versions_of(planned, data)]) as (table, stored, several):
        (versions,) = several
        impact = preview(versions.old, versions.new, table, stored, mode=planned.plan.target.mode)
    impact = replace(impact, warnings=(*impact.warnings, *versions.unread, *_about_mode(planned.plan)))
    lost = _no_longer_allowed(session, planned, versions)
    impact = replace(impact, warnings=(*impact.warnings, *lost))
    plan = replace(planned.plan, impact=impact)
    return replace(planned, plan=_guarded(planned, plan, impact, blocks_protected=bool(lost)))


def _no_longer_allowed(session: Session, planned: Planned, versions: Versions) -> list[str]:
    """What of the events that must stay allowed the new policies block, or may block."""
    name = planned.inputs.settings.must_stay_allowed
    if name is None:
        return []
    events = read_protected(session, planned, name)
    engine = Engine((replace(program, name=key) for key, program in versions.new.items()), Mode.STRICT)
    lost = []
    for event in events:
        decision = engine.step(event)
        unknown = [each for each in decision.verdicts if each.outcome is Outcome.UNKNOWN and each.effect.blocks]
        if decision.is_blocked or unknown:
            whose = decision.primary or (unknown[0].policy if unknown else "a suspension")
            verb = "is blocked" if decision.is_blocked else "may be blocked"
            lost.append(f"{quoted(event.event_id, 80)} of {safe(name)} {verb} by {quoted(whose, 120)}")
    return lost


def read_protected(session: Session, planned: Planned, name: str) -> list[Event]:
    """Return the events that must stay allowed, in their order, from the files that the plan was made from.

    Raises ReconcilerError for a file that is not there, or with a line that is no event.
    """
    data = _protected_bytes(session, planned, name)
    events = []
    for number, line in enumerate(data.splitlines(), 1):
        if not line.strip():
            continue
        try:
            value = json.loads(line)
        except (ValueError, RecursionError):
            value = None
        event = parse_event(value)
        if not isinstance(event, Event):
            fault = event[0]
            raise ReconcilerError(
                f"is no event: {fault.pointer.lstrip('/') or 'it'} {fault.what}",
                where=Place(name, number),
                fix=fault.fix,
                code="must-stay-allowed-file",
            )
        events.append(event)
    return [replace(event, seq=at) for at, event in enumerate(sorted(events, key=lambda each: each.ts_us))]


def _protected_bytes(session: Session, planned: Planned, name: str) -> bytes:
    data: bytes | None
    if planned.files.revision is None:
        root = session.root.resolve()
        path = (root / name).resolve()
        data = path.read_bytes() if path.is_relative_to(root) and path.is_file() else None
    else:
        data = planned.repository.read_file(planned.plan.git.head, name)
    if data is None or len(data) > _MOST_BYTES:
        raise ReconcilerError(
            "the file of events that must stay allowed is not there, or is over 8 MiB",
            where=name,
            fix="write its path relative to reconciler.yaml, and keep it small",
            code="must-stay-allowed-file",
        )
    return data


def _about_mode(plan: Plan) -> list[str]:
    """A change of the mode decides about every request that any policy stops."""
    if not any(change.kind is Kind.SETTINGS for change in plan.changes):
        return []
    return ["the mode changes as well, which decides whether anything is blocked at all"]


def _guarded(planned: Planned, plan: Plan, impact: Impact, *, blocks_protected: bool) -> Plan:
    """The plan with the budgets that it exceeds among its guards, unless an override lifts them."""
    budgets = planned.inputs.settings.budgets
    fired = [name.removeprefix("max_").replace("_", "-") for name in over_budget(impact, budgets)]
    fired += ["must-stay-allowed"] * blocks_protected
    if not fired:
        return plan
    verdict = judge(
        (), fired, planned.inputs.overrides, target=plan.target.name, now=planned.inputs.now, known=frozenset()
    )
    used = tuple(entry for entry in verdict.used if entry not in plan.overrides)
    return replace(plan, blocked=tuple(sorted({*plan.blocked, *verdict.blocked})), overrides=(*plan.overrides, *used))


def versions_of(planned: Planned, data: Data) -> Versions:
    """Return the live policies of a target, and what they are once the plan is carried out, as programs by key."""
    if planned.plan.target.provider in _NOT_REPLAYED:
        return Versions({}, {}, (_OTHER_RULES,))
    keys = {entry.id: key for key, entry in planned.inputs.applied.items()}
    changes = {change.key: change for change in planned.plan.changes if change.kind is Kind.POLICY}
    by_id = {change.id: change for change in changes.values() if change.id is not None}
    old: dict[str, Program] = {}
    new: dict[str, Program] = {}
    unread: list[str] = []
    for live in planned.inputs.live.policies:
        change = by_id.get(live.id)
        key = change.key if change is not None else keys.get(live.id, live.natural_key)
        checks = _checks(planned, key)
        _add(old, key, live.body, live.enabled, checks, data, unread)
        if change is None:
            if key in old:
                new[key] = old[key]
        elif change.action is not Action.DELETE:
            _add(new, key, _after(change, live), _enabled(change, live), _checks(planned, key, new=True), data, unread)
    for change in changes.values():
        if change.action is Action.CREATE and change.desired is not None:
            wanted = change.desired
            checks = _checks(planned, change.key, new=True)
            _add(new, change.key, wanted.body, wanted.enabled, checks, data, unread)
    both = {key for key in {*old, *new} if any(said.startswith(f"{quoted(key, 120)} ") for said in unread)}
    return Versions(
        {key: program for key, program in old.items() if key not in both},
        {key: program for key, program in new.items() if key not in both},
        tuple(dict.fromkeys(unread)),
    )


def _add(
    version: dict[str, Program],
    key: str,
    body: Body,
    enabled: bool,
    checks: Body | None,
    data: Data,
    unread: list[str],
) -> None:
    found = compile_policy({**body, "enabled": enabled}, checks=checks, data=data)
    if isinstance(found, Program):
        version[key] = found
    else:
        fault = found[0]
        unread.append(f"{quoted(key, 120)} is not replayed: {fault.pointer or 'it'} {fault.what}")


def _after(change: Change, live: LivePolicy) -> Body:
    """The content once the change is made: what git says over what is live and not git's."""
    if change.desired is None or change.action in (Action.ENABLE, Action.DISABLE):
        return live.body
    removed = {
        field.pointer.split("/")[1]
        for field in change.fields
        if field.op is Op.REMOVE and field.pointer.count("/") == 1
    }
    return {key: value for key, value in {**live.body, **change.desired.body}.items() if key not in removed}


def _enabled(change: Change, live: LivePolicy) -> bool:
    return live.enabled if change.desired is None else change.desired.enabled


def _checks(planned: Planned, key: str, *, new: bool = False) -> Body | None:
    """What machine-checkable meaning git gives to the rules of a policy: now, or when it was last applied."""
    policies = {policy.key: policy.metadata for policy in planned.inputs.policies}
    applied = {entry_key: entry.metadata for entry_key, entry in planned.inputs.applied.items()}
    first, second = (policies, applied) if new else (applied, policies)
    metadata = first.get(key) or second.get(key) or {}
    checks = metadata.get("checks")
    return checks if isinstance(checks, dict) else None


# ------------------------------------------------------------------------------------------- two revisions


@dataclass(frozen=True, slots=True)
class Compared:
    """What the step from one revision to another does to recorded events, for one target; ids are full."""

    target: str
    old: str
    new: str
    impact: Impact


def compare_revisions(
    session: Session,
    names: tuple[str, ...],
    old: str,
    new: str,
    events: Path,
    *,
    elsewhere: Elsewhere | None = None,
    out: Path | None = None,
) -> list[Compared]:
    """Return the preview of two revisions of the policy files; neither a token nor the live API is needed.

    With *out* every touched event is written there as Parquet, with its target, as it was recorded: that file is not
    redacted.
    """
    with replays():
        from reconciler.impact.preview import preview, write_touched

    repository = open_repository(session.root)
    ids = [repository.resolve(old), repository.resolve(new)]
    files = [read_revision(session, repository, commit, names) for commit in ids]
    targets = choose_targets(files[1].config, names)

    def compiled(data: Data) -> list[Versions]:
        return [_versions_at(session, target.name, files, data) for target in targets]

    compared: list[Compared] = []
    touched: list[Any] = []
    with _opened(session, events, elsewhere, compiled) as (table, stored, several):
        for target, versions in zip(targets, several, strict=True):
            take = touched.append if out is not None else None
            impact = preview(versions.old, versions.new, table, stored, take=take)
            impact = replace(impact, warnings=(*impact.warnings, *versions.unread))
            compared.append(Compared(target.name, ids[0], ids[1], impact))
    if out is not None:
        write_touched([each.target for each in compared], touched, out)
    return compared


def _versions_at(session: Session, name: str, files: Sequence[Files], data: Data) -> Versions:
    unread: list[str] = []
    old, new = (_version_at(session, name, side, data, unread) for side in files)
    return Versions(old, new, tuple(dict.fromkeys(unread)))


def _version_at(session: Session, name: str, files: Files, data: Data, unread: list[str]) -> dict[str, Program]:
    """The policies of a target at one revision; none where the revision does not have the target."""
    target = files.config.targets.get(name)
    if target is None:
        return {}
    if target.provider in _NOT_REPLAYED:
        unread.append(_OTHER_RULES)
        return {}
    desired = load_desired(session, target, files, session.clock.now())
    require_valid([*files.problems, *desired.problems], len(files.raw))
    found: dict[str, Program] = {}
    for policy in desired.policies:
        checks = policy.metadata.get("checks")
        own = checks if isinstance(checks, dict) else None
        _add(found, policy.key, policy.body, policy.enabled, own, data, unread)
    return found
