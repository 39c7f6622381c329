"""The training dataset: item i is the next pick; validation files pass straight through."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

import datasets
from omegaconf import DictConfig, OmegaConf
from torch.utils.data import Dataset
from verl.utils.dataset.rl_dataset import RLHFDataset
from verl.utils.import_utils import load_extern_object

from sparft_plugin.config.schema import SparftConfig
from sparft_plugin.corpus import Columns
from sparft_plugin.corpus.rows import Place, read_user_text
from sparft_plugin.corpus.sources import DatasetSource
from sparft_plugin.curriculum import Pick, Prompt
from sparft_plugin.errors import SparftError
from sparft_plugin.hosts.verl.checkpoint import forget_pruned, saved_pool
from sparft_plugin.hosts.verl.preflight import check_settings
from sparft_plugin.hosts.verl.rows import AT_ONCE, PromptLengths, check_media
from sparft_plugin.prompts import prompt_id
from sparft_plugin.training.groups import tag_of
from sparft_plugin.training.pool import Pool
from sparft_plugin.training.run import TrainingRun

PATIENCE = 10
"""Batches that a synchronous run may be handed before a finished group is brought back."""
_training_sets: WeakValueDictionary[int, CurriculumDataset] = WeakValueDictionary()
"""Training sets that are alive, by the id of their config, which lives as long as they do."""


class CurriculumDataset(Dataset):  # type: ignore[misc]
    """A recipe's dataset with a curriculum in front of it.

    With a curriculum, the index asked for is ignored and each item is the curriculum's next pick;
    the length stays that of the recipe's data, so the number of steps does not change. Without
    one, items and their order are the recipe's own. Either way an item carries
    ``extra_info["sparft"] = {id, arm, difficulty, pick, row, rollouts}``, which verl brings back
    with the rollout.

    verl makes this class twice, first for the training and then for the validation files, which
    may be the same; the latter pass through untouched. Its ``state_dict`` rides in verl's
    ``data.pt``. What else the recipe's class has, such as ``on_batch_end``, is found here too.
    """

    def __init__(
        self,
        data_files: Any,
        tokenizer: Any,
        config: DictConfig,
        processor: Any = None,
        max_samples: int = -1,
    ) -> None:
        self.inner = wrapped_class(config)(
            data_files=data_files,
            tokenizer=tokenizer,
            config=config,
            processor=processor,
            max_samples=max_samples,
        )
        self.run: TrainingRun | None = None
        if not _is_training(data_files, config):
            return
        self.checkpoints = config.get("sparft_checkpoints")
        recipe = config._get_root()
        if "trainer" in recipe:
            options = check_settings(recipe)
        else:
            options = SparftConfig.from_mapping(OmegaConf.to_container(config.sparft, resolve=True))
        mode = OmegaConf.select(recipe, "trainer.v1.trainer_mode", default="sync")
        self.synchronous = mode == "sync"
        frame = getattr(self.inner, "dataframe", None)
        if isinstance(frame, datasets.Dataset):
            check_media(DatasetSource(frame, "data.train_files"), config)
        self.texts: dict[str, str] = {}
        self.pool: Pool | None = None
        self.lengths: PromptLengths | None = None
        if options.curriculum is not None:
            self.pool = read_pool(self.inner, config, options, saved_pool(recipe))
            if not config.filter_overlong_prompts:
                self.lengths = PromptLengths(self.inner, tokenizer, processor, config)
                self.lengths.check_rows(self.inner.dataframe, self.pool.longest(AT_ONCE).tolist())
        self.batch_size, self.handed_out = config.train_batch_size, 0
        self.asked_for = False
        self.run = TrainingRun.over(self.pool, options, self.texts)
        self.run.plan(planned_steps(recipe, len(self) // self.batch_size))
        if self.pool is not None and options.reduction is not None:
            # A reduced pool is small: encode its queries now, while the workers start.
            self.run.encode_queries(map(bytes.decode, self.pool.prompts.ids.tolist()))
        self.config, self.awaits_validation = config, True
        _training_sets[id(config)] = self

    def __len__(self) -> int:
        """Items per epoch: as many as the recipe's data has."""
        least = self.batch_size if self.run and self.pool else 0
        return max(len(self.inner), least)

    def __getitem__(self, index: int) -> dict[str, Any]:
        """Return one item; see ``__getitems__``."""
        return self.__getitems__([index])[0]

    def __getitems__(self, indices: Sequence[int]) -> list[dict[str, Any]]:
        """Return a batch of items, chosen by the curriculum in one go."""
        if self.run is None:
            return [self.inner[index] for index in indices]
        self._count(len(indices))
        if self.pool is None:
            items = [self._tagged(index) for index in indices]
            self.run.encode_queries(item["extra_info"]["sparft"]["id"] for item in items)
            return items
        return [self._picked(pick) for pick in self.run.select(len(indices))]

    def __getattr__(self, name: str) -> Any:
        """Give what only the recipe's own dataset class has."""
        # pickle and copy ask an object that has no inner dataset yet.
        if name == "inner" or name.startswith("__"):
            raise AttributeError(name)
        return getattr(self.inner, name)

    def _count(self, items: int) -> None:
        """Refuse to go on handing out what nobody brings back; async modes begin with a stock."""
        self.handed_out += items
        if self.synchronous and not self.asked_for and self.handed_out > PATIENCE * self.batch_size:
            raise SparftError(
                f"{self.handed_out} prompts were handed out and no finished group came back, so "
                "sparft learns nothing; launch by python -m verl.trainer.main_ppo, or call "
                "sparft_plugin.hosts.verl.preflight's adopt(config) and check(config) first."
            )

    def _picked(self, pick: Pick) -> dict[str, Any]:
        assert self.pool is not None
        row = self.pool.row_of(pick.prompt.id)
        item = self.inner[row]
        if self.lengths is not None:
            self.lengths.check(row, item["raw_prompt"])
        return _with_tag(item, row, pick.prompt, pick.pick_id)

    def _tagged(self, index: int) -> dict[str, Any]:
        item: dict[str, Any] = self.inner[index]
        messages = item["raw_prompt"]
        place = Place("data.train_files", index)
        try:
            identity = prompt_id(item["data_source"], messages)
        except SparftError as error:
            raise place.error("prompt", str(error)) from error
        self.texts[identity] = read_user_text(messages, place, "prompt")
        return _with_tag(item, index, Prompt(identity), None)

    def state_dict(self) -> dict[str, Any]:
        """State of curriculum and memory, for a checkpoint; empty for validation files."""
        if self.run is None:
            return {}
        if self.checkpoints is not None:
            forget_pruned(Path(self.checkpoints.folder), self.checkpoints.keep)
        return self.run.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what ``state_dict`` gave."""
        if self.run is not None:
            if not state:
                raise SparftError(
                    "the checkpoint holds no sparft state; it was written without a sparft name, "
                    "so start a new run or resume without one."
                )
            self.run.load_state_dict(state)

    @classmethod
    async def process_multi_modal_info(
        cls, messages: list[dict[str, Any]], image_patch_size: int, config: DictConfig
    ) -> Any:
        """Pass on to the recipe's own dataset class (verl's agent loop asks the class)."""
        return await wrapped_class(config).process_multi_modal_info(
            messages, image_patch_size=image_patch_size, config=config
        )

    @classmethod
    async def process_vision_info(
        cls, messages: list[dict[str, Any]], image_patch_size: int, config: DictConfig
    ) -> Any:
        """Pass on to the recipe's own dataset class, under the name that verl 0.7 asks for."""
        return await wrapped_class(config).process_vision_info(
            messages, image_patch_size=image_patch_size, config=config
        )


def run_of(dataset: Any) -> TrainingRun:
    """Give the run of a trainer's dataset, which must be ours, to what brings its groups back."""
    if not isinstance(dataset, CurriculumDataset) or dataset.run is None:
        raise SparftError(
            f"verl's trainer has {type(dataset).__name__} for its training data where sparft needs "
            "its own; data.custom_cls must be sparft_plugin's CurriculumDataset, and the trainer "
            "one of verl's."
        )
    dataset.asked_for = True
    return dataset.run


def planned_steps(recipe: DictConfig, per_epoch: int) -> int | None:
    """Steps that verl's trainer will take; None without a trainer's section."""
    epochs = OmegaConf.select(recipe, "trainer.total_epochs")
    steps = OmegaConf.select(recipe, "trainer.total_training_steps")
    limits = [steps, None if epochs is None else epochs * per_epoch]
    return min((limit for limit in limits if limit is not None), default=None)


def training_set(config: DictConfig) -> CurriculumDataset | None:
    """Return the training set that was made from a run's config, if it is alive."""
    return _training_sets.get(id(config.data))


def read_pool(
    inner: Any, config: DictConfig, options: SparftConfig, saved: str | None = None
) -> Pool:
    """Read the rows of a recipe's dataset as the pool of its run; see `Pool.from_source`."""
    frame = getattr(inner, "dataframe", None)
    if frame is None:
        raise SparftError(
            f"the dataset class {type(inner).__name__} has no 'dataframe' of rows as verl's "
            "RLHFDataset has; give it one, or use a sparft name without a curriculum."
        )
    source = DatasetSource(frame, "data.train_files")
    return Pool.from_source(source, Columns(config.prompt_key, template=None), options, saved)


def wrapped_class(config: DictConfig) -> Any:
    """Return the recipe's own dataset class, verl's ``RLHFDataset`` by default."""
    wrapped = config.sparft.wraps.dataset
    if wrapped.path is None:
        return RLHFDataset
    return load_extern_object(wrapped.path, wrapped.name)


def _is_training(data_files: Any, config: DictConfig) -> bool:
    """Whether verl is making the training set: where files are equal, it makes that one first."""
    files = _files(data_files)
    if files != _files(config.train_files):
        return False
    first = _training_sets.get(id(config))
    equal = config.get("val_files") is not None and files == _files(config.val_files)
    if not equal or first is None or not first.awaits_validation:
        return True
    first.awaits_validation = False
    return False


def _files(given: Any) -> list[str]:
    return [given] if isinstance(given, str) else [str(file) for file in given]


def _with_tag(item: dict[str, Any], row: int, prompt: Prompt, pick: int | None) -> dict[str, Any]:
    """Attach what comes back with each rollout of an item."""
    # verl's key for a dataset's own number of rollouts; null: rollout.n.
    tag = tag_of(prompt, pick) | {"row": row, "rollouts": item.get("__rollout_n__")}
    item["extra_info"] = {**(item.get("extra_info") or {}), "sparft": tag}
    return item
