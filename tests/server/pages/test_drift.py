"""What somebody breaks the glass for on the page stands in the reconciler's own words afterwards."""

from __future__ import annotations

from pathlib import Path

from tests.support.clocks import FakeClock
from tests.support.program import config_text, opena2a_policy, opena2a_target, program_in
from tests.support.repos import make_repo
from tests.support.servers import reference_server
from tests.support.visitors import visitor


def test_drift_says_for_what_reason_the_glass_was_broken(tmp_path: Path) -> None:
    with reference_server(clock=FakeClock()) as server, visitor(server, "sam@example.com") as sam:
        config = config_text(prod=opena2a_target(server.opena2a_url))
        files = {"reconciler.yaml": config, "policies/opena2a/rates.yaml": opena2a_policy()}
        repo = make_repo(tmp_path, files, remote=False)
        program = program_in(repo, token=server.token)
        program.ok("apply", "--target", "prod", "--yes")
        [policy] = sam.get("/policies.json").json()["policies"]
        assert (policy["origin"], policy["commit"]) == ("git", repo.git("rev-parse", "HEAD"))

        form = {"enabled": "off", "reason": "The partner floods us, ticket 4711", "until": "2026-11-20T18:00"}
        assert sam.post(f"/policies/opena2a/{policy['id']}/break-glass", form).status_code == 303
        drift = program.run("drift", "--target", "prod")
        program.ok("apply", "--target", "prod", "--yes")
        [after] = sam.get("/policies.json").json()["policies"]

    assert drift.code == 2
    words = " ".join(drift.out.split())
    assert "edited outside git by sam@example.com" in words
    assert "break-glass until 2026-11-20T18:00Z: The partner floods us, ticket 4711" in words
    assert (after["enabled"], after["origin"], after["glass"]) == (True, "git", None)
