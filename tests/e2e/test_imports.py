"""What each command imports: nothing heavy that it can do without. A command's start is what it costs by hand."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.program import Program, config_text, neosc_defaults, neosc_target, program_in
from tests.support.repos import make_repo
from tests.support.servers import reference_server

_HEAVY = (
    "alembic asyncio.events deepdiff duckdb fastapi git httpx ibis importlib.metadata jinja2 jsonschema numpy "
    "platformdirs pyarrow pydantic pygments referencing rich rich_click ruamel.yaml sqlalchemy starlette uvicorn yaml"
)
#: Each takes longer to import than a small command takes.
HEAVY = frozenset(_HEAVY.split())

REPORT = """
import sys
from reconciler.cli import main
sys.argv = ["reconciler", *sys.argv[2:]]
try:
    main.main()
finally:
    sys.stdout.flush()
    open({file!r}, "w").write("\\n".join(name for name, module in sys.modules.items() if module is not None))
"""

#: Command → what of `HEAVY` it may import. A live system takes httpx, a remote takes GitPython.
COMMANDS: tuple[tuple[tuple[str, ...], str], ...] = (
    (("--version",), ""),
    (("completion", "bash"), ""),
    (("--help",), "rich rich_click importlib.metadata"),
    (("explain", "yaml-alias"), "yaml"),
    (("schema", "print", "plan"), "yaml"),
    (("validate",), "yaml"),
    (("validate", "--json"), "yaml"),
    (("validate", "--since", "HEAD"), "yaml"),
    (("status",), "yaml git httpx platformdirs asyncio.events"),
    (("plan",), "yaml git httpx platformdirs asyncio.events"),
    (("plan", "--json"), "yaml git httpx platformdirs asyncio.events"),
    (("apply", "--yes"), "yaml git httpx platformdirs asyncio.events"),
)


@pytest.fixture(scope="module")
def settled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    """A repository that its live system agrees with."""
    with reference_server() as server:
        files = {"reconciler.yaml": config_text(neosc=neosc_target(server.neosc_url)), **neosc_defaults()}
        program = program_in(make_repo(tmp_path_factory.mktemp("settled"), files), token=server.token)
        program.ok("apply", "--yes")
        yield program


@pytest.mark.parametrize(("command", "allowed"), COMMANDS, ids=[" ".join(command) for command, _ in COMMANDS])
def test_a_command_imports_nothing_heavy_that_it_can_do_without(
    settled: Program, tmp_path: Path, command: tuple[str, ...], allowed: str
) -> None:
    seen = tmp_path / "modules"

    done = subprocess.run(
        [sys.executable, "-c", REPORT.format(file=str(seen)), "-", *command],
        cwd=settled.folder,
        env=dict(settled.env),
        capture_output=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr.decode()
    assert HEAVY & set(seen.read_text().split("\n")) <= set(allowed.split())


def test_a_file_that_is_refused_brings_jsonschema(settled: Program, tmp_path: Path) -> None:
    seen = tmp_path / "modules"
    file = settled.folder / "policies/neosc/odd.yaml"
    file.write_text(json.dumps({"id": "pol-odd", "type": "access"}))

    done = subprocess.run(
        [sys.executable, "-c", REPORT.format(file=str(seen)), "-", "validate"],
        cwd=settled.folder,
        env=dict(settled.env),
        capture_output=True,
        check=False,
    )
    file.unlink()

    assert done.returncode == 1
    assert "jsonschema" in seen.read_text().split("\n")
