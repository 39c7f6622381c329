"""Words shared with evaluation prompts, against a search by hand."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparft_plugin.errors import SparftError
from sparft_plugin.reduction.hygiene.overlap import OverlapIndex
from sparft_plugin.reduction.hygiene.words import plain, words

SUFFIX = ' Let\'s think step by step and output the final answer after "####".'


def text(start: int, count: int) -> str:
    """Words w<start> .. w<start + count - 1>."""
    return " ".join(f"w{i}" for i in range(start, start + count))


def question(i: int) -> str:
    """Sixteen words, all but the last three its own."""
    return f"{text(100 * i, 13)} does she have?"


@pytest.mark.parametrize(
    ("said", "found"),
    [
        ("He's got 1,5 €—REALLY?\n", ["he", "s", "got", "1", "5", "really"]),
        ("ＦＵＬＬ ½ Straße", ["full", "1", "2", "strasse"]),
        ("x_1 + x²", ["x", "1", "x2"]),
        ("हिन्दी में, कितने?", ["हिन्दी", "में", "कितने"]),
        ("Сколько яблок у Анны?", ["сколько", "яблок", "у", "анны"]),
        ("사과는 몇 개?", ["사과는", "몇", "개"]),
        ("小明有3个苹果。", ["小", "明", "有", "3", "个", "苹", "果"]),
        ("りんごはabc", ["り", "ん", "ご", "は", "abc"]),
        ("กี่ผล", ["กี่", "ผ", "ล"]),
        ("app\u00adle\u200bs", ["apples"]),
    ],
)
def test_words_are_of_any_script_without_case_punctuation_layout_and_invisible_marks(said, found):
    assert words(said) == found


def test_plain_keeps_punctuation_and_forgets_layout():
    assert plain(" What is\n2 - 2? ") == "what is 2 - 2?"
    assert plain("2 - 2") != plain("2 + 2")


def test_thirteen_shared_words_are_a_copy_and_twelve_are_none():
    index = OverlapIndex([text(0, 40)])
    assert index.find("before " + text(5, 13) + " after") == (0, 1 / 28, text(5, 13))
    assert index.find("before " + text(5, 12) + " after") is None


def test_the_evaluation_prompt_of_which_most_is_found_is_named():
    index = OverlapIndex([text(0, 40), text(0, 20), text(0, 20)])
    assert index.find(text(0, 20)) == (1, 1.0, text(0, 20))


def test_the_longest_run_of_shared_words_is_shown():
    index = OverlapIndex([text(0, 40), text(100, 40)])
    found = index.find(text(0, 14) + " and " + text(20, 16) + " and " + text(100, 13))
    assert found == (0, 6 / 28, text(20, 16))


@pytest.mark.parametrize(
    ("evaluation", "said", "found"),
    [
        (text(0, 8), "Well: " + text(0, 8).upper() + "!", True),
        (text(0, 8), "Well: " + text(0, 7), False),
        (text(0, 7), text(0, 7).upper() + " ", True),
        (text(0, 7), "Well: " + text(0, 7), False),
        ("What is 2 + 2?", "what is  2 + 2?", True),
        ("What is 2 + 2?", "What is 2 - 2?", False),
    ],
)
def test_a_prompt_of_eight_words_may_lie_in_a_longer_one_and_a_shorter_one_is_everything(
    evaluation, said, found
):
    assert (OverlapIndex([evaluation]).find(said) is not None) == found


def test_an_instruction_that_all_prompts_share_is_no_copy():
    index = OverlapIndex([question(i) + SUFFIX for i in range(30)])
    assert index.find(question(77) + SUFFIX) is None
    assert index.find(question(7) + SUFFIX) == (7, 1.0, " ".join(words(question(7))[:13]))
    assert index.find(question(7)) == (7, 1.0, " ".join(words(question(7))[:13]))


def test_words_before_an_instruction_do_not_make_it_a_copy():
    endings = [f"{text(9000 + 100 * i, 20)} how many apples are left" for i in range(30)]
    index = OverlapIndex(
        [ending + SUFFIX for ending in endings[:3] + list(map(question, range(27)))]
    )
    assert index.find(endings[9] + SUFFIX) is None


def test_a_phrase_in_too_few_prompts_is_evidence():
    index = OverlapIndex([question(i) + SUFFIX for i in range(3)])
    assert index.stock == ()
    assert index.find(question(77) + SUFFIX) is not None


def test_a_phrase_in_a_tenth_of_the_prompts_is_evidence_and_in_more_is_stock():
    others = [text(1000 * i, 30) for i in range(1, 41)]
    with_phrase = [f"{text(0, 6)} {other}" for other in others]
    assert OverlapIndex(with_phrase[:4] + others[4:]).stock == ()
    assert len(OverlapIndex(with_phrase[:5] + others[5:]).stock) == 2


def test_repeated_prompts_make_no_stock_phrases():
    assert OverlapIndex([text(0, 30)] * 32).stock == ()


def test_ngrams_of_a_few_words_are_refused():
    with pytest.raises(SparftError, match="ngram=4 is too short.*ngram>=5"):
        OverlapIndex(["a"], 4)


def by_hand(evaluation: list[str], said: str, n: int) -> set[int]:
    """Evaluation prompts that a training prompt gives away, by looking for strings in strings."""

    def runs(prompt: list[str], length: int) -> set[str]:
        return {" ".join(prompt[i : i + length]) for i in range(len(prompt) - length + 1)}

    split = {each: each.split() for each in evaluation}
    counts = Counter(run for prompt in split.values() for run in runs(prompt, 5))
    stock = {run for run, c in counts.items() if c >= 4 and c > len(split) / 10}

    def content(prompt: list[str]) -> list[str]:
        starts = [i for i in range(len(prompt)) if " ".join(prompt[i : i + 5]) in stock]
        return [w for i, w in enumerate(prompt) if not any(s <= i < s + 5 for s in starts)]

    found = set()
    for place, each in enumerate(evaluation):
        kept = content(split[each])
        if len(kept) >= n:
            if runs(kept, n) & runs(content(said.split()), n):
                found.add(place)
        elif len(split[each]) >= min(8, n):
            if f" {each} " in f" {said} ":
                found.add(place)
        elif each == said:
            found.add(place)
    return found


prompts = st.lists(st.sampled_from(["a", "b"]), min_size=1, max_size=14).map(" ".join)


@given(st.lists(prompts, min_size=1, max_size=12), prompts, st.integers(5, 9))
def test_findings_are_those_of_a_search_by_hand(evaluation, said, n):
    found = OverlapIndex(evaluation, n).find(said)
    wanted = by_hand(evaluation, said, n)
    assert (found is not None) == bool(wanted)
    assert found is None or found.prompt in wanted


@given(st.lists(st.one_of(prompts, st.text(min_size=1)), min_size=1, max_size=12), st.data())
def test_an_exact_copy_is_always_found(evaluation, data):
    copy = data.draw(st.sampled_from(evaluation))
    found = OverlapIndex(evaluation, 5).find(copy)
    assert found is not None
    assert found.score == 1.0
