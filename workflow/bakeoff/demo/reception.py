"""What happens to a request before Gradio handles it: files are assigned to sessions, and addresses are refused.

Gradio calls the demo's functions when a request has passed the queue, which may be never, and before that it downloads
any address that stands in place of a file. It has no setting for either.
"""

import json
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from typing import Any

from bakeoff.demo.uploads import Uploads

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]

ADDRESS = "Addresses are not accepted, and nothing is downloaded: download the image and upload the file."
# The form in which Gradio's clients expect a refusal and show its message.
REFUSAL = json.dumps(
    {"detail": [{"__type__": "validate", "is_valid": False, "parameter_name": "picture", "message": ADDRESS}]}
).encode()


class Reception:
    """ASGI middleware in front of Gradio's application.

    Parameters
    ----------
    app
        Gradio's.
    uploads
        Informed of every file that arrives, and of every request that names one.
    """

    def __init__(self, app: Application, uploads: Uploads) -> None:
        self._app, self._uploads = app, uploads

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Refuse a request, or pass it on."""
        if scope["type"] != "http" or scope["method"] != "POST":
            await self._app(scope, receive, send)
        elif scope["path"].rstrip("/").endswith("/upload"):
            await self._app(scope, receive, self._telling(send))
        else:
            await self._ask(scope, receive, send)

    async def _ask(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        body, replayed = await _read(receive)
        asked = _parsed(body)
        paths = list(named_files(asked))
        if any(path.strip().lower().startswith(("http://", "https://")) for path in paths):
            await send(
                {"type": "http.response.start", "status": 422, "headers": [(b"content-type", b"application/json")]}
            )
            await send({"type": "http.response.body", "body": REFUSAL})
            return
        session = asked.get("session_hash") if isinstance(asked, dict) else None
        if isinstance(session, str):
            for path in paths:
                self._uploads.claim(path, session)
        await self._app(scope, replayed, send)

    def _telling(self, send: Send) -> Send:
        """`send`, which registers the files in the response to an upload before the client gets it."""
        parts: list[bytes] = []
        status = 0

        async def tell(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            elif message["type"] == "http.response.body" and status == 200:
                parts.append(message.get("body", b""))
                if not message.get("more_body", False):
                    listed = _parsed(b"".join(parts))
                    for path in listed if isinstance(listed, list) else []:
                        self._uploads.arrive(str(path))
            await send(message)

        return tell


async def _read(receive: Receive) -> tuple[bytes, Receive]:
    """The body of a request, and a `receive` that returns it again."""
    messages: list[Message] = []
    while not messages or (messages[-1]["type"] == "http.request" and messages[-1].get("more_body", False)):
        messages.append(await receive())
    body = b"".join(message.get("body", b"") for message in messages)
    waiting = iter(messages)

    async def again() -> Message:
        message = next(waiting, None)
        return await receive() if message is None else message

    return body, again


def _parsed(body: bytes) -> Any:
    """The JSON of a body; None if it is not valid, which Gradio reports."""
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def named_files(asked: Any) -> Iterator[str]:
    """Paths of the files that a request names, at any depth: Gradio looks for objects with a key `path`."""
    waiting = [asked]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            if isinstance(path := value.get("path"), str):
                yield path
            waiting += value.values()
        elif isinstance(value, list):
            waiting += value
