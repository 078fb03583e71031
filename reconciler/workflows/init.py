"""A policies repository from nothing: settings, example policies, schemas, CI, editor. Never over a file.

The files are in `reconciler/_templates/`; `dot-` at the start of a name stands for a dot. The workflows are those of
this repository, with the action taken from where it is published; tests/lookup/test_templates.py keeps them alike.
"""

from __future__ import annotations

import importlib.metadata
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from reconciler import __version__
from reconciler.config import FILE_NAME, parse_config
from reconciler.core.model import TargetSettings
from reconciler.core.schema import SUFFIX, Schemas, load_schemas
from reconciler.errors import ConfigError, ReconcilerError
from reconciler.sources.git import init_repository
from reconciler.workflows.files import write_new
from reconciler.workflows.schemas import FOLDER, editor_files, exported_names, render_copy

TEMPLATES: Final = Path(__file__).resolve().parents[1] / "_templates"
#: Stands in the templates for the action; whoever runs such a workflow is told that there is none of this name.
ACTION: Final = f"OWNER/reconciler@{'0' * 40} # v0.0.0"
_PLACEHOLDER: Final = "OWNER"
#: Examples that the vendors' documented APIs can hold as they are.
_EXAMPLES: Final = (
    "neosc/mfa.yaml",
    "neosc/session-recording.yaml",
    "neosc/zero-trust.yaml",
    "opena2a/ip-allowlist.yaml",
    "opena2a/max-trust-score.yaml",
    "opena2a/min-trust-score.yaml",
    "opena2a/pii-access.yaml",
    "opena2a/rate-limit.yaml",
)


@dataclass(frozen=True, slots=True)
class Made:
    """What `init` did. `files` are the paths with whether each was written; `git`: a repository was made.

    `placeholders` are files that still hold the word OWNER. `at_top`: workflows run only from a repository's top.
    """

    root: Path
    files: Mapping[str, bool]
    git: bool
    at_top: bool
    placeholders: tuple[str, ...]


def init(folder: Path, examples: Path) -> Made:
    """Fill *folder*, made if need be; *examples* is the folder with the vendors' policies.

    A file that is there stays as it is. With a `reconciler.yaml` there already, its targets count and no example policy
    is written: the next apply would create it.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(
            f"the folder cannot be made ({error.strerror or type(error).__name__})",
            where=str(folder),
            fix="name another folder",
        ) from error
    root = folder.resolve()
    schemas = load_schemas()
    made_git = init_repository(root)
    files = {FILE_NAME: write_new(root, FILE_NAME, _template(FILE_NAME))}
    for path, data in _contents(root, schemas, examples if files[FILE_NAME] else None):
        if path not in files:
            files[path] = write_new(root, path, data)
    return Made(root, files, made_git, (root / ".git").exists(), _placeholders(root, files))


def _contents(root: Path, schemas: Schemas, examples: Path | None) -> Iterator[tuple[str, bytes]]:
    for path in template_paths():
        yield path, _template(path)
    for name in _EXAMPLES if examples is not None else ():
        assert examples is not None  # noqa: S101 - tells mypy
        yield f"policies/{name}", (examples / name).read_bytes()
    for name in exported_names(schemas):
        yield f"{FOLDER}/{name}{SUFFIX}", render_copy(schemas, name)
    yield from editor_files(_targets(root, schemas)).items()


def template_paths() -> tuple[str, ...]:
    """Return the paths, in a policies repository, of all templates."""
    found = (path.relative_to(TEMPLATES).as_posix() for path in TEMPLATES.rglob("*") if path.is_file())
    return tuple(sorted(re.sub(r"(^|/)dot-", r"\1.", path) for path in found))


def _template(path: str) -> bytes:
    text = (TEMPLATES / re.sub(r"(^|/)\.", r"\1dot-", path)).read_text(encoding="utf-8")
    return text.replace(ACTION, _action()).replace("@VERSION@", __version__).encode()


def _targets(root: Path, schemas: Schemas) -> tuple[TargetSettings, ...]:
    """The targets of the reconciler.yaml that is there now; of one that cannot be read, none."""
    try:
        return tuple(parse_config((root / FILE_NAME).read_bytes(), FILE_NAME, schemas).targets.values())
    except (ReconcilerError, OSError):
        return ()


def _action() -> str:
    try:
        return action_from(importlib.metadata.distribution("reconciler").read_text("direct_url.json"))
    except importlib.metadata.PackageNotFoundError:
        return action_from(None)


def action_from(direct_url: str | None) -> str:
    """Return where this program's action is, as pip recorded it (PEP 610), with its commit; else the placeholder.

    Never a guess: a name that somebody else may own would get the tokens.
    """
    try:
        origin = json.loads(direct_url or "{}")
        url = urlsplit(str(origin.get("url", "")))
        commit = str(origin.get("vcs_info", {}).get("commit_id", ""))
    except (ValueError, AttributeError):
        url, commit = urlsplit(""), ""
    name = url.path.strip("/").removesuffix(".git")
    known = url.hostname == "github.com" and re.fullmatch(r"[A-Za-z0-9-]+/[A-Za-z0-9._-]+", name)
    if not known or not re.fullmatch(r"[0-9a-f]{40}", commit):
        return ACTION.replace("v0.0.0", f"v{__version__}")
    return f"{name}@{commit} # v{__version__}"


def _placeholders(root: Path, files: Mapping[str, bool]) -> tuple[str, ...]:
    return tuple(
        path for path, written in sorted(files.items()) if written and _PLACEHOLDER in (root / path).read_text("utf-8")
    )
