"""Checkpoints from the Hugging Face hub, without it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx2
import huggingface_hub
import pytest
from huggingface_hub.errors import GatedRepoError, LocalEntryNotFoundError

from adapters.weights import catalogue, hub, store
from adapters.weights.catalogue import Checkpoint
from adapters.weights.command import main
from mose import InputError

GATED = Checkpoint(
    "sam9", "transformers", "sam9/model.safetensors", "SAM License", hub="owner/sam9", page="page"
)


@pytest.fixture
def downloads(tmp_path, monkeypatch) -> list[str]:
    """A hub that gives two files; what was asked of it."""
    asked: list[str] = []

    def download(repository: str, name: str, local_dir: Path) -> str:
        asked.append(f"{repository}/{name}")
        Path(local_dir).mkdir(parents=True, exist_ok=True)
        (Path(local_dir) / name).write_text(f"content of {name}")
        return str(Path(local_dir) / name)

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    monkeypatch.setenv("STSEG_WEIGHTS", str(tmp_path / "cache"))
    monkeypatch.setattr(catalogue, "read_catalogue", lambda: {"sam9": GATED})
    return asked


def fail_with(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def download(*given: Any, **named: Any) -> str:
        raise error

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)


def test_a_model_is_brought_once_with_its_configuration(downloads, tmp_path, capsys):
    assert main(["fetch", "sam9"]) == 0
    assert "licence: SAM License" in capsys.readouterr().out
    path = store.resolve("sam9")
    assert path.read_text() == "content of model.safetensors"
    assert (path.parent / "config.json").read_text() == "content of config.json"
    assert store.resolve(path.parent) == path
    assert main(["fetch", "sam9"]) == 0
    assert downloads == ["owner/sam9/config.json", "owner/sam9/model.safetensors"]
    assert store.verify(GATED) == ""
    path.write_text("something else")
    assert "was pinned" in store.verify(GATED) or "sha256" in store.verify(GATED)


def test_an_imported_file_brings_its_configuration(downloads, tmp_path):
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "model.safetensors").write_text("tensors")
    with pytest.raises(InputError, match=r"config\.json is missing.* page "):
        store.import_file(mine / "model.safetensors", GATED)
    assert store.verify(GATED) == "not here"
    (mine / "config.json").write_text("{}")
    assert main(["import", str(mine), "sam9"]) == 0
    path = store.resolve("sam9")
    assert (path.read_text(), path.with_name("config.json").read_text()) == ("tensors", "{}")
    assert downloads == []


def test_a_licence_that_is_not_accepted_is_said_and_no_token(downloads, monkeypatch, tmp_path):
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    response = httpx2.Response(403, request=httpx2.Request("GET", "https://huggingface.co"))
    fail_with(monkeypatch, GatedRepoError("gated, hf_secret", response=response))
    with pytest.raises(InputError) as caught:
        store.fetch(GATED)
    said = str(caught.value)
    assert "accept it on https://huggingface.co/owner/sam9" in said
    assert "HF_TOKEN" in said
    assert "hf_secret" not in said
    assert not any("hf_secret" in f.read_text() for f in tmp_path.rglob("*") if f.is_file())


def test_a_hub_that_is_not_reached_is_one_sentence(downloads, monkeypatch, tmp_path):
    fail_with(monkeypatch, LocalEntryNotFoundError("no network\nat all"))
    with pytest.raises(InputError, match="by hand") as caught:
        hub.bring("owner/sam9", tmp_path)
    assert "\n" not in str(caught.value)


def test_sam_3_is_known_with_its_licence():
    sam3 = catalogue.find("sam3")
    assert sam3.hub == "facebook/sam3"
    assert "SAM License" in sam3.licence
    assert catalogue.how_to_get([sam3]) == ["python -m adapters.weights fetch sam3"]
