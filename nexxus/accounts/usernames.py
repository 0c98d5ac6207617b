"""User names: which are accepted, and when two of them are the same.

Two names that look the same must not belong to two users. So names are compared normalised (NFC,
trimmed, case folded), and characters that cannot be seen are refused, see Unicode Technical Report
36, section 2.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Any, Final

from nexxus.errors import InvalidParameters

MAX_USERNAME: Final = 256
"""Characters of a user name."""

_UNSEEN_CATEGORIES: Final = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
"""Control and format characters, half surrogates, separators of lines and paragraphs."""

_UNSEEN: Final = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0]"
)
"""Characters of other categories that are invisible all the same: fillers, variation selectors."""


def check_username(value: Any) -> str:
    """Return a user name as it is stored: trimmed and in NFC. Raises `InvalidParameters`."""
    name = unicodedata.normalize("NFC", value.strip()) if isinstance(value, str) else ""
    if not 0 < len(name) <= MAX_USERNAME:
        raise InvalidParameters(
            f"username: expected a string of 1 to {MAX_USERNAME} characters",
            {"field": "username", "rule": "length"},
        )
    for character in name:
        if is_unseen(character):
            raise InvalidParameters(
                f"username: the character U+{ord(character):04X} cannot be seen; leave it out",
                {"field": "username", "rule": "visible"},
            )
    return name


def is_unseen(character: str) -> bool:
    """Return whether a character is invisible, or a space that is not the common one."""
    category = unicodedata.category(character)
    is_odd_space = category == "Zs" and character != " "
    return category in _UNSEEN_CATEGORIES or is_odd_space or bool(_UNSEEN.match(character))


def normalise(name: str) -> str:
    """Return the form in which names are compared: equal for names that look the same."""
    folded = unicodedata.normalize("NFC", name.strip()).casefold()
    # Folding may bring characters into another form, such as that of U+0345.
    return unicodedata.normalize("NFC", folded)
