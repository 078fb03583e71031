"""Every setting in force, with its value and where it came from: a variable, a line of a file, or the default.

Precedence is that of `config.py`; a token is no setting and never stands here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import fields

from reconciler import config as settings_module
from reconciler.config import UserConfig
from reconciler.core.documents import Document
from reconciler.core.model import TargetSettings
from reconciler.reports.doctor import Setting


def common_settings(
    environ: Mapping[str, str], user: UserConfig, document: Document, remote: str | None
) -> Iterator[Setting]:
    """Yield the settings that all targets share."""
    in_file = "remote" in document.value
    source = _place(document, "/remote") if in_file else "default"
    yield Setting(None, "remote", remote or "none", source)
    for name, variable, value in (
        ("ca_file", "RECONCILER_CA_FILE", user.ca_file),
        ("proxy", "RECONCILER_PROXY", user.proxy),
    ):
        if environ.get(variable):
            yield Setting(None, name, _masked(environ[variable]), variable)
        elif value is not None:
            yield Setting(None, name, _masked(value), user.path)
        else:
            yield Setting(None, name, "none", "default")
    hosts = settings_module.allowed_hosts(environ)
    shown = "any" if hosts is None else ", ".join(hosts) or "none"
    yield Setting(None, "allowed_hosts", shown, "default" if hosts is None else "RECONCILER_ALLOWED_HOSTS")
    if environ.get("RECONCILER_TARGET"):
        yield Setting(None, "target", environ["RECONCILER_TARGET"], "RECONCILER_TARGET")


def target_settings(document: Document, target: TargetSettings) -> Iterator[Setting]:
    """Yield every setting of one target."""
    given = document.value["targets"]
    own = given.get(target.name) if isinstance(given, dict) else None
    for each in fields(TargetSettings):
        if each.name == "name":
            continue
        shown = _shown(getattr(target, each.name))
        there = isinstance(own, dict) and own.get(each.name) is not None
        pointer = f"/targets/{target.name}/{each.name}"
        if not there and document.value.get(each.name) is not None:  # `notify` of all targets
            there, pointer = True, f"/{each.name}"
        yield Setting(target.name, each.name, _masked(shown), _place(document, pointer) if there else "default")


def _shown(value: object) -> str:
    if value is None or value == ():
        return "none"
    if isinstance(value, tuple):
        return str(len(value))
    return value if isinstance(value, str) else f"{value:g}" if isinstance(value, float) else json.dumps(value)


def _place(document: Document, pointer: str) -> str:
    place = document.place(pointer, key=True)
    return document.path if place is None else f"{place.path}:{place.line}"


def _masked(text: str) -> str:
    """A setting without a user or password that somebody wrote into a URL."""
    return re.sub(r"://[^/@\s]*@", "://***@", text)
