"""The arena's pools: 600 prompts each, one way in which real corpora differ from a healthy one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any

from skills import CHAIN, DIGITS, DIGITS_32, LEARNABLE, STORY, Task, World, copies

from sparft_plugin.prompts import prompt_id

SIZE, HELD_OUT = 600, 128
PROBES = 8
"""Rollouts of the untrained model that a row's difficulty is measured by."""
SOURCE = "arena"
HARD, SOLVED, BROKEN = range(len(LEARNABLE)), range(8, 14), range(14, 20)
"""Skills of `DIGITS`: eight to learn, six that are solved, six whose truths may be broken."""


@dataclass(frozen=True)
class Pool:
    """A pool, by what its prompts are.

    Parameters
    ----------
    about : str
        In a few words, for the tables.
    world : World
    shares : mapping of int to float
        Share of the prompts by skill; they sum to 1.
    learn : sequence of int
        Skills of the held-out prompts.
    broken, coins : sequence of int
        Skills whose truths are never said, and whose rewards are coin flips.
    copies : int
        Near-copies of each prompt of skills 0 and 1, itself among them.
    blind : bool
        Arms are drawn at random and say nothing of skills.
    """

    about: str
    world: World
    shares: Mapping[int, float]
    learn: Sequence[int]
    broken: Sequence[int] = ()
    coins: Sequence[int] = ()
    copies: int = 1
    blind: bool = False
    known: Sequence[int] = field(default=())
    """Skills that are solved before training, which should stay so."""


def _even(**parts: float) -> dict[int, float]:
    """Shares of groups of skills, even inside each."""
    groups = {"hard": HARD, "solved": SOLVED, "broken": BROKEN}
    return {s: part / len(groups[g]) for g, part in parts.items() for s in groups[g]}


_skewed = {skill: 2.0 ** -(place + 1) for place, skill in enumerate((5, 2, 7, 0, 3, 6, 1, 4))}
_skewed = {skill: share / sum(_skewed.values()) for skill, share in _skewed.items()}
_late = _even(hard=0.15, solved=0.45, broken=0.40)
_levels = {n: (0.025 if n % 5 < 2 else 0.8 / 12) for n in CHAIN.skills}

POOLS: dict[str, Pool] = {
    "healthy": Pool("every skill can be learned", DIGITS, _even(hard=1.0), HARD),
    "late_phase": Pool(
        "15 % to learn, 45 % solved, 40 % with broken truths",
        DIGITS,
        _late,
        HARD,
        broken=BROKEN,
        known=SOLVED,
    ),
    "late_blind": Pool(
        "the same, and arms say nothing of skills",
        DIGITS,
        _late,
        HARD,
        broken=BROKEN,
        known=SOLVED,
        blind=True,
    ),
    "saturated": Pool("70 % solved", DIGITS, _even(hard=0.30, solved=0.70), HARD, known=SOLVED),
    "impossible": Pool(
        "70 % with broken truths", DIGITS, _even(hard=0.30, broken=0.70), HARD, broken=BROKEN
    ),
    "coin_flip": Pool(
        "20 % with rewards by chance", DIGITS, _even(hard=0.80, broken=0.20), HARD, coins=BROKEN
    ),
    "skewed": Pool("half of it is one skill", DIGITS, _skewed, HARD),
    "redundant": Pool(
        "90 % are near-copies of 18 prompts of two skills",
        DIGITS,
        {0: 0.45, 1: 0.45} | dict.fromkeys(HARD[2:], 0.1 / 6),
        HARD,
        copies=30,
    ),
    "frontier": Pool(
        "most of it is near pass rate 0, and easy levels help hard ones",
        CHAIN,
        _levels,
        CHAIN.skills,
    ),
    "stories": Pool(
        "sentences as in GSM8K: which operation?",
        STORY,
        dict.fromkeys(STORY.skills, 1 / len(STORY.skills)),
        STORY.skills,
    ),
}


ON_BOTH: dict[str, Pool] = {
    f"{name}_32": replace(POOLS[name], world=DIGITS_32)
    for name in ("healthy", "late_phase", "impossible")
}
"""Pools that are trained on with TRL and with verl, to compare the hosts."""


@dataclass(frozen=True)
class Drawn:
    """A pool drawn with a seed."""

    rows: list[dict[str, Any]]
    """Prompts as a data set: ``prompt``, ``answer``, ``skill``, ``coin``, ``data_source``."""
    held_out: list[Task]
    known: list[Task]

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """Prompt and truth of every row."""
        return [(row["prompt"][0]["content"], row["answer"]) for row in self.rows]


def draw(pool: Pool, seed: int) -> Drawn:
    """Draw the prompts of a pool, its held-out prompts and those of skills that are solved.

    No prompt is drawn twice, so no held-out prompt is trained on.
    """
    rng, seen = Random(f"pool {seed}"), set()

    def fresh(skill: int, count: int, many: int = 1) -> list[Task]:
        found: list[Task] = []
        while len(found) < count:
            task = pool.world.make(skill, rng)
            for one in copies(task, rng, many) if many > 1 else [task]:
                if one.prompt not in seen and len(found) < count:
                    seen.add(one.prompt)
                    found.append(one)
        return found

    each = -(-HELD_OUT // len(pool.learn))
    held_out = [task for skill in pool.learn for task in fresh(skill, each)][:HELD_OUT]
    known = [task for skill in pool.known for task in fresh(skill, 8)]
    tasks = []
    for skill, count in _counts(pool.shares).items():
        tasks += fresh(skill, count, pool.copies if skill < 2 else 1)
    rng.shuffle(tasks)
    return Drawn([_row(pool, task) for task in tasks], held_out, known)


def _counts(shares: Mapping[int, float]) -> dict[int, int]:
    """Whole numbers of prompts that sum to `SIZE`, by largest remainder."""
    counts = {skill: int(SIZE * share + 1e-9) for skill, share in shares.items()}
    left = sorted(shares, key=lambda skill: counts[skill] - SIZE * shares[skill])
    for skill in left[: SIZE - sum(counts.values())]:
        counts[skill] += 1
    return counts


def _row(pool: Pool, task: Task) -> dict[str, Any]:
    return {
        "prompt": [{"role": "user", "content": task.prompt}],
        "answer": task.never if task.skill in pool.broken else task.right,
        "skill": task.skill,
        "coin": task.skill in pool.coins,
        "data_source": SOURCE,
    }


def tag(pool: Pool, rows: Sequence[Mapping[str, Any]], rates: Sequence[float], seed: int) -> list:
    """Give each row its arm and difficulty, as ``sparft reduce`` writes them.

    Parameters
    ----------
    rates : sequence of float
        Pass rate of each row before training; its difficulty is that of `PROBES` rollouts.
    """
    rng = Random(f"tags {seed}")
    arms = {skill: arm for arm, skill in enumerate(sorted(pool.shares))}
    tagged = []
    for row, rate in zip(rows, rates, strict=True):
        rate = 0.5 if row["coin"] else rate
        solved = sum(rng.random() < rate for _ in range(PROBES))
        difficulty = 1 - solved / PROBES
        arm = rng.randrange(len(arms)) if pool.blind else arms[row["skill"]]
        identity = prompt_id(SOURCE, row["prompt"])
        mark = {"id": identity, "arm": arm, "difficulty": difficulty}
        tagged.append({**row, "difficulty": difficulty, "extra_info": {"sparft": mark}})
    return tagged
