"""Prompts that the model cannot take in whole, refused by the real training dataset."""

from __future__ import annotations

import pytest

from sparft_plugin.errors import SparftError
from sparft_plugin.hosts.verl import dataset
from sparft_plugin.hosts.verl.dataset import CurriculumDataset
from tests.unit.recipes import recipe as recipe_on
from tests.unit.reduction_data import row, write

TEMPLATE = (
    "{% for m in messages %}{{ m['content'] }}{% endfor %}"
    "{% if brief %}In one word!{% endif %}{% for t in tools or [] %}{{ t }}{% endfor %}"
    "{% if add_generation_prompt %}>{% endif %}"
)
LIMIT = 12


class Letters:
    """A tokenizer of letters, with a chat template that adds one."""

    def __init__(self):
        self.counted: list[str] = []

    def apply_chat_template(self, messages, **options):
        from transformers.utils.chat_template_utils import render_jinja_template

        assert options.pop("tokenize") is True
        options.pop("return_dict", None)
        rendered, _ = render_jinja_template([messages], chat_template=TEMPLATE, **options)
        self.counted.append(messages[0]["content"])
        return {"input_ids": list(map(ord, rendered[0]))}


class Processor(Letters):
    """A processor with the same template, that gives text."""

    def apply_chat_template(self, messages, **options):
        assert options.pop("tokenize") is False
        rendered = super().apply_chat_template(messages, tokenize=True, return_dict=True, **options)
        return "".join(map(chr, rendered["input_ids"]))


class WordsOrLetters(Letters):
    """Words are one token each, and digits too: what is short in bytes may be long in tokens."""

    def apply_chat_template(self, messages, **options):
        self.counted.append(text := messages[0]["content"])
        return {"input_ids": [0] * (len(text) if text.isdigit() else len(text.split()))}

    def __call__(self, text, add_special_tokens):
        assert not add_special_tokens
        return {"input_ids": list(map(ord, text))}


@pytest.fixture
def recipe(tmp_path):
    def make(questions, **settings):
        file = write(tmp_path / "train.parquet", [row(question) for question in questions])
        data = {
            "train_files": str(file),
            "train_batch_size": 2,
            "cache_dir": str(tmp_path),
            "max_prompt_length": LIMIT,
            **settings,
        }
        return recipe_on("uniform", {f"data.{key}": value for key, value in data.items()})

    return make


def made(config, tokenizer, processor=None):
    return CurriculumDataset(config.data.train_files, tokenizer, config.data, processor)


def test_a_prompt_of_the_limit_passes_and_one_more_token_is_refused_by_row_and_mend(recipe):
    made(recipe(["a" * (LIMIT - 1), "b"]), Letters())
    with pytest.raises(SparftError) as refusal:
        made(recipe(["b", "a" * LIMIT]), Letters())
    assert str(refusal.value) == (
        f"data.train_files, row 1, key 'prompt': {LIMIT + 1} tokens are more than "
        f"data.max_prompt_length={LIMIT}; set data.filter_overlong_prompts=True or raise the limit."
    )


TOOLS = '''
from verl.tools.function_tool import function_tool

@function_tool
def add(a: int, b: int) -> str:
    """Add two numbers.

    Args:
        a: one
        b: other
    """
    return str(a + b)
'''


def test_the_recipes_template_arguments_tools_and_processor_count(recipe, tmp_path):
    def refused(tokens, settings, *models):
        with pytest.raises(SparftError, match=f"row 0, key 'prompt': {tokens} tokens"):
            made(recipe(["one"], **settings), *models)

    (tmp_path / "tools.py").write_text(TOOLS)
    made(recipe(["one"], apply_chat_template_kwargs={"brief": False}), Letters())
    # `tokenize` is not the recipe's to choose, as in verl.
    refused(16, {"apply_chat_template_kwargs": {"brief": True, "tokenize": False}}, Letters())
    refused("[0-9]{2,}", {"function_tool_path": str(tmp_path / "tools.py")}, Letters())
    tokenizer, processor = WordsOrLetters(), Processor()
    refused(4, {"max_prompt_length": 3}, tokenizer, processor)
    assert processor.counted
    assert not tokenizer.counted


def test_what_is_refused_is_what_verl_would_filter_out(recipe):
    questions = ["a" * length for length in range(1, 30)]
    settings = {"apply_chat_template_kwargs": {"brief": True}, "max_prompt_length": 20}
    kept = made(recipe(questions, filter_overlong_prompts=True, **settings), Letters())
    short = [prompt for prompt in questions if len(prompt) + len("In one word!>") <= 20]
    assert [item["prompt"][0]["content"] for item in kept.inner.dataframe] == short
    made(recipe(short, **settings), Letters())
    with pytest.raises(SparftError, match=f"row {len(short)}, key 'prompt': 21 tokens"):
        made(recipe(questions[: len(short) + 1], **settings), Letters())


def test_the_longest_are_counted_at_once_and_each_other_prompt_when_it_is_first_picked(
    recipe, monkeypatch
):
    monkeypatch.setattr(dataset, "AT_ONCE", 2)
    tokenizer = WordsOrLetters()
    questions = ["a word", "some more words", "two words", "1"]
    ours = made(recipe(questions), tokenizer)
    assert tokenizer.counted == ["some more words", "two words"]
    for _ in range(3):
        ours.__getitems__(range(4))
    assert sorted(tokenizer.counted) == sorted(questions)
    # Few bytes and many tokens.
    ours = made(recipe(["these are a few words", "and more of them", "1" * 13]), WordsOrLetters())
    with pytest.raises(SparftError, match="row 2, key 'prompt': 13 tokens"):
        ours.__getitems__(range(3))
