// The official Node client against the router; FREEWAY_URL says where it is.
import assert from "node:assert/strict";
import OpenAI from "openai";

const client = new OpenAI({ baseURL: `${process.env.FREEWAY_URL}/v1`, apiKey: "unused", maxRetries: 0 });
const messages = [{ role: "user", content: "What is the capital of France?" }];
const image = [{ role: "user", content: [{ type: "image_url", image_url: { url: "data:image/png;base64,iVBORw0KGgo=" } }] }];
const chat = (more = {}) => client.chat.completions.create({ model: "auto", messages, ...more });

async function text(stream) {
  let text = "";
  for await (const chunk of stream) text += chunk.choices[0].delta.content ?? "";
  return text;
}

const tests = {
  async "a whole answer"() {
    const answer = await chat();
    assert.equal(answer.choices[0].message.content, "Paris is the capital of France.");
    assert.equal(answer.model, "alpha/chat:free");
    assert.equal(answer.usage.total_tokens, 17);
    assert.ok(answer._request_id);
  },
  async "a stream"() {
    assert.equal(await text(await chat({ stream: true })), "Paris is the capital of France.");
  },
  async "a stream with usage"() {
    const usages = [];
    for await (const chunk of await chat({ stream: true, stream_options: { include_usage: true } }))
      if (chunk.usage) usages.push([chunk.usage.total_tokens, chunk.choices.length]);
    assert.deepEqual(usages, [[17, 0]]);
  },
  async "tools in a stream"() {
    const runner = client.chat.completions.stream({
      model: "tools/chat:free", messages,
      tools: [{ type: "function", function: { name: "weather", parameters: { type: "object" } } }],
    });
    const final = await runner.finalChatCompletion();
    assert.equal(final.choices[0].finish_reason, "tool_calls");
    assert.equal(final.choices[0].message.tool_calls[0].function.arguments, '{"city":"Paris"}');
  },
  async "odd providers"() {
    assert.equal((await chat({ model: "odd/chat:free" })).choices[0].message.content, "Odd.");
    assert.equal(await text(await chat({ model: "odd/chat:free", stream: true })), "Odd.");
  },
  async "a cut stream is an error"() {
    let seen = "";
    const read = async () => {
      for await (const chunk of await chat({ model: "cut/chat:free", stream: true }))
        seen += chunk.choices[0].delta.content ?? "";
    };
    await assert.rejects(read, (error) => error instanceof OpenAI.APIError && Boolean(error.code));
    assert.equal(seen, "Once upon");
  },
  async errors() {
    await assert.rejects(chat({ messages: [] }), (e) => e instanceof OpenAI.BadRequestError && e.param === "messages" && Boolean(e.requestID));
    await assert.rejects(chat({ messages: image }), (e) => e instanceof OpenAI.NotFoundError && e.code === "no_endpoints");
    await assert.rejects(chat({ model: "busy/chat:free" }), (e) => e instanceof OpenAI.RateLimitError);
  },
  async models() {
    const ids = [];
    for await (const model of client.models.list()) ids.push(model.id);
    assert.ok(ids.includes("auto"));
    assert.equal((await client.models.retrieve("openrouter/auto")).id, "openrouter/auto");
  },
};

for (const [name, test] of Object.entries(tests)) {
  try {
    await test();
  } catch (error) {
    console.log(`failed: ${name}`);
    throw error;
  }
}
console.log(`passed ${Object.keys(tests).length}`);
