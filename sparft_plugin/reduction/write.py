"""Write the kept rows as parquet in verl's schema, with a manifest beside them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from sparft_plugin.corpus import Corpus
from sparft_plugin.corpus.sources import check_name
from sparft_plugin.errors import SparftError
from sparft_plugin.prompts import PromptTable, prompt_id
from sparft_plugin.reduction.files import check_link, check_writable, sync, whole_file
from sparft_plugin.reduction.result import Reduction

SPARFT_TYPE = pa.struct([("id", pa.string()), ("arm", pa.int64()), ("difficulty", pa.float64())])
"""How ids, arms and difficulties travel with each row, in ``extra_info.sparft``."""


def manifest_path(out: Path | str) -> Path:
    """``OUT.manifest.json`` for ``OUT.parquet``."""
    return Path(out).with_suffix(".manifest.json")


def check_output(
    out: Path | str,
    inputs: Sequence[Path | str],
    *,
    overwrite: bool = False,
    beside: Sequence[Path] = (),
) -> None:
    """Refuse an output, or a file ``beside`` it, that cannot or should not be written."""
    target = Path(out)
    check_name(target)
    if target.suffix != ".parquet":
        raise SparftError(f"{out} must end in .parquet, which is how verl knows the format.")
    read = {Path(path).resolve() for path in inputs}
    for path in (target, manifest_path(target), *beside):
        if not path.parent.is_dir():
            raise SparftError(f"the folder {path.parent} does not exist; create it first.")
        if path.resolve() in read:
            raise SparftError(f"{path} is also an input; choose another output.")
        check_link(path)
        if path.is_dir():
            raise SparftError(f"{path} is a folder; choose another output.")
        if path.exists() and not overwrite:
            raise SparftError(f"{path} already exists; pass --overwrite or choose another output.")
        try:
            check_writable(path)
        except OSError as error:
            raise SparftError(
                f"{path} cannot be written ({error.strerror}); choose another output."
            ) from error


def check_rows(corpus: Corpus) -> None:
    """Refuse rows that cannot be written with their arms, before any work is done.

    A type that parquet cannot hold is such as a struct that has no field in any row.
    """
    schema = corpus.schema
    extra = schema.field("extra_info").type if "extra_info" in schema.names else pa.null()
    if not (pa.types.is_struct(extra) or pa.types.is_null(extra)):
        raise SparftError(
            f"{corpus.name}: the column 'extra_info' is a {extra}; make it a struct, or rename it."
        )
    table = _with_column(schema.empty_table(), pa.array([], SPARFT_TYPE))
    try:
        pq.ParquetWriter(pa.BufferOutputStream(), table.schema).close()
    except pa.ArrowException as error:
        raise SparftError(
            f"{corpus.name} cannot be written as parquet ({error}); fill that key or remove it."
        ) from error


def write_reduced(
    corpus: Corpus,
    prompts: PromptTable,
    reduction: Reduction,
    out: Path | str,
    *,
    overwrite: bool = False,
) -> Path:
    """Write the kept rows and the manifest; both files appear whole or not at all.

    The manifest, whose path is returned, holds the SHA-256 of the parquet file and is renamed last:
    after a power cut between the two, it tells that it is old.

    Columns, and the fields of structs, stand in the order of their names, each with one type for
    all rows of all inputs; ``extra_info`` gains the field
    ``sparft: {id: string, arm: int64, difficulty: float64}`` (null difficulty if unknown). Rows are
    ordered by arm, then as they were chosen. Equal reductions of equal rows give equal bytes,
    however the rows, and the keys in them, are ordered or cut into files.

    A SparftError says if the output or the rows are refused, an input changed since it was read, or
    a file cannot be written; whatever stood there is untouched.
    """
    inputs = [source.name for source in corpus.sources]
    check_output(out, inputs, overwrite=overwrite)
    check_rows(corpus)
    table = _add_sparft(_kept_rows(corpus, prompts, reduction), reduction)
    target, beside = Path(out), manifest_path(out)
    try:
        with whole_file(beside) as note, whole_file(target) as data:
            pq.write_table(table, data)
            output = {"file": target.name, "rows": len(reduction), "sha256": _sha256(data)}
            manifest = reduction.manifest | {"output": output}
            text = json.dumps(manifest, indent=2, ensure_ascii=False, allow_nan=False)
            note.write_text(text + "\n", encoding="utf-8")
            # A full disk shows here, before either file is replaced.
            sync(note)
    except OSError as error:
        raise SparftError(f"{target} cannot be written: {error}") from error
    return beside


def _kept_rows(corpus: Corpus, prompts: PromptTable, reduction: Reduction) -> Any:
    """The m kept rows; of several with one prompt, that whose content sorts first."""
    position = {int(row): at for at, row in enumerate(prompts.rows)}
    groups = [(int(row), *prompts.others.get(position[int(row)], ())) for row in reduction.rows]
    table = corpus.take(np.array([row for group in groups for row in group], dtype=np.int64))
    if len(table) > len(groups):
        contents = [repr(row) for row in table.to_pylist()]
        starts = np.cumsum([0, *map(len, groups)])
        first = [
            min(range(start, stop), key=contents.__getitem__)
            for start, stop in zip(starts, starts[1:], strict=False)
        ]
        table = table.take(pa.array(first)).combine_chunks()
    messages = table[corpus.columns.prompt_key].to_pylist()
    sources = table["data_source"].to_pylist()
    for row, identity, *content in zip(
        reduction.rows, reduction.ids, sources, messages, strict=True
    ):
        if prompt_id(*content) != identity:
            file, number = corpus.place(int(row))
            raise SparftError(
                f"{file}, row {number} no longer holds the prompt that was chosen: the input "
                "changed after it was read; run again."
            )
    return table


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _add_sparft(table: Any, reduction: Reduction) -> Any:
    """Put ``sparft: {id, arm, difficulty}`` into the ``extra_info`` of every row of the table."""
    unknown = np.isnan(reduction.difficulties)
    columns = [
        pa.array(reduction.ids, pa.string()),
        pa.array(reduction.arms, pa.int64()),
        pa.array(reduction.difficulties, pa.float64(), mask=unknown),
    ]
    return _with_column(table, pa.StructArray.from_arrays(columns, fields=list(SPARFT_TYPE)))


def _with_column(table: Any, sparft: Any) -> Any:
    """Put a column in place of an older ``extra_info.sparft``, and where the names sort."""
    names, columns = table.column_names, {}
    old = table["extra_info"] if "extra_info" in names else None
    if old is not None and pa.types.is_struct(old.type):
        whole = old.combine_chunks()
        whole = whole.chunk(0) if isinstance(whole, pa.ChunkedArray) else whole
        # Flattening hands a null struct's nullness to its fields, so that no row stays null.
        columns = {part.name: each for part, each in zip(whole.type, whole.flatten(), strict=True)}
    columns["sparft"] = sparft
    inside = sorted(columns)
    column = pa.StructArray.from_arrays([columns[name] for name in inside], inside)
    if old is not None:
        return table.set_column(names.index("extra_info"), "extra_info", column)
    return table.add_column(sum(name < "extra_info" for name in names), "extra_info", column)
