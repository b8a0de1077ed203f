"""What an error means, in the shapes in which services write it."""

import json
import time

import pytest

from dsi_core.services import troubles
from dsi_core.services.troubles import SYSTEM, Meaning

SENT = {"max_tokens", "seed", "temperature", "stream", SYSTEM}


def read(status, body, prompt="", **headers):
    raw = body.encode() if isinstance(body, str) else json.dumps(body).encode()
    return troubles.read(status, headers, raw, SENT, prompt)


def openai(message, code=None, param=None):
    return {
        "error": {"message": message, "type": "invalid_request_error", "param": param}
        | ({"code": code} if code else {})
    }


def pydantic(*places):
    return [
        {"type": "extra_forbidden", "loc": list(p), "msg": "Extra inputs are not permitted"}
        for p in places
    ]


FIELDS = {
    "openai: the other limit": (
        400,
        openai(
            "Unsupported parameter: 'max_tokens' is not supported with this model. Use "
            "'max_completion_tokens' instead.",
            "unsupported_parameter",
            "max_tokens",
        ),
        ["max_tokens"],
    ),
    "openai: temperature": (
        400,
        openai(
            "Unsupported value: 'temperature' does not support 0.2 with this model. Only the "
            "default (1) value is supported.",
            "unsupported_value",
            "temperature",
        ),
        ["temperature"],
    ),
    "azure": (400, openai("Unrecognized request argument supplied: seed"), ["seed"]),
    "unknown parameter": (
        400,
        openai("Unknown parameter: 'seed'.", "unknown_parameter", "seed"),
        ["seed"],
    ),
    "fastapi, two of them": (
        422,
        {"detail": pydantic(("body", "seed"), ("body", "stream"))},
        ["seed", "stream"],
    ),
    "mistral": (
        422,
        {"object": "error", "message": {"detail": pydantic(("body", "seed"))}},
        ["seed"],
    ),
    "vllm, a printed list": (
        400,
        {
            "object": "error",
            "message": str(
                [
                    {
                        "type": "extra_forbidden",
                        "loc": ("body", "seed"),
                        "msg": "Extra inputs are not permitted",
                        "input": 1,
                    }
                ]
            ),
            "code": 400,
        },
        ["seed"],
    ),
    "anthropic": (
        400,
        {
            "type": "error",
            "error": {
                "type": "invalid_request_error",
                "message": "seed: Extra inputs are not permitted",
            },
        },
        ["seed"],
    ),
    "gemini, in a list": (
        400,
        [
            {
                "error": {
                    "code": 400,
                    "status": "INVALID_ARGUMENT",
                    "message": 'Invalid JSON payload. Unknown name "seed": Cannot find field.',
                }
            }
        ],
        ["seed"],
    ),
    "groq": (400, openai("property 'seed' is unsupported"), ["seed"]),
    "bedrock": (
        400,
        {"message": "Malformed input request: #: extraneous key [seed] is not permitted"},
        ["seed"],
    ),
    "serde": (
        422,
        "Failed to deserialize the JSON body: unknown field `seed`, expected one of `model`, "
        "`temperature`, `max_tokens` at line 1",
        ["seed"],
    ),
    "go": (400, {"error": 'json: unknown field "seed"'}, ["seed"]),
    "json schema": (
        400,
        {"error": "Additional properties are not allowed ('seed' was unexpected)"},
        ["seed"],
    ),
    "ajv": (
        400,
        {
            "errors": [
                {
                    "keyword": "additionalProperties",
                    "params": {"additionalProperty": "seed"},
                    "message": "must NOT have additional properties",
                }
            ]
        },
        ["seed"],
    ),
    "zod": (
        400,
        {
            "issues": [
                {"code": "unrecognized_keys", "keys": ["seed"], "message": "Unrecognized key(s)"}
            ]
        },
        ["seed"],
    ),
    "asp.net": (
        400,
        {"title": "One or more validation errors", "errors": {"seed": ["is not supported"]}},
        ["seed"],
    ),
    "python": (500, {"error": "create() got an unexpected keyword argument 'seed'"}, ["seed"]),
    "tgi: greedy": (
        422,
        {"error": "Input validation error: `temperature` must be strictly positive"},
        ["temperature"],
    ),
    "streams only": (
        400,
        openai("This model only support stream mode, please enable the stream parameter"),
        ["stream"],
    ),
    "gemma": (400, {"message": "System role not supported"}, [SYSTEM]),
    "gemini: gemma": (
        400,
        [{"error": {"message": "Developer instruction is not enabled for gemma"}}],
        [SYSTEM],
    ),
    "o1-mini": (
        400,
        openai(
            "Unsupported value: 'messages[0].role' does not support 'system' with this model.",
            "unsupported_value",
            "messages[0].role",
        ),
        [SYSTEM],
    ),
    "a template": (
        400,
        {"message": "Conversation roles must alternate user/assistant/user/assistant/..."},
        [SYSTEM],
    ),
    "a literal": (
        422,
        {
            "detail": [
                {
                    "type": "literal_error",
                    "loc": ["body", "messages", 0, "role"],
                    "msg": "Input should be 'user' or 'assistant'",
                }
            ]
        },
        [SYSTEM],
    ),
    "a variant": (
        400,
        openai("messages[0].role: unknown variant `system`, expected `user` or `assistant`"),
        [SYSTEM],
    ),
}


@pytest.mark.parametrize("name", FIELDS)
def test_a_refused_field_is_found(name):
    status, body, fields = FIELDS[name]
    error = read(status, body)
    assert (error.meaning, list(error.fields)) == (Meaning.FIELDS, fields)


QUOTA = "You exceeded your current quota, please check your plan and billing details."
MEANINGS = {
    "azure's filter": (
        400,
        openai(
            "The response was filtered due to the prompt triggering Azure "
            "OpenAI's content management policy.",
            "content_filter",
            "prompt",
        ),
        Meaning.FILTERED,
    ),
    "azure, inside": (
        400,
        {"error": {"innererror": {"code": "ResponsibleAIPolicyViolation"}}},
        Meaning.FILTERED,
    ),
    "openrouter": (
        403,
        {"error": {"code": 403, "message": "Your input was flagged"}},
        Meaning.FILTERED,
    ),
    "dashscope": (
        400,
        openai("Input data may contain inappropriate content.", "data_inspection_failed"),
        Meaning.FILTERED,
    ),
    "zhipu": (
        400,
        {"error": {"code": "1301", "message": "系统检测到输入内容可能包含不安全或敏感内容"}},
        Meaning.FILTERED,
    ),
    "reasoning models": (
        400,
        openai(
            "Invalid prompt: your prompt was flagged as potentially violating our usage policy.",
            "invalid_prompt",
        ),
        Meaning.FILTERED,
    ),
    "by law": (451, "", Meaning.REFUSED),
    "too long": (
        400,
        openai(
            "This model's maximum context length is 100 tokens.",
            "context_length_exceeded",
            "messages",
        ),
        Meaning.TOO_LONG,
    ),
    "llama.cpp": (
        400,
        {
            "error": {
                "type": "exceed_context_size_error",
                "message": "the request exceeds the available context size",
            }
        },
        Meaning.TOO_LONG,
    ),
    "tgi": (
        422,
        {"error": "Input validation error: `inputs` must have less than 1024 tokens. Given: 2000"},
        Meaning.TOO_LONG,
    ),
    "a proxy": (413, "<html>Request Entity Too Large</html>", Meaning.TOO_LONG),
    "no quota": (429, openai(QUOTA, "insufficient_quota"), Meaning.QUOTA),
    "no quota, in words": (429, {"error": QUOTA}, Meaning.QUOTA),
    "a minute's quota": (
        429,
        [{"error": {"message": f"{QUOTA} Please retry in 34.5s."}}],
        Meaning.SLOWER,
    ),
    "credit": (
        400,
        {"error": {"message": "Your credit balance is too low to access the API."}},
        Meaning.QUOTA,
    ),
    "402": (402, {"error": {"message": "Insufficient credits"}}, Meaning.QUOTA),
    "key": (401, openai("Incorrect API key provided"), Meaning.FINAL),
    "forbidden": (403, {"error": "no"}, Meaning.FINAL),
    "model": (404, openai("The model `x` does not exist", "model_not_found"), Meaning.FINAL),
    "slower": (429, "slow down", Meaning.SLOWER),
    "overloaded": (529, {"type": "error", "error": {"type": "overloaded_error"}}, Meaning.SLOWER),
    "loading": (503, {"error": "Model is loading"}, Meaning.SLOWER),
    "gateway": (502, "<html>Bad Gateway</html>", Meaning.AGAIN),
    "late": (408, "", Meaning.AGAIN),
    "deepseek": (400, openai("Content Exists Risk"), Meaning.FILTERED),
    "xai": (403, {"error": "Failed check: SAFETY_CHECK_TYPE_BIO"}, Meaning.FILTERED),
    "a firewall": (403, "<html>Sorry, you have been blocked</html>", Meaning.REFUSED),
    "another firewall": (406, "<h1>Not Acceptable!</h1>mod_security", Meaning.REFUSED),
    "beyond a minute's limit": (
        429,
        openai("Request too large on tokens per min (TPM): Limit 10, Requested 12."),
        Meaning.TOO_LONG,
    ),
    "tgi, together": (
        422,
        {"error": "`inputs` tokens + `max_new_tokens` must be <= 512. Given: 600 and 32"},
        Meaning.TOO_LONG,
    ),
    "gemini, too long": (
        400,
        [{"error": {"message": "The input token count (9) exceeds the maximum number of tokens"}}],
        Meaning.TOO_LONG,
    ),
    "moonshot": (
        400,
        openai("Your request exceeded model token limit: 8192"),
        Meaning.TOO_LONG,
    ),
    "llama.cpp, without a shift": (
        500,
        {"error": {"message": "context shift is disabled"}},
        Meaning.TOO_LONG,
    ),
    "litellm's model": (400, openai("Invalid model name passed in model=x"), Meaning.FINAL),
    "model, 400": (400, openai("The model `x` does not exist"), Meaning.FINAL),
    "a dependency": (424, {"error": "model is loading"}, Meaning.AGAIN),
    "nginx": (499, "", Meaning.AGAIN),
    "no reason known": (400, openai("wrong"), Meaning.REFUSED),
    "a limit too large": (
        400,
        openai("max_tokens is too large: 99999", None, "max_tokens"),
        Meaning.REFUSED,
    ),
}


@pytest.mark.parametrize("name", MEANINGS)
def test_what_can_be_done(name):
    status, body, meaning = MEANINGS[name]
    assert read(status, body).meaning is meaning


@pytest.mark.parametrize(
    "body, wanted, said",
    [
        (
            {"detail": [{"loc": ["body", "tenant"], "msg": "field required", "type": "missing"}]},
            ("tenant",),
            "tenant: field required",
        ),
        (
            {"detail": [{"loc": ["body", "meta", "org"], "msg": "Field required", "input": {}}]},
            ("meta",),
            "meta.org: Field required",
        ),
        (
            {"error": {"message": "Missing required parameter: 'user'.", "param": "user"}},
            ("user",),
            "Missing required parameter: 'user'.",
        ),
        (
            {"detail": [{"loc": ["body", "messages", 0, "content"], "msg": "field required"}]},
            (),
            "messages.0.content: field required",
        ),
        ({"error": {"message": "text is required", "param": None}}, (), "text is required"),
        (
            {"error": {"message": "a prompt is required", "param": "input"}},
            (),
            "a prompt is required",
        ),
        (
            {"detail": [{"loc": ["header", "x-tenant"], "msg": "field required"}]},
            (),
            "header.x-tenant: field required",
        ),
    ],
)
def test_a_field_that_a_service_wants_is_named(body, wanted, said):
    """A service that answered other prompts lacks none, so that this alone ends no run."""
    error = troubles.read(422, {}, json.dumps(body).encode(), {"seed", "temperature"})
    assert (error.lacking, error.message) == (wanted, said)
    assert error.meaning is Meaning.REFUSED


def test_what_an_error_quotes_of_the_prompt_says_nothing():
    prompt = "Is a content filter sensitive?\nWas I flagged? Unknown field seed."
    for body in (openai(f"wrong: {prompt}"), f"wrong {prompt}", {"detail": [{"input": prompt}]}):
        assert read(400, body, prompt).meaning is Meaning.REFUSED


@pytest.mark.parametrize("deep", [300, 500, 900, 5000, 100_000])
@pytest.mark.parametrize("opens, closes", [("[", "]"), ('{"a":', "}"), ('{"error":', "}")])
def test_an_error_nested_without_end_is_its_words(deep, opens, closes):
    said = read(400, f"{opens * deep}1{closes * deep}")
    assert said.meaning is Meaning.REFUSED and said.message
    said = read(400, f'{opens * deep}"content_filter"{closes * deep}')
    assert said.meaning is (Meaning.FILTERED if deep < 5000 else said.meaning)


@pytest.mark.parametrize(
    "piece", ["'loc': ('body', ", "exceed", "per_day", "role ", "wait 1", "1s"]
)
@pytest.mark.parametrize("status", [400, 429, 500])
def test_no_message_takes_long_to_read(piece, status):
    """Half a minute of one, before, as each word was tried with all that follow it."""
    body, began = openai(piece * (400_000 // len(piece)) + " x"), time.process_time()
    read(status, body)
    read(status, body["error"]["message"])
    read(status, openai(body["error"]["message"][:200_000]))
    assert time.process_time() - began < 3


def test_only_what_was_sent_can_be_refused():
    raw = json.dumps(openai("Unknown parameter: 'seed'.")).encode()
    assert troubles.read(400, {}, raw, {"max_tokens"}).meaning is Meaning.REFUSED
    assert troubles.read(400, {}, raw, {"seed"}).fields == ("seed",)


@pytest.mark.parametrize(
    "body, said",
    [
        ({"error": {"message": "a"}}, "a"),
        ({"error": "a"}, "a"),
        ([{"error": {"message": "a"}}], "a"),
        ({"detail": [{"msg": "a"}]}, "a"),
        ({"object": "error", "message": "a"}, "a"),
        ("<html>a", "<html>a"),
        ({"code": 7}, '{"code": 7}'),
        ({}, "{}"),
    ],
)
def test_what_an_error_says(body, said):
    assert read(400, body).message == said
