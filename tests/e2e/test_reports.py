"""`--report` and `--format`: the same result in other forms, in files beside what is printed."""

from __future__ import annotations

import json
import xml.etree.ElementTree as Xml
from pathlib import Path

import pytest

from tests.support.program import Program, config_text, neosc_defaults, neosc_policy, neosc_target, program_in
from tests.support.repos import make_repo

FILE = "policies/neosc/pol-mfa-required.yaml"


@pytest.fixture
def program(tmp_path: Path) -> Program:
    files = {"reconciler.yaml": config_text(neosc=neosc_target("http://127.0.0.1:9/api")), **neosc_defaults()}
    return program_in(make_repo(tmp_path, files, remote=False))


def break_a_file(program: Program) -> None:
    (program.folder / FILE).write_text(neosc_policy().replace('"enabled"', '"enabld"'))


def test_validate_writes_every_report_that_was_asked_for(program: Program, tmp_path: Path) -> None:
    break_a_file(program)
    names = ("text", "json", "github", "gitlab", "sarif", "junit")
    wanted = [word for name in names for word in ("--report", f"{name}={tmp_path / name}")]

    ended = program.run("validate", *wanted)

    assert ended.code == 1
    assert "enabld" in ended.out
    found = {name: (tmp_path / name).read_text() for name in names}
    assert f"::error file={FILE}" in found["github"]
    assert json.loads(found["json"])["problems"][0]["path"] == FILE
    assert json.loads(found["gitlab"])[0]["location"]["path"] == FILE
    assert json.loads(found["sarif"])["runs"][0]["results"]
    assert Xml.fromstring(found["junit"]).attrib["failures"] == "1"
    assert FILE in found["text"]


def test_a_valid_repository_gives_reports_without_findings(program: Program, tmp_path: Path) -> None:
    program.ok("validate", "--report", f"github={tmp_path / 'lines'}", "--report", f"gitlab={tmp_path / 'quality'}")

    assert (tmp_path / "lines").read_text() == ""
    assert json.loads((tmp_path / "quality").read_text()) == []


def test_a_dash_is_stdout(program: Program) -> None:
    break_a_file(program)

    ended = program.run("validate", "--report", "github=-")

    assert ended.out.startswith("::error ")


@pytest.mark.parametrize(
    "arguments",
    [
        ("--report", "pdf=x"),
        ("--report", "github"),
        ("--report", "github="),
        ("--report", "github=a", "--report", "github=b"),
        ("--report", "github=-", "--json"),
        ("--report", "github=-", "--format", "sarif"),
        ("--format", "html"),
    ],
)
def test_a_report_nobody_can_write_is_wrong_usage(program: Program, arguments: tuple[str, ...]) -> None:
    assert program.run("validate", *arguments).code == 64


def test_a_report_that_cannot_be_written_is_an_error(program: Program, tmp_path: Path) -> None:
    ended = program.run("validate", "--report", f"github={tmp_path / 'no' / 'such' / 'folder'}")

    assert ended.code == 1
    assert "cannot be written" in ended.err


def test_format_prints_the_same_on_stdout(program: Program) -> None:
    break_a_file(program)

    ended = program.run("validate", "--format", "gitlab")

    assert json.loads(ended.out)[0]["check_name"]
