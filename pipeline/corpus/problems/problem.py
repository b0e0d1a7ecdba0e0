"""What a programming problem is made of, for the `sample` corpus."""

from collections.abc import Mapping
from typing import NamedTuple


class Problem(NamedTuple):
    """One thing that people ask about in any language.

    A word in capitals (ITEM, FIELD, NUM, ...: see `words.SLOTS`) is a gap. Each post fills it in its own
    way, and the same way throughout. A digit after it makes it another gap (ITEM2).

    titles, prose   do not say which language; "blank" is what the real corpus calls any of them
    code            snippets by language, or by several: "java csharp" are lines that would compile in both
    hints           what only somebody using that language would say: an error message, a tool, a habit
    """

    name: str
    titles: tuple[str, ...]
    prose: tuple[str, ...]
    code: Mapping[str, tuple[str, ...]]
    hints: Mapping[str, tuple[str, ...]]
