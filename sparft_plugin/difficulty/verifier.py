"""What says whether a response solves its prompt: verl's own reward functions, or a file's."""

from __future__ import annotations

import asyncio
import difflib
import importlib.util
import inspect
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from types import ModuleType
from typing import Any

from sparft_plugin.difficulty.solved import Verdict, read_verdict
from sparft_plugin.errors import SparftError, unknown_name
from sparft_plugin.prompts import digest


@dataclass(frozen=True)
class Verifier:
    """A reward function with the signature that verl's ``custom_reward_function`` has."""

    identity: str
    """Name and revision; equal identities judge alike."""
    function: Callable[..., Any]
    """Called with ``data_source``, ``solution_str``, ``ground_truth`` and ``extra_info``."""

    def judge(
        self, data_source: str, response: str, ground_truth: Any, extra_info: Mapping[str, Any]
    ) -> Verdict:
        """Judge one response; a function that is ``async`` is awaited."""
        try:
            result = self.function(
                data_source=data_source,
                solution_str=response,
                ground_truth=ground_truth,
                extra_info=dict(extra_info),
            )
            if inspect.isawaitable(result):
                result = asyncio.run(_await(result))
        except Exception as error:
            raise SparftError(
                f"the verifier {self.identity} raised {type(error).__name__}: {error}; mend it, "
                "give another by --verifier FILE.py:FUNCTION, or drop the row."
            ) from error
        return read_verdict(result, self.identity)


def load_verifier(spec: str | None) -> Verifier:
    """Load ``FILE.py:FUNCTION``; None is verl's own, which chooses by ``data_source``."""
    if spec is None:
        try:
            from verl.utils.reward_score import default_compute_score
        except ImportError as error:
            raise SparftError(
                "the default verifier is verl's; pip install 'sparft-plugin[verl]', or give "
                "--verifier FILE.py:FUNCTION."
            ) from error
        name = "verl.utils.reward_score.default_compute_score"
        return Verifier(f"{name}@verl-{version('verl')}", default_compute_score)
    path, _, name = spec.rpartition(":")
    if not path or not name:
        raise SparftError(
            f"the verifier '{spec}' must be FILE.py:FUNCTION, such as reward.py:main."
        )
    file = Path(path).expanduser()
    module = _import(file)
    function = getattr(module, name, None)
    if not callable(function):
        functions = inspect.getmembers(module, inspect.isfunction)
        own = [key for key, value in functions if value.__module__ == module.__name__]
        raise unknown_name(f"function of {file}", name, own)
    return Verifier(f"{file.name}:{name}@{digest(file.read_text(encoding='utf-8'))}", function)


def _import(file: Path) -> ModuleType:
    if not file.is_file():
        near = difflib.get_close_matches(
            file.name, sorted(p.name for p in file.parent.glob("*.py")), n=1, cutoff=0.5
        )
        hint = f"did you mean '{file.with_name(near[0])}'?" if near else "check the path."
        raise SparftError(f"the verifier's file {file} does not exist; {hint}")
    spec = importlib.util.spec_from_file_location(f"sparft_verifier_{file.stem}", file)
    if spec is None or spec.loader is None:
        raise SparftError(f"the verifier's file {file} is no Python file; name one that is.")
    module = importlib.util.module_from_spec(spec)
    # Dataclasses of the file look their module up by its name.
    sys.modules[spec.name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise SparftError(
            f"the verifier's file {file} cannot be imported ({type(error).__name__}: {error}); "
            "mend it."
        ) from error
    return module


async def _await(result: Any) -> Any:
    return await result
