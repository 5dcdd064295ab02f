"""Every way in which a request can fail, with the status and the words that clients know it by."""

from __future__ import annotations

from ..errors import ServingError


class Refusal(ServingError):
    """An answer that is an error. `kind` is `error_type` on the wire; `retry_after` is in seconds."""

    status = 500
    kind = "internal"

    def __init__(self, message: str, *, retry_after: int | None = None):
        super().__init__(message)
        self.retry_after = retry_after


class Invalid(Refusal):
    """The request makes no sense, or asks for more than the limits allow."""

    status, kind = 422, "validation"


class Unauthorized(Refusal):
    """The API key is missing or wrong."""

    status, kind = 401, "unauthorized"


class NotFound(Refusal):
    """No such model here, or none that does this."""

    status, kind = 404, "not_found"


class TooLarge(Refusal):
    """The body has more bytes than are read."""

    status, kind = 413, "too_large"


class Overloaded(Refusal):
    """The queue is full, or the server is about to stop. Never 503: some clients retry that at once, without end."""

    status, kind = 429, "overloaded"


class DeadlinePassed(Refusal):
    """The answer was not there in time; what was left of the work is dropped."""

    status, kind = 504, "timeout"


class BackendFailed(Refusal):
    """The model could not compute this input, or could not be loaded."""

    status, kind = 424, "backend"


class GenerationFailed(Refusal):
    """The model could not go on writing."""

    status, kind = 424, "generation"


class ClientGone(Refusal):
    """Nobody waits for the answer any more; the status is for the log alone."""

    status, kind = 499, "client_gone"


def no_new_work() -> Overloaded:
    """What is told to those who come while the server ends."""
    return Overloaded("the server is shutting down; ask another one", retry_after=5)


def work_dropped() -> Overloaded:
    """What is told to those whose work is given up because the server ends."""
    return Overloaded("the server has shut down", retry_after=5)
