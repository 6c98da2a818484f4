// The Vercel AI SDK with OpenRouter's provider against the router; FREEWAY_URL says where it is.
import assert from "node:assert/strict";
import { createOpenRouter } from "@openrouter/ai-sdk-provider";
import { APICallError, generateText, streamText, tool } from "ai";
import { z } from "zod";

const router = createOpenRouter({ apiKey: "unused", baseURL: `${process.env.FREEWAY_URL}/api/v1` });
const prompt = "What is the capital of France?";
const call = (model = "auto", more = {}) => ({ model: router.chat(model), prompt, maxRetries: 0, ...more });
const tools = { weather: tool({ description: "weather", inputSchema: z.object({ city: z.string() }) }) };

/** A stream's text, and the error it ended with. */
async function read(model, more) {
  let failure;
  const result = streamText(call(model, { onError: ({ error }) => { failure = error; }, ...more }));
  let text = "";
  for await (const part of result.textStream) text += part;
  return { text, failure, result };
}

const tests = {
  async "a whole answer"() {
    const { text, usage, finishReason, response } = await generateText(call());
    assert.equal(text, "Paris is the capital of France.");
    assert.equal(finishReason, "stop");
    assert.equal(usage.totalTokens, 17);
    assert.equal(response.modelId, "alpha/chat:free");
  },
  async "a stream"() {
    const { text, failure, result } = await read("auto");
    assert.equal(failure, undefined);
    assert.equal(text, "Paris is the capital of France.");
    assert.equal((await result.usage).totalTokens, 17);
  },
  async tools() {
    const { toolCalls, finishReason } = await generateText(call("tools/chat:free", { tools }));
    assert.deepEqual(toolCalls[0].input, { city: "Paris" });
    assert.equal(finishReason, "tool-calls");
    const { result } = await read("tools/chat:free", { tools });
    assert.deepEqual((await result.toolCalls)[0].input, { city: "Paris" });
  },
  async "odd providers"() {
    assert.equal((await generateText(call("odd/chat:free"))).text, "Odd.");
    const { text, failure } = await read("odd/chat:free");
    assert.deepEqual([text, failure], ["Odd.", undefined]);
  },
  async "a cut stream is an error"() {
    const { text, failure } = await read("cut/chat:free");
    assert.equal(text, "Once upon");
    assert.ok(failure, "the caller learns of it");
  },
  async errors() {
    const status = (code) => (error) => APICallError.isInstance(error) && error.statusCode === code;
    await assert.rejects(generateText(call("no/such-model")), status(404));
    await assert.rejects(generateText(call("busy/chat:free")), status(429));
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
