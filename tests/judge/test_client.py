"""Address and key: what is refused, and that the key shows up nowhere."""

import logging
import traceback
from pathlib import Path

import pytest

from margintool.judge.running.client import OPENAI, Secret, api_key, served_by, server_url
from margintool.judge.running.probe import ask_dialect
from mmpo_core.errors import InputError
from tests.judge.run_helpers import MODEL, questions, run, settings
from tests.judge.scripted_server import Answer, Try, completion, error, good, scripted, text

KEY = "sk-proj-Zx81_unlikely-words-0123456789"


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("url", "kept"),
    [
        (None, "https://api.openai.com/v1"),
        ("http://LocalHost:8000/v1/", "http://localhost:8000/v1"),
        ("HTTPS://Example.org/a/B//", "https://example.org/a/B"),
        (" https://example.org/v1?api-key=SECRET#x ", "https://example.org/v1"),
        ("http://[::1]:80/v1", "http://[::1]:80/v1"),
    ],
)
def test_the_address_is_kept_normalised_without_secrets(url: str | None, kept: str) -> None:
    assert served_by(url) == kept


def test_the_address_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", "http://a.example/v1")
    assert server_url(None) == "http://a.example/v1"
    assert server_url("http://b.example/v1") == "http://b.example/v1"
    monkeypatch.setenv("OPENAI_BASE_URL", "")
    assert server_url(None) == OPENAI


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("localhost:8000/v1", "not an address"),
        ("ftp://example.org", "not an address"),
        ("http://", "not an address"),
        ("http://a:port/v1", "not an address"),
        ("http://[::1/v1", "not an address"),
        ("https://me:hunter2@example.org/v1", "user name or password"),
    ],
)
def test_other_addresses_are_refused_without_being_shown(url: str, words: str) -> None:
    with pytest.raises(InputError, match=words) as caught:
        server_url(url)
    assert "--base-url" in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_the_key_comes_from_the_file_then_from_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "key").write_text(f"\n {KEY}\n")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-the-environment ")
    assert api_key(tmp_path / "key", None).value == KEY
    assert api_key(None, None).value == "sk-of-the-environment"


@pytest.mark.parametrize("url", [None, "https://api.openai.com/v1", "https://eu.api.openai.com/v1"])
def test_openai_needs_a_key_and_other_servers_do_not(url: str | None) -> None:
    with pytest.raises(InputError, match=r"set OPENAI_API_KEY, .*--api-key-file"):
        api_key(None, url)
    assert api_key(None, "http://localhost:8000/v1").value == "none"
    assert api_key(None, "http://notopenai.com/v1").value == "none"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "empty"),
        (b" \n", "empty"),
        (b"sk-one\nsk-two\n", "on one line"),
        (b"OPENAI_API_KEY = sk-one", "on one line"),
        ("sk-\u00e9".encode(), "on one line"),
        (b"\xff\xfe\x00", "not a text file"),
    ],
)
def test_a_file_without_exactly_a_key_is_refused(
    content: bytes, words: str, tmp_path: Path
) -> None:
    path = tmp_path / "key"
    path.write_bytes(content)
    with pytest.raises(InputError, match=words) as caught:
        api_key(path, "http://localhost/v1")
    assert str(path) in str(caught.value)
    assert "sk-" not in str(caught.value)


def test_a_missing_key_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nowhere: the API key cannot be read"):
        api_key(tmp_path / "nowhere", None)


def test_a_secret_is_not_shown_and_hidden_in_texts() -> None:
    secret = Secret(KEY)
    assert KEY not in f"{secret} {secret!r} {settings('http://a/v1', key=secret)}"
    assert secret.hide(f"a {KEY} b") == "a [API key] b"
    assert Secret("none").hide("none of them") == "none of them"


# A server that repeats the key in whatever it says.
ECHOES: dict[str, Answer] = {
    "401": error(401, f"Incorrect API key provided: {KEY}", "invalid_api_key"),
    "404": error(404, f"no model for {KEY}", "model_not_found"),
    "400": error(400, f"bad request of {KEY}"),
    "500": text(f"<html>{KEY}</html>", 500),
    "malformed": text(f'{{"{KEY}": 1}}'),
    "200": good(completion(f"Rating: [[7]] {KEY}", id=KEY)),
}


@pytest.mark.parametrize("name", ECHOES)
def test_the_key_is_sent_and_shows_up_nowhere(
    name: str, tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)

    def script(_: Try) -> Answer:
        return ECHOES[name]

    with scripted(script) as server:
        with questions(tmp_path / "j", 3) as journal:
            outcome = run(journal, server.url, key=Secret(KEY), retries=0)
        probed = ""
        try:
            ask_dialect(settings(server.url, key=Secret(KEY), retries=0), MODEL)
        except InputError as raised:
            probed = "".join(traceback.format_exception(raised))
        assert server.keys == {f"Bearer {KEY}"}
    said = capfd.readouterr()
    kept = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    with questions(tmp_path / "j", 0) as journal:
        unpacked = str(list(journal.all_rows()))
    for place in (str(outcome), probed, caplog.text, said.out, said.err, unpacked):
        assert KEY not in place
    assert KEY.encode() not in kept
    assert (name == "200") == ("[API key]" in unpacked and not probed)
