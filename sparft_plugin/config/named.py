"""The ``sparft`` section by name, mapping or YAML file, for hosts that have no hydra."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sparft_plugin.errors import SparftError, unknown_name

FOLDER = Path(__file__).parent
NAMES = tuple(sorted(file.stem for file in (FOLDER / "sparft").glob("*.yaml")))
"""What verl's command line offers as ``+sparft=NAME``."""


def read_section(given: str | Path | Mapping[str, Any]) -> dict[str, Any]:
    """Return a ``sparft`` section as plain data, yet unchecked.

    ``given`` is one of `NAMES`; a YAML file, whose section stands under ``sparft`` or is the whole
    file; or the section itself. File and mapping may begin with ``defaults: [NAME]`` and then say
    only what differs from that name.
    """
    if isinstance(given, Mapping):
        section = _composed(given, "sparft=")
    elif str(given) in NAMES:
        section = _read(FOLDER / "sparft" / f"{given}.yaml")
    elif Path(given).suffix in (".yaml", ".yml"):
        section = _read(Path(given))
    else:
        raise unknown_name("sparft name", str(given), [*NAMES, "a file that ends in .yaml"])
    return _interpolated(section, section.get("seed", 0))


def _read(path: Path) -> dict[str, Any]:
    import yaml

    try:
        content = yaml.safe_load(path.read_text())
    except FileNotFoundError as error:
        raise SparftError(f"{path} does not exist; check the path.") from error
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise SparftError(
            f"{path} cannot be read as YAML: {' '.join(str(error).split())}"
        ) from error
    if not isinstance(content, Mapping):
        raise SparftError(f"{path} holds no section of options; begin it with 'sparft:'.")
    return _composed(content, str(path))


def _composed(content: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Defaults in their order, and over them what the content says itself."""
    listed = content.get("defaults") or []
    merged: dict[str, Any] = {}
    for name in [listed] if isinstance(listed, str) else listed:
        # What only verl reads stands in its own group; `_self_` is where hydra puts the content.
        if name == "_self_" or str(name).startswith("/sparft_verl/"):
            continue
        part = str(name).removeprefix("/").removeprefix("sparft/")
        if part in NAMES:
            merged = _over(merged, _read(FOLDER / "sparft" / f"{part}.yaml"))
        elif (FOLDER / f"{part}.yaml").is_file():
            merged = _over(merged, _read(FOLDER / f"{part}.yaml"))
        else:
            raise unknown_name(f"default of {where}", str(name), NAMES)
    own = {key: value for key, value in content.items() if key != "defaults"}
    if "sparft" in own or "hydra" in own or "data" in own:
        own = own.get("sparft") or {}
    return _over(merged, own)


def _over(under: Mapping[str, Any], top: Mapping[str, Any]) -> dict[str, Any]:
    """Merge sections; of two values the upper one counts."""
    merged = dict(under)
    for key, value in top.items():
        below = merged.get(key)
        both = isinstance(below, Mapping) and isinstance(value, Mapping)
        merged[key] = _over(below, value) if both else value  # type: ignore[arg-type]
    return merged


def _interpolated(section: Mapping[str, Any], seed: Any) -> dict[str, Any]:
    """Fill in the one reference that the files make inside the section."""
    return {
        key: _interpolated(value, seed)
        if isinstance(value, Mapping)
        else (seed if value == "${sparft.seed}" else value)
        for key, value in section.items()
    }
