"""A byte-level Qwen2, half a million parameters as the quickstart has it."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from tokenizers import AddedToken
from transformers import PreTrainedTokenizerBase, Qwen2Config, Qwen2ForCausalLM, Qwen2Tokenizer

PAD, USER, ASSISTANT, END = "<|pad|>", "<|user|>", "<|assistant|>", "<|im_end|>"

CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{% if message['role'] == 'assistant' %}<|assistant|>{% else %}<|user|>{% endif %}"
    "{{ message['content'] }}<|im_end|>"
    "{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)

MAX_POSITIONS = 160
"""Longest prompt and response together, in tokens."""
IGNORED = -100
"""Label of what is not to be learned."""


def byte_alphabet() -> dict[str, int]:
    """Return the 256 printable stand-ins of byte-level BPE, each mapped to its byte."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    hidden = [byte for byte in range(256) if byte not in printable]
    alphabet = {chr(byte): byte for byte in printable}
    alphabet.update({chr(256 + place): byte for place, byte in enumerate(hidden)})
    return alphabet


def build_tokenizer() -> PreTrainedTokenizerBase:
    """Return a byte-level BPE without merges: token id = byte value, then four specials."""
    tokenizer = Qwen2Tokenizer(
        vocab=byte_alphabet(),
        merges=[],
        unk_token=None,
        bos_token=None,
        eos_token=AddedToken(END, special=True, normalized=False),
        pad_token=AddedToken(PAD, special=True, normalized=False),
        additional_special_tokens=[
            AddedToken(token, special=True, normalized=False) for token in (USER, ASSISTANT)
        ],
        model_max_length=MAX_POSITIONS,
    )
    tokenizer.chat_template = CHAT_TEMPLATE
    return tokenizer


def encode(
    pairs: Sequence[tuple[str, str]], tokenizer: PreTrainedTokenizerBase
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return token ids and labels, both (pairs, longest), labels only on the response.

    Parameters
    ----------
    pairs : sequence of (prompt, response)
    tokenizer : PreTrainedTokenizerBase
        From `build_tokenizer`, whose chat template this spells out: token id = byte.
    """
    user, assistant, end, pad = tokenizer.convert_tokens_to_ids([USER, ASSISTANT, END, PAD])
    asked = [[user, *prompt.encode(), end, assistant] for prompt, _ in pairs]
    answered = [[*response.encode(), end] for _, response in pairs]
    width = max(len(a) + len(b) for a, b in zip(asked, answered, strict=True))
    ids = torch.full((len(pairs), width), pad)
    labels = torch.full((len(pairs), width), IGNORED)
    for at, (prompt, response) in enumerate(zip(asked, answered, strict=True)):
        stop = len(prompt) + len(response)
        ids[at, :stop] = torch.tensor(prompt + response)
        labels[at, len(prompt) : stop] = torch.tensor(response)
    return ids, labels


def build_model(
    tokenizer: PreTrainedTokenizerBase, width: int = 128, layers: int = 3, heads: int = 4
) -> Qwen2ForCausalLM:
    """Return a randomly initialised model; seed torch first for a reproducible one."""
    config = Qwen2Config(
        vocab_size=len(tokenizer),
        hidden_size=width,
        intermediate_size=2 * width,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=heads // 2,
        max_position_embeddings=MAX_POSITIONS,
        tie_word_embeddings=True,
        rope_theta=10_000.0,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        attn_implementation="sdpa",
    )
    return Qwen2ForCausalLM(config)
