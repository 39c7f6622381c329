"""Write the training pool and the held-out test set as verl parquet files.

python recipes/quickstart/prepare.py --out DIR
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from tasks import CELLS, rows

ROWS_PER_CELL = {"pool": 134, "test": 14}
"""Rows per family and level: 2,412 to choose from and 252 held out."""


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="folder for the parquet files")
    parser.add_argument("--seed", type=int, default=1, help="seed of the reasoning-gym items")
    args = parser.parse_args(argv)
    args.out.mkdir(parents=True, exist_ok=True)
    for split, count in ROWS_PER_CELL.items():
        path = args.out / f"{split}.parquet"
        pq.write_table(pa.Table.from_pylist(rows(split, count, args.seed)), path)
        sys.stderr.write(f"{path}: {count * len(CELLS)} rows, {len(CELLS)} cells\n")


if __name__ == "__main__":
    main()
