"""What comes in: the caller's token, the JSON body, and whether the caller is still there."""

import asyncio
import json

from starlette.requests import ClientDisconnect, Request

from . import errors

USER, ORG = "practice-user", "practice-org"
MAX_BODY = 10 * 1024 * 1024
BODY_SECONDS = 30  # the longest a body may take to arrive


def bearer(request: Request) -> str | None:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" and token.strip() else None


def signed_in(request: Request) -> str:
    """The caller's token. Raises the service's 401 where there is none or it is not a Hugging Face
    token.

    Every `hf_…` token is accepted, but one that contains the word `invalid` is not.
    """
    token = bearer(request)
    if token is None or not token.startswith("hf_") or "invalid" in token:
        raise errors.unauthorized()
    return token


def may_call(request: Request) -> str:
    """A token that may also call models: 403 if it contains `no_permission`, 402 if it contains
    `no_credits`."""
    token = signed_in(request)
    if "no_permission" in token:
        raise errors.forbidden(USER)
    if "no_credits" in token:
        raise errors.no_credits()
    return token


async def read_json(request: Request) -> dict:
    """The body as a JSON object. Raises a 4xx that says what is wrong with it."""
    raw = bytearray()
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async for piece in request.stream():
                raw += piece
                if len(raw) > MAX_BODY:
                    raise errors.simple(413, f"Request body is larger than {MAX_BODY // 2**20} MB")
    except TimeoutError:
        raise errors.simple(
            408, f"The request body did not arrive within {BODY_SECONDS} seconds"
        ) from None
    except ClientDisconnect:
        raise errors.simple(400, "The client went away before its request was complete") from None
    return parse_json(bytes(raw))


def parse_json(raw: bytes) -> dict:
    if not raw.strip():
        raise errors.simple(400, "The request has no body; a JSON object is expected")

    def refuse(constant):
        raise ValueError(f"{constant} is not JSON")

    try:
        body = json.loads(raw, parse_constant=refuse)
        json.dumps(
            body, ensure_ascii=False
        ).encode()  # a lone surrogate is no text: refuse it here, not later
    except RecursionError:
        raise errors.simple(400, "The JSON body is nested too deeply") from None
    except UnicodeError as error:
        raise errors.simple(
            400, f"The JSON body is not valid Unicode text: {error.reason}"
        ) from None
    except ValueError as error:
        raise errors.simple(400, f"The request body is not valid JSON: {error}") from None
    if not isinstance(body, dict):
        raise errors.simple(422, f"The request body must be a JSON object, not {json_type(body)}")
    return body


def json_type(value) -> str:
    """The JSON name of a Python value's type, for messages."""
    return {
        bool: "a boolean",
        int: "a number",
        float: "a number",
        str: "a string",
        list: "an array",
        dict: "an object",
        type(None): "null",
    }[type(value)]


async def unless_gone(request: Request, work):
    """Await `work`, but stop it as soon as the caller has gone. Needs a body that was read to its
    end."""

    async def gone():
        while (await request.receive())["type"] != "http.disconnect":
            pass

    working, watching = asyncio.ensure_future(work), asyncio.ensure_future(gone())
    try:
        await asyncio.wait({working, watching}, return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            return working.result()
        raise errors.simple(400, "The client went away")
    finally:
        for task in (working, watching):
            task.cancel()
