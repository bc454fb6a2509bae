"""Access tokens: what one looks like, keeping it out of logs and files, and lending one to clients.

The only file that writes HF_TOKEN, or any other environment variable, and only when the mode
changes: a variable is the whole process's, so while a request is under way nobody touches one.
"""

import os
import re
from collections.abc import Iterable
from contextlib import contextmanager, suppress

# How access tokens of Hugging Face, of its providers and of GitHub begin. hf_ may stand inside a
# word; the others may not, except in JSON inside JSON, where a line break before a token is written
# \n: two characters, the second of them a letter.
_OTHERS = ("sk-", "sk_", "gsk_", "r8_", "tgp_", "fw_", "csk-", "xai-", "nvapi-", "ghp_")
PREFIXES = ("hf_", "api_org_", *_OTHERS)
# Looked at last: where each alternative begins with letters, re is 50 times as fast.
_BEFORE = r"(?:(?<![A-Za-z0-9]{0})|(?<=\\[bfnrt]{0}))"
_BEGINS = "|".join(one if one == "hf_" else one + _BEFORE.format(one) for one in PREFIXES)
TOKEN = re.compile(rf"(?:{_BEGINS})[A-Za-z0-9_-]{{16,}}")
_SIGNS = tuple(map(str.encode, PREFIXES))
SHORTEST = 8  # characters of a token of another form; a shorter one would be found in any text

# Clients refuse to be built without a token. Where there is none the first of these stands in for
# it; it is never sent. The second takes the place of the learner's own on its way to the practice
# server, which has no business with it. (What else a cell passes as `api_key` is sent as it is.)
PLACEHOLDER = "hf_placeholder_of_the_course"
PRACTICE_TOKEN = "hf_practice_on_this_machine"
BLANK = "is blank"  # what is wrong with a token that is none


# ---- keeping tokens out ------------------------------------------------------------------------


class SecretFound(Exception):
    """Something that looks like an access token was about to be recorded. It was not written."""


# The learner's own of another form, while the placeholder is lent in its place.
_aside = globals().get("_aside", [""])


def _own() -> list[str]:
    """This process's own tokens, whatever they look like."""
    found = (os.environ.get("HF_TOKEN", "").strip(), *_aside)
    return [token for token in found if len(token) >= SHORTEST]


def mask(text: str) -> str:
    """`text` with `$HF_TOKEN` for what looks like an access token, and for this process's own."""
    for own in _own():
        text = text.replace(own, "$HF_TOKEN")
    return TOKEN.sub("$HF_TOKEN", text)


def masked(content: bytes) -> bytes:
    """`content` without tokens; the very same object where there is none: most bodies are clean,
    and looking is cheap."""
    if not any(sign in content for sign in (*_SIGNS, *map(str.encode, _own()))):
        return content
    return mask(content.decode("utf-8", "surrogateescape")).encode("utf-8", "surrogateescape")


def refuse_secrets(where: str, *texts: str) -> None:
    """Raise SecretFound if a text holds this process's token, or what looks like one."""
    for text in texts:
        starts = [found[:5] for found in TOKEN.findall(text)]
        if starts := starts or [own[:3] for own in _own() if own in text]:
            raise SecretFound(
                f"{where} holds what looks like an access token ({starts[0]}…); it was not"
                " recorded. Take it out of the notebook, and revoke it if it is real."
            )


def flaw(token: str) -> str:
    """Why clients cannot even send this token; "" if they can."""
    if not token.strip():
        return BLANK
    odd = not token.isascii() or re.search("[ \"']", token.strip())
    return "holds characters that no token has" if odd else ""


# ---- the learner's own -------------------------------------------------------------------------


def learners(fresh: bool = False) -> str | None:
    """The learner's own token, where huggingface_hub looks for one: environment, the file of
    `hf auth login`, a secret of Colab. Never the placeholder; None if there is none.

    fresh : have one that is about to expire renewed, which may ask the network.
    """
    from huggingface_hub.utils import _auth

    from_file = _auth._get_token_from_file_refreshed if fresh else _auth._get_token_from_file
    here = os.environ.get("HF_TOKEN", "").strip()
    older = os.environ.get("HUGGING_FACE_HUB_TOKEN", "").strip()
    if here == PLACEHOLDER:
        here = _aside[0]
    given = here or older
    with suppress(OSError, UnicodeDecodeError):  # unreadable() says why
        given = given or from_file()
    return given or _auth._get_token_from_google_colab()


def unreadable() -> str:
    """Which file of `hf auth login` cannot be read, and why; "" if it can be, or is not there."""
    from huggingface_hub.utils import _auth

    try:
        _auth._get_token_from_file()
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", "") or "it is not text"
        return f"the file {_auth.constants.HF_TOKEN_PATH} cannot be read ({why})"
    return ""


# ---- lending, and setting aside ----------------------------------------------------------------

HUB = "https://huggingface.co"
ENVIRON = "the environment"  # one of the places to change; the others are modules


class Lent:
    """What a session changes in os.environ and in huggingface_hub's constants, until back(). What
    somebody else has changed since then is left as it is."""

    def __init__(self):
        self._changes: dict[tuple, tuple] = {}  # (where, name): (as it was, ours)

    def learners_environ(self) -> dict[str, str]:
        """The environment as it would be without us."""
        changed = {
            name: was
            for (where, name), (was, ours) in self._changes.items()
            if where == ENVIRON and _get(where, name) == ours
        }
        return {name: it for name, it in {**os.environ, **changed}.items() if it is not None}

    def prepare(self, mode: str, unusable: Iterable[str] = ()) -> None:
        """Give the clients of this process what they need in a mode, each variable in one step.

        Always a token to build clients with. In Replay and Practice nothing may keep an answer
        away: unusable variables, other addresses than the service's, offline mode.
        """
        from huggingface_hub import constants, hf_api

        # Else huggingface_hub first sends a request that nobody asked for. For good.
        os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
        constants.HF_HUB_DISABLE_TELEMETRY = True
        wanted = {}
        if mode != "live":
            # HF_OIDC_RESOURCE: asks the network for a token, at every request.
            for name in (*unusable, "HF_OIDC_RESOURCE"):
                wanted[ENVIRON, name] = None
            # What huggingface_hub read from the environment when it was imported.
            wanted[constants, "ENDPOINT"] = wanted[hf_api.api, "endpoint"] = HUB
            wanted[constants, "INFERENCE_ENDPOINT"] = "https://api-inference.huggingface.co"
            wanted[constants, "HF_HUB_OFFLINE"] = False
            wanted[constants, "HF_HUB_DISABLE_IMPLICIT_TOKEN"] = False
        found = self.learners_environ().get("HF_TOKEN", "")
        own = found.strip()
        if mode != "live" and (flaw(own) or not own.startswith("hf_")):
            _aside[:] = [own]
            wanted[ENVIRON, "HF_TOKEN"] = PLACEHOLDER
        elif own != found or not own:
            # The learner's, so that os.environ["HF_TOKEN"] works also after a login.
            wanted[ENVIRON, "HF_TOKEN"] = own or learners(fresh=True) or PLACEHOLDER
        self._change(wanted)

    def hide(self) -> None:
        """Let the clients find no token, be it a variable, a file or a secret of Colab."""
        from huggingface_hub import constants

        wanted = {(ENVIRON, name): None for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN")}
        wanted[constants, "HF_TOKEN_PATH"] = os.devnull
        wanted[ENVIRON, "VERTEX_PRODUCT"] = "COLAB_ENTERPRISE"  # which has no secrets of Colab
        self._change(wanted)

    def back(self) -> None:
        """Put everything back."""
        self._change({})

    def _change(self, wanted: dict[tuple, object]) -> None:
        """Let exactly these places hold what is wanted, and all others what they held before."""
        kept, self._changes = self._changes, {}
        for (where, name), ours in wanted.items():
            was, before = kept.pop((where, name), (_get(where, name),) * 2)
            now = _get(where, name)
            self._changes[where, name] = (was if now == before else now), ours
            _set(where, name, ours)
        for (where, name), (was, ours) in kept.items():
            if _get(where, name) == ours:
                _set(where, name, was)


@contextmanager
def none():
    """In here the clients find no token, as where nobody has logged in. Not for several threads."""
    lent = Lent()
    lent.hide()
    try:
        yield
    finally:
        lent.back()


def _get(where, name: str):
    return os.environ.get(name) if where == ENVIRON else getattr(where, name)


def _set(where, name: str, value) -> None:
    if where != ENVIRON:
        setattr(where, name, value)
    elif value is None:
        os.environ.pop(name, None)
    elif os.environ.get(name) != value:
        os.environ[name] = value
