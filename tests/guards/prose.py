"""The voice, where a machine can hear it: no hype, no filler, no facts that change written into
prose."""

import re
from collections.abc import Iterator

from guards import code_cells, markdown_cells, syntax, tokens

# Words that praise instead of saying, or that tell a stuck reader the fault is theirs.
FILLER = re.compile(
    r"\b(simply|simple|(?<!\byou )(?<!\bhas )(?<!\bhave )(?<!\bwas )(?<!\bwere )just(?!"
    r" (before|after|as|above|below|under|over|once)\b)|easy|easily|effortless(ly)?|obvious(ly)?"
    r"|trivial(ly)?|powerful|seamless(ly)?|robust|leverag(e|es|ing)|cutting[-"
    r" ]edge"
    r"|state[- ]of[- ]the[- ]art|game[-"
    r" ]chang(er|ing)|revolutionary|unleash|supercharge|blazing(ly)?|delve|dive in(to)?|deep dive"
    r"|exciting|awesome|amazing|incredibl[ey]|magical(ly)?|as you can see|it is worth noting|note"
    r" that|needless to say|congratulations|well done"
    r"|in today's world|let's|we will now|in this section)\b",
    re.I,
)
PRICE = re.compile(
    r"[$€£]\s?(?=[\d.,]*[1-9])\d|\b\d[\d.,]*\s?(usd|eur|dollars?|cents?|euros?)\b", re.I
)
EMOJI = re.compile("[\U0001f300-\U0001faff\u2600-\u26ff\u2705\u274c\u2728\ufe0f]")
# A model: a well-known owner and a name, or a name with its size or version.
OWNERS = (
    "openai|meta-llama|mistralai|Qwen|google|deepseek-ai|zai-org|BAAI|facebook"
    "|FacebookAI|distilbert|dslim"
    "|ProsusAI|cardiffnlp|MoritzLaurer"
    "|black-forest-labs|stabilityai|ByteDance|sentence-transformers"
    "|HuggingFaceTB|microsoft|thenlper"
    "|intfloat|moonshotai|CohereLabs|nvidia"
)
MODEL = re.compile(
    rf"\b(?:{OWNERS})/[\w.-]*\w|\b[A-Za-z][\w.]*(?:-[\w.]+)*-\d+(?:\.\d+)?[bBmM]\b(?:-\w+)*"
    r"|\b(?:gpt|GPT)-\d[\w.-]*"
)


def lint(markdown: str, known_models: set[str]) -> list[str]:
    """What is wrong with a piece of prose. Code blocks are not prose; a model id may stand in code
    font if models.toml has it.

    known_models : the ids of models.toml.
    """
    problems = []
    for kind, said in _spoken(markdown):
        if kind == "code_inline":
            problems += [
                f"model id that models.toml does not know: {found}"
                for found in models_in(said)
                if not _known(found, known_models)
            ]
            continue
        problems += [
            f"filler: {found.group()!r} in {_around(said, found)}"
            for found in FILLER.finditer(said)
        ]
        problems += [
            f"a price: print it from models.toml instead of {found.group()!r} in"
            f" {_around(said, found)}"
            for found in PRICE.finditer(said)
        ]
        problems += [f"emoji: {found.group()!r}" for found in EMOJI.finditer(said)]
        problems += [
            f"model id: print it from models.toml instead of {found!r}" for found in models_in(said)
        ]
    return problems


def prose(notebook, known_models: set[str]) -> list[str]:
    """`lint` over a notebook's Markdown cells."""
    return [
        f"{where}: {problem}"
        for where, cell in markdown_cells(notebook)
        for problem in lint(cell.source, known_models)
    ]


def models_in_code(notebook, known_models: set[str]) -> list[str]:
    """Model ids written into code stand in models.toml, where the weekly live check sees them."""
    import ast

    problems = []
    for where, cell in code_cells(notebook):
        try:
            tree = syntax(cell.source)
        except SyntaxError:
            continue
        for node in ast.walk(tree):
            if (
                isinstance(node, ast.Constant)
                and isinstance(node.value, str)
                and re.fullmatch(r"\S+", node.value)
            ):
                problems += [
                    f"{where}: model id that models.toml does not know: {found}"
                    for found in re.findall(rf"^(?:{OWNERS})/[\w.-]*\w", node.value)
                    if not _known(found, known_models)
                ]
    return problems


def models_in(text: str) -> list[str]:
    """What looks like a model id in a text."""
    return [found.group() for found in MODEL.finditer(text)]


def _known(found: str, known: set[str]) -> bool:
    return found.split(":")[0] in known or any(model.endswith("/" + found) for model in known)


def _spoken(markdown: str) -> Iterator[tuple[str, str]]:
    """(kind, text) of what is read as prose: text, code font, alt text; no code, no addresses."""
    for token in tokens(markdown):
        if token.type in ("text", "code_inline"):
            yield token.type, token.content
        elif token.type == "image":
            yield "text", token.content
        elif token.type in ("html_block", "html_inline"):
            yield "text", re.sub(r"<[^>]*>", " ", token.content)


def _around(text: str, found: re.Match) -> str:
    return repr(text[max(0, found.start() - 25) : found.end() + 25].strip())
