"""What one server does and how much of it at once: everything an operator may say, checked before anything starts."""

from __future__ import annotations

from dataclasses import dataclass, field, fields

from ..errors import ServingError


@dataclass(frozen=True)
class Limits:
    """How much the server takes on. What goes over is refused at once, with the number in the message."""

    queue_requests: int = 512  # inputs waiting or being computed, of all clients together
    queue_tokens: int = 131_072  # their tokens, those still to be written included
    batch_inputs: int = 256  # inputs of one request
    body_bytes: int = 2_000_000
    input_tokens: int = 16_384  # of one input, before the model's own limit
    new_tokens: int = 1024  # written for one input
    sequences: int = 64  # written together in one batch
    batch_tokens: int | None = None  # of one pass; None: what suits this machine
    deadline: float = 60.0  # seconds from the request to its answer
    drain: float = 30.0  # seconds that work in flight has after SIGTERM

    def __post_init__(self) -> None:
        for limit in fields(self):
            value = getattr(self, limit.name)
            if value is not None and value <= 0:
                raise ServingError(f"{limit.name} is {value}; it must be more than zero")
        if self.batch_inputs > self.queue_requests:
            raise ServingError(
                f"batch_inputs ({self.batch_inputs}) exceeds queue_requests ({self.queue_requests}): "
                "a request that large could never be let in"
            )


@dataclass(frozen=True)
class ServeSettings:
    """One server. `models` are folders or names on the Hub, `NAME=FOLDER` to choose a name; none: the embedded one."""

    models: tuple[str, ...] = ()
    task: str | None = None  # of all models; None: each one's own
    host: str = "127.0.0.1"
    port: int = 8080
    api_key: str | None = field(default=None, repr=False)
    cors: tuple[str, ...] = ()  # origins whose pages may call; "*": all
    device: str | None = None
    precision: str | None = None
    limits: Limits = field(default_factory=Limits)
    text_threads: int = 2  # that turn text into tokens and results into answers

    def __post_init__(self) -> None:
        if not 0 <= self.port <= 65_535:
            raise ServingError(f"port is {self.port}; it must be between 0 (any free one) and 65535")
        if self.api_key is not None and not self.api_key.strip():
            raise ServingError("the API key is empty; leave it out to let everyone in")
        if self.text_threads < 1:
            raise ServingError(f"text_threads is {self.text_threads}; at least one must read")
