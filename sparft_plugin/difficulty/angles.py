"""Angle scores: how much a model's hidden states of a prompt's tokens point one way."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from sparft_plugin.corpus import Corpus
from sparft_plugin.difficulty.log import AngleLog
from sparft_plugin.difficulty.measure import (
    Batch,
    Records,
    Tokens,
    apply_template,
    first_line,
    measure_all,
)
from sparft_plugin.errors import SparftError
from sparft_plugin.prompts import PromptTable

BLOCK = 4096


class Angle(NamedTuple):
    """Mean cosines between the hidden states of a prompt's tokens."""

    intra: float
    """Over all pairs of tokens of the question."""
    inter: float
    """Between the tokens of the question and those before it; 0 if there are none."""

    @property
    def angle(self) -> float:
        """Their sum, which GAIN-RL ranks by; in [-1, 2]."""
        return self.intra + self.inter


class Prefill:
    """A model without its head, and its tokenizer.

    GAIN-RL ranks by C_intra + C_inter at the last layer, https://arxiv.org/abs/2506.02281,
    section on angle-based data reordering. The question is the last user message; what comes before
    it (system prompt, worked examples, template) is its context, what comes after is left out. The
    hidden states are the output of the last layer after its norm. The released code indexes the
    same axis twice, so that its two terms overlap, weighs the second by 8, and cuts the context at
    token 110 of one template.

    Parameters
    ----------
    model : str
        Local folder or Hugging Face hub id of a model with a chat template.
    dtype : str, default "auto"
        Of the weights: "auto", "float32", "bfloat16".
    device : str or None, default None
        Where to run, such as "cuda:0"; None takes a GPU if there is one.
    """

    def __init__(self, model: str, dtype: str = "auto", device: str | None = None) -> None:
        try:
            import torch
            from transformers import AutoModel, AutoTokenizer
        except ImportError as error:
            needs = "measuring angles needs transformers; pip install transformers torch."
            raise SparftError(needs) from error
        name = os.path.expanduser(model)
        self._torch = torch
        try:
            self._device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
            self._tokenizer = AutoTokenizer.from_pretrained(name)
            self._model = AutoModel.from_pretrained(name, dtype=dtype).to(self._device).eval()
        except (OSError, RuntimeError, TypeError, ValueError, AttributeError) as error:
            raise SparftError(
                f"the model {model} cannot be loaded ({first_line(error)}); check its name, "
                "--dtype and --device."
            ) from error
        if not self._tokenizer.is_fast:
            raise SparftError(f"the tokenizer of {model} does not tell where its tokens stand.")
        context = getattr(self._model.config, "max_position_embeddings", None)
        self.longest: float = int(context) if context else math.inf

    def tokenize(self, messages: Sequence[Mapping[str, Any]], place: str) -> Tokens:
        """Template and tokenize a prompt as verl does, and find its question."""
        text = str(apply_template(self._tokenizer, messages, place, tokenize=False))
        asked = [message for message in messages if message["role"] == "user"] or messages
        question = str(asked[-1]["content"]).strip()
        first = text.rfind(question)
        encoded = self._tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
        inside = [
            i
            for i, (begin, end) in enumerate(encoded["offset_mapping"])
            if begin < first + len(question) and end > max(first, begin)
        ]
        if first < 0 or not inside:
            raise SparftError(
                f"{place}: the model's chat template changes the last user message, so that it "
                "cannot be found; drop the row or choose another model."
            )
        return Tokens(list(encoded["input_ids"]), inside[0], inside[-1] + 1)

    def angles(self, batch: Sequence[Tokens]) -> list[Angle]:
        """Run some prompts through the model at once.

        The mean cosine over all pairs of two sets of tokens is the inner product of the mean unit
        vectors of both, so no matrix of pairs is made.
        """
        torch = self._torch
        longest = max(len(tokens.ids) for tokens in batch)
        shape = (len(batch), longest)
        ids = torch.zeros(shape, dtype=torch.long)
        mask, question, context = torch.zeros(shape), torch.zeros(shape), torch.zeros(shape)
        for row, tokens in enumerate(batch):
            ids[row, : len(tokens.ids)] = torch.tensor(tokens.ids)
            mask[row, : len(tokens.ids)] = 1
            question[row, tokens.start : tokens.stop] = 1 / (tokens.stop - tokens.start)
            context[row, : tokens.start] = 1 / max(1, tokens.start)
        with torch.inference_mode():
            hidden = self._model(
                input_ids=ids.to(self._device), attention_mask=mask.long().to(self._device)
            ).last_hidden_state.float()
            unit = torch.nn.functional.normalize(hidden, dim=-1)
            asked = torch.einsum("bt,btd->bd", question.to(unit), unit).double()
            before = torch.einsum("bt,btd->bd", context.to(unit), unit).double()
            intra = (asked * asked).sum(-1).tolist()
            inter = (asked * before).sum(-1).tolist()
        return [Angle(*pair) for pair in zip(intra, inter, strict=True)]

    def close(self) -> None:
        """Free the model's memory."""
        del self._model


def measure_angles(
    prompts: PromptTable,
    corpus: Corpus,
    log: AngleLog,
    start: Callable[[], Prefill],
    *,
    batch: int = 16,
    advance: Callable[[int], Any] = lambda prompts: None,
) -> None:
    """Measure every prompt that is not in the log, and write each batch to it; see ``measure``.

    Inside blocks of 4096 prompts those of like length run together, so that little is padding.
    """

    def run(model: Prefill, batch: Batch) -> Iterator[Records]:
        for (_, tokens), found in zip(batch, model.angles([t for _, t in batch]), strict=True):
            yield [{"angle": found.angle, **found._asdict(), "tokens": len(tokens.ids)}]

    measure_all(
        prompts, corpus, log, lambda tasks: start(), run, batch=batch, block=BLOCK, advance=advance
    )
