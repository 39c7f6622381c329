"""A spool of texts is a list of texts, with the texts on disk."""

from __future__ import annotations

import tracemalloc
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparft_plugin.corpus.spool import TextSpool

any_text = st.text(st.characters(exclude_categories=[]), max_size=20)


@given(st.lists(any_text, max_size=20), st.slices(20))
def test_a_spool_reads_like_the_list_it_was_made_of(texts, part):
    spool = TextSpool()
    for number, text in enumerate(texts):
        spool.append(text)
        assert (spool[-1], len(spool.sizes)) == (text, number + 1)
    assert len(spool) == len(texts)
    assert list(spool) == texts
    assert [spool[i - len(texts)] for i in range(len(texts))] == texts
    assert spool[part] == texts[part]
    assert spool.sizes.tolist() == [len(t.encode("utf-8", "surrogatepass")) for t in texts]


def test_an_index_beyond_the_end_is_refused_and_numpy_numbers_are_indices():
    spool = TextSpool(["a", "b"])
    for index in (2, -3):
        with pytest.raises(IndexError):
            spool[index]
    assert spool[np.int64(1)] == "b"
    assert "b" in spool
    assert list(TextSpool()) == []


def test_threads_read_at_once_without_mixing_texts_up():
    texts = [chr(97 + i % 26) * (i % 301) for i in range(2000)]
    spool = TextSpool(texts)
    orders = [np.random.default_rng(seed).permutation(2000).tolist() for seed in range(4)]
    with ThreadPoolExecutor(4) as pool:
        read = list(pool.map(lambda order: [spool[i] for i in order], orders))
    assert read == [[texts[i] for i in order] for order in orders]


def test_memory_holds_places_and_not_texts():
    tracemalloc.start()
    spool = TextSpool("x" * 5000 for _ in range(4000))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(spool) == 4000
    assert peak < 1_000_000 < spool.sizes.sum()
