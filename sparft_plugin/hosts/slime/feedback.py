"""slime's hook that sees every finished group, filtered ones too, before rewards are used."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from sparft_plugin.config.accuracy import AccuracyRule
from sparft_plugin.errors import SparftError
from sparft_plugin.hosts.slime.source import TAG, PickSource
from sparft_plugin.training.encoding import embed_responses
from sparft_plugin.training.groups import FinishedGroup, in_pick_order

logger = logging.getLogger(__name__)
LOST = ("aborted", "failed", "pending")
"""Status of a sample that is no evidence of a pass rate."""


def feedback(args: Any, all_samples: Sequence[Sequence[Any]], data_source: Any) -> None:
    """Learn from a rollout's groups, and add the memory's terms to their rewards.

    Metrics go to the log and to ``args.sparft_metrics``. Groups are learned from whether slime's
    filter keeps them or not, since the hook is not told which it kept.

    Parameters
    ----------
    args : namespace
        slime's arguments.
    all_samples : sequence of sequence of Sample
        Every finished group.
    data_source : callable
        The bound ``get_samples`` of a `PickSource`.

    Raises
    ------
    SparftError
        If the data source is another, an accuracy is none, or the run refuses the groups.
    """
    source = getattr(data_source, "__self__", data_source)
    if not isinstance(source, PickSource):
        raise SparftError(
            f"the data source is {type(source).__name__}; give --data-source-path "
            "sparft_plugin.hosts.slime.PickSource as well."
        )
    rule = AccuracyRule(source.options.accuracy)
    of = {str(samples[0].group_index): samples for samples in all_samples}
    groups = in_pick_order(
        [_group(args, source, rule, uid, samples) for uid, samples in of.items()]
    )
    result = source.run.finish(groups, in_flight=source.waiting())
    for uid, terms in result.terms.items():
        for sample, term in zip(of[uid], terms.tolist(), strict=True):
            if args.reward_key:
                sample.reward[args.reward_key] += term
            else:
                sample.reward += term
    args.sparft_metrics = result.metrics | source.run.times()
    logger.info("sparft: %s", args.sparft_metrics)


def _group(
    args: Any, source: PickSource, rule: AccuracyRule, uid: str, samples: Sequence[Any]
) -> FinishedGroup:
    complete = not any(s.reward is None or s.status.value in LOST for s in samples)
    rewards, accuracies, sources = [], [], set()
    for sample in samples if complete else ():
        reward = sample.get_reward_value(args)
        extra = sample.reward if isinstance(sample.reward, dict) else {}
        accuracy, read_from = rule.read(extra, reward)
        rewards.append(float(reward))
        accuracies.append(accuracy)
        sources.add(read_from)
    none = [math.nan] * len(samples)
    tokens = np.array([sample.response_length for sample in samples])
    blank: list[bool] = []
    responses, encoder = None, frozenset[str]()
    if source.run.remembering is not None:
        embedder = source.run.remembering.embedder
        # One encoder, so one at a time.
        source.run.remembering.queries.wait([samples[0].metadata[TAG]["id"]])
        stored = str((source.options.memory or {}).get("stored", "response"))
        texts = [sample.response for sample in samples]
        embedded, blank = embed_responses(embedder, stored, texts)
        responses, encoder = embedded.astype(np.float32), frozenset({embedder.identity})
    return FinishedGroup(
        uid=uid,
        tag=samples[0].metadata[TAG],
        outputs=tuple((sample.index,) for sample in samples),
        rewards=np.array(rewards or none),
        accuracies=np.array(accuracies or none),
        responses=responses,
        model_version=0,
        tokens=tokens,
        at_limit=tokens >= args.rollout_max_response_len,
        blank=sum(blank),
        complete=complete,
        sources=frozenset(sources),
        encoders=encoder,
    )
