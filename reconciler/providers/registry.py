"""Which APIs there are: one dict."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from reconciler.core.model import Capabilities, TargetSettings
from reconciler.errors import ConfigError
from reconciler.providers import aim, neosc, opena2a
from reconciler.providers.base import Provider
from reconciler.providers.http import Transport


@dataclass(frozen=True, slots=True)
class _Api:
    capabilities: Callable[[TargetSettings], Capabilities]
    provider: Callable[[TargetSettings, Transport], Provider]


_APIS: Final[Mapping[str, _Api]] = {
    "neosc": _Api(neosc.capabilities, neosc.NeoscProvider),
    "aim": _Api(aim.capabilities, aim.AimProvider),
    "opena2a": _Api(opena2a.capabilities, opena2a.OpenA2AProvider),
}


def capabilities_of(settings: TargetSettings) -> Capabilities:
    """Return what the target's API can do, without asking it: nothing is ever probed by writing."""
    return _api(settings).capabilities(settings)


def make_provider(settings: TargetSettings, transport: Transport) -> Provider:
    """Return the provider that speaks to *settings*' API; nothing is sent yet."""
    return _api(settings).provider(settings, transport)


def _api(settings: TargetSettings) -> _Api:
    if settings.provider not in _APIS:
        raise ConfigError(
            f"there is no provider {settings.provider}",
            where=f"target {settings.name}",
            fix=f"use one of: {', '.join(_APIS)}",
            code="unknown-provider",
        )
    return _APIS[settings.provider]
