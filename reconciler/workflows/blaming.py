"""Where each live field of a policy comes from: reads git, the ledger, the live policy and its audit trail."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from reconciler.core.blame import AppliedAt, FieldBlame, Version, blame_fields, pull_request_in
from reconciler.core.documents import read_documents
from reconciler.core.inputs import match
from reconciler.core.match import Pair
from reconciler.core.model import Applied, Body, CommitInfo, Drift
from reconciler.core.safe import quoted
from reconciler.errors import UsageError
from reconciler.ledger import history
from reconciler.sources.git import Repository
from reconciler.workflows.planning import Planned, plan_targets, schema_of
from reconciler.workflows.session import Session, policy_from


@dataclass(frozen=True, slots=True)
class Origin:
    """A commit that put a field there, and the pull request that brought it, where a message says so."""

    commit: CommitInfo
    pull_request: int | None


@dataclass(frozen=True, slots=True)
class PolicyBlame:
    """One live policy's fields. `origins` has every commit that `fields` name."""

    target: str
    key: str
    fields: tuple[FieldBlame, ...]
    origins: Mapping[str, Origin]


def blame(session: Session, key: str, names: tuple[str, ...] = ()) -> tuple[PolicyBlame, ...]:
    """Say where each field of policy *key* comes from, at every named target (all when none is named) that has it live.

    Git is read at HEAD: what is not committed put nothing anywhere.
    """
    planned = plan_targets(session, names, commit="HEAD")
    if planned.failed:
        raise planned.failed[0]
    found, known = [], set()
    for each in planned.made:
        matched = match(each.inputs)
        pairs = [*matched.pairs, *(Pair(live.natural_key, None, None, live) for live in matched.unmanaged)]
        known |= {pair.key for pair in pairs if pair.live is not None}
        found += [_blame(session, each, pair) for pair in pairs if pair.key == key and pair.live is not None]
    if not found:
        raise _unknown(key, known)
    return tuple(found)


def _unknown(key: str, known: set[str]) -> UsageError:
    import difflib

    near = difflib.get_close_matches(key, known, n=1)
    return UsageError(
        f"no live policy has the key {quoted(key)}" + (f"; did you mean {quoted(near[0])}?" if near else ""),
        where="blame",
        fix="name a policy by its key, as `reconciler status` shows it",
        code="unknown-policy",
    )


def _blame(session: Session, planned: Planned, pair: Pair) -> PolicyBlame:
    live, applied = pair.live, pair.applied
    assert live is not None  # noqa: S101 - the caller looked

    def who(is_switch: bool) -> Drift:
        assert applied is not None  # noqa: S101 - only asked about what differs from it
        seen = live if is_switch else replace(live, enabled=applied.enabled)
        return planned.inputs.drift_of(applied, seen, not is_switch)

    fields = blame_fields(
        {**live.body, "enabled": live.enabled},
        [] if applied is None else _runs(planned, applied),
        [] if applied is None else _versions(planned, applied),
        schema_of(session, planned.settings, live.body),
        who,
    )
    commits = {field.commit for field in fields if field.commit is not None}
    return PolicyBlame(planned.settings.name, pair.key, fields, {sha: _origin(planned, sha) for sha in sorted(commits)})


def _runs(planned: Planned, applied: Applied) -> Sequence[AppliedAt]:
    """The ledger's entries of a policy, newest first, as far as HEAD's history stands behind them.

    A policy that was deleted and made again begins anew.
    """
    found: list[AppliedAt] = []
    for run in history(planned.repository, planned.sync.tip):
        found += [AppliedAt(entry, run.run.at) for entry in run.entries if entry.id == applied.id]
        if applied.key in run.removed:
            break
    known = planned.repository.ancestors(planned.plan.git.head, {each.entry.commit for each in found})
    trusted = []
    for each in found:
        if each.entry.commit not in known:
            break
        trusted.append(each)
    return trusted


def _versions(planned: Planned, applied: Applied) -> list[Version]:
    """What the policy's file said after each commit that touched it, newest first."""
    steps = planned.repository.file_history(planned.plan.git.head, applied.path)
    contents = planned.repository.read_blobs({blob for _, blob in steps if blob is not None})
    read: dict[str, Body | None] = {blob: _body(planned, data, applied) for blob, data in contents.items()}
    return [Version(commit.sha, read.get(blob) if blob is not None else None) for commit, blob in steps]


def _body(planned: Planned, data: bytes, applied: Applied) -> Body | None:
    for document in read_documents(data, applied.path)[0]:
        policy = policy_from(planned.settings.provider, document)
        if policy.key == applied.key:
            return {**policy.body, "enabled": policy.enabled}
    return None


def _origin(planned: Planned, sha: str) -> Origin:
    repository = planned.repository
    number = pull_request_in(repository.read_message(sha) or "")
    if number is None:
        number = _number_of_merge(repository, sha, planned.plan.git.head)
    return Origin(repository.commit_info(sha), number)


def _number_of_merge(repository: Repository, sha: str, head: str) -> int | None:
    merge = repository.merge_of(sha, head)
    return None if merge is None else pull_request_in(repository.read_message(merge) or "")
