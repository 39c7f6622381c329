"""The contract, and the engine of this process."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from sparft_plugin.errors import unknown_name

Item = TypeVar("Item")
Result = TypeVar("Result")
ENGINES = ("local", "ray")


class Engine(ABC):
    """Applies a task to items; the results come in any order.

    What a reduction makes of the results does not depend on that order, so every engine gives the
    same bytes.
    """

    @abstractmethod
    def map(self, task: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
        """Run ``task(item)`` for every item.

        Parameters
        ----------
        task : callable
            Can be sent to another process; keeps nothing between items that changes a result.
        items : iterable
            Small values that can be sent to another process.
        """


class Local(Engine):
    """One item after the other in this process; a task uses the cores by itself."""

    def map(self, task: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
        """Run in the order of the items."""
        return map(task, items)


def check_engine(name: str) -> None:
    """Refuse an unknown name; the nearest one is offered.

    Raises
    ------
    SparftError
        Naming the engines there are.
    """
    if name not in ENGINES:
        raise unknown_name("engine", name, ENGINES)


def open_engine(name: str) -> Engine:
    """Return the engine of a name.

    Raises
    ------
    SparftError
        If the name is unknown, or what it needs is not installed.
    """
    check_engine(name)
    if name == "local":
        return Local()
    from sparft_plugin.reduction.engines.on_ray import OnRay

    return OnRay()
