"""The practice server: the service's wire format over small real models, on this machine.

    make practice                                  or: python -m authoring.practice_server
    python -m authoring.practice_server --help     port, weights, threads, the endpoints' clock

`create_app()` makes the ASGI application. One app answers for all the service's hosts; any client
in any language can be pointed at it:

    curl http://127.0.0.1:8750/v1/chat/completions -H "authorization: Bearer hf_any" \
         -d '{"model": "openai/gpt-oss-120b", "messages": [{"role": "user", "content": "Hello"}]}'

Tokens: any that begins with hf_ is good, and some are there to show an error:

    hf_…invalid…         401 everywhere
    hf_…no_permission…   403 where a model is called or an endpoint managed
    hf_…no_credits…      402 where a model is called or an endpoint created

Who answered is in every response: x-answered-by (the model, or "practice server" where none was
needed), x-answered-weights (their SHA-256), x-answered-runtime, and for text x-answered-seed.

Where to read on: app.py (routes), chat.py and llm.py (chat), tasks.py (the other tasks, and what
their scores are), endpoints.py (deployed endpoints), catalogue.toml (the models it knows),
weights.py (where the weights come from).
"""

from .app import create_app

__all__ = ["create_app"]
