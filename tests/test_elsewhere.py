"""The other ways in: GitLab component, pre-commit hook, image, CronJob. Each is read as its host reads it."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.checkout import ROOT
from tests.support.commands import check_command

POLICY_FILES = ["policies/neosc/mfa.yaml", "policies/a/b/c.yml", "reconciler.yaml", "overrides.yaml"]
OTHER_FILES = ["README.md", "docs/policies/x.yaml", "policies/notes.txt", "src/reconciler.yaml", "my-overrides.yaml"]


# ------------------------------------------------------------------------------------------------- GitLab


def component() -> tuple[dict[str, Any], dict[str, Any]]:
    spec, jobs = yaml.safe_load_all((ROOT / "templates" / "plan.yml").read_text())
    return spec["spec"]["inputs"], jobs


def texts(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for inner in value.values():
            yield from texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from texts(inner)
    else:
        yield str(value)


def test_the_component_uses_the_inputs_it_declares() -> None:
    inputs, jobs = component()

    used = {name for text in texts(jobs) for name in re.findall(r"\$\[\[ inputs\.([a-z-]+) \]\]", text)}

    assert used == inputs.keys()
    assert all(each["description"] for each in inputs.values())
    assert "default" not in inputs["allowed-hosts"], "nobody forgets where a token may go"


def test_inputs_reach_the_components_scripts_by_the_environment_alone() -> None:
    _, jobs = component()

    for job in jobs.values():
        for line in job["script"]:
            assert "$" not in line
            check_command(line.split())


def test_the_components_jobs_take_settings_from_the_base_and_tokens_never_to_a_fork() -> None:
    _, jobs = component()

    assert jobs.keys() == {"reconciler-validate", "reconciler-plan"}
    for job in jobs.values():
        assert job["variables"]["RECONCILER_CONFIG_COMMIT"] == "$CI_MERGE_REQUEST_DIFF_BASE_SHA"
        assert job["variables"]["GIT_DEPTH"] == "0"
        assert "timeout" in job
    [rule] = jobs["reconciler-plan"]["rules"]
    assert "$CI_MERGE_REQUEST_SOURCE_PROJECT_ID == $CI_PROJECT_ID" in rule["if"]
    assert {name for name in POLICY_FILES if any(fnmatch(name, glob) for glob in rule["changes"])} == set(POLICY_FILES)


def test_the_components_reports_are_those_its_scripts_write() -> None:
    _, jobs = component()

    for job in jobs.values():
        written = set(re.findall(r"--(?:report [a-z]+=|out )(\S+)", " ".join(job["script"])))
        kept = {*job["artifacts"]["reports"].values(), *job["artifacts"].get("paths", [])}
        assert written == kept


# --------------------------------------------------------------------------------------------- pre-commit


def test_the_hook_runs_offline_on_the_whole_repository_when_a_policy_file_changes() -> None:
    [hook] = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]

    assert hook["id"] == "reconciler-validate"
    assert hook["language"] == "python"
    assert hook["pass_filenames"] is False
    assert hook["entry"].split()[0] in scripts
    check_command(hook["entry"].split())
    assert [name for name in POLICY_FILES + OTHER_FILES if re.search(hook["files"], name)] == POLICY_FILES


# -------------------------------------------------------------------------------------------------- image


def dockerfile() -> list[tuple[str, str]]:
    """The instructions of the Dockerfile, continued lines joined, comments left out."""
    lines = [line for line in (ROOT / "Dockerfile").read_text().splitlines() if not line.startswith("#")]
    joined = "\n".join(lines).replace("\\\n", " ")
    found = [line.split(maxsplit=1) for line in joined.splitlines() if line.strip()]
    return [(word, re.sub(r"\s+", " ", rest)) for word, rest in found]


def test_the_image_installs_by_hash_and_runs_as_nobody_special() -> None:
    instructions = dockerfile()
    runs = [rest for word, rest in instructions if word == "RUN"]

    assert [rest for word, rest in instructions if word == "USER"] == ["10001:10001"]
    assert instructions.index(("USER", "10001:10001")) > max(
        number for number, (word, _) in enumerate(instructions) if word in ("RUN", "COPY")
    )
    [install] = [run for run in runs if "pip" in run]
    assert "--require-hashes --no-deps --only-binary :all: -r /tmp/requirements-base.lock" in install
    assert any(" git " in run for run in runs), "GitPython calls it"
    assert not [rest for word, rest in instructions if word in ("ADD", "ENTRYPOINT") or "curl" in rest]


def test_the_image_stands_on_a_python_we_support() -> None:
    bases = [rest.split()[0] for word, rest in dockerfile() if word == "FROM"]

    for base in bases:
        found = re.fullmatch(r"python:3\.(\d+)-slim-[a-z]+(@sha256:[0-9a-f]{64})?", base)
        assert found is not None
        assert int(found[1]) >= 11


def test_what_the_image_copies_is_there_and_is_let_through() -> None:
    through = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    copied = [rest.split()[0] for word, rest in dockerfile() if word == "COPY" and not rest.startswith("--from")]

    assert sorted(copied) == sorted(through)
    assert all((ROOT / name).exists() for name in copied)


def test_the_program_runs_from_just_what_the_image_copies(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "reconciler", tmp_path / "app" / "reconciler")
    shutil.copytree(ROOT / "schemas", tmp_path / "app" / "schemas")
    shutil.copytree(ROOT / "policies", tmp_path / "work" / "policies")
    shutil.copy(ROOT / "reconciler.yaml", tmp_path / "work")

    done = subprocess.run(
        [sys.executable, "-P", "-m", "reconciler", "validate"],
        cwd=tmp_path / "work",
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(tmp_path / "app"), "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("Valid: ")


# ------------------------------------------------------------------------------------------------ CronJob


@pytest.fixture
def cronjob() -> Any:
    value = yaml.safe_load((ROOT / "deploy" / "kubernetes" / "cronjob.yaml").read_text())
    assert (value["apiVersion"], value["kind"]) == ("batch/v1", "CronJob")
    return value["spec"]


def test_one_run_at_a_time_and_none_is_repeated(cronjob: Any) -> None:
    job = cronjob["jobTemplate"]["spec"]

    assert cronjob["concurrencyPolicy"] == "Forbid"
    assert job["backoffLimit"] == 0
    assert job["template"]["spec"]["restartPolicy"] == "Never"
    assert job["activeDeadlineSeconds"] > 600, "the budget of a run"
    assert int(cronjob["schedule"].split()[0]) % 15 != 0


def test_its_pods_keep_to_the_restricted_standard(cronjob: Any) -> None:
    pod = cronjob["jobTemplate"]["spec"]["template"]["spec"]

    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] == 10001
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod["automountServiceAccountToken"] is False
    for container in pod["initContainers"] + pod["containers"]:
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert container["resources"]["limits"]["memory"]
        assert not container["image"].endswith(":latest")


def test_its_secret_is_a_file_and_stands_in_no_variable(cronjob: Any) -> None:
    pod = cronjob["jobTemplate"]["spec"]["template"]["spec"]
    [container] = pod["containers"]
    env = {each["name"]: each["value"] for each in container["env"]}
    volumes = {each["name"]: each for each in pod["volumes"]}
    [mount] = [each for each in container["volumeMounts"] if each["name"] == "secret"]

    assert env["RECONCILER_TOKEN_FILE"] == f"{mount['mountPath']}/token"
    assert "RECONCILER_TOKEN" not in env
    assert env["RECONCILER_ALLOWED_HOSTS"]
    assert mount["readOnly"] is True
    assert volumes["secret"]["secret"]["defaultMode"] == 0o440
    assert "secretKeyRef" not in str(pod)
    assert {each["name"] for each in container["volumeMounts"]} <= volumes.keys()


def test_its_command_is_one_the_program_has(cronjob: Any) -> None:
    [container] = cronjob["jobTemplate"]["spec"]["template"]["spec"]["containers"]

    check_command(container["command"])


def test_git_reads_the_credentials_from_the_file(cronjob: Any, tmp_path: Path) -> None:
    [container] = cronjob["jobTemplate"]["spec"]["template"]["spec"]["containers"]
    file = tmp_path / "git-credentials"
    file.write_text("username=bot\npassword=secret\n")
    env = {each["name"]: each["value"].replace("/run/secrets/reconciler", str(tmp_path)) for each in container["env"]}

    done = subprocess.run(
        ["git", "credential", "fill"],
        input="protocol=https\nhost=git.example.com\n\n",
        env={"PATH": "/usr/bin:/bin", **env, "HOME": str(tmp_path)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )

    assert "username=bot\npassword=secret\n" in done.stdout, done.stderr
