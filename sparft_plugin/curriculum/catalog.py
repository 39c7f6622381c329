"""The table of methods, made from the classes: ``python -m sparft_plugin.curriculum.catalog``."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from pathlib import Path

from sparft_plugin.errors import SparftError
from sparft_plugin.plugins import registered

BEGIN = "<!-- curricula: made by `make docs` -->"
END = "<!-- end of curricula -->"
HEAD = ("name", "paper", "unit", "signal", "when to use it")


def table() -> str:
    """Return the built-in curricula as a markdown table, in the order of their names."""
    rows = [HEAD]
    for name, cls in sorted(registered("curriculum").items()):
        if cls.__module__.startswith("sparft_plugin."):
            paper = re.sub(r"arXiv:(\d+\.\d+)", r"[\1](https://arxiv.org/abs/\1)", cls.paper)
            needs = {"difficulties": cls.needs_difficulty, "embeddings": cls.needs_embeddings}
            use = "; ".join([cls.use, *(f"needs {what}" for what in needs if needs[what])])
            rows.append((f"`{name}`", paper, cls.unit, cls.signal, use))
    head, *lines = [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join([head, "|---" * len(HEAD) + "|", *lines])


def refresh(text: str, name: str = "the text") -> str:
    """Put the present table between the markers of a page, which must be there once each."""
    before, _, rest = text.partition(BEGIN)
    old, found, after = rest.partition(END)
    if not found or BEGIN in old + after or END in before + after:
        raise SparftError(f"{name} must hold the lines '{BEGIN}' and '{END}' once each.")
    return f"{before}{BEGIN}\n{table()}\n{END}{after}"


def main(arguments: Sequence[str]) -> int:
    """Refresh the pages that are named."""
    for argument in arguments:
        page = Path(argument)
        try:
            page.write_text(refresh(page.read_text(encoding="utf-8"), argument), encoding="utf-8")
        except (OSError, SparftError) as error:
            sys.stderr.write(f"error: {error}\n")
            return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
