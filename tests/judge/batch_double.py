"""A files-and-batches server in memory, behind the real OpenAI client, that fails on request.

Batches do not run by themselves: a test finishes them with the rows it wants, in the order it
wants. `break_after` names a call whose effect takes place and whose answer is then lost; the
next downloads end, as if they were whole, after as many bytes as `cut` says.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import httpx2
from openai import OpenAI


def completion(text: str = '{"rationale": "", "rating": 7}') -> dict[str, Any]:
    """Return a chat completion that says `text`, of 100 + 10 tokens."""
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": "judge",
        "choices": [
            {
                "index": 0,
                "finish_reason": "stop",
                "message": {"role": "assistant", "content": text},
            }
        ],
        "usage": {"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110},
    }


def answered(key: str, text: str = '{"rationale": "", "rating": 7}') -> dict[str, Any]:
    """Return an output row with a reply."""
    response = {"status_code": 200, "request_id": "req", "body": completion(text)}
    return {"id": "batch_req", "custom_id": key, "response": response, "error": None}


def refused(key: str, status: int, message: str) -> dict[str, Any]:
    """Return an error row of a request that the endpoint refused."""
    body = {"error": {"message": message, "type": "invalid_request_error", "code": None}}
    response = {"status_code": status, "request_id": "req", "body": body}
    return {"id": "batch_req", "custom_id": key, "response": response, "error": None}


def never_run(key: str, code: str = "batch_expired") -> dict[str, Any]:
    """Return an error row of a request that the batch did not come to."""
    error = {"code": code, "message": "This request could not be executed."}
    return {"id": "batch_req", "custom_id": key, "response": None, "error": error}


class BatchDouble:
    """The server's state; `client()` talks to it through the OpenAI SDK."""

    def __init__(self) -> None:
        self.files: dict[str, tuple[str, bytes]] = {}
        self.batches: dict[str, dict[str, Any]] = {}
        self.calls: Counter[str] = Counter()
        self.break_after: list[str] = []
        self.cut: list[int] = []
        self.refuse: dict[str, httpx2.Response] = {}

    def client(self) -> OpenAI:
        transport = httpx2.MockTransport(self._handle)
        http_client = httpx2.Client(transport=transport)
        return OpenAI(
            api_key="sk-test", base_url="http://judge/v1", http_client=http_client, max_retries=1
        )

    def input_rows(self, batch_id: str) -> list[dict[str, Any]]:
        content = self.files[self.batches[batch_id]["input_file_id"]][1]
        return [json.loads(line) for line in content.splitlines()]

    def keys(self, batch_id: str) -> list[str]:
        return [row["custom_id"] for row in self.input_rows(batch_id)]

    def finish(
        self,
        batch_id: str,
        rows: Sequence[dict[str, Any] | bytes] = (),
        errors: Sequence[dict[str, Any] | bytes] = (),
        status: str = "completed",
    ) -> None:
        """End a batch with these output and error rows; bytes are written as they are."""
        batch = self.batches[batch_id]
        batch["status"] = status
        batch["output_file_id"] = self._output(batch_id, "output", rows)
        batch["error_file_id"] = self._output(batch_id, "error", errors)
        keys = set(self.keys(batch_id))
        done = keys & {row["custom_id"] for row in rows if isinstance(row, dict)}
        batch["request_counts"] = {
            "total": len(keys),
            "completed": len(done),
            "failed": len(keys - done),
        }

    def finish_all(self, answer: Callable[[str], dict[str, Any]] = answered) -> None:
        for batch_id, batch in self.batches.items():
            if batch["status"] == "validating":
                self.finish(batch_id, [answer(key) for key in reversed(self.keys(batch_id))])

    def _output(
        self, batch_id: str, kind: str, rows: Iterable[dict[str, Any] | bytes]
    ) -> str | None:
        lines = [row if isinstance(row, bytes) else json.dumps(row).encode() for row in rows]
        if not lines:
            return None
        file_id = f"file-{kind}-{batch_id}"
        self.files[file_id] = (f"{batch_id}_{kind}.jsonl", b"\n".join(lines) + b"\n")
        return file_id

    def _handle(self, request: httpx2.Request) -> httpx2.Response:
        path = request.url.path.removeprefix("/v1/")
        call = f"{request.method} {path.split('/')[0]}"
        self.calls[call] += 1
        if call in self.refuse:
            return self.refuse[call]
        response = self._answer(request, call, path.split("/"))
        if call in self.break_after:
            self.break_after.remove(call)
            raise httpx2.ReadError("connection reset", request=request)
        return response

    def _answer(self, request: httpx2.Request, call: str, path: list[str]) -> httpx2.Response:
        if call == "POST files":
            return httpx2.Response(200, json=self._store(request))
        if call == "POST batches":
            return self._create_or_cancel(request, path)
        known: dict[str, Any] = self.files if path[0] == "files" else self.batches
        if len(path) == 1:
            data = [self._object(path[0], name) for name in reversed(list(known))]
            return httpx2.Response(200, json={"object": "list", "data": data, "has_more": False})
        if path[1] not in known:
            return httpx2.Response(404, json={"error": {"message": f"No such: {path[1]}"}})
        if path[-1] == "content":
            content = self.files[path[1]][1]
            whole = self.cut.pop(0) if self.cut else len(content)
            return httpx2.Response(200, content=_pieces(content[:whole]))
        return httpx2.Response(200, json=self._object(path[0], path[1]))

    def _store(self, request: httpx2.Request) -> dict[str, Any]:
        boundary = request.headers["content-type"].split("boundary=")[1].encode()
        for part in request.read().split(b"--" + boundary):
            head, _, content = part.partition(b"\r\n\r\n")
            if b"filename=" in head:
                name = head.split(b'filename="')[1].split(b'"')[0].decode()
                break
        file_id = f"file-{len(self.files) + 1}"
        self.files[file_id] = (name, content.removesuffix(b"\r\n"))
        return self._object("files", file_id)

    def _create_or_cancel(self, request: httpx2.Request, path: list[str]) -> httpx2.Response:
        if path[-1] == "cancel":
            self.batches[path[1]]["status"] = "cancelling"
            return httpx2.Response(200, json=self.batches[path[1]])
        batch_id = f"batch_{len(self.batches) + 1}"
        asked = json.loads(request.read())
        self.batches[batch_id] = asked | {
            "id": batch_id,
            "object": "batch",
            "created_at": 1,
            "status": "validating",
            "output_file_id": None,
            "error_file_id": None,
        }
        return httpx2.Response(200, json=self.batches[batch_id])

    def _object(self, kind: str, name: str) -> dict[str, Any]:
        if kind == "batches":
            return self.batches[name]
        filename, content = self.files[name]
        return {
            "id": name,
            "object": "file",
            "bytes": len(content),
            "created_at": 1,
            "filename": filename,
            "purpose": "batch",
            "status": "processed",
        }


def _pieces(content: bytes, size: int = 4096) -> Iterator[bytes]:
    for start in range(0, len(content), size):
        yield content[start : start + size]
