"""A batch's input file: read and checked line by line, as OpenAI's validation does."""

import json
from collections.abc import Iterator
from typing import Any

ENDPOINT = "/v1/chat/completions"


def read_lines(data: bytes, most: int) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return a batch file's requests, and its errors in the shape of OpenAI's BatchError.

    Args:
        data: the file's bytes: JSON lines.
        most: the largest number of requests.
    """
    lines = [line for line in data.splitlines() if line.strip()]
    if not lines:
        return [], [_error("empty_file", "The batch input file is empty.", None)]
    if len(lines) > most:
        text = f"The batch input file has {len(lines)} requests; the limit is {most}."
        return [], [_error("too_many_tasks", text, None)]
    rows: list[dict[str, Any]] = []
    errors: list[dict[str, Any]] = []
    seen: set[str] = set()
    for number, line in enumerate(lines, start=1):
        try:
            row = json.loads(line)
        except ValueError:
            errors.append(_error("invalid_json_line", "This line is not valid JSON.", number))
            continue
        errors.extend(_row_errors(row, number, seen))
        rows.append(row)
    models = {row["body"].get("model") for row in rows if not errors}
    if len(models) > 1:
        text = f"All requests of a batch must ask one model; found {sorted(map(str, models))}."
        errors.append(_error("mismatched_model", text, None))
    return rows, errors


def _row_errors(row: Any, number: int, seen: set[str]) -> Iterator[dict[str, Any]]:
    if not isinstance(row, dict) or not isinstance(row.get("custom_id"), str):
        yield _error("missing_required_parameter", "custom_id is missing.", number, "custom_id")
        return
    if row["custom_id"] in seen:
        text = f"The custom_id {row['custom_id']!r} is not unique."
        yield _error("duplicate_custom_id", text, number, "custom_id")
    seen.add(row["custom_id"])
    if row.get("method") != "POST":
        yield _error("invalid_method", "method must be POST.", number, "method")
    if row.get("url") != ENDPOINT:
        yield _error("mismatched_url", f"url must be {ENDPOINT}.", number, "url")
    if not isinstance(row.get("body"), dict):
        yield _error("missing_required_parameter", "body is missing.", number, "body")


def _error(code: str, message: str, line: int | None, param: str | None = None) -> dict[str, Any]:
    return {"code": code, "message": message, "line": line, "param": param}
