"""Which model it was: a name with the revision of its weights."""

from __future__ import annotations

import hashlib
from pathlib import Path

from sparft_plugin.errors import SparftError

PIECE = 4096
PIECES = 64
"""Pieces of a large file that stand for its content."""


def model_identity(model: str) -> str:
    """``name@revision`` of a model; equal identities sample alike.

    Parameters
    ----------
    model : str
        A local folder: the revision is a hash of its files' names, sizes and contents; of a large
        file, 64 pieces spread over it, so that 100 GB of weights take no time. Otherwise a Hugging
        Face hub id: the revision is the commit of its main branch.

    Raises
    ------
    SparftError
        If the folder does not exist, or the hub cannot be reached.
    """
    folder = Path(model).expanduser()
    if folder.is_dir():
        return f"{folder.resolve().name}@{_hash_folder(folder)}"
    if model.startswith((".", "/", "~")) or model.count("/") > 1:
        raise SparftError(f"the model folder {model} does not exist; check the path.")
    try:
        from huggingface_hub import hf_hub_download
    except ImportError as error:
        raise SparftError(
            f"{model} is no folder here; give one, or pip install huggingface_hub."
        ) from error
    try:
        return f"{model}@{Path(hf_hub_download(model, 'config.json')).parent.name}"
    except (OSError, ValueError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise SparftError(
            f"the model {model} is no folder here and cannot be reached on the hub ({reason}); "
            "give a local folder, or a hub id that this machine can reach."
        ) from error


def _hash_folder(folder: Path) -> str:
    content = hashlib.blake2b(digest_size=16)
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        size = path.stat().st_size
        content.update(f"{path.relative_to(folder).as_posix()}\0{size}\0".encode())
        with path.open("rb") as file:
            if size <= PIECE * PIECES:
                content.update(file.read())
                continue
            for piece in range(PIECES):
                file.seek(piece * (size - PIECE) // (PIECES - 1))
                content.update(file.read(PIECE))
    return content.hexdigest()
