"""The real command talks to its target and to nobody else, whatever environment, home or reconciler.yaml say (G9)."""

from __future__ import annotations

from pathlib import Path

import pytest

from reconciler.errors import ExitCode
from tests.fake_api import FakeApi
from tests.support.listeners import listener
from tests.support.program import config_text, neosc_defaults, neosc_policy, neosc_target, program_in
from tests.support.repos import make_repo

MFA = "pol-mfa-required"


def test_neither_variables_nor_files_of_the_home_lead_elsewhere(tmp_path: Path) -> None:
    with FakeApi("neosc") as api, listener() as elsewhere:
        place = f"http://127.0.0.1:{elsewhere.port}"
        changed = neosc_defaults(**{MFA: {"enabled": False}})
        config = config_text(neosc=neosc_target(api.url))
        program = program_in(make_repo(tmp_path, {"reconciler.yaml": config, **changed}), token=api.token)
        home = Path(program.env["HOME"])
        (home / ".netrc").write_text("machine 127.0.0.1 login somebody password else\n")
        (home / ".curlrc").write_text(f"proxy = {place}\n")
        (home / ".config/pip").mkdir(parents=True)
        (home / ".config/pip/pip.conf").write_text(f"[global]\nproxy = {place}\n")
        names = ("http_proxy", "https_proxy", "all_proxy", "ftp_proxy")
        env = {each: place for name in names for each in (name, name.upper())}
        env |= {"NO_PROXY": "", "NETRC": str(home / ".netrc"), "OTEL_EXPORTER_OTLP_ENDPOINT": place}
        env |= {"SSLKEYLOGFILE": str(tmp_path / "keys"), "RECONCILER_PROXY": place}

        program.ok("apply", "--yes", env=env)

        assert elsewhere.received == []
        assert api.policies[MFA]["enabled"] is False
        assert {request.headers["host"] for request in api.requests} == {f"127.0.0.1:{api.port}"}
        assert {request.headers["authorization"] for request in api.requests} == {f"Bearer {api.token}"}
        assert not (tmp_path / "keys").exists()


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:GOOD@127.0.0.1:BAD/api",
        "http://127.1:BAD/api",
        "http://[::ffff:127.0.0.1]:BAD/api",
        "http://localhost.:BAD/api",
        "http://127.0.0.1:BAD/api",  # plain, but not among the allowed hosts
    ],
)
def test_a_url_that_a_pull_request_points_elsewhere_gets_nothing(tmp_path: Path, url: str) -> None:
    with FakeApi("neosc") as api, listener() as elsewhere:
        place = url.replace("GOOD", str(api.port)).replace("BAD", str(elsewhere.port))
        files = {
            "reconciler.yaml": config_text(neosc=neosc_target(place)),
            f"policies/neosc/{MFA}.yaml": neosc_policy(),
        }
        program = program_in(make_repo(tmp_path, files), token=api.token)

        ended = program.run("apply", "--yes", env={"RECONCILER_ALLOWED_HOSTS": f"127.0.0.1:{api.port}"})

        assert ended.code == ExitCode.ERROR
        assert elsewhere.received == []
        assert api.requests == []
