"""The rules of the folder tree (design.md 8), read off the import statements.

Which way arrows run, and whose job is what. The rules are tables; a new module at the top of the package needs a rank
here before it may exist.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "reconciler"

#: A module imports from lower ranks and from its own area. Neighbours of one rank do not know each other.
RANKS = {
    "": 0,  # reconciler/__init__.py: the version
    "errors": 0,
    "core": 1,
    "semantics": 2,
    "clock": 3,
    "config": 3,
    "executor": 3,
    "forges": 3,
    "impact": 3,
    "journal": 3,
    "ledger": 3,
    "lock": 3,
    "providers": 3,
    "reports": 3,
    "sources": 3,
    "trail": 3,
    "workers": 3,
    "workflows": 4,
    "server": 5,
    "cli": 6,  # above server, because `serve` and `demo` start it; never the other way round
    "__main__": 7,
}

#: The one module that neighbours may know: the interface of a live API.
OPEN_TO_NEIGHBOURS = "reconciler.providers.base"

#: Whose job it is: only these modules (or folders, with a dot at the end) import the library.
HOMES = {
    "git": ("reconciler.sources.runner",),
    "gitdb": ("reconciler.sources.runner",),
    "httpcore": ("reconciler.providers.http", "reconciler.providers.network"),  # network: the sockets below http
    "httpx": ("reconciler.providers.http",),
    "jsonschema": ("reconciler.core.judge", "reconciler.core.schema"),
    "referencing": ("reconciler.core.judge",),
    "jinja2": ("reconciler.reports.html", "reconciler.server."),
    "fastapi": ("reconciler.server.",),
    "starlette": ("reconciler.server.",),
    "uvicorn": ("reconciler.server.",),
    "sqlalchemy": ("reconciler.server.",),
    "alembic": ("reconciler.server.",),
    "pyotp": ("reconciler.server.",),
    "psycopg": ("reconciler.server.",),
    "pyarrow": ("reconciler.server.", "reconciler.impact."),
    "duckdb": ("reconciler.impact.",),
    "ibis": ("reconciler.impact.",),
    "zstandard": ("reconciler.impact.",),
    "click": ("reconciler.cli.", "reconciler.reports."),  # reports: only `click.style`, the colours
    "rich_click": ("reconciler.cli.command",),
    "platformdirs": ("reconciler.config",),
    "ruamel": ("reconciler.sources.writing",),
    "random": ("reconciler.clock",),
    "secrets": ("reconciler.clock", "reconciler.server.credentials"),  # credentials: tokens and salts, never replayed
    "time": ("reconciler.clock",),
    "uuid": ("reconciler.clock",),
}

#: Calls that ask the machine for the time or for randomness behind the back of `core.ports`.
HIDDEN_INPUTS = {
    "asyncio.sleep",
    "date.today",
    "datetime.date.today",
    "datetime.datetime.now",
    "datetime.datetime.today",
    "datetime.datetime.utcnow",
    "datetime.now",
    "datetime.today",
    "datetime.utcnow",
    "os.urandom",
}

#: Values in, values out: none of these in `core` and `semantics`.
OUTSIDE_WORLD = {
    *("asyncio", "ftplib", "getpass", "glob", "http", "io", "multiprocessing", "os", "pathlib", "select", "shutil"),
    *("signal", "smtplib", "socket", "socketserver", "sqlite3", "ssl", "subprocess", "sys", "tempfile", "threading"),
    *("urllib.request",),
}
#: Exceptions, each with its reason.
ALLOWED_OUTSIDE = {
    ("reconciler.core.schema", "pathlib"),  # reads the schemas that ship with the program, once
    ("reconciler.core.patterns", "sys"),  # `sys.maxunicode`, a constant
}
#: Third-party libraries in the pure part, and the modules that have each.
PURE_LIBRARIES = {
    ("reconciler.core.documents", "yaml"),
    ("reconciler.core.places", "yaml"),  # a second pass over the same events
    ("reconciler.core.syntax", "yaml"),  # the names of the parser's errors and events
    ("reconciler.core.judge", "jsonschema"),
    ("reconciler.core.judge", "referencing"),
    ("reconciler.core.schema", "jsonschema"),  # a name for the types
}


@dataclass(frozen=True)
class Wrong:
    """One broken rule: where, and what."""

    module: str
    line: int
    what: str

    def __str__(self) -> str:
        return f"{self.module}:{self.line}: {self.what}"


def imported(module: str, tree: ast.Module, *, is_package: bool) -> Iterator[tuple[str, int]]:
    """Yield every module that *tree* may import, with its line; lazy imports and `TYPE_CHECKING` count, too.

    `from a import b` yields `a.b`: `b` may be a module, and when it is not, `a.b` has the rank and home of `a`.
    """
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, node.lineno
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parts = module.split(".")
                parents = parts[: len(parts) - node.level + is_package]
                base = ".".join([*parents, base] if base else parents)
            for alias in node.names:
                yield f"{base}.{alias.name}", node.lineno


def area(module: str) -> str:
    """Return the part of the program that a module belongs to: `core`, `errors`, … or `""` for the package itself."""
    name = module.removeprefix("reconciler").removeprefix(".").split(".")[0]
    return "" if name == "__version__" else name


def is_within(module: str, parent: str) -> bool:
    return module == parent or module.startswith(parent.rstrip(".") + ".")


def wrong_arrow(module: str, target: str) -> str | None:
    """Say why *module* may not import *target*, a module of our own; None when it may."""
    here, there = area(module), area(target)
    for name in (here, there):
        if name not in RANKS:
            return f"`{name}` has no rank in tests/test_layout.py"
    if here == there or RANKS[there] < RANKS[here]:
        return None
    if is_within(target, OPEN_TO_NEIGHBOURS) and RANKS[here] >= RANKS["providers"]:
        return None
    kind = "its neighbour" if RANKS[there] == RANKS[here] else "upwards,"
    return f"imports {kind} {target}"


def wrong_library(module: str, target: str, stdlib: frozenset[str]) -> str | None:
    """Say why *module* may not import *target*, which is not ours; None when it may."""
    top = target.split(".")[0]
    homes = HOMES.get(top)
    if homes and not any(is_within(module, home) for home in homes):
        return f"imports {top}, which is the job of {' and '.join(homes)}"
    if area(module) in {"errors", "core", "semantics"}:
        outside = next((name for name in OUTSIDE_WORLD if is_within(target, name)), None)
        if outside and (module, outside) not in ALLOWED_OUTSIDE:
            return f"imports {outside}, but this part is pure"
        if top not in stdlib and (module, top) not in PURE_LIBRARIES:
            return f"imports {top}, but this part needs no library"
    return None


def problems(module: str, source: str, *, is_package: bool = False) -> list[Wrong]:
    """Return every rule that the source of *module* breaks, by line."""
    tree = ast.parse(source)
    found = set()
    for target, line in imported(module, tree, is_package=is_package):
        ours = is_within(target, "reconciler")
        why = wrong_arrow(module, target) if ours else wrong_library(module, target, sys.stdlib_module_names)
        if why:
            found.add(Wrong(module, line, why))
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and module != "reconciler.clock" and ast.unparse(node) in HIDDEN_INPUTS:
            found.add(Wrong(module, node.lineno, f"uses {ast.unparse(node)}; time and chance come through core.ports"))
        if isinstance(node, ast.Call) and area(module) in {"core", "semantics"} and ast.unparse(node.func) == "open":
            found.add(Wrong(module, node.lineno, "opens a file, but this part is pure"))
    return sorted(found, key=lambda wrong: (wrong.line, wrong.what))


def modules() -> dict[str, Path]:
    """Return every module of the program by its dotted name."""
    names = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        names[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return names


def test_every_module_keeps_to_its_place() -> None:
    wrong = [
        str(each)
        for name, path in modules().items()
        for each in problems(name, path.read_text(encoding="utf-8"), is_package=path.name == "__init__.py")
    ]

    assert wrong == []


def test_the_walk_over_the_program_finds_its_modules() -> None:
    names = modules()

    assert {"reconciler", "reconciler.errors", "reconciler.core.model", "reconciler.providers.base"} <= names.keys()


def test_every_library_has_a_home_that_exists() -> None:
    names = modules()

    missing = {home for homes in HOMES.values() for home in homes if home.rstrip(".") not in names}

    assert missing == set()


@pytest.mark.parametrize(
    ("module", "source", "expected"),
    [
        ("reconciler.errors", "from reconciler.core.model import Plan", "imports upwards, reconciler.core.model.Plan"),
        ("reconciler.core.plan", "import reconciler.executor", "imports upwards, reconciler.executor"),
        ("reconciler.core.plan", "from ..executor import run", "imports upwards, reconciler.executor.run"),
        ("reconciler.core.plan", "from .. import cli", "imports upwards, reconciler.cli"),
        ("reconciler.ledger", "def f():\n    import reconciler.lock", "imports its neighbour reconciler.lock"),
        ("reconciler.executor", "from reconciler.providers import neosc", "imports its neighbour"),
        ("reconciler.executor", "from reconciler.providers.base_extra import x", "imports its neighbour"),
        ("reconciler.core.plan", "from reconciler.providers.base import Provider", "imports upwards"),
        ("reconciler.server.app", "from reconciler.cli.main import main", "imports upwards"),
        ("reconciler.core.plan", "from reconciler.helpers import x", "`helpers` has no rank"),
        ("reconciler.ledger", "import git.repo", "imports git, which is the job of reconciler.sources.runner"),
        ("reconciler.sources.github", "from git import Repo", "which is the job of reconciler.sources.runner"),
        ("reconciler.providers.neosc", "def f():\n    import httpx", "which is the job of reconciler.providers.http"),
        ("reconciler.executor", "from time import sleep", "imports time, which is the job of reconciler.clock"),
        ("reconciler.core.canonical", "import deepdiff", "imports deepdiff, but this part needs no library"),
        ("reconciler.core.canonical", "import yaml", "imports yaml, but this part needs no library"),
        ("reconciler.core.canonical", "import os.path", "imports os, but this part is pure"),
        ("reconciler.semantics.access", "from urllib import request", "imports urllib.request, but this part is pure"),
        ("reconciler.core.plan", "text = open('x').read()", "opens a file"),
        ("reconciler.trail", "import datetime\nnow = datetime.datetime.now()", "uses datetime.datetime.now"),
        ("reconciler.trail", "from datetime import datetime\nnow = datetime.now", "uses datetime.now"),
    ],
)
def test_a_planted_import_is_found(module: str, source: str, expected: str) -> None:
    found = problems(module, source)

    assert len(found) == 1
    assert expected in found[0].what
    assert found[0].line == len(source.splitlines())


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("reconciler.core.plan", "from reconciler.errors import Place\nfrom reconciler import __version__"),
        ("reconciler.core.plan", "from . import model\nfrom .model import Plan"),
        ("reconciler.core.plan", "import hashlib, json\nfrom urllib.parse import quote"),
        ("reconciler.core.documents", "import yaml"),
        ("reconciler.executor", "from reconciler.providers.base import Provider"),
        ("reconciler.providers.neosc", "from reconciler.providers import http"),
        ("reconciler.workflows", "from reconciler import config, ledger"),
        ("reconciler.cli.serve", "def f():\n    from reconciler.server.main import serve"),
        ("reconciler.clock", "import time\nfrom datetime import UTC, datetime\nnow = datetime.now(UTC)"),
        ("reconciler.sources.runner", "import git"),
    ],
)
def test_an_import_that_runs_the_right_way_is_left_alone(module: str, source: str) -> None:
    assert problems(module, source) == []
