"""Every task of exercise 04: the stub fails, the solution passes, each mistake gets its message."""

from check_cases import UNRULY, CheckCases
from wrong import exercise

from helpers.exercises.lessons.lesson_04 import TASKS

PIECES, READ, SENTENCE, ALL, QUIZ = TASKS


class Pieces:
    """The pieces as an iterable that is no generator; takes chunks as the dictionaries they are."""

    def __init__(self, stream):
        self.stream = stream

    def __iter__(self):
        for chunk in self.stream:
            if not chunk["choices"]:
                continue
            if content := chunk["choices"][0]["delta"]["content"]:
                yield content


IF = "if choice.delta.content:"
YIELD = "yield choice.delta.content"
LOOP = f"""\
for chunk in stream:
        for choice in chunk.choices:
            {IF}
                {YIELD}"""
TRY = "try:\n    {}\nexcept {}:\n    {}"
PIECES_WRONG = [
    (
        "for choice",
        "if not chunk.choices:\n            break\n        for choice",
        "go on with the next one",
    ),
    (
        IF,
        "if choice.delta.content is None and not choice.delta.role:\n                return\n"
        f"            {IF}",
        "Such a chunk is not the end",
    ),
    (YIELD, "yield from choice.delta.content", "cut up in another way"),
    """
    # 11 came out
    before = None
    for piece in solved(client, question):
        if before is not None:
            yield before
        before = piece""",
    (
        TRY.format(
            "yield from solved(client, question)",
            "httpx.HTTPError",
            'raise RuntimeError("failed") from None',
        ),
        "turned the error into a RuntimeError",
    ),
    ("stream = client", "own = InferenceClient()\n    stream = own", "a client of its own"),
    (
        ("        stream=True,\n", ""),
        (LOOP, "yield stream.choices[0].message.content"),
        "did not ask for a stream",
    ),
    ("for choice in chunk.choices", "for choice in [chunk.choices[0]]", "no `choices` at all"),
    (IF, "if True:", "is `None`"),
    (IF, "if choice.delta.content is not None:", "empty texts"),
    ((IF, "if True:"), (YIELD, 'yield f"{choice.delta.content}"'), 'The word "None"'),
    (LOOP, "yield from stream", "the chunks"),
    """
    # all the text so far
    text = ""
    for piece in solved(client, question):
        text += piece
        yield text""",
    ('return "".join(solved(client, question))', "the whole text at once"),
    ("return list(solved(client, question))", "read the whole stream before"),
    (YIELD, 'print(choice.delta.content, end="", flush=True)', "prints the pieces"),
    (YIELD, f"{YIELD}.strip()", "white space"),
    (
        TRY.format("yield from solved(client, question)", "Exception", "return"),
        "Leave out the `try`",
    ),
    ((IF, "if True:"), (YIELD, "yield choice.message.content"), "have a `delta`"),
    ("        max_tokens=200,\n", "", "no `max_tokens`"),
]

EXCEPT = "except httpx.HTTPError:\n        reason = None"
READ_WRONG = [
    ("completion_tokens", "prompt_tokens", "the tokens of the prompt"),
    ("return text", "return text.strip()", "white space"),
    (" if usage else None", "", "no usage came"),
    (
        "return text",
        'if usage is None:\n        raise ValueError("incomplete")\n    return text',
        "raised ValueError",
    ),
    ("chunk.usage or usage", "usage if chunk.choices else chunk.usage", "beside the last choice"),
    (
        "choice.delta.content",
        '"" if choice.finish_reason else choice.delta.content',
        "same chunk as the `finish_reason`",
    ),
    ("return text", "return text if usage else text[:-3]", "not what had arrived"),
    (
        "return text",
        "if usage is None:\n        return solved(client, question)\n    return text",
        "2 requests",
    ),
    ('        stream_options={"include_usage": True},\n', "", "did not ask for the usage"),
    ('reason == "stop"', 'text.endswith(".")', "a full stop at the end means nothing"),
    ('reason == "stop"', "reason is not None", 'Only "stop" means whole'),
    ('reason == "stop"', "reason", "the reason itself"),
    (
        ("try:", "count = 0\n    try:"),
        ("text +=", "count += bool(choice.delta.content)\n                text +="),
        ("usage.completion_tokens if usage else None", "count"),
        "counting pieces does not do",
    ),
    ("completion_tokens", "total_tokens", "prompt and answer together"),
    ("httpx.HTTPError", "()", "the `try` must be around the loop"),
    ("httpx.HTTPError", "TextGenerationError", "let RemoteProtocolError through"),
    ("else None", "else 0", "must be None"),
    (
        TRY.format("return solved(client, question)", "httpx.HTTPError", 'return "", False, None'),
        "make the call before the `try`",
    ),
    (EXCEPT, 'except TextGenerationError:\n        return "", False, None', "returned no text"),
    (EXCEPT, f'{EXCEPT}\n        text += " [cut off]"', "without the error's words"),
    (
        ('reason == "stop"', 'bool(chunk.choices) and chunk.choices[0].finish_reason == "stop"'),
        (EXCEPT, "finally:\n        pass"),
        ("usage.completion_tokens if usage else None", "chunk.usage.completion_tokens"),
        "keep the last one that is not None",
    ),
    (', reason == "stop", usage.completion_tokens if usage else None', "", "three things"),
]

CUT = 'text[: text.index(".") + 1]'
IF_ANY = f'{CUT} if "." in text else text'
END = "\n    return text"
SENTENCE_WRONG = [
    ("index", "rindex", "its first full stop"),
    (
        ("text += piece\n            if", "if"),
        (f"return {CUT}", f"return {CUT}\n            text += piece"),
        "at least one piece more",
    ),
    (
        "    with client:\n        for piece in pieces(client, question):",
        "    arriving = pieces(client, question)\n    client.close()\n"
        "    if True:\n        for piece in arriving:",
        "before the request was sent",
    ),
    ("with client", "with InferenceClient() as client", "a client of its own"),
    ('return solved(client, question).removesuffix(".") + "."', "You added one"),
    (
        (f"return {CUT}", "break"),
        ("return text", f"return {CUT}"),
        "no full stop at all. Your function raised ValueError",
    ),
    (
        "pieces(client, question)",
        "itertools.islice(pieces(client, question), 20)",
        "lost it, or a part",
    ),
    ("with client", "if True", "`break` leaves the loop, not the stream"),
    (
        ("with client", "if True"),
        (f"return {CUT}", f"client.close()\n                return {CUT}"),
        "the client stays open",
    ),
    (
        ("with client", "if True"),
        (f"return {CUT}", f"text = {CUT}\n                break"),
        (END, f"\n    client.close(){END}"),
        "open behind the error",
    ),
    (
        f'with client:\n    text = "".join(pieces(client, question))\n    return {IF_ANY}',
        "read the stream to its end",
    ),
    """
    # left the stopping to the service
    with client:
        response = client.chat_completion(
            messages=[{"role": "user", "content": question}],
            model=models.chat,
            max_tokens=200,
            stop=["."],
        )
        return response.choices[0].message.content""",
    (" + 1", "", "The full stop is missing"),
    (CUT, "text", "the beginning of the next sentence"),
    (END, "\n    return None", "had no full stop at all"),
    (
        TRY.format("return solved(client, question)", "httpx.HTTPError", 'return "half"'),
        "half a sentence as if",
    ),
    ("print(solved(client, question))", "prints and returns nothing"),
]

ONE = "async with AsyncInferenceClient() as client"
EACH = "[ask(question) for question in questions]"
GATHER = f"await asyncio.gather(*{EACH})"
ALL_WRONG = [
    (
        f"return {GATHER}",
        f"answers = {GATHER}\n        questions.clear()\n        return answers",
        "changed the list of questions",
    ),
    (
        (ONE, "if True"),
        ("async with gate:", "async with gate, AsyncInferenceClient() as client:"),
        "You made 7 clients",
    ),
    (ONE, "client = AsyncInferenceClient()\n    if True", "still open"),
    (
        (ONE, "client = AsyncInferenceClient()\n    if True"),
        (
            f"return {GATHER}",
            f"answers = {GATHER}\n        await client.close()\n        return answers",
        ),
        "behind the error the client stayed open",
    ),
    (
        f"return {GATHER}",
        "answers = []\n"
        "        for i in range(0, len(questions), at_once):\n"
        "            answers += await asyncio.gather(*map(ask, questions[i : i + at_once]))\n"
        "        return answers",
        "in groups of 3",
    ),
    (
        (
            "        response = await",
            "      for _ in range(2):\n               try:\n                response = await",
        ),
        (
            "                )\n",
            "                )\n                break\n"
            "               except httpx.HTTPError:\n                pass\n",
        ),
        "you asked again",
    ),
    ("(at_once)", "(at_once + 1)", "4 requests were under way"),
    (GATHER, r'[await ask("\n".join(questions))]', "but 1 requests"),
    (
        GATHER,
        "[await ask(question) for question in questions]",
        "waits for each before it starts the next",
    ),
    ("async with gate", "if True", "7 requests were under way at once; 3 were allowed"),
    ("with gate", "with asyncio.Semaphore(at_once)", "shared by all"),
    ("(at_once)", "(2)", "The limit comes from `at_once`"),
    (GATHER, f"({GATHER})[::-1]", "not in the order"),
    (("async with Async", "with "), ("await client", "client"), "it must be the async client"),
    (
        "async def ask_all(questions, at_once):",
        "def ask_all(questions, at_once):\n    return asyncio.run(solved(questions, at_once))\n\n\n"
        "async def unused(questions, at_once):",
        "`async def`",
    ),
    (".choices[0].message.content", "", "asks for texts"),
    ("return await", "await", "returns nothing"),
    (EACH, f"{EACH}, return_exceptions=True", "as if all had been answered"),
    ('return ["An answer." for _ in questions]', "No request was sent"),
    (
        GATHER,
        "[await done for done in asyncio.as_completed(map(ask, reversed(questions)))]",
        "not in the order",
    ),
]

RIGHT = [
    (
        PIECES,
        LOOP,
        f"return (choice.delta.content for chunk in stream for choice in chunk.choices {IF[:-1]})",
    ),
    (PIECES, LOOP, "return Pieces(stream)"),
    (
        PIECES,
        LOOP,
        "texts = (choice.delta.content for chunk in stream for choice in chunk.choices)\n"
        "    return filter(None, texts)",
    ),
    (
        PIECES,
        ("chat_completion", "chat.completions.create"),
        (
            LOOP,
            "for chunk in stream:\n"
            "        if chunk.choices and chunk.choices[0].delta.content:\n"
            "            yield chunk.choices[0].delta.content",
        ),
    ),
    """
    def read(client, question):
        text, reason, tokens = [], None, None
        try:
            for chunk in client.chat_completion(
                messages=[{"role": "user", "content": question}],
                model=models.chat,
                max_tokens=200,
                stream=True,
                stream_options={"include_usage": True},
            ):
                tokens = chunk.usage.completion_tokens if chunk.usage else tokens
                for choice in chunk.choices:
                    text.append(choice.delta.content or "")
                    reason = choice.finish_reason or reason
        except HfHubHTTPError:
            raise
        except httpx.HTTPError as error:
            print("cut:", error)
        return ["".join(text), reason == "stop", tokens]""",
    (
        SENTENCE,
        ("with client", "try"),
        (END, "\n        return text\n    finally:\n        client.close()"),
    ),
    """
    def first_sentence(client, question):
        with contextlib.closing(client):
            text = ""
            for piece in pieces(client, question):
                text += piece
                if piece.find(".") >= 0:
                    break
            before, stop, _ = text.partition(".")
            return before + stop""",
    # a cell that runs meanwhile builds one, too
    (ALL, "gate = ", "contextvars.Context().run(httpx2.AsyncClient)\n    gate = "),
    """
    async def ask_all(questions, at_once):
        answers, waiting = [None] * len(questions), list(enumerate(questions))
        async with AsyncInferenceClient() as client:

            async def worker():
                while waiting:
                    number, question = waiting.pop(0)
                    messages = [{"role": "user", "content": question}]
                    response = await client.chat_completion(
                        messages, model=models.chat, max_tokens=200
                    )
                    answers[number] = response.choices[0].message.content

            await asyncio.gather(*[worker() for _ in range(at_once)])
        return answers""",
    """
    async def ask_all(questions, at_once):
        gate = asyncio.BoundedSemaphore(at_once)

        async def ask(client, question):
            messages = [{"role": "user", "content": question}]
            async with gate:
                stream = await client.chat_completion(
                    messages, model=models.chat, max_tokens=200, stream=True
                )
                return "".join(
                    [
                        choice.delta.content or ""
                        async for chunk in stream
                        for choice in chunk.choices
                    ]
                )

        async with AsyncInferenceClient() as client, asyncio.TaskGroup() as group:
            tasks = [group.create_task(ask(client, question)) for question in questions]
        return [task.result() for task in tasks]""",
    """
    async def ask_all(questions, at_once):
        router = "https://router.huggingface.co/v1"
        client = AsyncOpenAI(base_url=router, api_key=os.environ["HF_TOKEN"], max_retries=0)
        gate = asyncio.Semaphore(at_once)

        async def ask(question):
            messages = [{"role": "user", "content": question}]
            async with gate:
                response = await client.chat.completions.create(
                    messages=messages, model=models.chat, max_tokens=200
                )
                return response.choices[0].message.content

        try:
            return await asyncio.gather(*map(ask, questions))
        finally:
            await client.close()""",
]
MISTAKES = (PIECES_WRONG, READ_WRONG, SENTENCE_WRONG, ALL_WRONG)


class TestExercise(CheckCases):
    tasks, quiz = TASKS[:-1], QUIZ
    wrong, right = exercise(
        "04_text_generation_and_streaming", tasks, MISTAKES, RIGHT, Pieces=Pieces
    )
    unruly = [*UNRULY, lambda *a: ("", True, None)]
    choices = (3, 4)
