"""Live → file: what a document has to say, so that git asks for what is live and for nothing else."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.core.canonical import canonical, json_equal
from reconciler.core.diff import diff_policy
from reconciler.core.importing import file_name, import_into, import_new, other_file_name
from reconciler.core.model import Json
from tests.builders import rate_limit, schemas

SCHEMA = schemas().policy_schema("opena2a", "rate_limit")
ALLOW = schemas().policy_schema("opena2a", "ip_allowlist")


def allow(*addresses: str, **fields: Json) -> dict[str, Any]:
    return {
        "name": "Allow",
        "policy_type": "ip_allowlist",
        "conditions": {"allowed_ips": [*addresses], **fields},
        "actions": {"on_violation": "block_request"},
    }


def test_a_new_document_has_the_live_fields_in_schema_order_without_nulls() -> None:
    live = {"actions": {"on_violation": "throttle", "notify_admins": None}, "enabled": False, "name": "A"}

    done = import_new({**live, "policy_type": "rate_limit", "description": None}, SCHEMA)

    assert done.value == {
        "name": "A",
        "policy_type": "rate_limit",
        "actions": {"on_violation": "throttle"},
        "enabled": False,
    }
    known = list(SCHEMA["properties"])
    assert list(done.value) == sorted(done.value, key=known.index)


def test_fields_that_no_schema_knows_are_left_out_and_named() -> None:
    done = import_new({**rate_limit(), "surprise": 1, "metadata": {"critical": True}}, SCHEMA)

    assert "surprise" not in done.value
    assert "metadata" not in done.value
    assert "/surprise" in done.left_out


def test_what_already_means_the_same_keeps_its_spelling() -> None:
    written = allow("10.0.0.0/8", "2001:DB8::/32")
    live = allow("2001:db8::/32", "10.0.0.0/8")

    assert import_into(written, written, live, ALLOW).value == written


def test_entries_of_a_set_that_stay_keep_their_place() -> None:
    written = allow("192.168.0.0/16", "10.0.0.0/8", "172.16.0.0/12")
    live = allow("10.0.0.0/8", "1.2.3.0/24", "192.168.0.0/16")

    done = import_into(written, written, live, ALLOW).value

    assert done["conditions"]["allowed_ips"] == ["192.168.0.0/16", "10.0.0.0/8", "1.2.3.0/24"]  # type: ignore[index, call-overload]


def test_the_metadata_and_the_order_of_the_file_stay() -> None:
    written = {"metadata": {"critical": True}, "enabled": True, **rate_limit()}

    done = import_into(written, written, {**rate_limit(limit=5), "enabled": False, "severity": "low"}, SCHEMA).value

    assert done["metadata"] == {"critical": True}
    assert [key for key in done if key in written] == list(written)
    assert (done["enabled"], done["severity"]) == (False, "low")


def test_a_live_key_that_only_says_the_default_does_not_come_in() -> None:
    written = rate_limit()

    assert import_into(written, {**written, "enabled": True}, {**written, "enabled": True}, SCHEMA).value == written
    assert import_into(written, {**written, "enabled": True}, {**written, "enabled": False}, SCHEMA).value == {
        **written,
        "enabled": False,
    }


def test_a_key_that_live_has_no_longer_goes() -> None:
    written = rate_limit(severity="low", description="Said")
    live = {key: value for key, value in written.items() if key != "description"}

    assert "description" not in import_into(written, written, live, SCHEMA).value


def test_a_null_in_the_file_says_nothing_and_stays() -> None:
    written = rate_limit(description=None)

    assert import_into(written, written, rate_limit(), SCHEMA).value == written
    assert import_into(written, written, rate_limit(description="x"), SCHEMA).value["description"] == "x"


def test_fields_under_an_ignore_rule_stay_as_they_are() -> None:
    written = rate_limit()

    done = import_into(
        written, written, rate_limit(limit=7, severity="low"), SCHEMA, lambda pointer: pointer == "/conditions"
    )

    assert done.value == {**written, "severity": "low"}


def test_what_an_overlay_makes_of_a_field_is_not_written_into_the_file() -> None:
    written, desired = rate_limit(limit=1000), rate_limit(limit=50)

    assert import_into(written, desired, rate_limit(limit=50), SCHEMA).value == written


LIMITS = st.fixed_dictionaries(
    {"name": st.just("A"), "policy_type": st.just("rate_limit")},
    optional={
        "description": st.sampled_from(["", "x", "y"]),
        "severity": st.sampled_from(["low", "medium", "high"]),
        "enabled": st.booleans(),
        "conditions": st.fixed_dictionaries(
            {}, optional={"max_requests_per_hour": st.integers(1, 3), "window_size": st.sampled_from(["1h", "60m"])}
        ),
        "actions": st.fixed_dictionaries({}, optional={"notify_admins": st.booleans()}),
    },
)


@settings(deadline=None)  # the machine may be busy
@given(LIMITS, LIMITS)
def test_afterwards_nothing_differs_and_importing_again_changes_nothing(written: Any, live: Any) -> None:
    done = import_into(written, written, live, SCHEMA).value

    assert diff_policy(done, live, {}, SCHEMA) == ()
    assert import_into(done, done, live, SCHEMA).value == done


@settings(deadline=None)  # the machine may be busy
@given(LIMITS)
def test_a_new_document_means_what_is_live(live: Any) -> None:
    done = import_new(live, SCHEMA).value

    assert json_equal(canonical(done, SCHEMA), canonical(live, SCHEMA))


@pytest.mark.parametrize(
    "key",
    ["../../etc/passwd", "/etc/passwd", "..", ".", "", "a/b", "a\\b", "\x00", "a\n", "CON", "日本", "x" * 999, "-rf",
     ".git", "settings.yaml", "\u202eevil", "a" + "/" * 300 + "b"],
)  # fmt: skip
def test_a_file_name_has_letters_digits_and_hyphens_whatever_the_key(key: str) -> None:
    for name in (file_name(key), other_file_name(key)):
        assert 0 < len(name) <= 100
        assert set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789-")
        assert not name.startswith("-")
