"""Words that set clusters apart, against c-TF-IDF written out naively."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparft_plugin.reduction import words as module
from sparft_plugin.reduction.words import cluster_words


def named(texts, arms, *options, **more):
    return cluster_words(texts, np.array(arms, dtype=np.int64), *options, **more)


WORDS = ["apple", "pear", "train", "hour", "coin", "frog", "river", "clock", "paint"]


def class_tf_idf(texts, arms, clusters, top):
    """Grootendorst 2022, Eq. 2, for texts of plain words; what every cluster shares is no word."""
    split = [text.split() for text in texts]
    filled = sorted(set(arms))
    holders = {c: Counter() for c in filled}
    for words, arm in zip(split, arms, strict=True):
        holders[arm].update(set(words))
    common = {
        word
        for words in split
        for word in words
        if len(filled) > 1 and all(holders[c][word] * 2 > arms.count(c) for c in filled)
    }
    count = {c: Counter() for c in range(clusters)}
    for words, arm in zip(split, arms, strict=True):
        count[arm].update(word for word in words if word not in common)
    overall = sum(count.values(), Counter())
    mean = overall.total() / max(1, sum(bool(count[c]) for c in count))
    names = []
    for c in range(clusters):
        weight = {
            t: n / count[c].total() * math.log(1 + mean / overall[t])
            for t, n in count[c].items()
            if n * overall.total() >= overall[t] * count[c].total()
        }
        names.append(sorted(weight, key=lambda t: (-round(weight[t], 12), t))[:top])
    return names, common


corpora = st.lists(
    st.tuples(st.lists(st.sampled_from(WORDS), min_size=1, max_size=6), st.integers(0, 3)),
    min_size=1,
    max_size=30,
)


@given(corpora, st.integers(1, 6))
def test_names_are_the_words_of_largest_class_tf_idf(corpus, top):
    texts = [" ".join(words) for words, _ in corpus]
    arms = [arm for _, arm in corpus]
    expected, common = class_tf_idf(texts, arms, 4, top)
    for arm, (found, words) in enumerate(zip(named(texts, arms, 4, top), expected, strict=True)):
        if words:
            assert found == words
        else:
            assert set(found) <= common
            assert bool(found) == (arm in arms)


@given(corpora, st.randoms(use_true_random=False))
def test_the_order_of_the_texts_changes_nothing(corpus, shuffle):
    texts = [" ".join(words) for words, _ in corpus]
    arms = [arm for _, arm in corpus]
    whole = named(texts, arms, 4)
    order = shuffle.sample(range(len(texts)), len(texts))
    assert named((texts[i] for i in order), [arms[i] for i in order], 4) == whole


def test_each_cluster_is_named_by_what_only_it_talks_about():
    texts = [
        "How many apples are in the basket of 12 apples?",
        "She didn't eat the basket's apples.",
        "The train runs 60 miles in an hour.",
        "A train takes an hour and 5 minutes.",
    ]
    assert named(texts, [0, 0, 1, 1], 2, top=2) == [["apples", "basket"], ["hour", "train"]]


def test_an_instruction_that_ends_every_prompt_names_no_cluster():
    end = " Let's think step by step and output the final answer after '####'."
    texts = ["Two frogs jump.", "Frogs swim.", "A clock ticks.", "The clock stops."]
    plain = named(texts, [0, 0, 1, 1], 2)
    assert plain == [["frogs", "jump", "swim"], ["clock", "stops", "ticks"]]
    assert named([text + end for text in texts], [0, 0, 1, 1], 2) == plain


def test_clusters_without_words_and_empty_ones_have_no_name():
    texts = ["1 + 1?", "1 + 2?", "what is it", "?!", "frog"]
    assert named(texts, [0, 0, 1, 2, 4], 5) == [[], [], [], [], ["frog"]]
    assert named(texts[:4], [0, 0, 1, 2], 4) == [[]] * 4
    assert named([], [], 3) == [[], [], []]


def test_a_word_and_its_plural_are_named_once():
    texts = ["coin coins coins paint", "river"]
    assert named(texts, [0, 1], 2) == [["coins", "paint"], ["river"]]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Сколько яблок у Маши? Яблок много!", ["яблок", "маши", "много", "сколько"]),
        ("L’été, l’argent ÉTÉ", ["été", "argent"]),
        ("हिन्दी हिन्दी में", ["हिन्दी", "में"]),
        ("苹果和苹果", ["苹果", "和苹", "果和"]),
        ("한국어 사과 사과", ["사과", "한국어"]),
        ("كم تفاحة؟ تفاحة", ["تفاحة", "كم"]),
        ("x" * 31 + " frog", ["frog"]),
        ("frog_clock frog-frog \\frac{river}{2}", ["frog", "clock", "frac", "river"]),
    ],
)
def test_words_of_any_script_stay_whole(text, words):
    assert named([text], [0], 1) == [words]


def test_of_a_text_of_megabytes_the_beginning_is_read():
    text = "frog " + "x" * module.READ + " clock"
    assert named([text, "river"], [0, 1], 2) == [["frog"], ["river"]]
