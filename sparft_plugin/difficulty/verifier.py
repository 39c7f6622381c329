"""What says whether a response solves its prompt: verl's own reward functions, or a file's."""

from __future__ import annotations

import asyncio
import difflib
import importlib.util
import inspect
import math
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from sparft_plugin.errors import SparftError, unknown_name
from sparft_plugin.prompts import digest

SOLVED_ABOVE = 0.5
"""Score above which a response without an accuracy counts as solved."""


class Verdict(NamedTuple):
    """What a verifier said of one response."""

    score: float
    """Finite; the scale is the verifier's."""
    accuracy: float | None
    """In [0, 1]; None if the verifier gives a score only."""


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
        """Judge one response; a function that is ``async`` is awaited.

        Raises
        ------
        SparftError
            If the function raises anything, or its result is no verdict.
        """
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


def solved(verdict: Verdict, solved_above: float) -> float:
    """Share of a response that counts as solved, in [0, 1].

    The accuracy where there is one; otherwise 1 if the score is above ``solved_above``, else 0.
    """
    if verdict.accuracy is not None:
        return verdict.accuracy
    return float(verdict.score > solved_above)


def read_verdict(result: Any, source: str) -> Verdict:
    """Read what a reward function returned, or what verl logged of it.

    Parameters
    ----------
    result : number, mapping or sequence
        A score; or a dict with ``score``, ``acc`` or both; or a sequence that begins with a score.
    source : str
        What gave it, for messages.

    Raises
    ------
    SparftError
        If there is neither score nor ``acc``, one of them is no finite number, or ``acc`` lies
        outside [0, 1].
    """
    if isinstance(result, (list, tuple)) and result:
        result = result[0]
    if not isinstance(result, Mapping):
        return Verdict(_number(result, "score", source), None)
    given = result.get("acc")
    accuracy = None if given is None else _number(given, "acc", source)
    if accuracy is not None and not 0.0 <= accuracy <= 1.0:
        raise SparftError(f"{source} gave acc {accuracy:g}; it must be in [0, 1].")
    return Verdict(_number(result.get("score", accuracy), "score", source), accuracy)


def load_verifier(spec: str | None) -> Verifier:
    """Load a verifier.

    Parameters
    ----------
    spec : str, optional
        ``FILE.py:FUNCTION``; None is verl's ``default_compute_score``, which chooses by
        ``data_source``.

    Raises
    ------
    SparftError
        If the file or the function does not exist, or cannot be imported.
    """
    if spec is None:
        return _verl_default()
    path, separator, name = spec.rpartition(":")
    if not separator or not path or not name:
        raise SparftError(
            f"the verifier '{spec}' must be FILE.py:FUNCTION, such as reward.py:main."
        )
    file = Path(path).expanduser()
    module = _import(file)
    function = getattr(module, name, None)
    if not callable(function):
        own = [key for key, value in vars(module).items() if _is_own(value, module)]
        raise unknown_name(f"function of {file}", name, own)
    return Verifier(f"{file.name}:{name}@{digest(file.read_text(encoding='utf-8'))}", function)


def _verl_default() -> Verifier:
    try:
        from verl.utils.reward_score import default_compute_score
    except ImportError as error:
        raise SparftError(
            "the default verifier is verl's; pip install 'sparft-plugin[verl]', or give "
            "--verifier FILE.py:FUNCTION."
        ) from error
    return Verifier(
        f"verl.utils.reward_score.default_compute_score@verl-{version('verl')}",
        default_compute_score,
    )


def _import(file: Path) -> ModuleType:
    if not file.is_file():
        known = sorted(p.name for p in file.parent.glob("*.py")) if file.parent.is_dir() else []
        near = difflib.get_close_matches(file.name, known, n=1, cutoff=0.5)
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


def _is_own(value: Any, module: ModuleType) -> bool:
    return inspect.isfunction(value) and value.__module__ == module.__name__


async def _await(result: Any) -> Any:
    return await result


def _number(value: Any, name: str, source: str) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError) as error:
        raise SparftError(
            f"{source} gave the {name} {value!r}; a number, or a dict with 'score' or 'acc', is "
            "needed."
        ) from error
    if not math.isfinite(number):
        raise SparftError(f"{source} gave the {name} {number}; it must be finite.")
    return number
