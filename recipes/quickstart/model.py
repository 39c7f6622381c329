"""A byte-level Qwen2 of about half a million parameters."""

from __future__ import annotations

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


def build_model(tokenizer: PreTrainedTokenizerBase) -> Qwen2ForCausalLM:
    """Return a randomly initialised model; seed torch first for a reproducible one."""
    config = Qwen2Config(
        vocab_size=len(tokenizer),
        hidden_size=128,
        intermediate_size=256,
        num_hidden_layers=3,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=MAX_POSITIONS,
        tie_word_embeddings=True,
        rope_theta=10_000.0,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        attn_implementation="sdpa",
    )
    return Qwen2ForCausalLM(config)
