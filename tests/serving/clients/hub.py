"""Asks a server through huggingface_hub's clients, whichever version this interpreter has: JSON in, JSON out.

A line in holds {"mode": "sync", "async", "stream" or "async stream", "requests": [...]}, a request {"url", "task",
"inputs", "parameters", "token"}; a line out holds the answers, each {"found": ...} or {"error": class, "message": ...,
"status": ...}.
"""

import asyncio
import dataclasses
import json
import sys
import warnings

from huggingface_hub import AsyncInferenceClient, InferenceClient


def plain(value):
    """A client's answer as JSON: its classes are dataclasses and dictionaries at once, its vectors are arrays."""
    if hasattr(value, "tolist"):
        return value.tolist()
    if dataclasses.is_dataclass(value):
        return {key: plain(entry) for key, entry in vars(value).items() if entry is not None}
    if isinstance(value, (list, tuple)):
        return [plain(entry) for entry in value]
    return value


def arguments(request):
    """Positional ones as the methods order them: question and context, a sentence and others, or a text."""
    inputs, parameters = request["inputs"], dict(request["parameters"])
    return list(inputs.values()) if isinstance(inputs, dict) else [inputs], parameters


def described(error):
    response = getattr(error, "response", None) or getattr(error.__cause__, "response", None)
    return {
        "error": type(error).__name__,
        "message": str(error),
        "status": getattr(response, "status_code", getattr(error, "status", None)),
    }


def ask(client, request, streaming):
    positional, named = arguments(request)
    found = getattr(client, request["task"].replace("-", "_"))(*positional, **named, **streaming)
    return list(found) if streaming else found


async def ask_later(client, request, streaming):
    positional, named = arguments(request)
    found = await getattr(client, request["task"].replace("-", "_"))(*positional, **named, **streaming)
    return [event async for event in found] if streaming else found


def answers(given):
    streaming = {"stream": True} if "stream" in given["mode"] else {}
    for request in given["requests"]:
        client = InferenceClient(model=request["url"], token=request.get("token"), timeout=600)
        try:
            yield {"found": plain(ask(client, request, streaming))}
        except Exception as error:
            yield described(error)


async def later_answers(given):
    streaming = {"stream": True} if "stream" in given["mode"] else {}

    async def one(request):
        async with AsyncInferenceClient(model=request["url"], token=request.get("token"), timeout=600) as client:
            try:
                return {"found": plain(await ask_later(client, request, streaming))}
            except Exception as error:
                return described(error)

    return await asyncio.gather(*(one(request) for request in given["requests"]))


def main():
    warnings.simplefilter("error", UserWarning)  # the clients warn where a server is not what they hoped for
    for line in sys.stdin:
        given = json.loads(line)
        found = asyncio.run(later_answers(given)) if "async" in given["mode"] else list(answers(given))
        print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main()
