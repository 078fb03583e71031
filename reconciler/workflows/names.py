"""The names that people type: targets of reconciler.yaml and keys of policies. Lenient: bad files give fewer names."""

from __future__ import annotations

from reconciler.core.documents import read_documents
from reconciler.core.model import Policy, TargetSettings
from reconciler.core.schema import policy_key
from reconciler.workflows.session import Files, Session, policy_from, read_config, read_work_tree


def target_names(session: Session) -> tuple[str, ...]:
    """Return the targets of the working tree's reconciler.yaml, sorted."""
    return tuple(read_config(session).targets)


def policy_keys(session: Session, names: tuple[str, ...] = ()) -> dict[str, tuple[str, ...]]:
    """Return the sorted keys of each named target's policies (all targets when none is named), valid or not."""
    files = read_work_tree(session, names)
    return {
        target.name: tuple(sorted({policy.key for policy in unchecked_policies(files, target)}))
        for target in files.config.targets.values()
        if target.policies in files.folders and (not names or target.name in names)
    }


def unchecked_policies(files: Files, target: TargetSettings) -> tuple[Policy, ...]:
    """Return what the files of *target* say, as far as they can be read; schema and overlays are not looked at."""
    found = []
    for path, data in files.folders[target.policies].files.items():
        documents, _ = read_documents(data, path)
        found += [policy_from(target.provider, each) for each in documents if policy_key(target.provider, each.value)]
    return tuple(found)
