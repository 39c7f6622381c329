"""``sparft reduce``: a corpus in, a small training file with arms out."""

from __future__ import annotations

import argparse
import errno
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from sparft_plugin.cli import reduce_options
from sparft_plugin.cli.corpus_options import corpus_of
from sparft_plugin.cli.summary import plan, say, summary
from sparft_plugin.corpus import Corpus
from sparft_plugin.difficulty.sources import find_difficulties, label_keys, parse_source
from sparft_plugin.errors import SparftError, import_extra
from sparft_plugin.prompts import PromptTable
from sparft_plugin.reduction.config import ReductionConfig
from sparft_plugin.reduction.files import cache_folder, sync, whole_file
from sparft_plugin.reduction.hygiene import Evaluation, write_pairs
from sparft_plugin.reduction.pipeline import Given, check_possible, reduce
from sparft_plugin.reduction.vectors import column_vectors, open_vectors
from sparft_plugin.reduction.write import (
    check_output,
    check_rows,
    manifest_path,
    write_reduced,
)

if TYPE_CHECKING:
    Subparsers = argparse._SubParsersAction[argparse.ArgumentParser]

COLUMN = "column:"
PAGES = (".html", ".htm")
FULL = (errno.ENOSPC, errno.EFBIG, errno.EDQUOT)
"""What a disk says that takes no more."""


def add_parser(subparsers: Subparsers) -> None:
    """Add the command ``reduce`` and its options."""
    parser = subparsers.add_parser(
        "reduce",
        help="keep a few prompts that stand for all",
        description="Keep a few prompts of a corpus that stand for all, in verl's schema.",
    )
    reduce_options.add(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Reduce the inputs, write the output and summarise it on stdout; nothing if one is bad."""
    try:
        return _run(arguments)
    except OSError as error:
        if error.errno not in FULL:
            raise
        places = f"{cache_folder('')}, {tempfile.gettempdir()} or beside the output"
        raise SparftError(f"the disk is full ({error}); make room in {places}.") from error


def _run(arguments: argparse.Namespace) -> int:
    config = reduce_options.config_of(arguments)
    pairs, page = _pairs(arguments, config), _page(arguments)
    beside = [path for path in (pairs, page) if path is not None]
    check = partial(check_output, arguments.output, overwrite=arguments.overwrite, beside=beside)
    check([*arguments.inputs, *arguments.decontaminate])
    specs = [parse_source(text) for text in arguments.difficulty]
    kinds = [spec.kind for spec in specs]
    corpus = corpus_of(arguments)
    check([source.name for source in corpus.sources])
    check_rows(corpus)
    prompts = PromptTable.from_corpus(
        corpus, label_keys=label_keys(specs), complete=kinds == ["column"]
    )
    has = ({"difficulties"} if specs else set()) | ({"curves"} if "rollouts" in kinds else set())
    check_possible(prompts, config, has)
    evaluations = [
        Evaluation.read(corpus_of(arguments, [name]), name) for name in arguments.decontaminate
    ]
    if arguments.dry_run:
        say(plan(corpus, prompts, evaluations, config, arguments))
        return 0
    difficulties, curves = find_difficulties(specs, prompts, corpus) if specs else (None, None)
    reduction = reduce(
        prompts,
        config,
        embeddings=_given(arguments.embeddings, corpus, prompts),
        difficulties=difficulties,
        curves=curves,
        evaluations=evaluations,
        engine=arguments.engine,
    )
    with ExitStack() as staged:
        # The last two are replaced when the first two are.
        if pairs is not None and reduction.hygiene is not None:
            found = reduction.hygiene
            _stage(staged, pairs, lambda path: write_pairs(path, found, prompts, evaluations))
        if page is not None:
            from sparft_plugin.report.reduction_page import reduction_page

            drawn = reduction_page(reduction, prompts)
            _stage(staged, page, lambda path: path.write_text(drawn, encoding="utf-8"))
        write_reduced(corpus, prompts, reduction, arguments.output, overwrite=arguments.overwrite)
    written = [arguments.output, manifest_path(arguments.output), *beside]
    say(summary(prompts, reduction))
    say(f"wrote {', '.join(map(str, written[:-1]))} and {written[-1]}\n")
    return 0


def _given(embeddings: str | None, corpus: Corpus, prompts: PromptTable) -> Given | None:
    """Vectors that the user brings, one per row of the corpus; None if texts are to be encoded."""
    if embeddings is None:
        return None
    if embeddings.startswith(COLUMN):
        return column_vectors(corpus, embeddings.removeprefix(COLUMN))
    if Path(embeddings).suffix != ".npy":
        raise SparftError(f"--embeddings {embeddings} must be a .npy file or column:NAME.")
    open_vectors(embeddings, len(prompts) + prompts.duplicates)
    return embeddings


def _pairs(arguments: argparse.Namespace, config: ReductionConfig) -> Path | None:
    if not arguments.decontaminate and config.near_duplicates is None:
        return None
    return Path(arguments.output).with_suffix(".pairs.jsonl")


def _page(arguments: argparse.Namespace) -> Path | None:
    if arguments.report is None:
        return None
    page = Path(arguments.report or Path(arguments.output).with_suffix(".html"))
    if page.suffix not in PAGES:
        raise SparftError(f"--report {page} must end in {' or '.join(PAGES)}; rename it.")
    import_extra("report", "the page", "matplotlib", "jinja2")
    return page


def _stage(staged: ExitStack, path: Path, write: Callable[[Path], object]) -> None:
    """Write a temporary file that becomes ``path`` later; errors call it by that name."""
    temporary = staged.enter_context(whole_file(path))
    try:
        write(temporary)
        sync(temporary)
    except SparftError as error:
        raise SparftError(str(error).replace(str(temporary), str(path))) from error
    except OSError as error:
        raise SparftError(f"{path} cannot be written: {error}") from error
