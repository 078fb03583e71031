"""What no file of a policies repository may exceed, and no name of one may hold (design.md 3)."""

from __future__ import annotations

import re

#: No file of a policies repository is larger; larger ones are named, never read.
MAX_BYTES = 1024 * 1024
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]+")
