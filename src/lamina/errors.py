"""What can go wrong through a user's doing: one exception per concern, each also the builtin that callers catch."""

from __future__ import annotations

from typing import Any

LONGEST = 4000  # characters of a message: what it quotes may come from a file


class LaminaError(Exception):
    """Everything Lamina raises on purpose. The message says what was wrong, where, and what to do."""

    def __init__(self, *args: Any):
        super().__init__(*(_short(arg) if isinstance(arg, str) else arg for arg in args))


class ConfigError(LaminaError, ValueError):
    """A configuration is missing, malformed or contradicts itself."""


class CheckpointError(LaminaError, OSError, ValueError):
    """A weights file cannot be read, or does not fit the model."""


class HubError(LaminaError, OSError):
    """A model could not be found in the cache or fetched."""


class TokenizerError(LaminaError, ValueError):
    """A tokenizer's files or the arguments of a call make no sense."""


class InputError(LaminaError, ValueError):
    """What was passed to a model does not fit it."""


class GenerationError(LaminaError, ValueError):
    """Options of generation contradict each other, the model or the prompt."""


class PipelineError(LaminaError, ValueError):
    """A pipeline was asked for something it cannot do."""


class DataError(LaminaError, ValueError):
    """Training data does not have the columns, labels or spans it should; the message names file and row."""


class TrainingError(LaminaError, ValueError):
    """A training run cannot start, go on or be resumed as asked."""


class TrainingDiverged(TrainingError):
    """The loss was no number for too many steps in a row."""


class TrainingInterrupted(LaminaError, SystemExit):
    """Training was asked to end by a signal, and left a checkpoint; uncaught, it ends the program with `code`."""

    def __init__(self, message: str, code: int):
        super().__init__(message)
        self.code = code

    def __reduce__(self) -> tuple[Any, ...]:
        """Exceptions are made anew from `args`, which hold the message alone: another process needs the code too."""
        return type(self), (str(self), self.code), self.__dict__


class ServingError(LaminaError, RuntimeError):
    """A server cannot start as it was asked to, or refuses a request."""


def _short(message: str) -> str:
    """Its first and last part where it is out of all proportion, whatever was quoted between them."""
    half = LONGEST // 2
    return message if len(message) <= LONGEST else f"{message[:half]} ... {message[-half:]}"
