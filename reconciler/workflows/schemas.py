"""Copies of the schemas in a policies repository, for editors: made, brought up to date, compared with the program's.

A copy says which version of the program made it, at the end of its `$id`: `urn:reconciler:schema:<name>:1:tool:0.1.0`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from reconciler import __version__
from reconciler.core.model import TargetSettings
from reconciler.core.schema import SUFFIX, Schemas
from reconciler.errors import UsageError
from reconciler.workflows.files import replace_file, write_new

FOLDER: Final = "schemas"
#: The schemas of files that people write, beside the policies of each provider.
_FILES: Final = ("overrides", "reconciler", "settings")
#: Short names of `schema print`.
_ALIASES: Final = {"config": "reconciler"}
_TOOL: Final = re.compile(r":tool:([0-9]+(?:\.[0-9]+)*)\Z")
_MAX_BYTES: Final = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Copy:
    """One copy and how it relates to the program's schema.

    `state`: `current`; `own` (the program's checkout itself); `older` or `newer` by version; `edited` (same version,
    other content); `unreadable`; `missing`. After an install also `written`. `tool` is the version that made it.
    """

    name: str
    path: str
    state: str
    tool: str | None

    @property
    def is_good(self) -> bool:
        return self.state in ("current", "own", "written")


def exported_names(schemas: Schemas) -> tuple[str, ...]:
    """The schemas that a policies repository has copies of, sorted."""
    return tuple(sorted([*(f"{provider}.policy" for provider in schemas.providers), *_FILES]))


def render_copy(schemas: Schemas, name: str) -> bytes:
    """Return the copy of one schema: the program's, with its version at the end of `$id`."""
    schema = schemas.raw[name]
    return _render({**schema, "$id": f"{schema['$id']}:tool:{__version__}"})


def print_schema(schemas: Schemas, name: str) -> str:
    """Return the schema that *name* (or its file's name) means, as its copy reads; else raise `UsageError`."""
    wanted = name.removesuffix(SUFFIX).removesuffix(".yaml")
    wanted = _ALIASES.get(wanted, wanted)
    if wanted not in schemas.raw:
        near = [each for each in schemas.names if each.endswith("." + wanted) or each.startswith(wanted)]
        hint = f"; did you mean {' or '.join(near)}?" if near else ""
        raise UsageError(
            f"there is no schema of this name{hint}", where=name, fix=f"use one of: {', '.join(schemas.names)}"
        )
    return render_copy(schemas, wanted).decode()


def check_copies(schemas: Schemas, root: Path) -> tuple[Copy, ...]:
    """Return how each copy below *root* relates to the program's schema."""
    return tuple(_check(schemas, root, name) for name in exported_names(schemas))


def install_copies(schemas: Schemas, root: Path) -> tuple[Copy, ...]:
    """Write every copy that is not current; leave the program's own files, and newer copies, as they are."""
    done = []
    for found in check_copies(schemas, root):
        if not found.is_good and found.state != "newer":
            replace_file(root, found.path, render_copy(schemas, found.name))
            found = Copy(found.name, found.path, "written", __version__)
        done.append(found)
    return tuple(done)


def install_editor(root: Path, targets: Iterable[TargetSettings]) -> dict[str, bool]:
    """Write the settings of VS Code where there are none; return which paths were written."""
    return {path: write_new(root, path, data) for path, data in editor_files(targets).items()}


def editor_files(targets: Iterable[TargetSettings]) -> Mapping[str, bytes]:
    """Return the files that tell VS Code which schema is for which file."""
    globs: dict[str, list[str]] = {
        f"./{FOLDER}/reconciler{SUFFIX}": ["reconciler.yaml"],
        f"./{FOLDER}/overrides{SUFFIX}": ["overrides.yaml"],
    }
    for target in targets:
        folder = target.policies.strip("/")
        policies = globs.setdefault(f"./{FOLDER}/{target.provider}.policy{SUFFIX}", [])
        policies += [f"{folder}/**/*.yaml", f"{folder}/**/*.yml", f"!{folder}/settings.yaml"]
        globs.setdefault(f"./{FOLDER}/settings{SUFFIX}", []).append(f"{folder}/settings.yaml")
    return {
        ".vscode/settings.json": _render({"yaml.schemas": globs, "yaml.yamlVersion": "1.2"}),
        ".vscode/extensions.json": _render({"recommendations": ["redhat.vscode-yaml"]}),
    }


# ------------------------------------------------------------------------------------------------ comparing


def _check(schemas: Schemas, root: Path, name: str) -> Copy:
    path = f"{FOLDER}/{name}{SUFFIX}"
    try:
        with open(root / path, "rb") as file:
            value = json.loads(file.read(_MAX_BYTES))
    except FileNotFoundError:
        return Copy(name, path, "missing", None)
    except (OSError, ValueError, RecursionError):
        return Copy(name, path, "unreadable", None)
    if value == schemas.raw[name]:
        return Copy(name, path, "own", __version__)
    tool = _tool_of(value)
    if tool is None:
        return Copy(name, path, "older", None)
    here, ours = _version(tool), _version(__version__)
    if here != ours:
        return Copy(name, path, "older" if here < ours else "newer", tool)
    same = value == json.loads(render_copy(schemas, name))
    return Copy(name, path, "current" if same else "edited", tool)


def _tool_of(value: Any) -> str | None:
    address = value.get("$id") if isinstance(value, dict) else None
    found = _TOOL.search(address[:500]) if isinstance(address, str) else None
    return found.group(1) if found is not None else None


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(part[:9]) for part in text.split("."))


def _render(value: Mapping[str, Any]) -> bytes:
    return (json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode()
