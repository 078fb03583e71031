"""The values everything else passes around: policies, changes, plans, calls, outcomes.

Frozen and without behaviour beyond trivial properties. JSON bodies are plain dicts and lists that nobody mutates.
Nothing here reads, compares or decides; see `diff.py`, `risk.py`, `plan.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum, StrEnum
from typing import TYPE_CHECKING, Final, TypeAlias

if TYPE_CHECKING:
    from reconciler.core.impact import Impact

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"
Body: TypeAlias = Mapping[str, Json]


class _Missing(Enum):
    MISSING = "missing"


#: An absent side of a field: not the same as JSON null.
MISSING: Final = _Missing.MISSING
Missing: TypeAlias = _Missing
Side: TypeAlias = "Json | Missing"


class Action(StrEnum):
    """What settles a change. `enable` and `disable` are the two ways of the API's toggle."""

    CREATE = "create"
    UPDATE = "update"
    ENABLE = "enable"
    DISABLE = "disable"
    DELETE = "delete"


class Origin(StrEnum):
    """Who moved since last-applied: git (pending), the live system (drift), or both."""

    GIT = "git"
    DRIFT = "drift"
    BOTH = "both"


class Risk(StrEnum):
    """Direction of protection. Guards count `unknown` as `weakens`."""

    WEAKENS = "weakens"
    TIGHTENS = "tightens"
    MIXED = "mixed"
    NEUTRAL = "neutral"
    UNKNOWN = "unknown"


class Op(StrEnum):
    """What happens to one field, seen from live to desired."""

    ADD = "add"
    REMOVE = "remove"
    REPLACE = "replace"


class Kind(StrEnum):
    """A policy, or the global settings file of a target."""

    POLICY = "policy"
    SETTINGS = "settings"


class Severity(StrEnum):
    """Of a problem found in a file."""

    ERROR = "error"
    WARNING = "warning"


class ToggleStyle(StrEnum):
    """`flip` inverts whatever the server finds; `set` names the wanted value."""

    FLIP = "flip"
    SET = "set"


class Confidence(StrEnum):
    """How well the trail explains a live edit. `unknown` is said, never guessed away."""

    EXACT = "exact"
    LIKELY = "likely"
    UNKNOWN = "unknown"


class Strength(StrEnum):
    """Where the commit of a change can be found afterwards, strongest first."""

    SAME_ENTRY = "same-entry"
    NEIGHBOUR_ENTRY = "neighbour-entry"
    ON_OBJECT = "on-object"
    LEDGER_ONLY = "ledger-only"


class Status(StrEnum):
    """What came of one change. `failed` is known not to have taken effect; any doubt is `unknown`."""

    APPLIED = "applied"
    ALREADY = "already"
    FAILED = "failed"
    SKIPPED = "skipped"
    UNKNOWN = "unknown"


class Fate(StrEnum):
    """What the transport saw of one mutating request (reliability.md 3.1)."""

    NOT_SENT = "not-sent"
    REJECTED = "rejected"
    APPLIED = "applied"
    APPLIED_OTHER = "applied-other"
    AMBIGUOUS = "ambiguous"


# ----------------------------------------------------------------------------------------------- problems


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with one file, as a value: code, sentence, place, excerpt, way out.

    `line` and `column` count from 1; `span` is the number of characters to underline. `label` stands under the
    carets. `related` are other places in the same file worth showing: (line, column, span, label).
    `excerpt` holds the numbered source lines to print, already cut to what is needed.
    """

    code: str
    severity: Severity
    message: str
    path: str
    line: int | None = None
    column: int | None = None
    pointer: str | None = None
    fix: str | None = None
    span: int = 1
    label: str = ""
    allowed: tuple[str, ...] = ()
    why: str | None = None
    related: tuple[tuple[int, int, int, str], ...] = ()
    excerpt: tuple[tuple[int, str], ...] = ()

    @property
    def sort_key(self) -> tuple[str, int, int, str]:
        return (self.path, self.line or 0, self.column or 0, self.code)


# ----------------------------------------------------------------------------------------------- policies


@dataclass(frozen=True, slots=True)
class Source:
    """Where a policy stands in git: path relative to the repository root, line of the document's first key."""

    path: str
    line: int


@dataclass(frozen=True, slots=True)
class PolicyException:
    """A dated exception of `metadata.exceptions`; `set` is a merge patch (RFC 7396), `until` the last day, UTC."""

    reason: str
    owner: str
    until: str
    set: Body


@dataclass(frozen=True, slots=True)
class Exceptions:
    """What a policy's dated exceptions do at one moment, and what its file says without them.

    `granted` are in force, in list order; `ended` are over; `broken` counts those without a valid last day.
    """

    body: Body
    enabled: bool
    granted: tuple[PolicyException, ...]
    ended: tuple[PolicyException, ...]
    broken: int


@dataclass(frozen=True, slots=True)
class Policy:
    """A desired policy: what a file says, overlays and exceptions applied, less the reserved key `metadata`.

    `body` has the API's own field names, without `enabled` and without `metadata`.
    `critical` is honoured from here or from last-applied (design.md 6). Without exceptions `exceptions` is None.
    """

    key: str
    body: Body
    enabled: bool
    metadata: Body
    source: Source
    exceptions: Exceptions | None = field(default=None, compare=False, repr=False)

    @property
    def name(self) -> str:
        name = self.body.get("name")
        return name if isinstance(name, str) else self.key


@dataclass(frozen=True, slots=True)
class LivePolicy:
    """A policy as the API says it is now.

    `body` holds the fields an author could write (server-owned ones and our own annotation dropped, `enabled`
    apart); `raw` is the object as read, for fields that must be sent back unchanged. `natural_key` is what a file
    may match by: neosc the id, opena2a the name. `trailer` is the commit found in an on-object annotation. `etag` names
    the state that was read, where the server announces tags.
    """

    id: str
    natural_key: str
    body: Body
    enabled: bool
    raw: Body
    etag: str | None = field(default=None, compare=False, repr=False)
    trailer: str | None = None

    @property
    def name(self) -> str:
        name = self.body.get("name")
        return name if isinstance(name, str) else self.natural_key


@dataclass(frozen=True, slots=True)
class Applied:
    """A ledger entry: one policy as our last run left it, and the commit and audit entry that tell why.

    `kept`: what the live system showed right after our write where that was something else, by pointer.
    """

    key: str
    id: str
    body: Body
    enabled: bool
    metadata: Body
    path: str
    commit: str
    audit_id: str | None = None
    kept: Body = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Listing:
    """One whole read of a target.

    `complete` is proven as design.md 6 demands; `reason` says why it is not. Only a complete listing may lead to a
    create or a delete.
    """

    policies: tuple[LivePolicy, ...]
    complete: bool
    reason: str | None
    read_at: datetime
    mode: str | None = None


@dataclass(frozen=True, slots=True)
class Ignore:
    """A difference nobody wants to hear of: a field of one policy (or `*`), with the reason, counted in the plan."""

    key: str
    pointer: str
    reason: str


@dataclass(frozen=True, slots=True)
class Receiver:
    """A web address that is told of what happens to a target: of `drift`, of `failure`, or of both."""

    url: str
    events: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TargetSettings:
    """One target of `reconciler.yaml`, checked and with defaults filled in (design.md 3). Times are in seconds."""

    name: str
    provider: str
    url: str
    policies: str
    overlays: tuple[Mapping[str, Body], ...] = ()
    prune: str = "owned"
    crud: bool = False
    max_deletes: int = 5
    max_changes_percent: float | None = None
    require_override: str = "none"
    ignore: tuple[Ignore, ...] = ()
    quiescence: float = 60.0
    deadline: float = 10.0
    budget: float = 600.0
    concurrency: int = 8
    annotate: str = "headers"
    signatures: str = "auto"
    notify: tuple[Receiver, ...] = ()
    max_newly_blocked: int | None = None
    max_newly_blocked_actors: int | None = None
    max_newly_blocked_share: float | None = None
    must_stay_allowed: str | None = None

    @property
    def budgets(self) -> Mapping[str, float]:
        """What a plan may newly block of recorded events, by name; without events nobody can tell."""
        named = {
            "max_newly_blocked": self.max_newly_blocked,
            "max_newly_blocked_actors": self.max_newly_blocked_actors,
            "max_newly_blocked_share": self.max_newly_blocked_share,
        }
        return {name: value for name, value in named.items() if value is not None}


@dataclass(frozen=True, slots=True)
class Deviations:
    """How an API's policies work otherwise than semantics.md says (its B.13 and E.3 "Target exceptions").

    Without an enabled policy of a *closed type* everything of its kind is blocked; a policy of a *stored type* has no
    effect. `effect_field` names what a violation leads to, `blocking` its value that blocks; of several policies of one
    type the one with the highest `rank_field` decides.
    """

    api: str
    closed_types: frozenset[str]
    stored_types: frozenset[str]
    effect_field: str
    blocking: str
    rank_field: str


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What an API can do, as values a plan can be made from without asking it.

    Paths are relative to the target's `url`; `{id}` is replaced by a checked id. `cannot` is the reason printed for
    a create, update or delete the API does not have.
    """

    create: bool
    update: bool
    delete: bool
    toggle: ToggleStyle
    collection: str
    item: str
    toggle_path: str
    toggle_method: str
    update_method: str
    key_field: str
    type_field: str
    reads_one: bool
    list_cap: int | None
    trail_cap: int | None
    wave: int
    cannot: str
    server_owned: frozenset[str]
    settings_path: str | None = None
    deviations: Deviations | None = None


# ------------------------------------------------------------------------------------------------- plans


class WitnessKind(StrEnum):
    """What a witness is: an address, a text that patterns fit, an entry of a list, an instant, a number, a count."""

    ADDRESS = "address"
    TEXT = "text"
    ENTRY = "entry"
    MINUTE = "minute"
    NUMBER = "number"
    COUNT = "count"


class Stance(StrEnum):
    """How one version of a policy takes a witness: lets it pass or not; looks at it or not, where a filter moved."""

    ALLOWED = "allowed"
    VIOLATES = "violates"
    OUTSIDE = "outside"
    INSIDE = "inside"


@dataclass(frozen=True, slots=True)
class Witness:
    """The smallest example of which a changed field decides otherwise (semantics.md E.2).

    `of` is what a number or a count is of. Of a count, the first is `span_ms` before the last, and at 0 all are at one
    instant. A minute is an instant in UTC, and `local` is what it is in the zone of the policy.
    """

    kind: WitnessKind
    value: str | int | float
    was: Stance
    now: Stance
    of: str | None = None
    span_ms: int | None = None
    local: str | None = None


@dataclass(frozen=True, slots=True)
class FieldChange:
    """One field on its way from live to desired. A side that is not there is `MISSING`."""

    pointer: str
    op: Op
    live: Side
    desired: Side
    last_applied: Side
    risk: Risk
    origin: Origin
    witness: Witness | None = None


@dataclass(frozen=True, slots=True)
class CommitInfo:
    """The commit that asked for a change: full id, author's name, subject line (both untrusted text)."""

    sha: str
    author: str
    subject: str


@dataclass(frozen=True, slots=True)
class Drift:
    """Who edited the live policy, as far as the trail shows it; and why, if they had to say, for people only."""

    actor: str | None
    at: str | None
    audit_id: str | None
    confidence: Confidence
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Call:
    """One mutating request, relative to the target's `url`. `operation` is create, update, toggle, delete or mode."""

    method: str
    path: str
    operation: str


@dataclass(frozen=True, slots=True)
class Change:
    """A difference found, with all that a reviewer needs and the calls that settle it.

    `desired`, `live` and `applied` are for the executor only and never serialized. `why` is one of
    `annotation.REASONS`, for the annotation: a dated exception began or ended.
    """

    kind: Kind
    key: str
    id: str | None
    action: Action
    origin: Origin
    risk: Risk
    critical: bool
    adopts: bool
    source: Source | None
    commit: CommitInfo | None
    fields: tuple[FieldChange, ...]
    drift: Drift | None
    calls: tuple[Call, ...]
    guards: tuple[str, ...] = ()
    desired: Policy | None = field(default=None, compare=False, repr=False)
    live: LivePolicy | None = field(default=None, compare=False, repr=False)
    applied: Applied | None = field(default=None, compare=False, repr=False)
    why: str | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class NotDone:
    """An entry of `held` or `cannot`: what would be needed, and why it does not happen."""

    key: str
    action: Action
    reason: str


@dataclass(frozen=True, slots=True)
class TargetInfo:
    name: str
    provider: str
    url: str
    mode: str | None


@dataclass(frozen=True, slots=True)
class GitInfo:
    """The revision a plan was made from. `dirty`: policy paths, config or overrides differ from HEAD."""

    head: str
    last_applied: str | None
    dirty: bool
    shallow: bool


@dataclass(frozen=True, slots=True)
class LiveInfo:
    """The read a plan was made from. `snapshot`: it was read from a file, so nobody may carry the plan out."""

    read_at: str
    count: int
    digest: str
    snapshot: bool = False


@dataclass(frozen=True, slots=True)
class Override:
    """An entry of `overrides.yaml` that lifts one guard for one policy (or `*`) until the end of a day, UTC."""

    guard: str
    policy: str
    target: str | None
    reason: str
    owner: str
    until: str


@dataclass(frozen=True, slots=True)
class Plan:
    """Ordered changes for one target at one revision: printable, serializable, comparable (`reconciler.plan/1`).

    `impact` is what they would have done to recorded events, where some were given; it is no part of the fingerprint.
    """

    tool: str
    fingerprint: str
    complete: bool
    target: TargetInfo
    git: GitInfo
    live: LiveInfo
    changes: tuple[Change, ...]
    held: tuple[NotDone, ...]
    cannot: tuple[NotDone, ...]
    unmanaged: tuple[str, ...]
    blocked: tuple[str, ...]
    overrides: tuple[Override, ...]
    warnings: tuple[str, ...]
    summary: Mapping[str, int]
    impact: Impact | None = None

    @property
    def is_empty(self) -> bool:
        return not self.changes


# -------------------------------------------------------------------------------------------------- runs


@dataclass(frozen=True, slots=True)
class Annotation:
    """How far a commit got into the live system, proven by reading. `verified`: the entry or object was read back."""

    strength: Strength
    verified: bool
    audit_id: str | None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one change (`reconciler.run/1`). `error` is a sentence; `calls` counts mutating requests sent."""

    key: str
    action: Action
    status: Status
    commit: str | None
    annotation: Annotation | None
    error: str | None
    calls: int


@dataclass(frozen=True, slots=True)
class TrailEntry:
    """One entry of the live audit trail, with the fields both documented APIs share.

    `texts` are all its text values, where a commit may hide. `policy_id` is parsed from `resource` when it names a
    policy. `at` is the server's own time text. `beside`: it marks a change of ours and is not the change's own entry.
    """

    id: str
    at: str
    actor: str | None
    action: str
    resource: str
    details: str
    policy_id: str | None
    texts: tuple[str, ...]
    success: bool = True
    beside: bool = False


@dataclass(frozen=True, slots=True)
class Trail:
    """A read of the audit trail, newest first. `available` is False where the API has none (404)."""

    entries: tuple[TrailEntry, ...]
    available: bool
    complete: bool


@dataclass(frozen=True, slots=True)
class Mutation:
    """One mutating request before it is a request.

    `operation`: create, update, toggle, delete or mode. `enabled` is the wanted value of a toggle, or the value a
    full PUT sends along. `body` is what git wants merged over what was read; the provider maps it to the wire.
    `etag` is that of the read it was decided from.
    """

    operation: str
    id: str | None
    body: Body | None
    enabled: bool
    commit: str
    headers: Mapping[str, str]
    etag: str | None = None


@dataclass(frozen=True, slots=True)
class Receipt:
    """What is known after one mutating request: its fate, and whatever the reply told.

    `enabled` is what a toggle's reply claims. `retry_after` is in seconds. `detail` is text of the server, untrusted
    and cut; `status` is None when no reply came. `stored` is the content that the reply to a create or update shows.
    `renewed`: the token was refused, and the next request carries another.
    """

    fate: Fate
    status: int | None = None
    detail: str = ""
    id: str | None = None
    enabled: bool | None = None
    retry_after: float | None = None
    stored: Body | None = None
    renewed: bool = False


@dataclass(frozen=True, slots=True)
class LogEntry:
    """One line of the joined log: an audit entry, and the commit it belongs to if git asked for it.

    `outside_git` is True when no commit of this repository stands behind the entry. `strength` says how the two were
    tied together, None outside git. `key` is the policy's key in git, or its live name or id.
    """

    at: str
    action: str
    key: str
    actor: str | None
    audit_id: str | None
    commit: str | None
    strength: Strength | None
    outside_git: bool


@dataclass(frozen=True, slots=True)
class PolicyState:
    """One line of `status`: in_sync, pending, drift, both, unmanaged, cannot or held; `detail` is for people."""

    key: str
    state: str
    commit: str | None
    detail: str = ""
