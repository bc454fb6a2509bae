"""The practice server: the service's wire format over small real models, on this machine.

    python -m authoring.practice_server            (or: make practice)

`create_app()` makes the ASGI application.
"""

from .app import create_app

__all__ = ["create_app"]
