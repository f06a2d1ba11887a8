"""The rule for a plugin's name and the one for its index.

Source: containerd/nri 0.12, pkg/api/plugin.go. Older engines take any name that is not empty.
"""

from __future__ import annotations

import re
from typing import Final

NAME: Final = "[A-Za-z0-9_.+-]+"
"""Pattern of a plugin's name."""
INDEX: Final = "[0-9]{2}"
"""Pattern of a plugin's index; of several plugins the engine calls the lower first."""


def why_invalid_name(name: str) -> str | None:
    """Why this text cannot be a plugin's name, as the rest of a sentence that begins with it; None if it can."""
    return None if re.fullmatch(NAME, name) else "is not made of letters, digits and _.+-"


def why_invalid_index(index: str) -> str | None:
    """Why this text cannot be a plugin's index, as the rest of a sentence that begins with it; None if it can."""
    return None if re.fullmatch(INDEX, index) else "is not two digits, 00 to 99"
