"""Is every model of helpers/models.toml still served? Asks the real service; needs HF_TOKEN.

    python -m authoring.canary                 one look-up a model; a tiny call where that is cheap
    python -m authoring.canary --no-calls      look-ups only
    python -m authoring.canary --report FILE   also write the table as Markdown, for an issue

Exit code: 0 all served, 1 at least one is gone, 2 none is known to be gone, but some could not be
checked.
"""

import argparse
import os
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from helpers.models import Model, models

SERVED, GONE, UNKNOWN = "served", "gone", "not checked"
SECONDS = 60
# What the Hub's provider mapping calls a task, where it differs.
ON_THE_HUB = {"chat-completion": "conversational"}
# One call each, as small as the task allows. Pictures are not called: they cost cents, not
# fractions of one.
TINY = {
    "chat-completion": lambda client, model: client.chat_completion(
        [{"role": "user", "content": "Say ok."}], model=model, max_tokens=1
    ),
    "text-generation": lambda client, model: client.text_generation(
        "ok", model=model, max_new_tokens=1
    ),
    "feature-extraction": lambda client, model: client.feature_extraction("ok", model=model),
    "text-classification": lambda client, model: client.text_classification("ok", model=model),
    "zero-shot-classification": lambda client, model: client.zero_shot_classification(
        "ok", ["yes", "no"], model=model
    ),
    "token-classification": lambda client, model: client.token_classification(
        "Ann lives in Oslo.", model=model
    ),
    "summarization": lambda client, model: client.summarization(
        "The meeting moved from Monday to Tuesday because the room was taken.", model=model
    ),
    "sentence-similarity": lambda client, model: client.sentence_similarity(
        "ok", ["fine"], model=model
    ),
}
GONE_STATUS = {
    400,
    404,
    410,
}  # asked for correctly, these mean: this provider does not serve this model


@dataclass(frozen=True)
class Finding:
    """What was found out about one model: `state` is SERVED, GONE or UNKNOWN, `said` why."""

    model: Model
    state: str
    said: str


def check(model: Model, call: bool = True) -> Finding:
    """Look one model up on the Hub, and call it once if `call` is true and its task is cheap. Never
    raises for an answer of the service."""
    from huggingface_hub import HfApi, InferenceClient
    from huggingface_hub.errors import RepositoryNotFoundError

    try:
        mapping = (
            HfApi()
            .model_info(model.id, expand=["inferenceProviderMapping"], timeout=SECONDS)
            .inference_provider_mapping
            or []
        )
    except RepositoryNotFoundError as error:
        # The Hub says 401 for a repository that is missing and for a token that is wrong.
        if error.response.status_code == 401:
            return Finding(
                model,
                UNKNOWN,
                "the Hub does not accept the token, or the model is no longer public (401)",
            )
        return Finding(model, GONE, "the Hub knows no such model")
    except Exception as error:
        return Finding(model, UNKNOWN, _short(error))
    task = ON_THE_HUB.get(model.task, model.task)
    live = sorted(
        entry.provider for entry in mapping if entry.status == "live" and entry.task == task
    )
    if not live:
        seen = ", ".join(f"{entry.provider}: {entry.status} for {entry.task}" for entry in mapping)
        return Finding(
            model, GONE, f"no provider serves it for {task} ({seen or 'nobody serves it at all'})"
        )
    if model.provider != "auto" and model.provider not in live:
        return Finding(
            model,
            GONE,
            f"{model.provider} no longer serves it for {task}; served by {', '.join(live)}",
        )
    if not call or model.task not in TINY:
        return Finding(model, SERVED, f"live at {', '.join(live)} (not called)")
    try:
        with InferenceClient(provider=model.provider, timeout=SECONDS) as client:
            TINY[model.task](client, model.id)
    except Exception as error:
        status = getattr(getattr(error, "response", None), "status_code", None)
        return Finding(
            model,
            GONE if status in GONE_STATUS else UNKNOWN,
            f"listed at {', '.join(live)}, but the call failed: {_short(error)}",
        )
    return Finding(model, SERVED, f"answered; live at {', '.join(live)}")


def table(findings: Iterable[Finding]) -> str:
    """The findings as a Markdown table, what is gone first."""
    order = (GONE, UNKNOWN, SERVED)
    lines = [
        "| state | entry | model | provider | last verified | found |",
        "|---|---|---|---|---|---|",
    ]
    for finding in sorted(findings, key=lambda finding: order.index(finding.state)):
        model = finding.model
        cells = (
            finding.state,
            model.name,
            f"`{model.id}`",
            model.provider,
            str(model.verified),
            finding.said,
        )
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines)


def exit_code(findings: Iterable[Finding]) -> int:
    states = {finding.state for finding in findings}
    return 1 if GONE in states else 2 if UNKNOWN in states else 0


def _short(error: Exception) -> str:
    """The error in one line of at most 200 characters."""
    return f"{type(error).__name__}: {' '.join(str(error).split())}"[:200]


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m authoring.canary", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--no-calls", action="store_true", help="look-ups only, nothing is spent")
    parser.add_argument("--report", type=Path, help="also write the table to this file")
    options = parser.parse_args(arguments)
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
    from huggingface_hub import get_token

    if get_token() is None:
        print(
            "There is no token. Set HF_TOKEN (or run `hf auth login`) and start again.",
            file=sys.stderr,
        )
        return 2
    findings = []
    for model in models:
        findings.append(check(model, call=not options.no_calls))
        print(
            f"{findings[-1].state:12} {model.name:16} {model.id}: {findings[-1].said}", flush=True
        )
    if options.report:
        options.report.write_text(table(findings) + "\n", encoding="utf-8")
    return exit_code(findings)


if __name__ == "__main__":
    sys.exit(main())
