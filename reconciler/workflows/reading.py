"""Policy files to checked documents; in commands that only read, a file that was valid before is not parsed again."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from reconciler.config import cache_folder
from reconciler.core.documents import Document, read_documents
from reconciler.core.model import Problem, TargetSettings

if TYPE_CHECKING:
    from reconciler.workflows.session import Session

#: Fewer files are parsed sooner than it is found out what is kept of them.
FEW = 100


def read_policies(
    session: Session, target: TargetSettings, files: Mapping[str, bytes]
) -> tuple[list[Document], list[Problem]]:
    """Return the documents of *files* by path, and what is wrong with them: with the text first, then with values."""
    kept_in = cache_folder(session.environ) if session.only_reads and len(files) >= FEW else None
    if kept_in is not None:
        return _read_what_is_new(session, target, files, kept_in)
    documents: list[Document] = []
    problems: list[Problem] = []
    for path in sorted(files):
        read, found = read_documents(files[path], path)
        documents += read
        problems += found
    for document in documents:
        problems += session.schemas.check_policy(target.provider, document)
    return documents, problems


def _read_what_is_new(
    session: Session, target: TargetSettings, files: Mapping[str, bytes], kept_in: Path
) -> tuple[list[Document], list[Problem]]:
    """As `read_policies`. Kept are the documents of these files that have no problem, not even a warning."""
    from reconciler.sources import cache

    shelf = cache.find_shelf(
        kept_in, root=session.root, policies=target.policies, provider=target.provider, schemas=session.schemas
    )
    kept = cache.load(shelf)
    documents: list[Document] = []
    unread: list[Problem] = []
    unfit: list[Problem] = []
    valid: cache.Kept = {}
    for path in sorted(files):
        name = cache.content_id(files[path])
        known = kept.get(name)
        if known is None:
            read, found = read_documents(files[path], path)
            unread += found
            wrong = [problem for each in read for problem in session.schemas.check_policy(target.provider, each)]
            unfit += wrong
            known = [(document.line, document.value) for document in read]
            if found or wrong:
                documents += read
                continue
        valid[name] = known
        text = files[path].decode("utf-8")
        documents += [Document(value, path, line, index, text) for index, (line, value) in enumerate(known)]
    if valid.keys() != kept.keys():
        cache.save(shelf, valid)
    return documents, unread + unfit
