"""A check beside a running cell, in a real kernel.

JupyterLab runs the callbacks of widgets in a subshell, a thread of its own, while a cell runs in
the main one.
"""

import os

import pytest
from jupyter_client.manager import start_new_kernel

SETUP = """
import collections, threading, time
from helpers import models
from helpers.exercises import open_exercise
from huggingface_hub import InferenceClient
card = open_exercise("01_first_call")
def ask(client, question):
    message = [{"role": "user", "content": question}]
    response = client.chat_completion(message, model=models.chat, max_tokens=200)
    return response.choices[0].message.content
MESSAGE = [{"role": "user", "content": "What is an API? Answer in two sentences."}]
checked, under_way = collections.Counter(), threading.Event()
"""
CELL = """
client, seen, slept = InferenceClient(), collections.Counter(), []
end = time.time() + 60
while (checked.total() < 20 or seen.total() < 30) and time.time() < end:
    under_way.set()
    answer = client.chat_completion(MESSAGE, model=models.chat, max_tokens=100)
    seen[answer.choices[0].message.content] += 1
    before = time.monotonic(); time.sleep(0.001); slept.append(time.monotonic() - before)
    print("cell", end=" ")
print()
print(checked.total(), len(seen), seen.total() > 20, all(0.001 <= nap < 30 for nap in slept))
"""
CHECKS = """
under_way.wait(60)
for _ in range(20):
    checked[card.check(1, ask).ok] += 1
print(dict(checked))
"""


@pytest.fixture
def kernel(root, tmp_path):
    environment = {
        **os.environ,
        "COURSE_PACE": "0",
        "COURSE_PROGRESS": str(tmp_path / "progress.json"),
        "PYTHONPATH": str(root),
    }
    manager, client = start_new_kernel(
        kernel_name="python3", env=environment, cwd=str(root / "exercises")
    )
    yield client
    client.stop_channels()
    manager.shutdown_kernel(now=True)


def send(kernel, code, subshell=None):
    message = kernel.session.msg("execute_request", {"code": code, "allow_stdin": False})
    if subshell:
        message["header"]["subshell_id"] = subshell
    kernel.shell_channel.send(message)
    return message["header"]["msg_id"]


def printed(kernel, *sent):
    """What each of these has printed, when all have come to their end."""
    texts, running = dict.fromkeys(sent, ""), set(sent)
    while running:
        message = kernel.get_iopub_msg(timeout=300)
        asked, content = message["parent_header"].get("msg_id"), message["content"]
        if asked not in texts:
            continue
        if message["msg_type"] == "stream":
            texts[asked] += content["text"]
        if message["msg_type"] == "error":
            texts[asked] += f"{content['ename']}: {content['evalue']}"
        if message["msg_type"] == "status" and content["execution_state"] == "idle":
            running.discard(asked)
    return [texts[one] for one in sent]


def test_a_running_cell_and_a_check_do_not_meet(kernel):
    kernel.control_channel.send(kernel.session.msg("create_subshell_request", {}))
    subshell = kernel.get_control_msg(timeout=300)["content"]["subshell_id"]
    (said,) = printed(kernel, send(kernel, SETUP))
    assert "Error" not in said, said
    cell = send(kernel, CELL)
    cell_said, checks_said = printed(kernel, cell, send(kernel, CHECKS, subshell))
    assert checks_said == "{True: 20}\n"
    naps, last = cell_said.splitlines()
    assert set(naps.split()) == {"cell"}, "nothing of the cell's output is lost or mixed"
    assert last == "20 1 True True", "only recorded answers, real waits"
