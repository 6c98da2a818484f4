// OpenRouter's own client, the strictest there is, against the router; FREEWAY_URL says where it is.
import assert from "node:assert/strict";
import { OpenRouter } from "@openrouter/sdk";
import * as errors from "@openrouter/sdk/models/errors";

const client = new OpenRouter({ apiKey: "unused", serverURL: `${process.env.FREEWAY_URL}/api/v1`, retryConfig: { strategy: "none" } });
const messages = [{ role: "user", content: "What is the capital of France?" }];
const chat = (more = {}) => client.chat.send({ chatRequest: { model: "auto", messages, stream: false, ...more } });

async function chunksOf(stream) {
  const chunks = [];
  for await (const chunk of stream) chunks.push(chunk);
  return chunks;
}
const textOf = (chunks) => chunks.map((c) => c.choices[0]?.delta?.content ?? "").join("");

const tests = {
  async "a whole answer"() {
    const answer = await chat();
    assert.equal(answer.choices[0].message.content, "Paris is the capital of France.");
    assert.equal(answer.model, "alpha/chat:free");
    assert.equal(answer.usage.totalTokens, 17);
  },
  async "a stream with usage"() {
    const chunks = await chunksOf(await chat({ stream: true }));
    assert.equal(textOf(chunks), "Paris is the capital of France.");
    assert.deepEqual(chunks.filter((c) => c.usage).map((c) => c.usage.totalTokens), [17]);
  },
  async tools() {
    const tools = [{ type: "function", function: { name: "weather", parameters: { type: "object" } } }];
    const answer = await chat({ model: "tools/chat:free", tools });
    assert.equal(answer.choices[0].message.toolCalls[0].function.arguments, '{"city":"Paris"}');
    const chunks = await chunksOf(await chat({ model: "tools/chat:free", tools, stream: true }));
    const parts = chunks.flatMap((c) => c.choices[0]?.delta?.toolCalls ?? []);
    assert.equal(parts.map((p) => p.function?.arguments ?? "").join(""), '{"city":"Paris"}');
  },
  async "odd providers"() {
    assert.equal((await chat({ model: "odd/chat:free" })).choices[0].message.content, "Odd.");
    assert.equal(textOf(await chunksOf(await chat({ model: "odd/chat:free", stream: true }))), "Odd.");
  },
  async "a cut stream carries its error"() {
    const chunks = await chunksOf(await chat({ model: "cut/chat:free", stream: true }));
    assert.equal(textOf(chunks), "Once upon");
    const last = chunks.at(-1);
    assert.ok(Number.isInteger(last.error.code), JSON.stringify(last));
    assert.equal(last.choices[0].finishReason, "error");
  },
  async "errors have their classes"() {
    await assert.rejects(chat({ messages: [] }), (e) => e instanceof errors.BadRequestResponseError || e instanceof errors.SDKValidationError);
    await assert.rejects(chat({ temperature: 1, model: "no/such-model" }), (e) => e instanceof errors.NotFoundResponseError);
    await assert.rejects(chat({ model: "busy/chat:free" }), (e) => e instanceof errors.TooManyRequestsResponseError);
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
