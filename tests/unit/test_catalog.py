"""The table of methods is made from the classes, and the README has the present one."""

from __future__ import annotations

from pathlib import Path

import pytest

from sparft_plugin.curriculum import catalog
from sparft_plugin.plugins import registered

README = Path(__file__).parents[2] / "README.md"
BUILT_IN = {
    name: cls
    for name, cls in registered("curriculum").items()
    if cls.__module__.startswith("sparft_plugin.")
}


def test_the_readme_has_the_present_table():
    text = README.read_text(encoding="utf-8")
    assert catalog.refresh(text) == text, "run `make docs`"


@pytest.mark.parametrize("name", sorted(BUILT_IN))
def test_every_built_in_method_says_what_it_is(name):
    cls = BUILT_IN[name]
    for attribute in ("paper", "unit", "signal", "use"):
        said = vars(cls).get(attribute, "")
        assert said, f"{cls.__name__} has no {attribute} of its own"
        assert "|" not in said
        assert "\n" not in said
    assert f"| `{name}` |" in catalog.table()


@pytest.mark.parametrize(
    "page", ["", catalog.BEGIN, f"{catalog.END} {catalog.BEGIN}", f"{catalog.BEGIN} " * 2]
)
def test_a_page_without_its_markers_is_refused_and_left_alone(page, tmp_path, capsys):
    path = tmp_path / "page.md"
    path.write_text(page, encoding="utf-8")
    assert catalog.main([str(path)]) == 2
    assert "page.md must hold the lines" in capsys.readouterr().err
    assert path.read_text(encoding="utf-8") == page


def test_the_command_puts_the_table_between_the_markers_and_leaves_the_rest_alone(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(f"before\n{catalog.BEGIN}\nold\n{catalog.END}\nafter\n", encoding="utf-8")
    for _ in range(2):
        assert catalog.main([str(page)]) == 0
        fresh = f"before\n{catalog.BEGIN}\n{catalog.table()}\n{catalog.END}\nafter\n"
        assert page.read_text(encoding="utf-8") == fresh
