"""``sparft reduce`` with its other options: inputs, difficulty, hygiene, budgets and the page."""

from __future__ import annotations

import json
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sparft_plugin.cli.main import main
from sparft_plugin.difficulty.solved import FORMAT
from sparft_plugin.prompts import PromptTable
from sparft_plugin.reduction.selectors import Selector
from tests.unit.reduction_data import HashEmbedder, registered, row, sums, write

KEY = "extra_info.difficulty"


@dataclass
class Salted(HashEmbedder):
    salt: int = 0

    @property
    def identity(self):
        return f"salted@{self.salt}"

    def encode(self, texts):
        return super().encode([f"{self.salt} {text}" for text in texts])


@dataclass
class Last(Selector):
    """The last members, counted back from an option."""

    skip: int = 0

    def select(self, members, k, rng):
        return np.arange(len(members))[::-1][self.skip : self.skip + k].astype(np.int64)


@pytest.fixture(autouse=True)
def _hash_embedder():
    HashEmbedder.calls.clear()
    mine = {"hash": HashEmbedder, "salted": Salted}
    with registered(embedders=mine, selectors={"last": Last}):
        yield


@pytest.fixture
def source(tmp_path):
    return write(tmp_path / "in.parquet", sums(60))


def reduce(source, *options):
    """Exit code; the output is ``out.parquet`` beside the input."""
    small = ["--clusters", "3", "--per-cluster", "2", "--embedder", "hash"]
    out = source.parent / "out.parquet"
    return main(["reduce", *small, *map(str, options), "-o", str(out), "--", str(source)])


def manifest(source):
    text = (source.parent / "out.manifest.json").read_text(encoding="utf-8")
    return json.loads(text)


def kept(source):
    return pq.read_table(source.parent / "out.parquet").to_pylist()


def names(source):
    return sorted(p.name for p in source.parent.iterdir())


def gsm8k(path, n=30):
    rows = [
        {"question": f"Tom has {i} {{eggs}}. How many?", "answer": f"He has {i}.\n#### {i}"}
        for i in range(n)
    ]
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    return path


def test_questions_and_answers_become_rows_of_verl(tmp_path):
    source = gsm8k(tmp_path / "train.jsonl")
    template = "{prompt}\nEnd with ####."
    mapped = ["--map", "prompt=question", "answer=answer", "--data-source", "openai/gsm8k"]
    assert reduce(source, *mapped, "--template", template) == 0
    for got in kept(source):
        question, answer = got["question"], got["answer"]
        assert got["prompt"] == [{"role": "user", "content": f"{question}\nEnd with ####."}]
        assert got["reward_model"] == {"style": "rule", "ground_truth": answer}
        assert got["data_source"] == "openai/gsm8k"
        assert set(got["extra_info"]["sparft"]) == {"id", "arm", "difficulty"}
    assert len({got["question"] for got in kept(source)}) == 6
    # The template is the same in every prompt and says nothing, so it is not encoded.
    assert reduce(source, *mapped, "--overwrite") == 0
    assert HashEmbedder.calls == [30]


def test_a_dry_run_tells_the_plan_and_writes_nothing(source, capsys):
    budget = ["--budget", "10%", "--near-duplicates", "0.99", "--report"]
    budget += ["--selector", "last", "--selector-option", "skip=2"]
    assert reduce(source, "--dry-run", "--difficulty-key", KEY, *budget) == 0
    printed, noise = capsys.readouterr()
    lines = printed.splitlines()
    assert noise == ""
    assert lines[:4] == [
        *("inputs:", f"  {source}", "rows: 60", "prompts: 60 unique, 0 duplicate rows")
    ]
    for line in (
        "keep: 6 prompts",
        "  clusters: 3",
        "  budget: 10%",
        "  selector_options: skip=2",
        "  near_duplicates: 0.99",
    ):
        assert line in lines
    assert f"  difficulty: column:{KEY}" in lines
    assert "encoding: 60 texts with hash@all-MiniLM-L6-v2, about 0 s in this process" in lines
    assert lines[-3].startswith("time: about 2 s")
    assert lines[-2].startswith("memory: about ")
    assert lines[-1] == "nothing was written."
    assert names(source) == ["in.parquet"]


def test_a_dry_run_knows_the_pool_what_is_in_the_cache_and_what_is_given(source, capsys):
    assert reduce(source, "--pool", "20") == 0
    assert HashEmbedder.calls == [20]
    printed = capsys.readouterr().out.splitlines()
    assert printed[0].startswith("kept 6 of 60 prompts in 3 arms;")
    assert printed[1] == "looked at a random sample of 20 prompts; --pool all looks at every one."
    assert (manifest(source)["prompts"], manifest(source)["sample"]) == (60, 20)
    for options, plan in (
        (["--pool", "20"], "encoding: none, all texts are in the cache"),
        (["--pool", "25"], "encoding: 5 texts with hash@"),
        (["--pool", "25"], "pool: a random sample of 25 prompts"),
        (["--embeddings", "v.npy"], "encoding: none, embeddings are given"),
    ):
        assert reduce(source, "--overwrite", "--dry-run", *options) == 0
        assert plan in capsys.readouterr().out


def test_a_page_of_arms_without_a_kept_prompt_can_be_drawn(source, capsys):
    assert reduce(source, "--report", "--clusters", "8", "--budget", "3") == 0
    empty = [arm["arm"] for arm in manifest(source)["arms"] if not arm["kept"]]
    page = (source.parent / "out.html").read_text(encoding="utf-8")
    assert page.rstrip().endswith("</html>")
    assert kept(source)[0]["prompt"][0]["content"] in page
    printed = capsys.readouterr().out.splitlines()
    assert printed[-1].endswith(f"and {source.parent / 'out.html'}")
    assert printed[1].startswith(f"coverage: arms without a kept prompt: {len(empty)};")
    rows = {line.split()[0]: line.split() for line in printed[3:19:2]}
    for arm in empty:
        assert rows[str(arm)][2:] == ["0", "-", "-", "-"]


WORDS = "the quick brown fox jumps over one lazy dog and then runs far away from number"


def test_prompts_of_an_evaluation_set_are_left_out_and_the_pairs_are_written(source, capsys):
    train = [*sums(40), row(f"Please: {WORDS} 7 today?", "1"), row(f"{WORDS} 8?", "1")]
    write(source, train)
    tests = write(source.parent / "test.parquet", [row(f"{WORDS} 7 today?", "1"), *sums(2)])
    assert reduce(source, "--decontaminate", tests, "--near-duplicates", "0.9999") == 0
    pairs = source.parent / "out.pairs.jsonl"
    found = [json.loads(line) for line in pairs.read_text(encoding="utf-8").splitlines()]
    shared = {(f["removed_row"], f["row"], f["kind"], f["file"]) for f in found}
    assert shared == {
        *((i, i + 1, kind, str(tests)) for i in (0, 1) for kind in ("ngram", "similar")),
        (40, 0, "ngram", str(tests)),
        (41, 0, "ngram", str(tests)),
    }
    first = next(f for f in found if f["removed_row"] == 40)
    assert first["removed_text"] == f"Please: {WORDS} 7 today?"
    assert first["text"] == f"{WORDS} 7 today?"
    told = manifest(source)
    assert (told["contaminated"], told["near_duplicates"], told["pool"]) == (4, 0, 38)
    assert "left out: 4 contaminated, 0 near-duplicates; the pairs" in capsys.readouterr().out
    gone = {f["removed_id"] for f in found}
    assert gone.isdisjoint(r["extra_info"]["sparft"]["id"] for r in kept(source))


def test_of_an_evaluation_set_only_the_texts_are_read(source, capsys):
    write(source, [*sums(40), row(f"Please: {WORDS} 7 today?", "1")])
    tests = source.parent / "test.jsonl"
    questions = [f"{WORDS} 7 today?", f"{WORDS} 7 today?", "Who?"]
    noisy = [{"prompt": q, "answer": str(i)} for i, q in enumerate(questions)]
    tests.write_text("\n".join(map(json.dumps, noisy)), encoding="utf-8")
    assert reduce(source, "--decontaminate", tests, "--dry-run") == 0
    printed = capsys.readouterr().out.splitlines()
    assert f"keep clear of: 2 prompts of {tests}" in printed
    assert "encoding: 43 texts with hash@all-MiniLM-L6-v2, about 0 s in this process" in printed
    assert reduce(source, "--decontaminate", tests) == 0
    text = (source.parent / "out.pairs.jsonl").read_text(encoding="utf-8")
    assert [json.loads(line)["row"] for line in text.splitlines()] == [0]
    tests.write_text('{"promt": "Who?"}', encoding="utf-8")
    assert reduce(source, "--decontaminate", tests, "--dry-run", "--overwrite") == 2
    assert "test.jsonl has no column 'prompt'; did you mean 'promt'?" in capsys.readouterr().err


def test_near_duplicates_leave_one_and_nothing_is_told_of_what_was_not_looked_for(source, capsys):
    vectors = np.eye(60, 64, dtype=np.float32)
    vectors[7] = vectors[3] + 0.01 * vectors[8]
    np.save(source.parent / "v.npy", vectors)
    given = ["--embeddings", source.parent / "v.npy"]
    assert reduce(source, *given, "--near-duplicates", "0.99") == 0
    told = manifest(source)
    assert (told["near_duplicates"], told["contaminated"], told["pool"]) == (1, None, 59)
    assert "left out: 1 near-duplicates; the pairs" in capsys.readouterr().out
    (pair,) = (source.parent / "out.pairs.jsonl").read_text(encoding="utf-8").splitlines()
    assert {json.loads(pair)[key] for key in ("removed_row", "row")} == {3, 7}
    (source.parent / "out.pairs.jsonl").unlink()
    assert reduce(source, *given, "--overwrite") == 0
    told = manifest(source)
    assert (told["near_duplicates"], told["contaminated"], told["hygiene"]) == (None, None, None)
    assert "out.pairs.jsonl" not in names(source)
    assert "left out:" not in capsys.readouterr().out


def test_sources_of_difficulty_are_put_on_one_scale_and_the_manifest_says_so(source):
    prompts = PromptTable.from_parquet(source)
    solved = source.parent / "solved.jsonl"
    lines = [{"format": FORMAT}]
    lines += [{"id": prompts.ids[i], "difficulty": i / 20} for i in range(20)]
    solved.write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    rows = sums(60)
    for i, each in enumerate(rows):
        each["extra_info"]["difficulty"] = float(i) if i < 40 else None
    write(source, rows)
    sources = [f"solved:{solved}", f"column:{KEY}", "none"]
    options = [part for text in sources for part in ("--difficulty", text)]
    assert reduce(source, *options, "--selector", "difficulty_spread", "--budget", "60") == 0
    told = manifest(source)["difficulty"]
    assert told["quantiles"] is True
    assert [(s["name"], s["known"], s["count"]) for s in told["sources"]] == [
        ("solved:solved.jsonl", 20, 20),
        (f"column:{KEY}", 40, 20),
        ("none", 60, 20),
    ]
    got = {r["reward_model"]["ground_truth"]: r["extra_info"]["sparft"] for r in kept(source)}
    assert got["0"]["difficulty"] == pytest.approx(0.5 / 20)
    assert got["60"]["difficulty"] == pytest.approx(30.5 / 40)
    assert got["100"]["difficulty"] == 0.5


def test_limr_reads_the_curves_of_logged_rollouts(source):
    ids = PromptTable.from_parquet(source).ids
    logs = source.parent / "logs"
    logs.mkdir()
    for step in (1, 2, 3):
        lines = [
            {"prompt_id": name, "score": float(step > i % 4), "step": step}
            for i, name in enumerate(ids)
        ]
        (logs / f"{step}.jsonl").write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    assert reduce(source, "--difficulty", f"rollouts:{logs}", "--selector", "limr") == 0
    told = manifest(source)["difficulty"]["sources"][0]
    assert (told["name"], told["joined"], told["known"]) == ("rollouts:logs", 180, 60)
    assert len(kept(source)) == 6


def test_the_number_of_clusters_that_separates_best_is_taken(source):
    corners = np.eye(8, dtype=np.float32)[np.arange(60) % 8]
    vectors = corners + np.random.default_rng(0).normal(size=corners.shape) / 50
    np.save(source.parent / "v.npy", vectors)
    assert reduce(source, "--clusters", "auto", "--embeddings", source.parent / "v.npy") == 0
    told = manifest(source)
    assert told["options"]["clusters"] == "auto"
    assert (len(told["arms"]), told["kept"]) == (8, 16)
    scores = {point["clusters"]: point["score"] for point in told["silhouette"]}
    assert list(scores) == [4, 6, 8, 10, 12, 16, 20, 24]
    assert max(scores, key=scores.__getitem__) == 8


def test_tokens_are_a_budget(source):
    assert reduce(source, "--budget", "40 tokens") == 0
    told = manifest(source)
    # "12 + 12?" is four word pieces.
    assert (told["kept"], told["tokens"]) == (10, 40)


def test_options_of_selector_and_embedder_reach_them(source, capsys):
    chosen = ["--embedder", "salted", "--selector", "last", "--overwrite"]
    told = []
    for salt, skip in ((0, 0), (0, 1), (3, 0)):
        options = ["--embedder-option", f"salt={salt}", "--selector-option", f"skip={skip}"]
        assert reduce(source, *chosen, *options) == 0
        told.append((manifest(source)["encoder"], [r["prompt"] for r in kept(source)]))
    assert manifest(source)["options"]["embedder_options"] == {"salt": 3}
    assert [encoder for encoder, _ in told] == ["salted@0", "salted@0", "salted@3"]
    # Skipping one, the second of each arm comes first.
    assert told[0][1][1::2] == told[1][1][::2]
    assert told[0][1] != told[2][1]
    assert reduce(source, *chosen, "--selector-option", "skp=1") == 2
    assert "option of the selector 'last' 'skp'; did you mean 'skip'?" in capsys.readouterr().err


def test_a_column_of_embeddings_is_what_the_file_of_them_is(source):
    vectors = np.random.default_rng(0).normal(size=(60, 5)).astype(np.float32)
    table = pq.read_table(source).append_column("v", pa.array(vectors.tolist()))
    pq.write_table(table, source)
    np.save(source.parent / "v.npy", vectors)
    told = []
    for given in ("column:v", source.parent / "v.npy"):
        assert reduce(source, "--embeddings", given, "--overwrite") == 0
        told.append(manifest(source))
    assert told[0] == told[1]
    assert told[0]["encoder"] == "given"
    assert HashEmbedder.calls == []
