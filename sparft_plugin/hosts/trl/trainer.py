"""TRL's online trainers with a curriculum in front of them and a memory beside their rewards."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import numpy as np
import torch
from accelerate.utils import broadcast_object_list, gather_object
from numpy.typing import NDArray
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR, get_last_checkpoint

from sparft_plugin.config.named import read_section
from sparft_plugin.config.schema import SparftConfig
from sparft_plugin.curriculum import Pick, Prompt
from sparft_plugin.errors import SparftError
from sparft_plugin.hosts.trl.accuracy import Accuracy
from sparft_plugin.hosts.trl.preflight import check_class, check_options, check_trainer
from sparft_plugin.hosts.trl.rows import identify, read_pool, response_text
from sparft_plugin.training.encoding import embed_responses, free_cores, memory_encoder
from sparft_plugin.training.groups import FinishedGroup, in_pick_order, tag_of
from sparft_plugin.training.pool import Pool
from sparft_plugin.training.run import TrainingRun
from sparft_plugin.training.state import read_state, write_state

if TYPE_CHECKING:
    from trl import GRPOTrainer as Trainer
else:
    Trainer = object

T = TypeVar("T")
INTRINSIC = "sparft_intrinsic"
"""Name of the reward column that holds the memory's terms."""


def with_sparft(trainer: type[Any]) -> type[Any]:
    """Derive a trainer with the arguments ``sparft`` and ``accuracy`` beside its own.

    ``trainer`` is ``GRPOTrainer``, ``RLOOTrainer`` or a class derived from one; it is a SparftError
    if it lacks a method to attach to.

    >>> trainer = with_sparft(GRPOTrainer)(
    ...     model=model, reward_funcs=accuracy, args=config, train_dataset=rows, sparft="sparft"
    ... )  # doctest: +SKIP
    """
    check_class(trainer)
    return type(f"Sparft{trainer.__name__}", (SparftMixin, trainer), {})


class _Told(NamedTuple):
    """What a process tells of its n rollouts beside their rewards."""

    tokens: list[int]
    """Length of each response."""
    embeddings: NDArray[np.float16] | None
    """Embedding of each response, shape (n, d); None without a memory."""
    blank: list[bool]
    """Which responses were encoded as an empty text."""
    encoder: str | None
    """Identity of the encoder."""
    prompts: list[tuple[str, str]]
    """Id and text of each prompt; empty with a curriculum, which knows them."""


class SparftMixin(Trainer):  # type: ignore[misc]
    """Choose the prompts of each generation batch, learn from its rewards and add the memory's.

    Picks replace the rows of the batch that is about to be generated, so nothing is chosen before
    all that was generated has been learned from. The state lives in the main process and rides in
    each checkpoint as ``sparft.safetensors``. Evaluations pass through untouched.

    Parameters
    ----------
    sparft : str, path or mapping
        See `sparft_plugin.config.named.read_section`; an option that is unknown, or asks for what
        TRL cannot do, is a SparftError.
    accuracy : str or None
        Name of the reward function that gives raw accuracy, in [0, 1]; None is the first one.
    """

    reward_weights: torch.Tensor

    def __init__(
        self,
        *args: Any,
        sparft: str | Path | Mapping[str, Any],
        accuracy: str | None = None,
        **kwargs: Any,
    ) -> None:
        self._options = SparftConfig.from_mapping(read_section(sparft))
        check_options(self._options)
        super().__init__(*args, **kwargs)
        check_trainer(self)
        self._accuracy = Accuracy(self.reward_func_names, accuracy, self._options.accuracy)
        self._functions = len(self.reward_funcs)
        self._stored = str((self._options.memory or {}).get("stored", "response"))
        self.sparft_run: TrainingRun | None = None
        """From the beginning of ``train`` on, in the main process."""
        self._pool: Pool | None = None
        self._picks: list[Pick] = []
        self._texts: dict[str, str] = {}
        self._encoder: Any = None
        if self._options.memory is not None:
            self.reward_funcs.append(_no_reward)
            self.reward_func_names.append(INTRINSIC)
            self.reward_processing_classes.append(None)
            self.reward_weights = torch.cat([self.reward_weights, torch.ones(1)])

    def train(
        self, resume_from_checkpoint: str | bool | None = None, *args: Any, **kwargs: Any
    ) -> Any:
        """Train as the trainer does, from the checkpoint's curriculum and memory if it resumes."""
        folder = resume_from_checkpoint
        if folder is True:
            folder = get_last_checkpoint(self.args.output_dir)
        self._on_main(lambda: self._start(Path(str(folder)) if folder else None))
        if self._options.memory is not None:
            self._encoder = self._encoder_of_this_process()
        return super().train(resume_from_checkpoint, *args, **kwargs)

    def _start(self, folder: Path | None) -> None:
        """Make the run of the main process, and restore it from a checkpoint."""
        options, state = self._options, read_state(folder) if folder else None
        self._pool, self._texts = None, {}
        if options.curriculum is not None:
            saved = state["pool"] if state is not None else None
            self._pool = read_pool(self.train_dataset, options, saved)
        self.sparft_run = TrainingRun.over(self._pool, options, self._texts)
        if state is not None:
            self.sparft_run.load_state_dict(state)

    def _encoder_of_this_process(self) -> Any:
        run, memory = self.sparft_run, self._options.build_memory()
        if run is not None and run.remembering is not None:
            encoder = run.remembering.embedder
        else:
            assert memory is not None
            encoder = memory_encoder(memory.encoder, self._options.memory_encoder)
        here = int(os.environ.get("LOCAL_WORLD_SIZE", self.accelerator.num_processes))
        on_cpu = self.accelerator.device.type == "cpu"
        encoder.cores = torch.get_num_threads() if on_cpu else max(1, free_cores() // here)
        # Loaded here, not in a thread: what a library does to torch meanwhile is nobody's business.
        encoder.encode(["."])
        return encoder

    def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
        if self.model.training and self._options.curriculum is not None:
            inputs = self._picked(inputs)
        generated: dict[str, Any] = super()._generate_and_score_completions(inputs)
        return generated

    def _picked(self, inputs: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """Rows of the picks in place of those that the sampler drew, in the same layout."""
        groups = len(inputs) * self.accelerator.num_processes // self.num_generations
        rows = self._on_main(lambda: self._choose(groups))
        first = len(inputs) * self.accelerator.process_index
        mine = [rows[(first + i) // self.num_generations] for i in range(len(inputs))]
        found = {row: self.train_dataset[row] for row in sorted(set(mine))}
        # Columns that the trainer leaves out stay out.
        return [{name: found[row][name] for name in inputs[0]} for row in mine]

    def _choose(self, groups: int) -> list[int]:
        """Rows of the next picks."""
        assert self.sparft_run is not None
        assert self._pool is not None
        self.sparft_run.plan(self._batches_to_generate())
        self._picks = self.sparft_run.select(groups)
        ids = [pick.prompt.id for pick in self._picks]
        if self.sparft_run.remembering is not None and self.accelerator.device.type == "cpu":
            # The cores are the training's own: a thread beside it would change its sums.
            self.sparft_run.remembering.queries.wait(ids)
        return [self._pool.row_of(identity) for identity in ids]

    def _batches_to_generate(self) -> int:
        """Generation batches of the whole training, whose steps are known once it has begun."""
        passes: int = self.state.max_steps * self.args.gradient_accumulation_steps
        each: int = self.args.steps_per_generation * self.args.num_iterations
        return math.ceil(passes / each)

    def _calculate_rewards(
        self,
        inputs: list[dict[str, Any]],
        prompts: list[Any],
        completions: list[Any],
        completion_ids_list: list[Any],
    ) -> torch.Tensor:
        """Rewards of all processes' rollouts, shape (rollouts, functions); NaN where none."""
        rewards: torch.Tensor = super()._calculate_rewards(
            inputs, prompts, completions, completion_ids_list
        )
        if not self.model.training:
            return rewards
        told = gather_object([self._tell(inputs, completions, completion_ids_list)])
        values = rewards[:, : self._functions].double().cpu().numpy()
        terms, metrics = self._on_main(lambda: self._learn(values, told))
        for name, value in metrics.items():
            self._metrics["train"][name].append(value)
        if terms is not None:
            rewards = rewards.clone()
            rewards[:, self._functions] = torch.from_numpy(terms).to(rewards)
        return rewards

    def _tell(
        self, inputs: Sequence[Mapping[str, Any]], completions: Sequence[Any], ids: Sequence[Any]
    ) -> _Told:
        """Encode this process's responses, and identify its prompts where no curriculum has."""
        tokens, prompts = [len(some) for some in ids], []
        if self._options.curriculum is None:
            prompts = [identify(row) for row in inputs]
        if self._encoder is None:
            return _Told(tokens, None, [False] * len(tokens), None, prompts)
        run = self.sparft_run
        if run is not None and run.remembering is not None:
            # One encoder, so one at a time.
            run.remembering.queries.wait(pick.prompt.id for pick in self._picks)
        texts = [response_text(completion) for completion in completions]
        embeddings, blank = embed_responses(self._encoder, self._stored, texts)
        return _Told(tokens, embeddings, blank, self._encoder.identity, prompts)

    def _learn(
        self, values: NDArray[np.float64], told: Sequence[_Told]
    ) -> tuple[NDArray[np.float64] | None, dict[str, float]]:
        """Bring the batch's groups to the run; terms of all rollouts, NaN where there is none."""
        run = self.sparft_run
        assert run is not None
        groups = self._groups(values, told)
        result = run.finish(in_pick_order(groups))
        metrics = result.metrics | run.times()
        if run.remembering is None:
            return None, metrics
        none = np.full(self.num_generations, math.nan)
        return np.concatenate([result.terms.get(group.uid, none) for group in groups]), metrics

    def _groups(self, values: NDArray[np.float64], told: Sequence[_Told]) -> list[FinishedGroup]:
        """Groups of a batch in the order of its rollouts."""
        weights = self.reward_weights[: self._functions].double().cpu().numpy()
        rewards = np.nansum(values * weights, axis=1)
        accuracies = self._accuracy.read(values)
        tokens = np.array([count for part in told for count in part.tokens])
        blank = np.array([flag for part in told for flag in part.blank])
        embeddings = [part.embeddings for part in told if part.embeddings is not None]
        responses = np.concatenate(embeddings).astype(np.float32) if embeddings else None
        prompts = [prompt for part in told for prompt in part.prompts]
        groups = []
        for number, start in enumerate(range(0, len(values), self.num_generations)):
            at = slice(start, start + self.num_generations)
            pick = self._pick_of(number, prompts[at])
            groups.append(
                FinishedGroup(
                    uid=str(number),
                    tag=tag_of(pick.prompt, pick.pick_id if self._picks else None),
                    outputs=tuple((row,) for row in range(*at.indices(len(values)))),
                    rewards=rewards[at],
                    accuracies=accuracies[at],
                    responses=None if responses is None else responses[at],
                    model_version=self.state.global_step,
                    tokens=tokens[at],
                    at_limit=tokens[at] >= (self.max_completion_length or math.inf),
                    formats=self._accuracy.formats(values[at]),
                    blank=int(blank[at].sum()),
                    complete=not np.isnan(accuracies[at]).any(),
                    sources=frozenset({self._accuracy.source}),
                    encoders=frozenset(part.encoder for part in told if part.encoder),
                )
            )
        return groups

    def _pick_of(self, number: int, prompts: Sequence[tuple[str, str]]) -> Pick:
        """The pick that a group answers; without a curriculum, its prompt alone."""
        if not prompts:
            return self._picks[number]
        if len(set(prompts)) > 1:
            raise SparftError(
                f"the {len(prompts)} rollouts of a group answer {len(set(prompts))} prompts; the "
                "trainer's sampler must repeat each prompt num_generations times in a row."
            )
        identity, text = prompts[0]
        self._texts[identity] = text
        return Pick(-1, Prompt(identity))

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        if self.sparft_run is not None:
            folder = Path(self._get_output_dir(trial=trial))
            folder /= f"{PREFIX_CHECKPOINT_DIR}-{self.state.global_step}"
            # First, so that a checkpoint which the trainer can read is never without it.
            write_state(folder, self.sparft_run.state_dict())
        super()._save_checkpoint(model, trial)

    def _on_main(self, work: Callable[[], T]) -> T:
        """Call in the main process; every process gets the result, or raises what it refused."""
        answer: list[Any] = [None]
        if self.accelerator.is_main_process:
            try:
                answer[0] = work()
            except SparftError as error:
                if self.accelerator.num_processes == 1:
                    raise
                answer[0] = error
        broadcast_object_list(answer)
        if isinstance(answer[0], SparftError):
            raise answer[0]
        result: T = answer[0]
        return result


def _no_reward(prompts: Sequence[Any], **columns: Any) -> list[None]:
    """Holds the memory's column open; training fills it, an evaluation has no such reward."""
    return [None] * len(prompts)
