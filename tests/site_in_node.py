"""Runs in the site's Pyodide under Node (test_site_node.py): one of each kind of what lessons do.
Prints one JSON object.

Node 20 cannot set a running call aside, so nothing here waits inside one; that is
test_browser_aside.py's.
"""

import json
import os
import sys
from pathlib import Path

os.environ["COURSE_PACE"] = "0"
os.environ["COURSE_PROGRESS"] = "/here/progress.json"

import openai
from huggingface_hub import InferenceClient

from helpers import start
from helpers.exercises import open_exercise
from helpers.faults import outage
from helpers.plotting import bars
from helpers.retry import call_with_retry


def recorded(session, **wanted) -> dict:
    """The JSON of the first recorded request that has these fields with these values."""
    entries = json.loads(session.recording.path.read_text(encoding="utf-8"))
    requests = [
        entry["request"].get("json") or {}
        for entry in entries
        if entry["answers"][0]["status"] == 200
    ]
    return next(
        request
        for request in requests
        if all(request.get(name) == value for name, value in wanted.items())
    )


found = {"python": sys.version.split()[0], "platform": sys.platform}

session = start("01_first_call")
client = InferenceClient()
answer = client.chat_completion(**recorded(session, stream=False))
found["answer"], found["reason"] = (
    answer.choices[0].message.content,
    answer.choices[0].finish_reason,
)
found["log"] = [session.log[0].status, session.log[0].seconds]
miss = recorded(session, stream=False) | {
    "messages": [{"role": "user", "content": "Nobody recorded this."}]
}
try:
    client.chat_completion(**miss)
except Exception as error:
    found["miss"] = str(error)

with outage(errors=[503, 503]):
    found["after two 503"] = (
        call_with_retry(client.chat_completion, **recorded(session, stream=False))
        .choices[0]
        .finish_reason
    )

session = start("04_text_generation_and_streaming")
request = recorded(session, stream=True)
chunks = [
    chunk.choices[0].delta.content or ""
    for chunk in client.chat_completion(**request)
    if chunk.choices
]
found["chunks"], found["streamed"] = len(chunks), "".join(chunks)

session = start("02_openai_client")
request = recorded(session)
reply = openai.OpenAI(
    base_url="https://router.huggingface.co/v1", api_key=os.environ["HF_TOKEN"]
).chat.completions.create(**request)
found["openai"] = reply.choices[0].message.content

card = open_exercise("01_first_call")
card.hint(1)
found["verdict"] = str(card.check(1, lambda question: "wrong"))
found["progress"] = json.loads(Path("/here/progress.json").read_text(encoding="utf-8"))
found["figure"] = repr(bars(["a", "b"], [1, 2]))

print("FOUND " + json.dumps(found))
