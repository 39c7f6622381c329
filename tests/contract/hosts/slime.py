"""slime's samples and data source, as far as sparft meets them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from tests.contract.hosts.script import ROWS


class SampleStandIn:
    """The part of slime's Sample that sparft meets."""

    def __init__(self, prompt: Any, label: str) -> None:
        self.prompt, self.label, self.metadata = prompt, label, {}
        self.response, self.response_length, self.reward = "", 0, None
        self.group_index = self.index = None
        self.status = SimpleNamespace(value="pending")

    def get_reward_value(self, args: Any) -> Any:
        return self.reward if not args.reward_key else self.reward[args.reward_key]


class SourceStandIn:
    """The part of slime's RolloutDataSourceWithBuffer that sparft meets."""

    def __init__(self, args: Any) -> None:
        self.args, self.buffer = args, []
        self.sample_group_index = self.sample_index = 0
        samples = [SampleStandIn(r["prompt"], r["reward_model"]["ground_truth"]) for r in ROWS]
        self.dataset = SimpleNamespace(origin_samples=samples)

    def _get_samples_from_buffer(self, num_samples: int) -> list[Any]:
        taken, self.buffer = self.buffer[:num_samples], self.buffer[num_samples:]
        return taken

    def save(self, rollout_id: int) -> None: ...

    def load(self, rollout_id: int | None = None) -> None: ...
