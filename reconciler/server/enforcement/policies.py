"""The policies that an organization's events meet: read from the tables of both systems, compiled once per version.

A policy is spoken of by its reference, `system/id`. One that cannot be compiled is enforced by nobody, and says why:
the APIs store whatever has the right types, as the real ones do.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import sqlalchemy as sa

from reconciler.semantics.compile import compile_policy
from reconciler.semantics.program import Program
from reconciler.semantics.shared import Data
from reconciler.server.enforcement.tables import policy_changes
from reconciler.server.tables import neosc_policies, opena2a_policies


@dataclass(frozen=True, slots=True)
class Policy:
    """One policy as enforcement sees it; without a `program` nobody enforces it, for the reasons in `problems`.

    `key` is what the engine calls it: no two are alike, and they sort by name. `source` is what it was compiled from.
    """

    system: str
    policy_id: str
    name: str
    enabled: bool
    source: str
    program: Program | None
    problems: tuple[str, ...]
    revision: str | None

    @property
    def ref(self) -> str:
        return f"{self.system}/{self.policy_id}"

    @property
    def key(self) -> str:
        return "" if self.program is None else self.program.name


@dataclass(frozen=True, slots=True)
class PolicySet:
    """All policies of an organization, and the commit that its newest change of a policy named."""

    policies: tuple[Policy, ...]
    revision: str | None

    @property
    def by_ref(self) -> Mapping[str, Policy]:
        return {policy.ref: policy for policy in self.policies}

    @property
    def enforced(self) -> tuple[Policy, ...]:
        """Those that can be violated: enabled, understood, and with something that a machine can check."""
        return tuple(each for each in self.policies if each.enabled and each.program and each.program.groups)


def load_policies(
    connection: sa.Connection, organization: str, data: Data, known: Mapping[str, Policy] | None = None
) -> PolicySet:
    """Read the policies that are there now; what is the same in *known* (by reference) is not compiled again.

    The revision is null after a change that named no commit, so that nothing is said to come from git that does not.
    """
    query = sa.select(policy_changes).where(policy_changes.c.organization.in_(("", organization)))
    changes = connection.execute(query.order_by(policy_changes.c.number)).all()
    revisions = {(row.system, row.policy_id): row.revision for row in changes}
    bodies = [*_neosc(connection), *_opena2a(connection, organization)]
    policies = tuple(_make(system, body, revisions, data, known or {}) for system, body in bodies)
    return PolicySet(policies, changes[-1].revision if changes else None)


def _make(
    system: str,
    body: dict[str, Any],
    revisions: Mapping[tuple[str, str], str | None],
    data: Data,
    known: Mapping[str, Policy],
) -> Policy:
    policy_id, revision = str(body["id"]), revisions.get((system, str(body["id"])))
    source = json.dumps(body, sort_keys=True)
    before = known.get(f"{system}/{policy_id}")
    if before is not None and before.source == source:
        return replace(before, revision=revision)
    program, problems = _compile(body, f"{system}/{policy_id}", data)
    return Policy(system, policy_id, body["name"], body["enabled"], source, program, problems, revision)


def _compile(body: dict[str, Any], ref: str, data: Data) -> tuple[Program | None, tuple[str, ...]]:
    found = compile_policy(body, data=data)
    if isinstance(found, Program):
        return replace(found, name=f"{found.name}\0{ref}"), ()
    return None, tuple(map(str, found))


def _neosc(connection: sa.Connection) -> Iterator[tuple[str, dict[str, Any]]]:
    for row in connection.execute(sa.select(neosc_policies).order_by(neosc_policies.c.seq)):
        names = ("id", "name", "type", "rules", "enabled", "checks")
        yield "neosc", {name: getattr(row, name) for name in names if getattr(row, name) is not None}


def _opena2a(connection: sa.Connection, organization: str) -> Iterator[tuple[str, dict[str, Any]]]:
    own = opena2a_policies.c.organization == organization
    for row in connection.execute(sa.select(opena2a_policies).where(own).order_by(opena2a_policies.c.seq)):
        fixed = {"id": row.id, "name": row.name, "enabled": row.enabled, "created_at": row.created_at}
        yield "opena2a", {**row.body, **fixed}
