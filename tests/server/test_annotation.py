"""Which requests name a commit. The grammar is design.md 6's, read by the other side."""

from __future__ import annotations

import pytest

from reconciler.server.trail.entries import parse_commit

SHA = "0123456789abcdef0123456789abcdef01234567"
OTHER = "f" * 40


@pytest.mark.parametrize(
    "agent",
    [
        f"reconciler/0.1.0 (commit={SHA}; key=pol-mfa-required; plan=0123456789ab)",
        f"reconciler/0.1.0 (commit={SHA}; key=IP%20Allowlist; plan=0123456789ab; why=exception-ended)",
        f"reconciler/1.0.0rc1 (commit={SHA})",
    ],
)
def test_our_user_agent_names_its_commit(agent: str) -> None:
    assert parse_commit(agent, None) == SHA


@pytest.mark.parametrize(
    "agent",
    [
        None,
        "",
        f"Mozilla/5.0 (commit={SHA})",
        f"curl/8 reconciler/0.1.0 (commit={SHA})",
        f"reconciler/0.1.0 (commit={SHA}) curl/8",
        f"reconciler/0.1.0 (commit={SHA[:-1]})",
        f"reconciler/0.1.0 (commit={SHA}0)",
        f"reconciler/0.1.0 (commit={SHA.upper()})",
        f"reconciler/0.1.0 (key=x; commit={SHA})",
        f"reconciler/0.1.0 (commit={SHA}; key=a b)",
        f"reconciler/0.1.0 (commit={SHA}",
        f"reconciler/0.1.0 (commit={SHA}\n)",
    ],
)
def test_another_user_agent_names_none(agent: str | None) -> None:
    assert parse_commit(agent, None) is None


@pytest.mark.parametrize(
    "baggage",
    [
        f"vcs.ref.head.revision={SHA}",
        f"a=1, vcs.ref.head.revision = {SHA} ;meta=1, b=2",
        f",,vcs.ref.head.revision={SHA}",
    ],
)
def test_baggage_names_a_commit_where_the_user_agent_does_not(baggage: str) -> None:
    assert parse_commit("curl/8", baggage) == SHA


@pytest.mark.parametrize(
    "baggage", ["", SHA, f"revision={SHA}", f"vcs.ref.head.revision={SHA}1", "vcs.ref.head.revision="]
)
def test_other_baggage_names_none(baggage: str) -> None:
    assert parse_commit(None, baggage) is None


def test_the_user_agent_goes_before_the_baggage() -> None:
    assert parse_commit(f"reconciler/0.1.0 (commit={SHA})", f"vcs.ref.head.revision={OTHER}") == SHA
