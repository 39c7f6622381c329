"""Refuse rows with images, video or audio, of which a prompt's identity holds nothing."""

from __future__ import annotations

from omegaconf import DictConfig

from sparft_plugin.corpus.rows import Place
from sparft_plugin.corpus.sources import Source

KEYS = {"image_key": "images", "video_key": "videos", "audio_key": "audios"}
"""Options of verl's ``data`` section that name the columns of media, with their defaults."""


def check_media(source: Source, data: DictConfig) -> None:
    """Refuse training data that fill a column of media.

    Two rows that differ in an image alone would be one prompt to the curriculum, and the memory's
    encoder reads text only.

    Parameters
    ----------
    source : Source
        The training data; read up to the first row with media.
    data : DictConfig
        verl's ``data`` section.

    Raises
    ------
    SparftError
        Naming the row and the column.
    """
    known = source.columns()
    for option, default in KEYS.items():
        key = data.get(option, default)
        if key not in known:
            continue
        row = 0
        for (values,) in source.batches([key]):
            for value in values:
                if value:
                    raise Place(source.name, row).error(
                        key,
                        "holds media, and sparft knows a prompt by its text alone; drop the "
                        "column, or train without a sparft name.",
                    )
                row += 1
