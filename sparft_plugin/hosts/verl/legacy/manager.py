"""verl's agent loop manager, with the feedback read out before the trainer sees the batch."""

from __future__ import annotations

from typing import Any

from omegaconf import DictConfig
from verl import DataProto
from verl.experimental.agent_loop import AgentLoopManager
from verl.utils.ray_utils import auto_await

from sparft_plugin.config.accuracy import AccuracyRule
from sparft_plugin.hosts.verl.dataset import run_of, training_set
from sparft_plugin.hosts.verl.legacy.batch import add_to_rewards, drop_ours, read_groups
from sparft_plugin.hosts.verl.legacy.resume import restore


class FeedbackAgentLoopManager(AgentLoopManager):  # type: ignore[misc]
    """Tell the curriculum and the memory about every generated batch, on the driver.

    verl's legacy trainer hands a whole batch of prompts to this class and gets it back with its
    rewards, before advantages and before the checkpoint of the step: nothing is learned late.
    Validation batches pass through untouched.

    The trainer keeps no place for metrics of a batch but its table of times, so ours appear in
    verl's logger as ``timing_s/sparft/...``.

    Parameters
    ----------
    config : DictConfig
        The whole config of the run.
    *args, **kwargs
        What else the version's manager takes.
    """

    def __init__(self, config: DictConfig, *args: Any, **kwargs: Any) -> None:
        super().__init__(config, *args, **kwargs)
        self._accuracy = AccuracyRule(config.sparft.get("accuracy"))
        self._rollouts = int(config.actor_rollout_ref.rollout.n)
        # Made before this from the same config; the trainer draws its first batch later.
        self._run = run_of(training_set(config))
        restore(config.trainer, self._run)

    @auto_await  # type: ignore[untyped-decorator]
    async def generate_sequences(self, prompts: DataProto) -> DataProto:
        """Generate as verl does; then learn, add the intrinsic reward and report metrics."""
        output = await super().generate_sequences(prompts)
        if prompts.meta_info.get("validate", False):
            return output
        run = self._run
        with run.timer.part("read"):
            groups = read_groups(
                prompts, output, self._accuracy, self._rollouts, run.remembering is not None
            )
            drop_ours(output)
        result = run.finish(groups)
        with run.timer.part("write"):
            add_to_rewards(output, groups, result.terms)
        output.meta_info["timing"].update(result.metrics | run.times())
        return output
