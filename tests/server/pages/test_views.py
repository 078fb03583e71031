"""What is shown, made from what was read: no server, no database."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.server.pages import differences, views
from reconciler.server.pages.attention import find_attention
from reconciler.server.pages.facts import GIT, OUTSIDE, UNMANAGED, Entry, Origin, Policy
from reconciler.server.pages.findings import OpenAlerts
from reconciler.server.pages.glass import Glass, glass_of
from reconciler.server.pages.pictures import draw_bars, draw_lanes
from reconciler.server.pages.states import State

NOW = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)
ENTRY = Entry(
    1, "log-1", "neosc", "2026-11-20T08:00:00.000Z", "a@example.com", "toggle_policy", "policy:p", "x", None, None
)
BY_GIT = replace(ENTRY, commit="a" * 40)


def policy(policy_id: str = "p", *, system: str = "neosc", state: str = UNMANAGED, enabled: bool = True) -> Policy:
    origin = {
        GIT: Origin(GIT, BY_GIT, BY_GIT),
        OUTSIDE: Origin(OUTSIDE, BY_GIT, ENTRY),
        UNMANAGED: Origin(UNMANAGED, None, None),
    }[state]
    return Policy(system, policy_id, policy_id, policy_id.upper(), "", "access", None, enabled, (), {}, "", origin)


def glass(policy_id: str = "p", *, enabled: bool = False, ends: timedelta = timedelta(hours=1)) -> Glass:
    started = "2026-11-20T08:30:00.000Z"
    ends_at = (NOW + ends).timestamp()
    return Glass(1, "neosc", policy_id, "P", enabled, "why", "a@example.com", started, ends_at, "log-2", None, None)


def entry(at: str, lane: str) -> views.EntryView:
    commit = "a" * 40 if lane == "git" else None
    return views.EntryView("log", 1, at, "a", "toggle_policy", "", "neosc", "p", "P", commit, lane)


def test_the_worst_stands_first() -> None:
    glasses = (glass("over", ends=timedelta(0)), glass("running"))
    found = [policy(name, state=OUTSIDE, enabled=False) for name in ("running", "edited", "over")]
    shown = [views.policy_view(each, glasses) for each in found]
    alerts = (OpenAlerts("neosc", "p", "P", "high", 2, "2026-11-20T08:00:00Z", "agent", "read", "x", "block"),)

    items = find_attention(shown, alerts, broken="audit 7, the row was changed", now=NOW)

    assert [item.kind for item in items] == ["chain", "glass-over", "alert", "outside", "glass"]
    assert items[2].title == "P: 2 open alerts, high"
    assert items[2].href == "/alerts?status=open&policy=neosc%2Fp"


@pytest.mark.parametrize(
    ("state", "enabled", "git_at", "holds"),
    [
        (OUTSIDE, False, "2026-11-20T08:00:00.000Z", True),
        (OUTSIDE, True, "2026-11-20T08:00:00.000Z", False),  # somebody put it back
        (OUTSIDE, False, "2026-11-20T08:45:00.000Z", False),  # git applied since, and it was edited again
        (GIT, False, "2026-11-20T08:45:00.000Z", False),
    ],
)
def test_a_break_glass_holds_while_the_switch_is_as_it_was_set(
    state: str, enabled: bool, git_at: str, holds: bool
) -> None:
    found = policy(state=state, enabled=enabled)
    origin = replace(found.origin, git=replace(BY_GIT, at=git_at))

    assert (glass_of(replace(found, origin=origin), (glass(),)) is not None) == holds


def test_policies_of_one_key_stand_in_one_row() -> None:
    both = [policy("a", state=GIT), policy("b"), policy("a", system="opena2a", enabled=False)]

    shown = views.matrix(both)

    assert [row.key for row in shown.rows] == ["a", "b"]
    assert [(cell.state, cell.enabled) for row in shown.rows for cell in row.cells[:2]] == [
        ("git", True),
        ("none", False),
        ("none", True),
        ("absent", None),
    ]


@pytest.mark.parametrize("kind", ["access", "rate_limit", "mcp_allowlist", "nobody-knows", ""])
def test_every_type_has_an_icon_that_exists(kind: str) -> None:
    from reconciler.server.pages.assets import assets

    sprite = assets()["icons.svg"].content.decode()

    for name in {views.icon_of(kind), *views.ICONS.values()}:
        assert f'<symbol id="{name}"' in sprite


def test_commands_name_the_policy_safely() -> None:
    shown = views.policy_view(replace(policy(), key="a; rm -rf ~"), ())

    assert views.commands(shown)[0] == "reconciler blame -t neosc -- 'a; rm -rf ~'"


def test_dots_stand_where_their_time_is() -> None:
    times = ["2026-11-20T10:00:00Z", "2026-11-20T09:00:00Z", "2026-11-20T08:00:00Z", "yesterday"]
    lanes = ["git", "outside", "other", "git"]

    drawn = draw_lanes([entry(at, lane) for at, lane in zip(times, lanes, strict=True)])

    assert [(dot.x, dot.lane) for dot in drawn.dots] == [("1.50%", "outside"), ("98.50%", "git")]
    assert (drawn.first, drawn.last, drawn.git, drawn.outside) == (times[1], times[0], 2, 1)


def test_no_entries_are_no_dots() -> None:
    assert draw_lanes([]).dots == ()


@given(st.lists(st.integers(0, 10**12), max_size=40))
def test_bars_stay_inside_their_picture_and_higher_counts_are_never_lower(counts: list[int]) -> None:
    bars = draw_bars([str(day) for day in range(len(counts))], counts)

    shares = [(float(bar.x[:-1]), float(bar.y[:-1]), float(bar.width[:-1]), float(bar.height[:-1])) for bar in bars]
    shown = [count for count in counts if count]
    assert len(bars) == len(shown)
    assert all(x >= 0 and x + width <= 100.01 and y >= 0 and y + height <= 100.01 for x, y, width, height in shares)
    heights = [height for *_, height in shares]
    assert all(heights[a] <= heights[b] for a in range(len(shown)) for b in range(len(shown)) if shown[a] <= shown[b])


def test_the_difference_is_that_of_the_newest_change_that_moved_a_field() -> None:
    states = [
        State("log-4", {"name": "P", "type": "access", "rules": ["a"], "enabled": True}),
        State("log-3", {"name": "P", "type": "access", "rules": ["a"], "enabled": True}),
        State("log-2", {"name": "P", "type": "access", "rules": ["b"], "enabled": True}),
        State("log-1", None),
    ]
    entries = [replace(ENTRY, audit_id=f"log-{number}") for number in (4, 3, 2, 1)]

    found = differences.last_difference("neosc", states, entries)

    assert found is not None
    assert found.audit_id == "log-3"
    assert [(field.pointer, field.before, field.after) for field in found.fields] == [("/rules", '["b"]', '["a"]')]


@pytest.mark.parametrize("states", [[], [State("log-1", {"name": "P"})], [State("log-1", {}), State("log-0", None)]])
def test_without_two_states_there_is_no_difference(states: list[State]) -> None:
    assert differences.last_difference("neosc", states, [ENTRY]) is None
