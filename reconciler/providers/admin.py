"""What OpenA2A as documented and AIM as it runs share: the paths under `/admin`, and what can be asked there."""

from __future__ import annotations

from typing import Final

from reconciler.core.model import Capabilities, Deviations, ToggleStyle

POLICIES: Final = "/admin/security-policies"
SETTINGS: Final = "/admin/enforcement-settings"


def admin_capabilities(
    *,
    type_field: str,
    reads_one: bool,
    trail_cap: int,
    wave: int,
    server_owned: frozenset[str],
    deviations: Deviations | None = None,
) -> Capabilities:
    """Everything can be done, a toggle sets, lists are whole; the rest is what the two differ in."""
    return Capabilities(
        create=True,
        update=True,
        delete=True,
        toggle=ToggleStyle.SET,
        collection=POLICIES,
        item=f"{POLICIES}/{{id}}",
        toggle_path=f"{POLICIES}/{{id}}/toggle",
        toggle_method="PATCH",
        update_method="PUT",
        key_field="name",
        type_field=type_field,
        reads_one=reads_one,
        list_cap=None,
        trail_cap=trail_cap,
        wave=wave,
        cannot="",
        server_owned=server_owned,
        settings_path=SETTINGS,
        deviations=deviations,
    )
