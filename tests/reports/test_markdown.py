"""The Markdown of a plan: whole where it matters, small enough for a comment, silent about live state for forks."""

from __future__ import annotations

from pathlib import Path

import pytest

from reconciler.core.model import Action, Change, CommitInfo, NotDone, Origin, Plan, Risk
from reconciler.core.safe import for_markdown
from reconciler.reports.markdown import COMMENT_BUDGET, SUMMARY_BUDGET, fit_markdown, render_markdown
from reconciler.reports.markdown_parts import Setting
from tests.conftest import Golden
from tests.support.plans import HEAD, OLDER, change, field, plan, sample_plan

FOLDER = Path(__file__).parent / "golden"
SETTING = Setting(
    own_commits=frozenset({HEAD}),
    files=f"https://github.example/acme/policies/blob/{HEAD}",
    report="https://github.example/acme/policies/actions/runs/123",
)


def many(count: int, key: str, action: Action, risk: Risk, origin: Origin = Origin.GIT) -> list[Change]:
    """Changes with two or three fields each and long enough names."""
    weaker = risk is Risk.WEAKENS
    fields = {
        Action.UPDATE: [
            field("/conditions/max_requests_per_hour", 1000, 5000 if weaker else 500, risk, origin),
            field("/conditions/burst/per_minute", 100, 80, Risk.TIGHTENS, origin),
        ],
        Action.DISABLE: [field("/enabled", True, False, risk, origin)],
        Action.DELETE: [
            field("/conditions", {"min_trust_score": 70, "evaluation_frequency": "continuous"}),
            field("/enabled", True, risk=risk),
        ],
        Action.CREATE: [field("/conditions", desired={"allowed_ips": ["10.0.0.0/8"]}), field("/enabled", desired=True)],
    }
    return [
        change(f"{key}-{number:04}", action, risk, *fields.get(action, ()), origin=origin) for number in range(count)
    ]


def big_plan() -> Plan:
    """A thousand changes of which 160 must be shown whole."""
    return plan(
        *many(40, "weaker-limit", Action.UPDATE, Risk.WEAKENS),
        *many(30, "unknown-limit", Action.UPDATE, Risk.UNKNOWN),
        *many(30, "disabled-policy", Action.DISABLE, Risk.WEAKENS),
        *many(30, "deleted-policy", Action.DELETE, Risk.WEAKENS),
        *many(30, "drifted-policy", Action.UPDATE, Risk.TIGHTENS, Origin.DRIFT),
        *many(500, "new-policy", Action.CREATE, Risk.TIGHTENS),
        *many(340, "tightened-policy", Action.UPDATE, Risk.TIGHTENS),
        unmanaged=tuple(f"unmanaged-policy-{number:04}" for number in range(500)),
        cannot=tuple(NotDone(f"cannot-{number:04}", Action.UPDATE, "no such call") for number in range(300)),
        warnings=tuple(f"warning number {number}: something is worth a look" for number in range(200)),
    )


def test_a_plan_reads_as_the_golden_file(golden: Golden) -> None:
    golden(FOLDER / "plan.md", render_markdown(sample_plan(), setting=SETTING))


def test_a_fork_reads_the_golden_file_without_live_values(golden: Golden) -> None:
    golden(FOLDER / "plan-fork.md", render_markdown(sample_plan(), setting=Setting(fork=True)))


def test_a_thousand_changes_fit_with_every_row_that_must_be_read() -> None:
    big = big_plan()
    assert len(big.changes) == 1000

    fitted = fit_markdown(big)

    assert len(fitted.text.encode()) <= COMMENT_BUDGET
    assert fitted.complete
    rows = [line for line in fitted.text.splitlines() if line.startswith("| ")]
    for each in big.changes:
        found = [row for row in rows if for_markdown(each.key) in row]
        if each.key.startswith(("new", "tightened")):
            assert found == []
            continue
        assert len(found) == 1, each.key
        if each.key.startswith(("weaker", "unknown", "drifted")):
            assert "max" in found[0]
            assert "1000" in found[0]
            assert "500" in found[0]
        if each.key.startswith("deleted"):
            assert all(text in found[0] for text in ("DELETE", "70", "continuous", "enabled"))
        if each.key.startswith("disabled"):
            assert for_markdown("enabled: true -> false") in found[0]
        if each.key.startswith("drifted"):
            assert for_markdown("admin@example.com, 2026-11-19T02:14:55Z, audit log-4821") in found[0]
    assert "And 500 create (tightens), 340 update (tightens): left out here for length" in fitted.text
    assert "and 480 more" in fitted.text
    assert "180 more warnings" in fitted.text


@pytest.mark.parametrize("budget", [200_000, 150_000, 100_000, 80_000, 60_000, 50_000])
def test_whatever_the_budget_the_text_keeps_to_it_and_closes_what_it_opens(budget: int) -> None:
    text = render_markdown(big_plan(), setting=SETTING, budget=budget)

    assert len(text.encode()) <= budget
    assert text.count("```") % 2 == 0
    assert text.count("<details") == text.count("</details>")


def test_harmless_bodies_go_first_then_their_rows_and_weaker_ones_stay() -> None:
    plan = plan_of(30)
    full = render_markdown(plan, budget=10**9)
    sizes = [len(full.encode()) - 1]

    without_bodies = render_markdown(plan, budget=sizes[0])
    counted = render_markdown(plan, budget=len(without_bodies.encode()) - 1)

    assert full.count("<details><summary>CREATE") == 30
    assert without_bodies.count("<details><summary>CREATE") == 0
    assert without_bodies.count("| CREATE |") == 30
    assert counted.count("| CREATE |") == 0
    assert "And 30 create (tightens)" in counted
    for text in (full, without_bodies, counted):
        assert "<details open><summary><b>UPDATE <code>weaker-0000</code></b>: weakens</summary>" in text
        assert "- conditions.max_requests_per_hour: 1000\n+ conditions.max_requests_per_hour: 5000" in text


def plan_of(creates: int) -> Plan:
    return plan(
        *many(1, "weaker", Action.UPDATE, Risk.WEAKENS), *many(creates, "created", Action.CREATE, Risk.TIGHTENS)
    )


def test_when_the_rows_do_not_fit_the_first_line_says_how_many_are_missing() -> None:
    plan = sample_plan_of_weaker(1000)

    fitted = fit_markdown(plan, setting=SETTING)

    first = fitted.text.splitlines()[0]
    rows = sum(line.startswith("| **UPDATE** |") for line in fitted.text.splitlines())
    assert not fitted.complete
    assert len(fitted.text.encode()) <= COMMENT_BUDGET
    assert 100 < rows < 1000
    assert f"{1000 - rows:,} of 1,000 rows that must be read are missing" in first
    assert "https://github.example/acme/policies/actions/runs/123" in first


def sample_plan_of_weaker(count: int) -> Plan:
    return plan(*many(count, "weaker-limit", Action.UPDATE, Risk.WEAKENS))


def test_the_summary_of_the_job_has_room_for_a_thousand_weaker_changes() -> None:
    assert fit_markdown(sample_plan_of_weaker(1000), budget=SUMMARY_BUDGET).complete


def test_one_row_that_is_longer_than_the_comment_is_missing_and_said_to_be() -> None:
    huge = plan(change("big", Action.DELETE, Risk.WEAKENS, *(field(f"/f{n}", "x" * 900) for n in range(100))))

    fitted = fit_markdown(huge)

    assert not fitted.complete
    assert "1 of 1 rows that must be read are missing" in fitted.text.splitlines()[0]
    assert len(fitted.text.encode()) <= COMMENT_BUDGET


def test_a_value_that_is_cut_says_by_how_much() -> None:
    long = plan(change("long", Action.UPDATE, Risk.WEAKENS, field("/description", "", "x" * 30_000, Risk.WEAKENS)))

    text = render_markdown(long)

    assert "(10," in text
    assert "more characters)" in text


def test_nothing_to_do_is_one_line() -> None:
    assert render_markdown(plan(unmanaged=("legacy-geo",))) == (
        "**In sync**: `prod` at `3f9c2ab`, 11 live policies read 2026-11-20 09:14:07Z. "
        "1 live policy is not in git (left alone).\n"
    )


def test_what_the_target_cannot_do_is_named_though_nothing_else_is_to_do() -> None:
    text = render_markdown(plan(cannot=(NotDone("pol-geo", Action.UPDATE, "only list and toggle"),)))

    assert "In sync, 1 cannot" in text
    assert "update <code>pol-geo</code>: <code>only list and toggle</code>" in text


def test_an_incomplete_or_dirty_plan_says_so_on_top() -> None:
    text = render_markdown(plan(complete=False))

    assert text.index("**INCOMPLETE**") < 200


def test_changes_of_earlier_commits_stand_apart() -> None:
    earlier = CommitInfo(OLDER, "bob", "Earlier")
    mine = change("mine", Action.UPDATE, Risk.TIGHTENS, field("/limit", 2, 1, Risk.TIGHTENS))
    older = change("older", Action.UPDATE, Risk.WEAKENS, field("/limit", 1, 2, Risk.WEAKENS), commit=earlier)

    text = render_markdown(plan(mine, older), setting=Setting(own_commits=frozenset({HEAD})))
    unknown = render_markdown(plan(mine, older), setting=Setting(own_commits=None))

    own, _, others = text.partition("#### Not from this pull request")
    assert "<code>mine</code>" in own
    assert "<code>older</code>" not in own
    assert "1 change of earlier commits still pending" in others
    assert "#### Not from this pull request" not in unknown


def test_a_fork_learns_nothing_live() -> None:
    secret = "LIVE-VALUE"
    changes = [
        change("mine", Action.UPDATE, Risk.WEAKENS, field("/limit", secret, "wanted", Risk.WEAKENS)),
        change("gone", Action.DELETE, Risk.WEAKENS, field("/limit", secret), field("/enabled", True)),
        change("off", Action.DISABLE, Risk.WEAKENS, field("/enabled", True, False, Risk.WEAKENS)),
        change(
            "drifted-key",
            Action.UPDATE,
            Risk.TIGHTENS,
            field("/a", secret, 1, origin=Origin.DRIFT),
            origin=Origin.DRIFT,
        ),
        change(
            "both",
            Action.UPDATE,
            Risk.WEAKENS,
            field("/mine", secret, "wanted-too", Risk.WEAKENS),
            field("/theirs", secret, "restored-value", Risk.WEAKENS, Origin.DRIFT),
            origin=Origin.BOTH,
        ),
    ]
    whole = plan(
        *changes, unmanaged=(f"unmanaged-{secret}",), warnings=(f"about {secret}",), blocked=("too-many-deletes",)
    )

    for budget in (COMMENT_BUDGET, 2_500, 1_500):
        text = render_markdown(whole, setting=Setting(fork=True), budget=budget)

        for word in (
            secret,
            "drifted",
            "live was edited",
            "admin",
            "4821",
            "restored-value",
            "theirs",
            "STRICT",
            "policies&#46;example",
        ):
            assert word not in text, (word, budget)
    text = render_markdown(whole, setting=Setting(fork=True))
    assert "wanted" in text
    assert "wanted-too" in text
    assert "2 drift items not shown to forks" in text


def test_a_long_list_shows_what_goes_and_what_comes() -> None:
    old = [f"10.0.{n}.0/24" for n in range(200)]
    new = [*old[:50], *old[51:], "0.0.0.0/0"]

    text = render_markdown(plan(change("ips", Action.UPDATE, Risk.WEAKENS, field("/ips", old, new, Risk.WEAKENS))))

    diff = text.partition("```diff\n")[2].partition("```")[0]
    assert diff.splitlines() == [
        "@@ weakens @@",
        '- ips[]: "10.0.50.0/24"',
        '+ ips[]: "0.0.0.0/0"',
        "# ips: 199 entries stay",
    ]


def test_a_list_in_another_order_is_shown_whole() -> None:
    rules = [f"rule {n}" for n in range(10)]

    text = render_markdown(
        plan(change("r", Action.UPDATE, Risk.UNKNOWN, field("/rules", rules, rules[::-1], Risk.UNKNOWN)))
    )

    assert "(reordered)" in text
    assert '- rules: ["rule 0", "rule 1"' in text
