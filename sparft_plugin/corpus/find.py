"""From what a user names to sources: files, folders, saved datasets and names on the hub."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from sparft_plugin.corpus.json_lines import JsonSource
from sparft_plugin.corpus.parquet import DatasetSource, ParquetSource
from sparft_plugin.corpus.source import Source
from sparft_plugin.errors import SparftError, unknown_name

READERS: dict[str, Callable[[Path], Source]] = {
    ".parquet": ParquetSource,
    ".jsonl": JsonSource,
    ".json": JsonSource,
}
MANIFEST, PAIRS = ".manifest.json", ".pairs.jsonl"
"""What ``sparft reduce`` writes beside its output; it holds no rows."""
SPLIT = "train"


def open_sources(inputs: Sequence[Path | str]) -> list[Source]:
    """Open every input, folders file by file in the order of their paths.

    In a folder, hidden files and what ``sparft reduce`` wrote beside its output are passed over.

    Parameters
    ----------
    inputs : sequence of path or str
        Files (``.parquet``, ``.jsonl``, ``.json``), folders of them, folders that
        ``datasets.Dataset.save_to_disk`` wrote, or hub names ``OWNER/NAME[:CONFIG][:SPLIT]``; the
        split is ``train`` unless it is named.

    Raises
    ------
    SparftError
        Naming the input that cannot be opened.
    """
    if not inputs:
        raise SparftError("no input was given; name at least one file, folder or dataset.")
    return [source for given in inputs for source in _open(given)]


def _open(given: Path | str) -> list[Source]:
    path = Path(given)
    if (path / "dataset_info.json").is_file() or (path / "dataset_dict.json").is_file():
        return [_saved(path)]
    if path.is_dir():
        return _folder(path)
    if path.suffix in READERS:
        return [READERS[path.suffix](path)]
    if path.exists():
        raise SparftError(f"{given} is no {', '.join(READERS)} file; convert it to one of them.")
    if str(given).partition(":")[0].count("/") == 1 and not str(given).startswith((".", "/", "~")):
        return [_hub(str(given))]
    raise SparftError(f"{given} does not exist; check the path.")


def _folder(folder: Path) -> list[Source]:
    files = sorted(p for p in folder.rglob("*") if p.suffix in READERS and p.is_file())
    files = [p for p in files if not any(s.startswith(".") for s in p.relative_to(folder).parts)]
    files = [p for p in files if not _beside_an_output(p)]
    if not files:
        raise SparftError(
            f"the folder {folder} holds no {', '.join(READERS)} file; check the path."
        )
    return [READERS[path.suffix](path) for path in files]


def _beside_an_output(path: Path) -> bool:
    manifest = path.with_suffix("").with_suffix(MANIFEST)
    return path.name.endswith(MANIFEST) or (path.name.endswith(PAIRS) and manifest.is_file())


def _saved(folder: Path) -> Source:
    datasets = _library()
    try:
        loaded = datasets.load_from_disk(str(folder))
    except (OSError, ValueError) as error:
        raise SparftError(f"{folder} cannot be read as a saved dataset: {error}") from error
    return DatasetSource(_split(loaded, SPLIT, str(folder)), str(folder))


def _hub(given: str) -> Source:
    datasets = _library()
    name, *rest = given.split(":")
    if len(rest) > 2:
        raise SparftError(f"{given} has too many colons; write OWNER/NAME[:CONFIG][:SPLIT].")
    config = rest[0] if len(rest) == 2 else None
    split = rest[-1] if rest else SPLIT
    try:
        return DatasetSource(datasets.load_dataset(name, config, split=split), given)
    except (
        OSError,
        ValueError,
        RuntimeError,
        KeyError,
        datasets.exceptions.DatasetsError,
    ) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise SparftError(
            f"{given} is no file here, and cannot be loaded from the Hugging Face hub ({reason}); "
            "check the path or the name, OWNER/NAME[:CONFIG][:SPLIT], and the network."
        ) from error


def _split(loaded: Any, split: str, name: str) -> Any:
    if not hasattr(loaded, "column_names") or not isinstance(loaded.column_names, dict):
        return loaded
    if split not in loaded:
        raise unknown_name(f"split of {name}", split, loaded)
    return loaded[split]


def _library() -> Any:
    try:
        import datasets
    except ImportError as error:
        raise SparftError(
            "Hugging Face datasets need the package datasets; pip install 'sparft-plugin[hub]'."
        ) from error
    return datasets
