"""The official Python client against the router; FREEWAY_URL says where it is."""

import asyncio
import os

import openai
from openai import AsyncOpenAI, OpenAI

BASE = os.environ["FREEWAY_URL"] + "/v1"
client = OpenAI(base_url=BASE, api_key="unused", max_retries=0)
QUESTION = [{"role": "user", "content": "What is the capital of France?"}]
TOOLS = [{"type": "function", "function": {"name": "weather", "parameters": {
    "type": "object", "properties": {"city": {"type": "string"}}}}}]
IMAGE = [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}]}]


def chat(model="auto", messages=QUESTION, **more):
    return client.chat.completions.create(model=model, messages=messages, **more)


def raises(error, call):
    try:
        call()
    except error as raised:
        return raised
    raise AssertionError(f"no {error.__name__}")


def a_whole_answer():
    answer = chat()
    assert answer.choices[0].message.content == "Paris is the capital of France."
    assert answer.choices[0].finish_reason == "stop"
    assert answer.model == "alpha/chat:free" and answer.id.startswith("gen-")
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens, answer.usage.total_tokens) == (14, 3, 17)
    assert answer._request_id


def a_stream():
    chunks = list(chat(stream=True))
    assert "".join(c.choices[0].delta.content or "" for c in chunks) == "Paris is the capital of France."
    assert chunks[0].choices[0].delta.role == "assistant"
    assert [c.choices[0].finish_reason for c in chunks if c.choices[0].finish_reason] == ["stop"]
    assert len({(c.id, c.model, c.created) for c in chunks}) == 1
    assert all(c.usage is None for c in chunks)


def a_stream_with_usage():
    chunks = list(chat(stream=True, stream_options={"include_usage": True}))
    assert [c.usage.total_tokens for c in chunks if c.usage] == [17]
    assert chunks[-1].choices == [] and chunks[-1].usage.prompt_tokens == 14


def the_stream_helper():
    with client.chat.completions.stream(model="auto", messages=QUESTION) as stream:
        for _ in stream:
            pass
        final = stream.get_final_completion()
    assert final.choices[0].message.content == "Paris is the capital of France."


def tools():
    answer = chat(model="tools/chat:free", tools=TOOLS)
    call = answer.choices[0].message.tool_calls[0]
    assert (call.function.name, call.function.arguments) == ("weather", '{"city":"Paris"}')
    assert answer.choices[0].finish_reason == "tool_calls"
    arguments, finish = "", None
    for chunk in chat(model="tools/chat:free", tools=TOOLS, stream=True):
        choice = chunk.choices[0]
        for part in choice.delta.tool_calls or []:
            assert part.index == 0
            arguments += part.function.arguments or ""
        finish = choice.finish_reason or finish
    assert (arguments, finish) == ('{"city":"Paris"}', "tool_calls")


def odd_providers():
    assert chat(model="odd/chat:free").choices[0].message.content == "Odd."
    text = "".join(c.choices[0].delta.content or "" for c in chat(model="odd/chat:free", stream=True))
    assert text == "Odd."


def silence_is_survived():
    text = "".join(c.choices[0].delta.content or "" for c in chat(model="quiet/chat:free", stream=True))
    assert text == "Finally."


def a_cut_stream_is_an_error():
    seen = []

    def read():
        for chunk in chat(model="cut/chat:free", stream=True):
            seen.append(chunk.choices[0].delta.content or "")

    error = raises(openai.APIError, read)
    assert "".join(seen) == "Once upon", seen
    assert error.code and error.message


def errors():
    error = raises(openai.BadRequestError, lambda: chat(messages=[]))
    assert error.param == "messages" and error.type == "invalid_request_error" and error.request_id
    error = raises(openai.NotFoundError, lambda: chat(model="no/such-model"))
    assert error.code == "model_not_found"
    error = raises(openai.NotFoundError, lambda: chat(messages=IMAGE))
    assert error.code == "no_endpoints" and error.body["metadata"]["missing"]
    error = raises(openai.RateLimitError, lambda: chat(model="busy/chat:free"))
    assert error.code == "rate_limit_exceeded" and 1 <= int(error.response.headers["retry-after"]) <= 30
    error = raises(openai.BadRequestError, lambda: chat(temperature=9))
    assert error.param == "temperature"


def models():
    ids = [m.id for m in client.models.list()]
    assert "auto" in ids and "alpha/chat:free" in ids
    assert client.models.retrieve("auto").id == "auto"
    assert client.models.retrieve("openrouter/auto").id == "openrouter/auto"


def extra_members_pass():
    assert chat(extra_body={"provider": {"only": ["alpha"]}, "from_the_future": {"a": [1]}}).model == "alpha/chat:free"


def many_at_once():
    async def main():
        async with AsyncOpenAI(base_url=BASE, api_key="unused", max_retries=0) as many:
            answers = await asyncio.gather(*(
                many.chat.completions.create(model="auto", messages=QUESTION) for _ in range(20)))
            assert all(a.choices[0].message.content.startswith("Paris") for a in answers)
            assert len({a.id for a in answers}) == 20

    asyncio.run(main())


TESTS = [a_whole_answer, a_stream, a_stream_with_usage, the_stream_helper, tools, odd_providers, silence_is_survived,
         a_cut_stream_is_an_error, errors, models, extra_members_pass, many_at_once]
for test in TESTS:
    try:
        test()
    except BaseException:
        print(f"failed: {test.__name__}", flush=True)
        raise
print(f"passed {len(TESTS)}")
