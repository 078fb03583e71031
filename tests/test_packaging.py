"""What people install: the wheel is whole and works away from the checkout; the lock is complete and names no place."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Mapping
from email.parser import BytesParser
from importlib.metadata import requires
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import reconciler
from tests.support.checkout import ROOT, load_run

POLICY = "policies/neosc/mfa.yaml"


@pytest.fixture(scope="module")
def pyproject() -> Mapping[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the wheel of this checkout, built by hatchling."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    built = subprocess.run(build, cwd=ROOT, capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    (path,) = folder.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder into which pip installed the wheel, and nothing else."""
    base = getattr(sys, "_base_executable", None) or sys.executable
    folder = tmp_path_factory.mktemp("installed")
    pip = [base, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--target", str(folder), str(wheel)]
    done = subprocess.run(pip, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return folder


def files_below(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def python(installed: Path, cwd: Path, *args: str) -> subprocess.CompletedProcess[str]:
    """Run Python in *cwd* with the installed package in front of the checkout, and no settings of this computer."""
    env = {"PATH": os.environ["PATH"], "HOME": str(cwd), "PYTHONPATH": str(installed), "LANG": "C.UTF-8"}
    return subprocess.run([sys.executable, "-P", *args], cwd=cwd, env=env, capture_output=True, text=True)


@pytest.mark.parametrize(("folder", "inside"), [("schemas", "_schemas"), ("policies", "_policies")])
def test_every_schema_and_policy_is_in_the_wheel(wheel: Path, folder: str, inside: str) -> None:
    wanted = files_below(ROOT / folder)

    with zipfile.ZipFile(wheel) as archive:
        packed = {name: archive.read(name) for name in archive.namelist()}

    assert wanted
    for name in wanted:
        assert packed.get(f"reconciler/{inside}/{name}") == (ROOT / folder / name).read_bytes(), name


def test_every_module_is_in_the_wheel_and_no_test_is(wheel: Path) -> None:
    modules = {f"reconciler/{name}" for name in files_below(ROOT / "reconciler") if "__pycache__" not in name}

    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())

    assert modules <= names
    assert {name.split("/")[0] for name in names} == {"reconciler", f"reconciler-{reconciler.__version__}.dist-info"}
    assert not [name for name in names if "__pycache__" in name]


def test_the_wheel_says_its_version_licence_and_needs(wheel: Path, pyproject: Mapping[str, Any]) -> None:
    info = f"reconciler-{reconciler.__version__}.dist-info"

    with zipfile.ZipFile(wheel) as archive:
        metadata = BytesParser().parsebytes(archive.read(f"{info}/METADATA"))
        licence = archive.read(f"{info}/licenses/LICENSE")

    assert metadata["Version"] == reconciler.__version__ == pyproject["project"]["version"]
    assert metadata["License-Expression"] == "Apache-2.0"
    assert licence == (ROOT / "LICENSE").read_bytes()
    assert metadata["Requires-Python"] == ">=3.11"


def test_the_installed_package_is_found_and_has_its_schemas(installed: Path, tmp_path: Path) -> None:
    program = "import reconciler.core.schema as s; s.load_schemas(); print(s.__file__)"

    done = python(installed, tmp_path, "-W", "error", "-c", program)

    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{installed / 'reconciler' / 'core' / 'schema.py'}\n"


def test_the_installed_program_says_its_version(installed: Path, tmp_path: Path) -> None:
    module = python(installed, tmp_path, "-m", "reconciler", "--version")
    script = python(installed, tmp_path, str(installed / "bin" / "reconciler"), "--version")

    assert (module.returncode, script.returncode) == (0, 0)
    assert module.stdout == script.stdout
    assert reconciler.__version__ in module.stdout


@pytest.mark.parametrize(("text", "code"), [("enabled: true", 0), ("enabld: true", 1)])
def test_the_installed_program_validates_with_its_own_schemas(
    installed: Path, tmp_path: Path, text: str, code: int
) -> None:
    (tmp_path / "policies" / "neosc").mkdir(parents=True)
    (tmp_path / "reconciler.yaml").write_text(
        "version: 1\ntargets:\n  neosc: {provider: neosc, url: http://127.0.0.1:9/api, policies: policies/neosc}\n"
    )
    (tmp_path / POLICY).write_text((ROOT / POLICY).read_text().replace("enabled: true", text))
    subprocess.run(["git", "init", "--quiet", str(tmp_path)], check=True)

    done = python(installed, tmp_path, "-m", "reconciler", "validate")

    assert done.returncode == code, done.stdout + done.stderr
    assert (POLICY in done.stdout) == (code == 1)


def locked_lines(name: str = "requirements.lock") -> list[tuple[str, str]]:
    """Return a lock as (package, pinned line with hashes); what depends on the version of Python stands twice."""
    text = re.sub(r"\\\n", " ", (ROOT / name).read_text())
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    return [(canonicalize_name(re.split(r"[=\s]", line, maxsplit=1)[0]), line) for line in lines]


def locked(name: str = "requirements.lock") -> dict[str, str]:
    """Return a lock by package."""
    return dict(locked_lines(name))


LOCKS = ("requirements.lock", "requirements-base.lock")


@pytest.mark.parametrize("name", LOCKS)
def test_every_locked_line_is_pinned_and_hashed(name: str) -> None:
    pinned = re.compile(r"[a-z0-9.-]+==[^\s;]+( ; [^#]+?)?( +--hash=sha256:[0-9a-f]{64})+")

    odd = [line for _, line in locked_lines(name) if not pinned.fullmatch(line)]

    assert locked(name)
    assert odd == []


@pytest.mark.parametrize("name", LOCKS)
def test_the_lock_names_no_index_and_no_place(name: str) -> None:
    text = (ROOT / name).read_text()

    assert not re.search(r"https?:|file:|git\+|--index|--extra-index|--find-links|--trusted-host| @ |(?<!\w)/\w", text)


def test_everything_asked_for_is_locked_in_a_version_that_fits(pyproject: Mapping[str, Any]) -> None:
    project = pyproject["project"]
    asked = [
        *project["dependencies"],
        *project["optional-dependencies"]["server"],
        *pyproject["dependency-groups"]["dev"],
    ]
    lock = locked()

    unfit = []
    for need in map(Requirement, asked):
        pin = re.match(r"[^=]+==([^\s;]+)", lock.get(canonicalize_name(need.name), ""))
        if pin is None or not need.specifier.contains(pin[1]):
            unfit.append(str(need))

    assert unfit == []


def test_the_base_lock_is_what_the_program_needs_and_no_more(pyproject: Mapping[str, Any]) -> None:
    whole, base = locked(), locked("requirements-base.lock")
    needed: set[str] = set()
    left = [Requirement(text) for text in pyproject["project"]["dependencies"]]
    while left:
        need = left.pop()
        name = canonicalize_name(need.name)
        if name not in needed and (need.marker is None or need.marker.evaluate({"extra": ""})):
            needed.add(name)
            left += map(Requirement, requires(name) or [])

    here = {name for name, line in base.items() if is_for_here(line)}

    assert here == needed, "make it again with the command in its first lines"
    for name, line in base.items():
        assert line.split()[0] == whole[name].split()[0]
        assert set(re.findall("sha256:[0-9a-f]+", line)) == set(re.findall("sha256:[0-9a-f]+", whole[name])), name


def is_for_here(line: str) -> bool:
    marker = Requirement(line.split("--hash")[0].strip()).marker
    return marker is None or marker.evaluate()


def test_every_dependency_is_imported_by_the_program(pyproject: Mapping[str, Any]) -> None:
    modules = {"gitpython": "git", "pyyaml": "yaml", "rich-click": "rich_click", "ibis-framework": "ibis"}
    source = "\n".join(path.read_text() for path in (ROOT / "reconciler").rglob("*.py"))
    project = pyproject["project"]

    unused = []
    for text in [
        *project["dependencies"],
        *(need for extra in project["optional-dependencies"].values() for need in extra),
    ]:
        name = Requirement(text).name
        module = modules.get(name, name.replace("-", "_"))
        if not re.search(rf"^\s*(import|from) {module}\b|postgresql\+{module}\b", source, re.MULTILINE):
            unused.append(name)

    assert unused == []


def test_a_venv_that_run_made_holds_exactly_the_lock() -> None:
    run = load_run()
    if not run.is_made(run.wanted()):
        pytest.skip("this environment was not made by ./run from the present lock")
    listing = (
        "from importlib.metadata import distributions as d; print(*sorted(x.name + '==' + x.version for x in d()))"
    )

    done = subprocess.run([run.PYTHON, "-P", "-c", listing], capture_output=True, text=True, check=True)

    found: dict[str, str] = {
        canonicalize_name(name): version for name, _, version in (p.partition("==") for p in done.stdout.split())
    }
    for name, line in locked_lines():
        marker = Requirement(line.split("--hash")[0].strip()).marker
        if marker is None or marker.evaluate():
            assert line.startswith(f"{name}=={found.pop(name, 'nothing')}"), name
    assert found == {}
