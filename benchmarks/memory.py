"""What the episodic memory costs, encoding included: ratios taken in one run, as JSON.

python benchmarks/memory.py [--gsm8k FOLDER]
python benchmarks/memory.py --verl

The baseline follows the access pattern of Memory-R's released code; the floor is the time to
encode the different texts once. Every round measures each way in turn, and medians over the rounds
are reported. The baseline takes one quarter of the questions a round, with its memories kept, so
that after four rounds it has seen all. Other work on the machine disturbs seconds more than the
CPU seconds that stand beside them.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from common import CORES, GSM8K, parser_of, write
from memory_baseline import ReleasedPattern
from memory_texts import Question, questions
from memory_verl import step_times

PROMPTS, ROLLOUTS, ROUNDS = 64, 16, 4
GENERATION_S = 2.0
MODEL = "all-MiniLM-L6-v2"
LEAST_COSINE = 0.995
LIMITS = {"over_baseline": 4.0, "over_floor": 1.1, "fastest_over_baseline": 10.0, "step": 1.05}
WAYS: dict[str, dict[str, Any]] = {
    "torch float32": {},
    "torch bfloat16": {"precision": "bfloat16"},
    "openvino float32": {"backend": "openvino"},
    "openvino bfloat16": {"backend": "openvino", "precision": "bfloat16"},
}

Times = dict[str, list[tuple[float, float]]]
"""By way: seconds and CPU seconds of each round."""


def timed(action: Callable[[], Any]) -> tuple[float, float]:
    """Seconds and CPU seconds of a call."""
    began, cpu = time.perf_counter(), time.process_time()
    action()
    return time.perf_counter() - began, time.process_time() - cpu


async def encode_rollouts(encoder: Any, drawn: Sequence[Question]) -> list[np.ndarray]:
    """Embeddings of each question's responses, which come in random order, as from workers."""
    from sparft_plugin.training.encoding import MicroBatcher

    batcher = MicroBatcher(encoder.encode)
    places = [(i, j) for i, one in enumerate(drawn) for j in range(len(one.rollouts))]
    random.Random(1).shuffle(places)
    found = await asyncio.gather(*[batcher.encode(drawn[i].rollouts[j][0]) for i, j in places])
    vector_of = dict(zip(places, found, strict=True))
    # They travel to the driver in float16.
    return [
        np.stack([vector_of[i, j].astype(np.float16) for j in range(len(one.rollouts))])
        for i, one in enumerate(drawn)
    ]


def ours(encoder: Any, drawn: Sequence[Question]) -> None:
    """Encode, score and write all rollouts of a step into an empty memory."""
    from sparft_plugin.memory.base import MemoryGroup
    from sparft_plugin.plugins import build

    memory = build("intrinsic reward", "memory_r_plus", {"encoder": encoder.identity})
    responses = asyncio.run(encode_rollouts(encoder, drawn))
    queries = encoder.encode([one.text for one in drawn])
    groups = [
        MemoryGroup(str(i), queries[i], responses[i], np.array([a for _, a in one.rollouts]))
        for i, one in enumerate(drawn)
    ]
    memory.score(groups)
    memory.write(groups)


def encoders() -> dict[str, Any]:
    """The ways of encoding that this machine has, loaded."""
    from sparft_plugin.errors import SparftError
    from sparft_plugin.training.encoding import memory_encoder

    found = {}
    for name, options in WAYS.items():
        encoder = memory_encoder(MODEL, options)
        try:
            encoder.encode(["x"])
        except SparftError as error:
            sys.stderr.write(f"{name} is left out: {error}\n")
            continue
        found[name] = encoder
    return found


def measure(drawn: Sequence[Question], ways: dict[str, Any], unique: list[str]) -> Times:
    """Time baseline, floors and every way in turn, round after round."""
    from sentence_transformers import SentenceTransformer

    from sparft_plugin.reduction.embedders.models import find_weights

    model = SentenceTransformer(find_weights(MODEL).location, device="cpu")
    baseline = ReleasedPattern(model)
    times: Times = {name: [] for name in ("baseline", "floor library", "floor ours", *ways)}

    def one_by_one(part: Sequence[Question]) -> None:
        for question in part:
            for response, accuracy in question.rollouts:
                baseline.reward(question.text, response, accuracy)

    for index in range(ROUNDS):
        part = drawn[index::ROUNDS]
        times["baseline"].append(timed(lambda part=part: one_by_one(part)))
        times["floor library"].append(timed(lambda: model.encode(unique, batch_size=32)))
        times["floor ours"].append(timed(lambda: ways["torch float32"].encode(unique)))
        for name, encoder in ways.items():
            times[name].append(timed(lambda encoder=encoder: ours(encoder, drawn)))
        told = {name: [round(x, 2) for x in rows[-1]] for name, rows in times.items()}
        sys.stderr.write(f"round {index + 1}: seconds and CPU seconds {told}\n")
    return times


def cosines(ways: dict[str, Any], unique: list[str]) -> dict[str, dict[str, float]]:
    """Least and mean cosine of each way to float32."""
    exact = ways["torch float32"].encode(unique).astype(np.float64)
    found = {}
    for name, encoder in ways.items():
        cosine = (encoder.encode(unique).astype(np.float64) * exact).sum(axis=1)
        found[name] = {
            "cosine_min": round(float(cosine.min()), 6),
            "cosine_mean": round(float(cosine.mean()), 6),
        }
    return found


def lone_and_full(unique: list[str]) -> list[dict[str, float]]:
    """CPU milliseconds a text with torch by tokens of a pass: all at once, and one by one."""
    from sparft_plugin.training.encoding import memory_encoder

    texts = random.Random(2).sample(unique, 120)
    rows = []
    for tokens in (1, 128, 256, 1024):
        encoder = memory_encoder(MODEL, {"batch_tokens": tokens})
        encoder.encode(["x"])
        full = [timed(lambda e=encoder: e.encode(texts))[1] for _ in range(3)]
        lone = [timed(lambda e=encoder, t=text: e.encode([t]))[1] for text in texts[:16]]
        rows.append(
            {
                "batch_tokens": tokens,
                "together_ms": round(1e3 * float(np.median(full)) / len(texts), 1),
                "alone_ms": round(1e3 * float(np.median(lone)), 1),
            }
        )
    return rows


def queries_ahead(encoder: Any, drawn: Sequence[Question]) -> dict[str, float]:
    """Milliseconds that new prompts take, and that are waited for after a generation of 2 s."""
    from sparft_plugin.training.remembering import Queries

    texts = {str(i): one.text for i, one in enumerate(drawn)}
    taken = [timed(lambda: encoder.encode(list(texts.values())))[0] for _ in range(ROUNDS)]
    waited = []
    for _ in range(ROUNDS):
        queries = Queries(encoder.encode)
        queries.begin(texts)
        time.sleep(GENERATION_S)
        waited.append(timed(lambda queries=queries: queries.wait(texts))[0])
    return {
        "encoding_ms": round(1e3 * float(np.median(taken)), 1),
        "waited_ms": round(1e3 * float(np.median(waited)), 2),
    }


def report(drawn: Sequence[Question], times: Times, ways: dict[str, Any]) -> dict[str, Any]:
    """Put medians and ratios together."""
    rollouts = sum(len(one.rollouts) for one in drawn)
    counted = {"baseline": rollouts / ROUNDS}
    rates = {
        name: {
            "rollouts_per_second": round(counted.get(name, rollouts) / median(rows, 0), 1),
            "rollouts_per_cpu_second": round(counted.get(name, rollouts) / median(rows, 1), 1),
            "seconds": round(median(rows, 0), 3),
        }
        for name, rows in times.items()
    }
    floor = max(("floor library", "floor ours"), key=lambda n: rates[n]["rollouts_per_second"])
    for name in ways:
        for other, ratio in (("baseline", "over_baseline"), (floor, "over_floor")):
            for unit in ("second", "cpu_second"):
                key = f"rollouts_per_{unit}"
                quotient = rates[name][key] / rates[other][key]
                quotient = 1 / quotient if ratio == "over_floor" else quotient
                rates[name][ratio + ("_cpu" if unit == "cpu_second" else "")] = round(quotient, 3)
    return {"floor": floor, "rates": rates}


def median(rows: Sequence[tuple[float, float]], unit: int) -> float:
    """Median over rounds, of seconds (0) or CPU seconds (1)."""
    return float(np.median([row[unit] for row in rows]))


def measured(folder: Path) -> dict[str, Any]:
    """Everything but the runs of verl."""
    drawn = questions(folder, PROMPTS, ROLLOUTS)
    responses = [response for one in drawn for response, _ in one.rollouts]
    unique = sorted({*responses, *(one.text for one in drawn)})
    ways = encoders()
    found = cosines(ways, unique)
    figures = report(drawn, measure(drawn, ways, unique), ways)
    lawful = [name for name in ways if found[name]["cosine_min"] >= LEAST_COSINE]
    return {
        "prompts": PROMPTS,
        "rollouts": len(responses),
        "unique_share": round(len(set(responses)) / len(responses), 3),
        "rounds": ROUNDS,
        "limits": LIMITS,
        "texts_encoded": {"baseline": 4 * len(responses), "ours": len(unique)},
        **figures,
        "cosines": found,
        "fastest": max(lawful, key=lambda name: figures["rates"][name]["rollouts_per_second"]),
        "by_batch_tokens": lone_and_full(unique),
        "queries": queries_ahead(ways["torch float32"], drawn),
        "cores": CORES,
    }


def main() -> None:
    """Parse the command line, measure and write the JSON; what is not measured is kept."""
    parser = parser_of(__file__, __doc__)
    parser.add_argument("--gsm8k", type=Path, default=GSM8K, metavar="FOLDER")
    parser.add_argument("--verl", action="store_true", help="only train with and without memory")
    arguments = parser.parse_args()
    out = arguments.out
    result = json.loads(out.read_text(encoding="utf-8")) if out.exists() else {"verl": None}
    result |= {"verl": step_times()} if arguments.verl else measured(arguments.gsm8k)
    write(out, result)


if __name__ == "__main__":
    main()
