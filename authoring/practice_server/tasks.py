"""The tasks of hf-inference other than chat."""

from . import errors


async def answer_task(request, body, task, model):
    raise errors.chat_error(400, f"The practice server has no model for {task} yet")
