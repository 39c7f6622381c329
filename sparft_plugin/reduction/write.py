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

from sparft_plugin.errors import SparftError
from sparft_plugin.reduction.atomic import whole_file
from sparft_plugin.reduction.result import Reduction
from sparft_plugin.reduction.schema import add_sparft_column


def manifest_path(out: Path | str) -> Path:
    """``OUT.manifest.json`` for ``OUT.parquet``."""
    return Path(out).with_suffix(".manifest.json")


def check_output(out: Path | str, inputs: Sequence[Path | str], *, overwrite: bool = False) -> None:
    """Refuse an output that cannot or should not be written, before any work is done.

    Raises
    ------
    SparftError
        If ``out`` is no parquet name, is an input, has no folder, or exists and must not be
        overwritten.
    """
    target = Path(out)
    if target.suffix != ".parquet":
        raise SparftError(f"{out} must end in .parquet, which is how verl knows the format.")
    if not target.parent.is_dir():
        raise SparftError(f"the folder {target.parent} does not exist; create it first.")
    if target.resolve() in {Path(path).resolve() for path in inputs}:
        raise SparftError(f"{out} is also an input; choose another output.")
    for path in (target, manifest_path(target)):
        if path.is_dir() or (path.exists() and not overwrite):
            raise SparftError(f"{path} already exists; pass --overwrite or choose another output.")


def write_reduced(
    inputs: Sequence[Path | str],
    reduction: Reduction,
    out: Path | str,
    *,
    overwrite: bool = False,
) -> Path:
    """Write the kept rows and the manifest; both files appear whole or not at all.

    All columns keep their types; ``extra_info`` gains the field
    ``sparft: {id: string, arm: int64, difficulty: float64}`` (null difficulty if unknown). Rows are
    ordered by arm, then as they were chosen. Equal reductions of equal files give equal bytes.

    Parameters
    ----------
    inputs : sequence of path
        The files that the prompt table was read from, in the same order.
    reduction : Reduction
        What to keep.
    out : path
        The parquet file to write; its manifest is ``manifest_path(out)``.
    overwrite : bool, default False
        Replace files that exist.

    Returns
    -------
    Path
        The manifest's path. It is the reduction's manifest and the SHA-256 of the parquet file.

    Raises
    ------
    SparftError
        If the output is refused, the inputs do not fit together or ``extra_info`` is no struct.
    """
    check_output(out, inputs, overwrite=overwrite)
    table = add_sparft_column(read_kept_rows(inputs, reduction.rows), reduction)
    target, beside = Path(out), manifest_path(out)
    try:
        with whole_file(beside) as note, whole_file(target) as data:
            pq.write_table(table, data)
            manifest = reduction.manifest | {
                "output": {"file": target.name, "rows": len(reduction), "sha256": _sha256(data)}
            }
            text = json.dumps(manifest, indent=2, ensure_ascii=False, allow_nan=False)
            note.write_text(text + "\n", encoding="utf-8")
    except OSError as error:
        raise SparftError(f"{target} cannot be written: {error}") from error
    return beside


def read_kept_rows(inputs: Sequence[Path | str], rows: np.ndarray[Any, Any]) -> Any:
    """Read some rows of several parquet files, one row group at a time.

    Parameters
    ----------
    inputs : sequence of path
        The files; rows count through all of them.
    rows : ndarray of int64, shape (m,)
        Distinct rows to read.

    Returns
    -------
    pyarrow.Table
        m rows, in the order of ``rows``.

    Raises
    ------
    SparftError
        If a row lies beyond the files, or their columns cannot be joined.
    """
    order = np.argsort(rows, kind="stable")
    wanted, parts, start = rows[order], [], 0
    for path in inputs:
        file = pq.ParquetFile(path)
        for group in range(file.num_row_groups):
            stop = start + file.metadata.row_group(group).num_rows
            here = wanted[(wanted >= start) & (wanted < stop)] - start
            if len(here):
                parts.append(file.read_row_group(group).take(pa.array(here)))
            start = stop
    if len(wanted) and wanted[-1] >= start:
        raise SparftError(f"the inputs have {start} rows, but row {wanted[-1]} was kept of them.")
    table = _join(parts, inputs)
    return table.take(pa.array(np.argsort(order, kind="stable"))).combine_chunks()


def _join(parts: Sequence[Any], inputs: Sequence[Path | str]) -> Any:
    try:
        return pa.concat_tables(parts, promote_options="permissive")
    except pa.ArrowException as error:
        names = ", ".join(str(path) for path in inputs)
        raise SparftError(
            f"the columns of {names} cannot be joined ({error}); give each column one type."
        ) from error


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
