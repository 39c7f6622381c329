"""Write GSM8K as verl parquet files, from local jsonl files or from the Hugging Face hub.

python recipes/gsm8k/prepare.py --train train.jsonl --test test.jsonl --out data/gsm8k
python recipes/gsm8k/prepare.py --hub openai/gsm8k --out data/gsm8k
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from sparft_plugin.corpus import open_sources
from sparft_plugin.corpus.rows import Place
from sparft_plugin.errors import SparftError
from sparft_plugin.reduction.files import whole_file

DATA_SOURCE = "openai/gsm8k"
"""The name by which verl finds its own GSM8K reward function."""
INSTRUCTION = 'Let\'s think step by step and output the final answer after "####".'
"""verl's own instruction; its reward function reads the number after the hashes."""
NUMBER = re.compile(r".*####\s*(-?\d+(?:\.\d+)?)\s*", re.DOTALL)
TEXT = pa.string()
SCHEMA = pa.schema(
    {
        "data_source": TEXT,
        "prompt": pa.list_(pa.struct({"role": TEXT, "content": TEXT})),
        "ability": TEXT,
        "reward_model": pa.struct({"style": TEXT, "ground_truth": TEXT}),
        "extra_info": pa.struct(
            {"split": TEXT, "index": pa.int64(), "answer": TEXT, "question": TEXT}
        ),
    }
)


def rows(given: str, split: str) -> Iterator[dict[str, Any]]:
    """Read a file or a split of the hub as rows of verl's schema.

    Raises
    ------
    SparftError
        Naming the row whose text is missing, or whose answer has no number after the hashes.
    """
    index = 0
    for source in open_sources([given]):
        source.check_has(["question", "answer"])
        for questions, answers in source.batches(["question", "answer"]):
            for question, answer in zip(questions, answers, strict=True):
                place = Place(source.name, index)
                for key, text in (("question", question), ("answer", answer)):
                    if not isinstance(text, str) or not text.strip():
                        raise place.error(key, "is no text; mend or remove the row.")
                number = NUMBER.fullmatch(answer.replace(",", ""))
                if number is None:
                    raise place.error("answer", "has no number after '####'; mend the row.")
                yield {
                    "data_source": DATA_SOURCE,
                    "prompt": [{"role": "user", "content": f"{question} {INSTRUCTION}"}],
                    "ability": "math",
                    "reward_model": {"style": "rule", "ground_truth": number[1]},
                    "extra_info": {
                        "split": split, "index": index, "answer": answer, "question": question,
                    },
                }  # fmt: skip
                index += 1


def prepare(inputs: Mapping[str, str], out: Path, overwrite: bool = False) -> dict[Path, int]:
    """Write a parquet file of each split, all or none, and return the rows of each.

    The same records give the same bytes. If an output exists, or a record is bad, it is a
    SparftError.
    """
    paths = {split: out / f"{split}.parquet" for split in inputs}
    for path in paths.values():
        if path.exists() and not overwrite:
            raise SparftError(f"{path} exists; give --overwrite to replace it.")
    tables = {}
    for split, given in inputs.items():
        tables[paths[split]] = pa.Table.from_pylist(list(rows(given, split)), schema=SCHEMA)
        if not tables[paths[split]].num_rows:
            raise SparftError(f"{given} has no rows; nothing was written.")
    try:
        out.mkdir(parents=True, exist_ok=True)
        with ExitStack() as staged:
            for path, table in tables.items():
                pq.write_table(table, staged.enter_context(whole_file(path)))
    except OSError as error:
        raise SparftError(f"{out} cannot be written ({error.strerror}).") from error
    return {path: table.num_rows for path, table in tables.items()}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; bad input is one sentence on stderr and exit code 2."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--hub", metavar="ID", help="hub dataset, for example openai/gsm8k")
    parser.add_argument("--train", metavar="JSONL", help="question and answer per line")
    parser.add_argument("--test", metavar="JSONL", help="the same for the test split")
    parser.add_argument("--out", type=Path, required=True, help="folder for the parquet files")
    parser.add_argument("--overwrite", action="store_true", help="replace files that exist")
    args = parser.parse_args(argv)
    if bool(args.hub) == bool(args.train or args.test) or bool(args.train) != bool(args.test):
        parser.error("give either --hub, or both --train and --test.")
    given = [f"{args.hub}:main:{s}" for s in ("train", "test")] if args.hub else None
    train, test = given or (args.train, args.test)
    try:
        written = prepare({"train": train, "test": test}, args.out, args.overwrite)
    except SparftError as error:
        sys.stderr.write(f"prepare.py: error: {error}\n")
        return 2
    for path, count in written.items():
        sys.stderr.write(f"{path}: {count} rows\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
