"""octoDNS's own YAML provider as a live system that has the records already; the original says it has none."""

from __future__ import annotations

from typing import Any

from octodns.provider.yaml import YamlProvider


class LiveProvider(YamlProvider):  # type: ignore[misc]
    """Reads its folder when it is the target, too."""

    def populate(self, zone: Any, target: bool = False, lenient: bool = False) -> Any:
        return super().populate(zone, target=False, lenient=lenient)
