"""Write GSM8K as verl parquet files, from local jsonl files or from the Hugging Face hub.

python recipes/gsm8k/prepare.py --train train.jsonl --test test.jsonl --out data/gsm8k
python recipes/gsm8k/prepare.py --hub openai/gsm8k --out data/gsm8k
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

DATA_SOURCE = "openai/gsm8k"
"""The name by which verl finds its own GSM8K reward function."""

INSTRUCTION = 'Let\'s think step by step and output the final answer after "####".'
"""verl's own instruction; its reward function reads the number after the hashes."""

SPLITS = ("train", "test")
NUMBER = re.compile(r"-?\d+(\.\d+)?")
SCHEMA = pa.schema(
    [
        ("data_source", pa.string()),
        ("prompt", pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))),
        ("ability", pa.string()),
        ("reward_model", pa.struct([("style", pa.string()), ("ground_truth", pa.string())])),
        (
            "extra_info",
            pa.struct(
                [
                    ("split", pa.string()),
                    ("index", pa.int64()),
                    ("answer", pa.string()),
                    ("question", pa.string()),
                ]
            ),
        ),
    ]
)

Placed = tuple[str, Any]
"""A record and the words that say where it stands."""


class InputError(Exception):
    """Input that cannot be used; the message is one sentence for the user."""


def read_jsonl(path: Path) -> Iterator[Placed]:
    """Yield the records of a jsonl file, each with its file and line.

    Raises
    ------
    InputError
        If the file cannot be read or a line is no JSON.
    """
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}).") from error
    for number, line in enumerate(lines, start=1):
        place = f"{path}, line {number}"
        try:
            yield place, json.loads(line)
        except ValueError as error:
            raise InputError(f"{place} is no JSON ({error}); mend or remove it.") from error


def read_hub(name: str) -> dict[str, list[Placed]]:
    """Return the records of both splits of a hub dataset's configuration ``main``.

    Raises
    ------
    InputError
        If the dataset cannot be loaded.
    """
    import httpx
    from datasets import load_dataset
    from datasets.exceptions import DatasetsError

    try:
        loaded = load_dataset(name, "main")
        return {
            split: [(f"{name}, {split} row {i}", dict(row)) for i, row in enumerate(loaded[split])]
            for split in SPLITS
        }
    except (OSError, ValueError, RuntimeError, KeyError, DatasetsError, httpx.HTTPError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise InputError(
            f"{name} cannot be loaded from the hub ({reason}); check the name and the network, or "
            "give local files with --train and --test."
        ) from error


def ground_truth(answer: str, place: str) -> str:
    """Return the number after the last ``####`` of an answer, without commas.

    Raises
    ------
    InputError
        If there is none.
    """
    _, hashes, final = answer.rpartition("####")
    number = final.strip().replace(",", "")
    if not hashes or not NUMBER.fullmatch(number):
        raise InputError(f"{place} has no number after '####' in its answer; mend or remove it.")
    return number


def build_row(record: Any, place: str, split: str, index: int) -> dict[str, Any]:
    """Return one row in verl's schema.

    Parameters
    ----------
    record : object
        Should be a mapping with the texts ``question`` and ``answer``.
    place : str
        Where the record stands, for the error.
    split : str
        ``train`` or ``test``.
    index : int
        Position in its split, from 0.

    Raises
    ------
    InputError
        If a text is missing or empty, or the answer has no number.
    """
    for key in ("question", "answer"):
        text = record.get(key) if isinstance(record, dict) else None
        if not isinstance(text, str) or not text.strip():
            raise InputError(f"{place} has no text '{key}'; each line needs question and answer.")
    question, answer = record["question"], record["answer"]
    return {
        "data_source": DATA_SOURCE,
        "prompt": [{"role": "user", "content": f"{question} {INSTRUCTION}"}],
        "ability": "math",
        "reward_model": {"style": "rule", "ground_truth": ground_truth(answer, place)},
        "extra_info": {"split": split, "index": index, "answer": answer, "question": question},
    }


def build_table(records: Iterable[Placed], split: str, source: str) -> pa.Table:
    """Return the rows of one split; InputError if there are none or one is bad."""
    rows = [build_row(record, place, split, i) for i, (place, record) in enumerate(records)]
    if not rows:
        raise InputError(f"{source} has no {split} rows; nothing was written.")
    return pa.Table.from_pylist(rows, schema=SCHEMA)


def write_whole(tables: dict[Path, pa.Table]) -> None:
    """Write the files so that each is there whole or not at all; on failure none is replaced."""
    temporary = {path: path.with_name(f".{path.name}.{os.getpid()}.tmp") for path in tables}
    try:
        for path, table in tables.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            pq.write_table(table, temporary[path])
        for path in tables:
            os.replace(temporary[path], path)
    finally:
        for leftover in temporary.values():
            leftover.unlink(missing_ok=True)


def prepare(
    records: dict[str, Iterable[Placed]], source: str, out: Path, *, overwrite: bool = False
) -> dict[Path, int]:
    """Write ``train.parquet`` and ``test.parquet`` and return the rows of each.

    The same records give the same bytes.

    Parameters
    ----------
    records : mapping
        Split to its records.
    source : str
        What to call the input in an error.
    out : Path
        Folder of the files; made if missing.
    overwrite : bool, default False
        Replace files that exist.

    Raises
    ------
    InputError
        If an output exists or a record is bad; no file is written then.
    """
    paths = {split: out / f"{split}.parquet" for split in SPLITS}
    for path in paths.values():
        if path.exists() and not overwrite:
            raise InputError(f"{path} exists; give --overwrite to replace it.")
    tables = {path: build_table(records[split], split, source) for split, path in paths.items()}
    try:
        write_whole(tables)
    except OSError as error:
        raise InputError(f"{out} cannot be written ({error.strerror}).") from error
    return {path: table.num_rows for path, table in tables.items()}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; bad input is one sentence on stderr and exit code 2."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--hub", metavar="ID", help="hub dataset, for example openai/gsm8k")
    parser.add_argument("--train", type=Path, metavar="JSONL", help="question and answer per line")
    parser.add_argument("--test", type=Path, metavar="JSONL", help="the same for the test split")
    parser.add_argument("--out", type=Path, required=True, help="folder for the parquet files")
    parser.add_argument("--overwrite", action="store_true", help="replace files that exist")
    args = parser.parse_args(argv)
    if bool(args.hub) == bool(args.train or args.test) or bool(args.train) != bool(args.test):
        parser.error("give either --hub, or both --train and --test.")
    try:
        if args.hub:
            records: dict[str, Iterable[Placed]] = dict(read_hub(args.hub))
        else:
            records = {"train": read_jsonl(args.train), "test": read_jsonl(args.test)}
        source = args.hub or f"{args.train} or {args.test}"
        written = prepare(records, source, args.out, overwrite=args.overwrite)
    except InputError as error:
        sys.stderr.write(f"prepare.py: error: {error}\n")
        return 2
    for path, count in written.items():
        sys.stderr.write(f"{path}: {count} rows\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
