"""The pages behind `explain`: what each error code and guard means, why it exists, the way out, an example.

The text stands in `reconciler/_pages/*.toml`, one table per code: `what`, `why`, `fix`, and either `example` or a pair
`wrong` and `right` that the tests try out (`kind` says as what). Guards have `when` and `example`; their sentence and
way out are in `core/guard.py`.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

FOLDER: Final = Path(__file__).resolve().parents[1] / "_pages"
_GUARDS: Final = "guards.toml"


@dataclass(frozen=True, slots=True)
class CodePage:
    """What one error code means. `wrong` and `right` are file contents; `example` is for codes without files.

    `kind` says what the contents are: `neosc`, `opena2a` or `opena2a:<type>` (keys of a policy of that type),
    `neosc-file` (a whole file of policies), `reconciler.yaml` (keys of that file), `raw` (a file of any kind).
    """

    code: str
    what: str
    why: str
    fix: str
    example: str = ""
    wrong: str = ""
    right: str = ""
    kind: str = ""


@dataclass(frozen=True, slots=True)
class GuardPage:
    """When a guard fires, and an example of the way out."""

    name: str
    when: str
    example: str


@cache
def code_pages() -> dict[str, CodePage]:
    """Return the page of every code, by code."""
    pages = {}
    for path in sorted(FOLDER.glob("*.toml")):
        if path.name == _GUARDS:
            continue
        for code, entry in _read(path).items():
            pages[code] = CodePage(code, **{key: value.strip("\n") for key, value in entry.items()})
    return dict(sorted(pages.items()))


@cache
def guard_pages() -> dict[str, GuardPage]:
    """Return the page of every guard, by name."""
    return {
        name: GuardPage(name, entry["when"], entry["example"].strip("\n"))
        for name, entry in _read(FOLDER / _GUARDS).items()
    }


def _read(path: Path) -> dict[str, dict[str, str]]:
    return tomllib.loads(path.read_text(encoding="utf-8"))
