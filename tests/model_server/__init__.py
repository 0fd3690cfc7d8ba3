"""A local server that speaks the wire formats of three APIs and plays every fault of a provider on demand.

    with ModelServer(lambda request: Answer("hello")) as server:
        AnthropicModel("m", Endpoint(server.url, "k"))             # POST /v1/messages
        OpenAIModel("m", Endpoint(server.url + "/v1"))             # POST /v1/chat/completions
        codex: base_url=server.url + "/v1", wire_api="responses"   # POST /v1/responses

The script gets a ``Request`` and returns an ``Answer`` (words and calls, with what may be wrong with its stream) or a
``Plain`` response (any status, headers and bytes). ``server.requests`` keeps what came. Tokens are four characters each;
the cache of the provider is played as ``cache.py`` says. No judgement of what is right is in here.
"""

from model_server.answers import Answer, Call, Plain, anthropic_error, openai_error
from model_server.cache import Cache
from model_server.server import ModelServer, Request

__all__ = ["Answer", "Cache", "Call", "ModelServer", "Plain", "Request", "anthropic_error", "openai_error"]
