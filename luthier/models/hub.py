"""A hub id becomes a local folder: the local copy where there is one, else fetched, safetensors and JSON only."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from luthier.errors import UserError, mistake
from luthier.models import folder as model_folder

_FILES = ["*.json", "*.safetensors", "*.model", "*.txt", "*.jinja"]


def local_folder(name: str) -> Path | None:
    """The whole local copy of a hub model, or None. Makes no network call."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, IncompleteSnapshotError, LocalEntryNotFoundError

    try:
        folder = Path(snapshot_download(name, local_files_only=True))
        model_folder.check(folder)
    except (HFValidationError, LocalEntryNotFoundError, IncompleteSnapshotError, UserError):
        return None
    return folder


def folder_of(name: str, say: Callable[[str], None]) -> Path:
    """The local copy, fetched first where there is none. `HF_TOKEN`, `HF_HOME` and `HF_HUB_OFFLINE` are respected.

    A copy once fetched is used as it is, without asking the hub for a newer one, so that a run can be repeated.
    """
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    from huggingface_hub import constants, snapshot_download
    from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, RepositoryNotFoundError

    if found := local_folder(name):
        return found
    if constants.HF_HUB_OFFLINE:
        raise mistake(
            "not on this machine, and HF_HUB_OFFLINE is set", name, f"once with a network: hf download {name}"
        )
    say(f"fetching {name} from the hub, once")
    try:
        # Weights and settings at the top only: no pickled weights, no code, no other formats in folders below.
        folder = Path(snapshot_download(name, allow_patterns=_FILES, ignore_patterns=["*/*"]))
    except GatedRepoError as error:
        remedy = f"accept its terms at https://huggingface.co/{name}, then: export HF_TOKEN=your_token"
        raise mistake("this model is gated: its owner lets in only those who ask", name, remedy) from error
    except RepositoryNotFoundError as error:
        remedy = "check the name at https://huggingface.co/models; for a private model: export HF_TOKEN=your_token"
        raise mistake("the hub has no such model, or not for you", name, remedy) from error
    except (HfHubHTTPError, OSError, ConnectionError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise mistake(
            f"could not be fetched from the hub: {reason}", name, f"with a network: hf download {name}"
        ) from error
    model_folder.check(folder)
    return folder


def local_folders() -> list[tuple[str, Path]]:
    """Every hub model that stands whole on this machine, by name."""
    from huggingface_hub import scan_cache_dir
    from huggingface_hub.errors import CacheNotFound

    try:
        repositories = scan_cache_dir().repos
    except CacheNotFound:
        return []
    names = sorted(found.repo_id for found in repositories if found.repo_type == "model")
    return [(name, folder) for name in names if (folder := local_folder(name))]
