"""Names of the Hugging Face hub. Its cache stands in for it: what lies there is what the hub sent once."""

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.extras import needs

pytestmark = needs("torch", "timm", "safetensors", "huggingface_hub")

import huggingface_hub.constants  # noqa: E402
import safetensors.torch  # noqa: E402
import timm  # noqa: E402
import torch  # noqa: E402
from django.core.management import CommandError, call_command  # noqa: E402

from inference import loading  # noqa: E402
from inference.adapters.base import AdapterError, CheckpointSpec  # noqa: E402
from inference.adapters.timm import TimmAdapter  # noqa: E402
from predictions.models import Checkpoint  # noqa: E402
from tests.factories import make_project, make_user  # noqa: E402

ARCHITECTURE, REVISION = "test_efficientnet", "0123456789abcdef0123456789abcdef01234567"
NAMES = ["cat", "dog", "owl"]
CONFIG = {"input_size": [3, 96, 96], "mean": [0.1, 0.2, 0.3], "std": [0.5, 0.5, 0.5], "interpolation": "bicubic", "crop_pct": 0.9,
          "crop_mode": "center", "first_conv": "conv_stem", "classifier": "classifier"}  # fmt: skip


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, and no network to fill it."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    return tmp_path / "hub"


def sent(cache: Path, owner_and_name: str, **config: Any) -> Any:
    """As if the hub had sent this model before; the model."""
    torch.manual_seed(0)
    model = timm.create_model(ARCHITECTURE, num_classes=3).eval()
    folder = cache / f"models--{owner_and_name.replace('/', '--')}"
    snapshot = folder / "snapshots" / REVISION
    snapshot.mkdir(parents=True)
    (folder / "refs").mkdir()
    (folder / "refs" / "main").write_text(REVISION)
    told = {"architecture": ARCHITECTURE, "num_classes": 3, "label_names": NAMES, "pretrained_cfg": CONFIG}
    (snapshot / "config.json").write_text(json.dumps(told | config))
    safetensors.torch.save_file(model.state_dict(), snapshot / "model.safetensors")
    return model


@pytest.fixture
def owner(db: None, media_in_tmp: None) -> Any:
    user = make_user("root", is_superuser=True)
    return make_project(user)


def register(name: str, project: Any) -> Checkpoint:
    call_command("register_checkpoint", name, project=project.slug, stdout=(out := io.StringIO()))
    return Checkpoint.objects.get(pk=int(out.getvalue().splitlines()[-1]))


@pytest.mark.parametrize("prefix", ["hf-hub:", "hf_hub:"])
def test_a_model_of_the_hub_becomes_a_checkpoint_that_needs_the_hub_no_more(
    prefix: str, cache: Path, owner: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    model = sent(cache, "birds/tiny")
    found = register(f"{prefix}birds/tiny", owner)
    assert (found.name, found.framework, found.architecture, found.class_names) == ("tiny", "timm", ARCHITECTURE, NAMES)
    assert found.file.endswith("model.safetensors") and found.inspection["is_harmless"] and found.file_size
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "gone"))
    loaded = loading.load(found, "cpu")
    assert loaded.preprocessing["input_size"] == [3, 96, 96] and loaded.preprocessing["mean"] == [0.1, 0.2, 0.3]
    image = np.random.default_rng(0).integers(0, 256, (96, 96, 3), np.uint8)
    answer = loaded.infer_single(image)
    with torch.inference_mode():
        expected = model(loaded.input_tensor([loaded.preprocess(image)])).softmax(1)[0].double().numpy()  # type: ignore[attr-defined]
    assert np.allclose(answer.probabilities, expected, atol=1e-6) and answer.label in NAMES


def test_arguments_that_only_the_hub_knows_stay_with_the_hub(cache: Path, owner: Any) -> None:
    sent(cache, "birds/tiny", model_args={"drop_rate": 0.1})
    found = register("hf-hub:birds/tiny", owner)
    assert found.architecture == "hf-hub:birds/tiny"
    assert loading.load(found, "cpu").model.drop_rate == 0.1  # type: ignore[attr-defined]


@pytest.mark.parametrize("prefix", ["hf-hub:", "hf_hub:"])
def test_own_weights_of_an_architecture_of_the_hub(prefix: str, cache: Path, tmp_path: Path) -> None:
    sent(cache, "birds/tiny")
    torch.save(timm.create_model(ARCHITECTURE, num_classes=2).state_dict(), tmp_path / "own.pt")
    adapter = TimmAdapter()
    adapter.load_checkpoint(
        tmp_path / "own.pt", "cpu", CheckpointSpec(architecture=f"{prefix}birds/tiny", class_names=("a", "b"))
    )
    assert adapter.class_names == ["a", "b"] and adapter.preprocessing["crop_pct"] == 0.9


def test_without_the_hub_it_says_so(owner: Any, tmp_path: Path) -> None:
    with pytest.raises(CommandError, match=r"hub cannot be reached for 'birds/tiny'.*download the weights elsewhere"):
        register("hf-hub:birds/tiny", owner)
    torch.save(timm.create_model(ARCHITECTURE, num_classes=2).state_dict(), tmp_path / "own.pt")
    with pytest.raises(AdapterError, match="hub cannot be reached for 'birds/tiny'"):
        TimmAdapter().load_checkpoint(tmp_path / "own.pt", "cpu", CheckpointSpec(architecture="hf-hub:birds/tiny"))
    assert not Checkpoint.objects.exists()


@pytest.mark.parametrize(("name", "told"), [("hf-hub:a/b/c", "no model 'a/b/c'"), ("hf-hub:", "no model ''")])
def test_what_is_no_name_of_the_hub_is_said(owner: Any, name: str, told: str) -> None:
    with pytest.raises(CommandError, match=told):
        register(name, owner)


def test_a_model_that_is_none_of_timm_s_is_said(cache: Path, owner: Any) -> None:
    sent(cache, "birds/text")
    (cache / "models--birds--text" / "snapshots" / REVISION / "config.json").write_text('{"model_type": "gpt2"}')
    with pytest.raises(CommandError, match="no model of timm's"):
        register("hf-hub:birds/text", owner)


def test_a_folder_of_the_server_is_no_architecture(tmp_path: Path) -> None:
    """timm would read one; who names an architecture need not be one who may read files here."""
    torch.save(timm.create_model(ARCHITECTURE, num_classes=2).state_dict(), tmp_path / "own.pt")
    with pytest.raises(AdapterError, match="knows no architecture"):
        TimmAdapter().load_checkpoint(tmp_path / "own.pt", "cpu", CheckpointSpec(architecture=f"local-dir:{tmp_path}"))
