"""verl's replay buffer, with the feedback read out before advantages are computed."""

from __future__ import annotations

import logging
from collections import Counter
from typing import Any

from verl.trainer.ppo.v1.replay_buffer import ReplayBuffer, ReplayBufferAsync

from sparft_plugin.config.accuracy import AccuracyRule
from sparft_plugin.config.schema import SparftConfig
from sparft_plugin.curriculum.filters import GroupFilter
from sparft_plugin.hosts.verl.dataset import run_of
from sparft_plugin.hosts.verl.transfer import add_to_rewards, read_groups, read_picks, read_text
from sparft_plugin.training.groups import FinishedGroup
from sparft_plugin.training.run import TrainingRun

logger = logging.getLogger(__name__)

OWN_METRIC = "sparft.group_filter"
"""What verl, which refills only where it knows a metric, is told when our filter stands alone."""
PATIENCE = 10
"""Batches of rejected groups in one step after which the log says so."""


class FeedbackReplayBuffer(ReplayBuffer):  # type: ignore[misc]
    """Tell the curriculum and the memory about every finished group, on the driver.

    Groups that ``sparft.group_filter`` or verl's own ``filter_groups`` rejects are read, cleared
    and refilled by verl; curriculum and memory are told of them with the step's other groups. So
    are groups that verl's async modes drop as stale. A group that lost a rollout, for example with
    its reward worker, teaches neither of them anything, though the synchronous mode trains on the
    rollouts that are left: its pick expires, and ``sparft/feedback/incomplete`` counts it.

    verl asks for this class whatever its ``trainer.v1.trainer_mode``; in the async modes it gets
    ``FeedbackReplayBufferAsync``. ``sampler_kwargs`` has the settings that verl gives to its own
    buffer only, see ``config/verl_v1``; and ``poll_interval`` in seconds, default 2.0 as in verl.
    """

    def __new__(cls, *, trainer_mode: str, **kwargs: Any) -> FeedbackReplayBuffer:
        """Make the buffer for a trainer mode."""
        made: FeedbackReplayBuffer = object.__new__(
            cls if trainer_mode == "sync" else FeedbackReplayBufferAsync
        )
        return made

    def __init__(self, sampler_kwargs: Any, **kwargs: Any) -> None:
        filters = sampler_kwargs.get("filter_groups") or {}
        metric = filters.get("metric") if filters.get("enable", False) else None
        refill_failed = bool(sampler_kwargs.get("sync_refill_failed_groups", False))
        batch_size = sampler_kwargs["train_batch_size"]
        section = dict(sampler_kwargs.get("group_filter") or {"name": None})
        own = SparftConfig.from_mapping({"group_filter": section}).build_group_filter()
        filtering = metric is not None or own is not None
        one_by_one = filtering or refill_failed
        super().__init__(
            sampler_kwargs=sampler_kwargs,
            poll_interval=sampler_kwargs.get("poll_interval", 2.0),
            filter_groups_metric=metric or (OWN_METRIC if own else None),
            train_batch_size=batch_size,
            gen_batch_size=1 if one_by_one else sampler_kwargs["gen_batch_size"] or batch_size,
            max_inflight_gen_batches=filters.get("max_inflight_gen_batches", 1) if filtering else 1,
            sync_refill_failed_groups=refill_failed,
            **kwargs,
        )
        self._group_filter = own
        self._verl_filters = metric is not None
        self._rejected_pass_rates: dict[str, float | None] = {}
        """By uid of a finished group: its pass rate if our filter rejects it, else None."""
        self._rejected = 0
        self._lost = 0
        """Groups of this step that were given up, or of which no rollout is left."""
        self._accuracy = AccuracyRule(sampler_kwargs.get("accuracy"))
        self._rollouts = int(sampler_kwargs["rollouts"])
        self._in_flight: set[str] | None = None
        """Uids of the groups that are still to come; None where sampling drains them all."""
        self._cleared: list[FinishedGroup] = []

    @property
    def _run(self) -> TrainingRun:
        """The run of the trainer that made this buffer, of which ``refill_fn`` is a method."""
        return run_of(getattr(getattr(self.refill_fn, "__self__", None), "train_dataset", None))

    def _dapo_filtered_keys(self, partition_id: str) -> tuple[set[str], Counter[float]]:
        """Add to the groups that verl's filter rejects, to evict and refill, those that ours does.

        The counter tells verl's log which metric value, here pass rate, the rejected groups had.
        """
        filtered: set[str] = set()
        values: Counter[float] = Counter()
        if self._verl_filters:
            try:
                filtered, values = super()._dapo_filtered_keys(partition_id)
            except RuntimeError:
                # A rollout whose reward failed lacks verl's metric too: reading tells the fault.
                self._outcomes(partition_id, self.finished_keys[partition_id])
                raise
        if self._group_filter is None or partition_id != "train":
            return filtered, values
        rejected = self._judge(partition_id, self._group_filter)
        rejected = {uid: rate for uid, rate in rejected.items() if uid not in filtered}
        return filtered | rejected.keys(), values + Counter(rejected.values())

    def _judge(self, partition_id: str, group_filter: GroupFilter) -> dict[str, float]:
        """Pass rates of the finished groups that our filter rejects; each is judged once."""
        finished = self.finished_keys[partition_id]
        judged = {uid: rate for uid, rate in self._rejected_pass_rates.items() if uid in finished}
        for group in self._outcomes(partition_id, finished - judged.keys()):
            kept = not group.complete or group_filter.keep(group.outcome)
            judged[group.uid] = None if kept else group.outcome.pass_rate
        self._rejected_pass_rates = judged
        return {uid: rate for uid, rate in judged.items() if rate is not None}

    def _tags(self, partition_id: str, uids: set[str]) -> dict[str, dict[str, Any]]:
        """Return verl's tags of all trajectories of some groups."""
        tags = self.partitions[partition_id].items()
        return {key: tag for key, tag in tags if key.split("_")[0] in uids}

    def _outcomes(self, partition_id: str, uids: set[str]) -> list[FinishedGroup]:
        """Read some finished groups without their responses."""
        tags = self._tags(partition_id, uids)
        return read_groups(partition_id, tags, self._accuracy, self._rollouts)

    def _clear_groups(self, partition_id: str, uids: set[str]) -> None:
        """Read groups that a filter discards before verl clears them: they are observations too."""
        if partition_id == "train" and uids:
            complete = uids - self.failure_keys[partition_id]
            self._cleared += self._read(partition_id, self._tags(partition_id, complete))
            self._lost += len(uids) - len(complete)
            self._count_rejected(uids)
        super()._clear_groups(partition_id, uids)

    def _count_rejected(self, uids: set[str]) -> None:
        rates = self._rejected_pass_rates
        before = self._rejected // (PATIENCE * self.train_batch_size)
        self._rejected += sum(rates.get(uid) is not None for uid in uids)
        if self._rejected // (PATIENCE * self.train_batch_size) > before:
            logger.warning(
                "sparft: the group filter has rejected %d groups in this step, which goes on until "
                "%d are kept.",
                self._rejected,
                self.train_batch_size,
            )

    def sample(
        self, global_steps: int, partition_id: str, batch_size: int
    ) -> tuple[Any, dict[str, Any]]:
        """Sample as verl does; then learn, add the intrinsic reward and report metrics."""
        batch, metrics = super().sample(global_steps, partition_id, batch_size)
        if partition_id != "train":
            return batch, metrics
        cleared, self._cleared = self._cleared, []
        if self._group_filter is not None:
            metrics["sparft/group_filter/rejected"] = self._rejected
            self._rejected = 0
        tags = dict(zip(batch.keys, batch.tags, strict=True))
        run, waiting = self._run, self._in_flight
        if waiting is not None:
            metrics["sparft/feedback/evicted"] = len(cleared)
        with run.timer.part("read"):
            trained = self._read(partition_id, tags)
        lost, self._lost = self._lost, 0
        in_flight = None
        if waiting is not None:
            in_flight = run.unanswered([*trained, *cleared])
            # Each pick is a group that verl holds, unless it gave the group up, for a failed
            # rollout or with a lost checkpoint. Equal counts spare the reading.
            if len(in_flight) != len(waiting):
                in_flight = read_picks(partition_id, waiting)
        result = run.finish(trained, cleared, in_flight, lost)
        with run.timer.part("write"):
            add_to_rewards(partition_id, tags, trained, result.terms)
        return batch, metrics | result.metrics | run.times()

    def _materialize_batch(
        self, partition_id: str, selected_prompt_uids: list[str], partition_snapshot: Any
    ) -> Any:
        """Note how many of the groups that go on to the trainer have no rollout left."""
        if partition_id == "train":
            left = {key.split("_")[0] for key in partition_snapshot}
            self._lost += len(set(selected_prompt_uids) - left)
        return super()._materialize_batch(partition_id, selected_prompt_uids, partition_snapshot)

    def _read(self, partition_id: str, tags: dict[str, dict[str, Any]]) -> list[FinishedGroup]:
        """Read groups that are learned from, with what the memory needs of them if there is one."""
        remembering = self._run.remembering
        groups = read_groups(
            partition_id, tags, self._accuracy, self._rollouts, remembering is not None
        )
        if remembering is not None:
            for group in groups:
                if remembering.lacks_text(group.prompt_id):
                    remembering.add_text(group.prompt_id, read_text(partition_id, group))
        return groups


class FeedbackReplayBufferAsync(FeedbackReplayBuffer, ReplayBufferAsync):  # type: ignore[misc]
    """The same over verl's async sampling, where feedback comes late and out of order.

    Picks stay outstanding across steps and checkpoints. verl saves the groups in flight with each
    checkpoint, after the curriculum, and on resume generates the unfinished ones again under their
    uids and with their picks, so that every pick of the saved state is answered once.
    """

    def _materialize_batch(
        self, partition_id: str, selected_prompt_uids: list[str], partition_snapshot: Any
    ) -> Any:
        """Note which groups are still to come: all of the last poll but those taken out here.

        Only this process adds groups, and since that poll it was busy here.
        """
        if partition_id == "train":
            held = self.prompt_global_steps[partition_id].keys()
            self._in_flight = held - set(selected_prompt_uids)
        return super()._materialize_batch(partition_id, selected_prompt_uids, partition_snapshot)
