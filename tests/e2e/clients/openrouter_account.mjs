// OpenRouter's own client looks after an account; FREEWAY_URL says where, FREEWAY_KEY with which key.
import assert from "node:assert/strict";
import { OpenRouter } from "@openrouter/sdk";
import * as errors from "@openrouter/sdk/models/errors";

const connect = (apiKey) =>
  new OpenRouter({ apiKey, serverURL: `${process.env.FREEWAY_URL}/api/v1`, retryConfig: { strategy: "none" } });
const client = connect(process.env.FREEWAY_KEY);
const chatRequest = { model: "auto", messages: [{ role: "user", content: "What is the capital of France?" }], stream: false };
const COST = 0.000058;

const tests = {
  async "an answer and what it cost"() {
    const answer = await client.chat.send({ chatRequest });
    const { data } = await client.generations.getGeneration({ id: answer.id });
    assert.equal(data.id, answer.id);
    assert.equal(data.totalCost, COST);
    assert.equal(data.tokensPrompt, 14);
    assert.equal(data.finishReason, "stop");
  },
  async "the key in use"() {
    const { data } = await client.apiKeys.getCurrentKeyMetadata();
    assert.equal(data.usage, COST);
    assert.equal(data.limit, null);
    assert.equal(data.isFreeTier, true);
  },
  async credits() {
    const { data } = await client.credits.getCredits();
    assert.deepEqual([data.totalCredits, data.totalUsage], [10, COST]);
  },
  async activity() {
    const { data } = await client.analytics.getUserActivity();
    assert.deepEqual(data.map((row) => [row.model, row.requests, row.usage]), [["alpha/chat:free", 1, COST]]);
  },
  async "keys are made, listed and deleted"() {
    const expiresAt = new Date(Date.now() + 3_600_000);
    const made = await client.apiKeys.create({ requestBody: { name: "batch", limit: 0.25, expiresAt } });
    assert.equal(made.data.limit, 0.25);
    assert.equal(made.data.expiresAt.getTime(), expiresAt.getTime());
    const { data } = await client.apiKeys.list();
    assert.deepEqual(data.map((key) => key.hash).includes(made.data.hash), true);
    const shown = await client.apiKeys.get({ hash: made.data.hash });
    assert.equal(shown.data.name, "batch");
    const other = connect(made.key);
    await other.chat.send({ chatRequest });
    assert.equal((await client.apiKeys.get({ hash: made.data.hash })).data.usage, COST);
    await assert.rejects(other.apiKeys.list(), (e) => e.statusCode === 403);
    assert.equal((await client.apiKeys.delete({ hash: made.data.hash })).deleted, true);
    await assert.rejects(other.chat.send({ chatRequest }), (e) => e instanceof errors.UnauthorizedResponseError);
  },
  async "what is not there"() {
    await assert.rejects(client.generations.getGeneration({ id: "gen-1-none" }), (e) => e instanceof errors.NotFoundResponseError);
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
