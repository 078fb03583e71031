"""What `init` writes for CI: our own workflows, with the action taken from where it is published."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from reconciler.workflows.init import ACTION, TEMPLATES
from tests.conftest import Golden
from tests.test_ci import problems, zizmor

ROOT = Path(__file__).parents[2]
OURS = ROOT / ".github" / "workflows"
THEIRS = TEMPLATES / "dot-github" / "workflows"
NAMES = ("validate.yml", "plan.yml", "apply.yml", "drift.yml")


def as_theirs(text: str) -> str:
    """Return one of our workflows as a policies repository needs it.

    The action is not the checkout's own, so the base needs no checkout for it, and remarks on that are left out.
    """
    text = text.replace("uses: ./ # zizmor: ignore[self-repository]", f"uses: {ACTION}")
    text = re.sub(r" +- name: Check out the base, whose.*?(?=\n +- name:)\n+", "", text, flags=re.DOTALL)
    return re.sub(
        r"The tool and reconciler\.yaml are those of\s+(?:# )?the base \(.*?\)",
        "reconciler.yaml is that of the base",
        text,
        flags=re.DOTALL,
    )


@pytest.mark.parametrize("name", NAMES)
def test_a_template_is_our_own_workflow(name: str, golden: Golden) -> None:
    golden(THEIRS / name, as_theirs((OURS / name).read_text()))


def test_the_templates_keep_to_the_rules_of_our_own_workflows() -> None:
    for name in NAMES:
        assert list(problems((THEIRS / name).read_text())) == [], name


def test_zizmor_finds_nothing_in_what_init_writes(tmp_path: Path) -> None:
    folder = tmp_path / ".github" / "workflows"
    folder.mkdir(parents=True)
    for name in NAMES:
        (folder / name).write_text((THEIRS / name).read_text())

    done = zizmor(tmp_path / ".github")

    assert done.returncode == 0, done.stdout + done.stderr


def test_the_gitlab_file_gives_every_input_that_our_component_needs() -> None:
    spec = next(yaml.safe_load_all((ROOT / "templates" / "plan.yml").read_text()))["spec"]["inputs"]
    text = (TEMPLATES / "dot-gitlab-ci.yml").read_text().replace("@VERSION@", "0.1.0")

    (include,) = yaml.safe_load(text)["include"]

    assert include["component"].endswith("/reconciler/plan@0.1.0")
    assert include["inputs"].keys() == {name for name, entry in spec.items() if "default" not in entry}


def test_the_pre_commit_hook_looks_at_the_files_that_ours_does() -> None:
    (ours,) = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())
    (theirs,) = yaml.safe_load((TEMPLATES / "dot-pre-commit-config.yaml").read_text())["repos"][0]["hooks"]

    for key in ("id", "entry", "files", "pass_filenames"):
        assert ours[key] == theirs[key]
