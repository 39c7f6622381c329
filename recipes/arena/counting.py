"""A trainer whose rollouts are counted, the dropped ones too."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from trl import GRPOTrainer as Trainer
else:
    Trainer = object


class Counting(Trainer):  # type: ignore[misc]
    """Count what is generated; with ``refill``, drop silent groups and generate others instead.

    Stands in front of ``with_sparft(GRPOTrainer)``, which has put the picked rows in place.

    Parameters
    ----------
    budget : int
        Rollouts after which nothing more is generated.
    refill : bool
        Whether to drop and refill, as DAPO's dynamic sampling does (arXiv:2503.14476).
    """

    def __init__(self, *args: Any, budget: int, refill: bool = False, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.budget, self.refill = budget, refill
        self.rollouts = self.tokens = self.groups = self.silent = 0
        self.picks: Counter[int] = Counter()

    def _calculate_rewards(
        self,
        inputs: Sequence[Mapping[str, Any]],
        prompts: Any,
        completions: Any,
        completion_ids_list: Sequence[Sequence[int]],
    ) -> torch.Tensor:
        rewards = super()._calculate_rewards(inputs, prompts, completions, completion_ids_list)
        right = rewards[:, 0].view(-1, self.num_generations).mean(1)
        self.rollouts += len(inputs)
        self.tokens += sum(len(ids) for ids in completion_ids_list)
        self.groups += len(right)
        self.silent += int(((right == 0) | (right == 1)).sum())
        self.picks.update(row["skill"] for row in inputs[:: self.num_generations])
        return rewards

    def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
        batch = super()._generate_and_score_completions(inputs)
        if not self.refill:
            return batch
        wanted, batches = len(inputs), [batch]
        while sum(map(len, map(self._mixed, batches))) < wanted and self.rollouts < self.budget:
            batches.append(super()._generate_and_score_completions(inputs))
        return self._joined(batches, wanted)

    def _mixed(self, batch: Mapping[str, Any]) -> torch.Tensor:
        """Rows of groups with an advantage."""
        groups = batch["advantages"].view(-1, self.num_generations).abs().sum(1) > 0
        return groups.repeat_interleave(self.num_generations).nonzero().flatten()

    def _joined(self, batches: Sequence[Mapping[str, Any]], wanted: int) -> dict[str, Any]:
        """One batch of the mixed groups; where the budget ended, silent ones fill it."""
        parts = [(batch, self._mixed(batch)) for batch in batches]
        short = wanted - sum(len(rows) for _, rows in parts)
        if short > 0:
            last = batches[-1]
            quiet = torch.ones(wanted, dtype=torch.bool)
            quiet[self._mixed(last)] = False
            parts.append((last, quiet.nonzero().flatten()[:short]))
        joined: dict[str, Any] = {}
        for key, value in batches[0].items():
            if not torch.is_tensor(value) or value.dim() == 0:
                joined[key] = value
            elif value.dim() == 1:
                joined[key] = torch.cat([batch[key][rows] for batch, rows in parts])[:wanted]
            else:
                fill = self.processing_class.pad_token_id if key.endswith("_ids") else 0
                left = key.startswith("prompt")
                width = max(batch[key].size(1) for batch, _ in parts)
                joined[key] = torch.cat(
                    [_padded(batch[key][rows], width, fill, left) for batch, rows in parts]
                )[:wanted]
        joined["num_items_in_batch"] = joined["completion_mask"].sum()
        return joined


def _padded(rows: torch.Tensor, width: int, fill: int, left: bool) -> torch.Tensor:
    missing = width - rows.size(1)
    return torch.nn.functional.pad(rows, (missing, 0) if left else (0, missing), value=fill)
