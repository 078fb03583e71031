"""What one word means here: an error code, a guard, a field of a file, or a policy of this repository."""

from __future__ import annotations

from collections.abc import Callable

from reconciler.core.canonical import json_equal
from reconciler.core.fields import field_pages, find_fields
from reconciler.core.guard import GUARDS
from reconciler.core.model import Applied, Policy, TargetSettings
from reconciler.core.near import did_you_mean
from reconciler.core.safe import quoted
from reconciler.core.schema import load_schemas
from reconciler.errors import ReconcilerError
from reconciler.ledger import ledger_ref, read_ledger
from reconciler.reports.explain import Explanation, PolicyPage
from reconciler.reports.pages import code_pages, guard_pages
from reconciler.sources.git import Repository, open_repository
from reconciler.workflows.names import policy_keys, unchecked_policies
from reconciler.workflows.session import Session, load_desired, read_work_tree


def explain(word: str, open_session: Callable[[], Session]) -> Explanation:
    """Return every meaning of *word*; raise when it has none, naming the nearest word that has.

    Codes, guards and fields are known anywhere. Policies are looked for where *open_session* finds a repository.
    """
    fields = field_pages(load_schemas())
    policies: tuple[PolicyPage, ...] = ()
    keys: tuple[str, ...] = ()
    trouble = ""
    try:
        session = open_session()
        keys = tuple(sorted({key for found in policy_keys(session).values() for key in found}))
        policies = _policies(session, word) if word in keys else ()
    except ReconcilerError as error:
        trouble = f"; policies could not be looked at ({error.what})"
    found = Explanation(
        word,
        codes=(code_pages()[word],) if word in code_pages() else (),
        guards=((word, GUARDS[word], guard_pages()[word]),) if word in GUARDS else (),
        fields=find_fields(fields, word),
        policies=policies,
    )
    if found.is_empty:
        known = [*code_pages(), *GUARDS, *keys, *(page.path for page in fields), *(page.last for page in fields)]
        raise ReconcilerError(
            f"{quoted(word)} is no code, guard, field or policy{did_you_mean(word, known)}",
            where="explain",
            fix=f"`reconciler explain` lists codes and guards{trouble}",
            code="unknown-word",
        )
    return found


def _policies(session: Session, key: str) -> tuple[PolicyPage, ...]:
    files = read_work_tree(session)
    pages = []
    for target in files.config.targets.values():
        valid = load_desired(session, target, files).policies
        found = [policy for policy in valid or unchecked_policies(files, target) if policy.key == key]
        pages += [_page(session, target, policy) for policy in found]
    return tuple(pages)


def _page(session: Session, target: TargetSettings, policy: Policy) -> PolicyPage:
    owner, rationale = policy.metadata.get("owner"), policy.metadata.get("rationale")
    commit, applied = None, None
    try:
        repository = open_repository(session.root)
        commit = repository.commit_log(repository.head(), [policy.source.path]).get(policy.source.path)
        applied = _applied(repository, target.name, policy.key)
    except ReconcilerError as error:
        session.notice(f"warning: the repository cannot be asked: {error.what}")
    return PolicyPage(
        target=target.name,
        key=policy.key,
        name=policy.name,
        path=policy.source.path,
        line=policy.source.line,
        enabled=policy.enabled,
        critical=policy.metadata.get("critical") is True,
        owner=owner if isinstance(owner, str) else None,
        rationale=rationale if isinstance(rationale, str) else None,
        commit=commit,
        state=_state(policy, applied),
        applied=applied.commit if applied is not None else None,
    )


def _applied(repository: Repository, target: str, key: str) -> Applied | None:
    return read_ledger(repository, repository.read_ref(ledger_ref(target))).entries.get(key)


def _state(policy: Policy, applied: Applied | None) -> str:
    if applied is None:
        return "never-applied"
    same = applied.enabled == policy.enabled and all(
        json_equal(dict(here), dict(there))
        for here, there in ((policy.body, applied.body), (policy.metadata, applied.metadata))
    )
    return "as-applied" if same else "changed"
