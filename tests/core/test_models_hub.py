"""What the hub may answer, from a hub that runs here: gated, missing, unreachable, cached."""

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from huggingface_hub import constants

from mmpo_core.errors import InputError
from mmpo_core.hub import check_model
from mmpo_core.models import load_policy, load_tokenizer
from mmpo_core.tiny import make_tiny_policy, make_tiny_tokenizer

SAFE, PICKLED = ["config.json", "model.safetensors"], ["config.json", "pytorch_model.bin"]

# path -> (status, X-Error-Code, files, gated)
ANSWERS = {
    "/api/models/owner/open": (200, None, SAFE, False),
    "/api/models/owner/pickled": (200, None, PICKLED, False),
    "/api/models/owner/adapter": (200, None, ["adapter_config.json", *SAFE[1:]], False),
    "/api/models/owner/gated": (200, None, SAFE, "manual"),
    "/api/models/owner/gated/auth-check": (403, "GatedRepo", [], False),
    "/api/models/owner/accepted": (200, None, SAFE, "manual"),
    "/api/models/owner/accepted/auth-check": (200, None, [], False),
    "/api/models/owner/private": (401, "RepoNotFound", [], False),
    "/api/models/owner/missing": (404, "RepoNotFound", [], False),
    "/api/models/owner/open/revision/v9": (404, "RevisionNotFound", [], False),
    "/api/models/owner/broken": (500, None, [], False),
}


class Hub(BaseHTTPRequestHandler):
    def do_GET(self):
        status, code, files, gated = ANSWERS[self.path.split("?")[0]]
        siblings = [{"rfilename": file} for file in files]
        body = json.dumps({"id": "owner/x", "siblings": siblings, "gated": gated}).encode()
        self.send_response(status)
        if code:
            self.send_header("X-Error-Code", code)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        return


@pytest.fixture
def hub(monkeypatch):
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    yield server
    server.shutdown()


@pytest.fixture
def no_hub(monkeypatch, tmp_path):
    """A port that nobody listens on, and an empty cache."""
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    return tmp_path


@pytest.mark.usefixtures("hub")
@pytest.mark.parametrize(
    ("name", "revision", "says"),
    [
        ("owner/gated", None, r"is gated: accept its licence on http.*/owner/gated.*hf auth login"),
        ("owner/private", None, "no model owner/private, or it is private.*hf auth login"),
        ("owner/missing", None, "no model owner/missing"),
        ("owner/open", "v9", "owner/open has no revision 'v9'"),
        ("owner/pickled", None, "weights are pickle files"),
        ("owner/adapter", None, "is an adapter. Download it, `hf download owner/adapter "),
        ("owner/broken", None, "cannot be reached.*500"),
        ("owner/../evil", None, "neither a folder here nor a hub id"),
    ],
)
def test_each_refusal_of_the_hub_is_one_line_that_says_what_to_do(name, revision, says):
    with pytest.raises(InputError, match=says):
        check_model(name, revision)


@pytest.mark.usefixtures("hub")
@pytest.mark.parametrize("name", ["owner/open", "owner/accepted"])
def test_model_that_may_be_read_is_downloaded(name):
    assert check_model(name, None) is False


@pytest.mark.usefixtures("hub")
def test_tokenizer_may_come_from_a_repository_of_pickles():
    assert check_model("owner/pickled", None, weights=False) is False


@pytest.mark.usefixtures("no_hub")
@pytest.mark.parametrize("load", [load_policy, load_tokenizer])
def test_unreachable_hub_is_said_at_once(load):
    """transformers alone retries for half a minute."""
    start = time.perf_counter()
    with pytest.raises(InputError, match=r"cannot be reached.*Give the path of a folder.*`tiny`"):
        load("mistral-7b")
    assert time.perf_counter() - start < 5


def test_offline_switch_is_named(monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(InputError, match="HF_HUB_OFFLINE"):
        load_policy("mistral-7b")


def test_cached_model_is_loaded_without_the_hub(no_hub, caplog):
    repository = no_hub / "models--owner--kept"
    snapshot = repository / "snapshots" / "0123abc"
    make_tiny_policy().save_pretrained(snapshot)
    make_tiny_tokenizer().save_pretrained(snapshot)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("0123abc")
    assert load_policy("owner/kept").config.model_type == "mistral"
    assert load_tokenizer("owner/kept").eos_token == "<eos>"
    assert "owner/kept is read from the local cache" in caplog.text
