"""Angle concentration against a naive matrix of cosines, on a real but tiny transformer."""

from __future__ import annotations

import argparse
import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest

from sparft_plugin.angles import Angle, AngleLog, Prefill, Tokens, TooLong, measure_angles
from sparft_plugin.cli import angles as command_module
from sparft_plugin.corpus import Corpus
from sparft_plugin.curriculum.gain_rl import GainRLCurriculum
from sparft_plugin.curriculum.records import Prompt
from sparft_plugin.errors import SparftError
from sparft_plugin.prompts import PromptTable
from tests.unit.reduction_data import row, sums, write

RECIPE = Path(__file__).parents[2] / "recipes" / "quickstart" / "model.py"
CHAT = [
    {"role": "system", "content": "Add the numbers."},
    {"role": "user", "content": "What is 2 + 2?"},
    {"role": "assistant", "content": "4"},
    {"role": "user", "content": "  What is 3 + 4, dear model?\n"},
]
TEMPLATE = (
    "{% for m in messages %}<{{ m.role }}>{{ m.content }}\n{% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}"
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A two-layer Qwen2 with a tokenizer of bytes."""
    import torch
    from transformers import Qwen2Config, Qwen2ForCausalLM

    spec = importlib.util.spec_from_file_location("quickstart_model", RECIPE)
    recipe = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(recipe)
    tokenizer = recipe.build_tokenizer()
    tokenizer.chat_template = TEMPLATE
    torch.manual_seed(0)
    config = Qwen2Config(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        max_position_embeddings=128,
        bos_token_id=None,
    )
    folder = tmp_path_factory.mktemp("model")
    Qwen2ForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def prefill(folder):
    return Prefill(str(folder), device="cpu")


def naive(folder, tokens):
    """Both means over an explicit matrix of cosines, one prompt at a time, with the whole model."""
    import torch
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(folder)
    with torch.inference_mode():
        output = model(torch.tensor([tokens.ids]), output_hidden_states=True)
    hidden = output.hidden_states[-1][0].double().numpy()
    unit = hidden / np.linalg.norm(hidden, axis=1, keepdims=True)
    cosines = unit @ unit.T
    question = slice(tokens.start, tokens.stop)
    inter = cosines[question, : tokens.start].mean() if tokens.start else 0.0
    return cosines[question, question].mean(), inter


def test_the_question_is_the_last_user_message_without_its_template(prefill):
    tokens = prefill.tokenize(CHAT, "here")
    text = bytes(tokens.ids[tokens.start : tokens.stop]).decode()
    decoded = prefill._tokenizer.decode(tokens.ids[tokens.start : tokens.stop])
    assert "What is 3 + 4, dear model?" in (text, decoded)
    after = prefill._tokenizer.decode(tokens.ids[tokens.stop :])
    assert after.strip().endswith("<assistant>")
    assert "2 + 2" in prefill._tokenizer.decode(tokens.ids[: tokens.start])


def test_angles_equal_the_naive_means_whatever_is_in_the_batch(prefill, folder):
    batch = [
        prefill.tokenize(CHAT, "here"),
        prefill.tokenize([{"role": "user", "content": "Why?"}], "here"),
        Tokens([5, 6, 7, 8], 0, 3),
    ]
    for tokens, angle in zip(batch, prefill.angles(batch), strict=True):
        assert tuple(angle) == pytest.approx(naive(folder, tokens), abs=1e-5)
        assert angle.angle == angle.intra + angle.inter
        assert prefill.angles([tokens])[0] == pytest.approx(angle, abs=1e-5)


def test_a_prompt_without_context_has_no_second_term(prefill):
    assert prefill.angles([Tokens([5, 6, 7, 8], 0, 4)])[0].inter == 0.0


def test_a_question_of_equal_states_has_angle_one(prefill):
    assert prefill.angles([Tokens([9], 0, 1)])[0].intra == pytest.approx(1.0)


def test_a_prompt_beyond_the_context_is_told_with_its_length(prefill):
    found = prefill.tokenize([{"role": "user", "content": "x" * 200}], "here")
    assert isinstance(found, TooLong)
    assert found.tokens > 200


def test_a_template_that_changes_the_question_is_refused(folder, tmp_path):
    import shutil

    shutil.copytree(folder, tmp_path / "loud")
    (tmp_path / "loud" / "chat_template.jinja").write_text(
        "{% for m in messages %}{{ m.content | upper }}{% endfor %}"
    )
    model = Prefill(str(tmp_path / "loud"), device="cpu")
    with pytest.raises(SparftError, match=r"^a.parquet, row 3: .*changes the last user message"):
        model.tokenize([{"role": "user", "content": "Quiet?"}], "a.parquet, row 3")


def test_a_model_that_cannot_be_loaded_is_refused(tmp_path):
    with pytest.raises(SparftError, match="cannot be loaded"):
        Prefill(str(tmp_path))


class LengthModel:
    """The angle of a prompt is its length; dies on request."""

    def __init__(self, room=30, die_after=None):
        self.room, self.die_after, self.batches = room, die_after, []

    def tokenize(self, messages, place):
        text = messages[-1]["content"]
        return TooLong(len(text)) if len(text) > self.room else Tokens([0] * len(text), 0, 1)

    def angles(self, batch):
        if self.die_after == len(self.batches):
            raise KeyboardInterrupt
        self.batches.append([len(tokens.ids) for tokens in batch])
        return [Angle(float(len(tokens.ids)), 0.5) for tokens in batch]


@pytest.fixture
def corpus(tmp_path):
    return Corpus.open([write(tmp_path / "in.parquet", [*sums(9), row("z" * 40), row("whole")])])


def run(corpus, path, model, **options):
    prompts = PromptTable.from_corpus(corpus)
    with AngleLog(path, {"model": "m@1"}, **options) as log:
        measure_angles(prompts, corpus, log, lambda: model, batch=4)
    return prompts


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_every_prompt_has_a_line_and_like_lengths_run_together(corpus, tmp_path):
    model = LengthModel()
    prompts = run(corpus, tmp_path / "a.jsonl", model)
    header, *records = lines(tmp_path / "a.jsonl")
    assert header == {"format": "sparft angles 1", "model": "m@1"}
    assert {record["id"] for record in records} == set(prompts.ids)
    assert [r for r in records if "too_long" in r] == [
        {"id": prompts.ids[9], "row": 9, "too_long": 40}
    ]
    assert sorted(sum(model.batches, [])) == sum(model.batches, [])
    assert [len(batch) for batch in model.batches] == [4, 4, 2]
    assert next(record for record in records if record["row"] == 10) == {
        "id": prompts.ids[10],
        "row": 10,
        "angle": 5.5,
        "intra": 5.0,
        "inter": 0.5,
        "tokens": len("whole"),
    }


def test_text_in_parts_is_read_as_one_text(tmp_path):
    parts = [{"type": "text", "text": "in "}, {"type": "text", "text": "parts"}]
    model = LengthModel()
    run(Corpus.open([write(tmp_path / "in.parquet", [row(parts)])]), tmp_path / "a.jsonl", model)
    assert model.batches == [[len("in parts")]]


def test_a_part_that_is_no_text_is_refused_by_its_place(tmp_path):
    parts = [{"type": "text", "text": "see"}, {"type": "image", "text": None}]
    corpus = Corpus.open([write(tmp_path / "in.parquet", [row(parts)])])
    with pytest.raises(SparftError, match=r"row 0, key .prompt.: angles are of text only"):
        run(corpus, tmp_path / "a.jsonl", LengthModel())


def test_a_killed_run_goes_on_and_ends_with_the_same_file(corpus, tmp_path):
    run(corpus, tmp_path / "whole.jsonl", LengthModel())
    path = tmp_path / "killed.jsonl"
    with pytest.raises(KeyboardInterrupt):
        run(corpus, path, LengthModel(die_after=1))
    path.write_bytes(path.read_bytes() + b'{"id": "cut o')
    model = LengthModel()
    run(corpus, path, model)
    assert len(model.batches) == 2
    assert path.read_bytes() == (tmp_path / "whole.jsonl").read_bytes()
    idle = LengthModel()
    run(corpus, path, idle)
    assert idle.batches == []


def test_other_settings_other_files_and_broken_lines_are_refused(corpus, tmp_path):
    path = tmp_path / "a.jsonl"
    run(corpus, path, LengthModel())
    with pytest.raises(SparftError, match=r'made with model "m@1", not "m@2"; pass --overwrite'):
        AngleLog(path, {"model": "m@2"})
    with AngleLog(path, {"model": "m@2"}, overwrite=True) as log:
        assert log.angles == {}
    path.write_text('{"other": 1}\n')
    with pytest.raises(SparftError, match="is no file of `sparft angles`"):
        AngleLog(path, {"model": "m@1"})
    path.write_text('{"format": "sparft angles 1", "model": "m@1"}\n{"id": "a"}\n')
    with pytest.raises(SparftError, match="line 2 is broken"):
        AngleLog(path, {"model": "m@1"})


def test_a_row_with_an_image_is_refused_by_its_place(tmp_path):
    rows = [{**row("look"), "images": None}, {**row("see"), "images": ["cat.png"]}]
    corpus = Corpus.open([write(tmp_path / "in.parquet", rows)])
    with pytest.raises(SparftError, match=r"in\.parquet, row 1, key 'images': angles are of text"):
        run(corpus, tmp_path / "a.jsonl", LengthModel())


@pytest.fixture
def command(folder, tmp_path):
    """Run the command on twelve sums; options come after the usual ones."""
    source = write(tmp_path / "in.parquet", sums(12))

    def run(*options, out="angles.jsonl"):
        parser = argparse.ArgumentParser()
        command_module.add_parser(parser.add_subparsers())
        words = ["angles", source, "-o", tmp_path / out, "--model", folder, "--device", "cpu"]
        arguments = parser.parse_args([str(word) for word in [*words, *options]])
        return arguments.run(arguments)

    return run


def test_the_command_writes_what_gain_rl_reads(command, tmp_path, capsys):
    assert command("--batch", 5) == 0
    printed, progress = capsys.readouterr()
    assert printed.startswith("measured 12 of 12 prompts, 0 of them in an earlier run; 0 too long")
    assert "highest" in printed
    assert "12/12" in progress
    records = lines(tmp_path / "angles.jsonl")[1:]
    pool = [Prompt(record["id"], 0, 0.5) for record in records]
    curriculum = GainRLCurriculum(angles=str(tmp_path / "angles.jsonl")).start(pool)
    best = max(records, key=lambda record: record["angle"])
    assert curriculum.pool.ids[np.argmin(curriculum.rank)].decode() == best["id"]


def test_a_second_run_of_the_command_loads_no_model(command, monkeypatch, capsys):
    command()
    monkeypatch.setattr(command_module, "Prefill", None)
    assert command() == 0
    assert "12 of them in an earlier run" in capsys.readouterr().out


def test_an_interrupted_command_says_how_to_go_on(command, monkeypatch, capsys):
    def interrupt(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(command_module, "measure_angles", interrupt)
    assert command() == 130
    assert "0 of 12 prompts are in" in capsys.readouterr().err


def test_another_model_is_refused_until_overwrite_is_given(command):
    command()
    with pytest.raises(SparftError, match="made with dtype"):
        command("--dtype", "float32")
    assert command("--dtype", "float32", "--overwrite") == 0


@pytest.mark.parametrize(
    ("out", "reason"),
    [
        ("a.json", "must end in .jsonl"),
        ("no/a.jsonl", "folder .* does not"),
        ("link.jsonl", "link.jsonl is a link to gone.jsonl, which does not exist"),
    ],
)
def test_a_bad_output_is_refused(command, tmp_path, out, reason):
    (tmp_path / "link.jsonl").symlink_to("gone.jsonl")
    with pytest.raises(SparftError, match=reason):
        command(out=out)


def test_a_batch_of_nothing_is_refused(command):
    with pytest.raises(SparftError, match="batch must be"):
        command("--batch", 0)
