"""OpenAI's error replies: status and {"error": {"message", "type", "param", "code"}}."""

from typing import Any


class ApiError(Exception):
    """A request that the server refuses.

    Args:
        status: HTTP status.
        message: for people.
        code: for programs, such as `model_not_found`; OpenAI leaves it out of some.
        param: the field of the body that is at fault.
        kind: OpenAI's word for the class of error.
        headers: to send along.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        code: str | None = None,
        param: str | None = None,
        kind: str = "invalid_request_error",
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.headers = headers or {}
        self.body: dict[str, Any] = {
            "error": {"message": message, "type": kind, "param": param, "code": code}
        }


def rate_limited(seconds: float) -> ApiError:
    """Return the 429 that asks to wait so many seconds."""
    return ApiError(
        429,
        f"Rate limit reached. Please try again in {seconds:g}s.",
        code="rate_limit_exceeded",
        kind="requests",
        headers={"Retry-After": f"{seconds:g}"},
    )


def quota_used_up() -> ApiError:
    """Return the 429 that no waiting helps against."""
    return ApiError(
        429,
        "You exceeded your current quota, please check your plan and billing details.",
        code="insufficient_quota",
        kind="insufficient_quota",
    )


def server_failed() -> ApiError:
    """Return the 500."""
    return ApiError(
        500, "The server had an error while processing your request.", kind="server_error"
    )
