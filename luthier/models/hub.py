"""A hub id becomes a local folder: the local copy where there is one, else fetched, safetensors and JSON only."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from luthier.errors import UserError, mistake
from luthier.models import folder as model_folder

# Weights, settings and tokenizer at the top: no pickled weights, no code, no other formats in folders below.
_WANTED: dict[str, Any] = {
    "allow_patterns": ["*.json", "*.safetensors", "*.model", "*.txt", "*.jinja"],
    "ignore_patterns": ["*/*"],
}


def local_folder(name: str) -> Path | None:
    """The whole local copy of a hub model, or None. Makes no network call."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    try:
        folder = Path(snapshot_download(name, local_files_only=True, **_WANTED))
        model_folder.check(folder)
    except (HFValidationError, LocalEntryNotFoundError, UserError):
        return None
    return folder


def folder_of(name: str, say: Callable[[str], None]) -> Path:
    """The local copy, fetched first where there is none. `HF_TOKEN`, `HF_HOME` and `HF_HUB_OFFLINE` are respected.

    A copy once fetched is used as it is, without asking the hub for a newer one, so that a run can be repeated.
    """
    from huggingface_hub import constants, snapshot_download
    from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, RepositoryNotFoundError

    if found := local_folder(name):
        return found
    if constants.HF_HUB_OFFLINE:
        raise mistake(
            "not on this machine, and HF_HUB_OFFLINE is set", name, f"once with a network: hf download {name}"
        )
    constants.HF_HUB_DISABLE_TELEMETRY = True
    say(f"fetching {name} from the hub, once")
    try:
        folder = Path(snapshot_download(name, **_WANTED))
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
