"""What can go wrong in the viewer: one exception per official error code, with the HTTP status it is sent under."""

from __future__ import annotations

from ..errors import LaminaError


class ViewerError(LaminaError, ValueError):
    """A request or a data set cannot be served; `code` goes out as the X-Error-Code header."""

    code = "UnexpectedApiError"
    status = 500


class MissingParameter(ViewerError):
    """A parameter that the endpoint needs was left out."""

    code = "MissingRequiredParameter"
    status = 422


class InvalidParameter(ViewerError):
    """A parameter has a value that the endpoint cannot take."""

    code = "InvalidParameter"
    status = 422


class NotFound(ViewerError):
    """There is no such data set, config, split, row or file."""

    code = "ResponseNotFound"
    status = 404


class SearchUnavailable(ViewerError):
    """The split has no text that could be searched."""

    code = "SearchFeatureNotAvailableError"
    status = 400


class NotReady(ViewerError):
    """The answer is being computed; ask again."""

    code = "ResponseNotReady"
    status = 500


class UnreadableData(ViewerError):
    """A file cannot be read as what its name says it is."""

    code = "StreamingRowsError"
    status = 500


class TooBig(ViewerError):
    """The answer would not fit the memory or the size set for answers."""

    code = "TooBigContentError"
    status = 500


class OutOfTime(ViewerError):
    """The query ran past its deadline and was interrupted."""

    code = "QueryTimeoutError"
    status = 504


class Cancelled(ViewerError):
    """The one who asked has left; nobody reads this."""

    code = "QueryCancelledError"
    status = 499


class SourceError(ViewerError):
    """What `lamina view` was given is not a dataset."""

    code = "DataFilesNotFoundError"
    status = 404


class Refused(ViewerError):
    """Another site's page asked for what only the viewer's own page may have."""

    code = "Forbidden"
    status = 403


class TokenizerFailure(ViewerError):
    """A tokenizer's files cannot be read, or it fails on a text."""

    code = "TokenizerError"
    status = 500
