"""--push-to-hub against a hub that runs here: what is uploaded, and what is said when it fails."""

import base64
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import ModelCard, constants

from mmpo_core.errors import InputError, UnfinishedError
from mmpo_core.model_card import CARD_FILE
from mmpo_core.train import train
from tests.core.pair_tables import pair_file


@dataclass
class HubState:
    """What the hub was asked, and what it answers to a new repository and to a commit."""

    status: dict[str, int] = field(default_factory=lambda: {"create": 200, "commit": 200})
    created: list[dict[str, Any]] = field(default_factory=list)
    files: dict[str, bytes] = field(default_factory=dict)
    tokens: set[str] = field(default_factory=set)


def handler(state: HubState) -> type[BaseHTTPRequestHandler]:
    class Hub(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            state.tokens.add(self.headers.get("Authorization", ""))
            where = self.path.split("?")[0]
            if where == "/api/repos/create":
                state.created.append(json.loads(body))
                self.answer(state.status["create"], {"url": f"{constants.ENDPOINT}/me/model"})
            elif where == "/api/validate-yaml":
                self.answer(200, {"errors": [], "warnings": []})
            elif where == "/api/models/me/model/preupload/main":
                names = [one["path"] for one in json.loads(body)["files"]]
                files = [{"path": n, "uploadMode": "regular", "shouldIgnore": False} for n in names]
                self.answer(200, {"files": files})
            elif where == "/api/models/me/model/commit/main":
                for line in map(json.loads, body.splitlines()):
                    if line["key"] == "file":
                        content = base64.b64decode(line["value"]["content"])
                        state.files[line["value"]["path"]] = content
                url = f"{constants.ENDPOINT}/me/model/commit/{'0' * 40}"
                self.answer(
                    state.status["commit"],
                    {"success": True, "commitOid": "0" * 40, "commitUrl": url},
                )
            else:
                self.answer(404, {"error": where})

        def answer(self, status: int, content: dict[str, Any]) -> None:
            body = json.dumps(content if status == 200 else {"error": "no"}).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: object) -> None:
            return

    return Hub


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[HubState]:
    state = HubState()
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler(state))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("HF_TOKEN", "hf_test")
    yield state
    server.shutdown()


def run(folder: Path, model: Path, **more: Any) -> Any:
    options: dict[str, Any] = {"max_length": 128, "batch_size": 8, "lr": 1e-3, "eval_split": 0.3}
    options |= {"device": "cpu", "push_to_hub": "me/model", "out": folder / "out"}
    return train(pairs=pair_file(folder), model=str(model), **(options | more))


@pytest.mark.usefixtures("run_pictures")
def test_what_the_run_made_is_uploaded_and_nothing_else(
    hub: HubState, micro_model: Path, tmp_path: Path
):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "passwords.txt").write_text("mine")
    run(tmp_path, micro_model, save_steps=1, hub_private=True)
    assert hub.created == [{"name": "model", "organization": "me", "visibility": "private"}]
    assert hub.tokens == {"Bearer hf_test"}
    expected = {"model.safetensors", "config.json", "generation_config.json", "tokenizer.json"}
    expected |= {"tokenizer_config.json", "chat_template.jinja"}
    expected |= {"README.md", "log_history.jsonl", "train.png"}
    assert set(hub.files) == expected
    for name, content in hub.files.items():
        assert (tmp_path / "out" / name).read_bytes() == content
    card = ModelCard(hub.files["README.md"].decode())
    assert card.data.model_name == "me/model"
    assert str(tmp_path) not in hub.files["README.md"].decode()


@pytest.mark.parametrize(
    ("name", "status", "message"),
    [
        (
            "me/model",
            401,
            r"push_to_hub me/model: the hub refuses it \(HTTP 401\): `hf auth login`",
        ),
        ("me/model", 403, r"the hub refuses it \(HTTP 403\)"),
        ("me/model/x", 200, "push_to_hub me/model/x: is no name of a repository; expected OWNER"),
    ],
)
def test_a_push_that_cannot_work_stops_before_training(
    name: str, status: int, message: str, hub: HubState, micro_model: Path, tmp_path: Path
):
    hub.status["create"] = status
    with pytest.raises(InputError, match=message):
        run(tmp_path, micro_model, push_to_hub=name)
    assert not (tmp_path / "out").exists()


def test_without_a_login_nothing_is_asked(
    hub: HubState, micro_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.delenv("HF_TOKEN")
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "no-token"))
    hub.status["create"] = 401  # what the hub says to nobody
    with pytest.raises(InputError, match="hf auth login"):
        run(tmp_path, micro_model)


def test_a_failed_upload_leaves_the_model_and_says_how_to_try_again(
    hub: HubState, micro_model: Path, tmp_path: Path
):
    hub.status["commit"] = 403
    with pytest.raises(UnfinishedError, match=r"The model is whole in .*hf upload me/model "):
        run(tmp_path, micro_model)
    out = tmp_path / "out"
    assert json.loads((out / "run.json").read_text())["status"] == "finished"
    assert (out / "model.safetensors").is_file()
    assert (out / CARD_FILE).is_file()


def test_an_unreachable_hub_is_said(
    micro_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(InputError, match=r"push_to_hub me/model: the hub did not take it \(.*offl"):
        run(tmp_path, micro_model)
