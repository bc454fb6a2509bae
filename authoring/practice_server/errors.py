"""The service's errors, in the service's words and shapes.

Three shapes are in use and clients have to cope with all of them:

    {"error": "text"}                                              the router, the Hub, hf-inference
    {"error": {"message", "type", "param", "code"}}                chat completions (OpenAI's shape)
    {"error": "text", "error_type": "validation"}                  text-generation-inference

A field that is wrong is always named. Nothing here is a 5xx: that would be this server's fault, not
the caller's.
"""

from starlette.responses import JSONResponse, Response


class ServiceError(Exception):
    """Raised anywhere below a route; becomes the response. `body` is JSON-able, or a str for
    text/plain."""

    def __init__(self, status: int, body: dict | list | str, headers: dict | None = None):
        super().__init__(status, body)
        self.status, self.body, self.headers = status, body, headers or {}

    def response(self) -> Response:
        if isinstance(self.body, str):
            return Response(self.body, self.status, self.headers, media_type="text/plain")
        return JSONResponse(self.body, self.status, self.headers)


def simple(status: int, text: str, headers: dict | None = None) -> ServiceError:
    return ServiceError(status, {"error": text}, headers)


def chat_error(
    status: int, message: str, param: str | None = None, code: str | None = None
) -> ServiceError:
    return ServiceError(
        status,
        {
            "error": {
                "message": message,
                "type": "invalid_request_error",
                "param": param,
                "code": code,
            }
        },
    )


def validation(text: str, status: int = 422) -> ServiceError:
    """text-generation-inference's form, which huggingface_hub turns into a ValidationError."""
    return ServiceError(
        status, {"error": f"Input validation error: {text}", "error_type": "validation"}
    )


def not_supported(model: str) -> ServiceError:
    return chat_error(
        400,
        f"The requested model '{model}' is not supported by any provider you have enabled.",
        "model",
        "model_not_supported",
    )


def not_a_chat_model(model: str) -> ServiceError:
    return chat_error(
        400, f"The requested model '{model}' is not a chat model.", "model", "model_not_supported"
    )


def unauthorized() -> ServiceError:
    return simple(401, "Invalid username or password.")


def forbidden(user: str) -> ServiceError:
    return simple(
        403,
        "This authentication method does not have sufficient permissions to call Inference"
        f" Providers on behalf of user {user}",
    )


def no_credits() -> ServiceError:
    return simple(
        402,
        "You have exceeded your monthly included credits for Inference Providers. "
        "Subscribe to PRO to get 20x more monthly included credits.",
    )


def gone() -> ServiceError:
    return simple(
        410,
        "https://api-inference.huggingface.co is no longer supported. "
        "Please use https://router.huggingface.co instead.",
    )


def deprecated() -> ServiceError:
    return simple(
        410, "The requested model is deprecated and no longer supported by provider hf-inference"
    )


def not_found() -> ServiceError:
    return ServiceError(404, "Not Found")
