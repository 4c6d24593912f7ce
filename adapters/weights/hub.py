"""Checkpoints that the Hugging Face hub keeps behind a licence which each user accepts.

The package ``huggingface_hub`` finds the user's token by itself, in ``HF_TOKEN`` or where ``hf auth
login`` has put it. Nothing here reads, keeps or prints it.
"""

from __future__ import annotations

from pathlib import Path

from stseg.errors import InputError

FILES = ("config.json", "model.safetensors")
"""What package ``transformers`` needs of a model."""


def bring(repository: str, folder: Path) -> Path:
    """Download a model into a folder; returns its file of tensors, beside its ``config.json``.

    Raises `InputError` where the package is missing, the licence is not accepted, no token is
    given, or the hub cannot be reached.
    """
    try:
        from huggingface_hub import hf_hub_download
        from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, LocalEntryNotFoundError
    except ImportError:
        raise InputError(
            f"model {repository} comes from the Hugging Face hub: pip install 'stseg[sam3]'"
        ) from None
    page = f"https://huggingface.co/{repository}"
    try:
        for name in FILES:
            hf_hub_download(repository, name, local_dir=folder)
    except GatedRepoError:
        raise InputError(
            f"model {repository} is behind a licence: accept it on {page}, then give your token in"
            " HF_TOKEN or by hf auth login"
        ) from None
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        status = getattr(getattr(error, "response", None), "status_code", None)
        reason = f"status {status}" if status else type(error).__name__
        raise InputError(
            f"model {repository} cannot be fetched ({reason}): try again, or bring config.json and"
            f" model.safetensors from {page} by hand and give the path of the latter"
        ) from None
    return folder / FILES[1]
