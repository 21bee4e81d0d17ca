// The SDK for Node.js on a leash: one JSON command a line on standard input, one JSON answer a line
// on standard output. The same calls as in clients.py, with the same plain values as results.

import { File } from "node:buffer";
import readline from "node:readline";
import OpenAI, { toFile } from "openai";

// Debian 12 has Node 18, where the SDK wants to be given what later ones have as a global.
globalThis.File ??= File;

const MESSAGES = (text) => [{ role: "user", content: text }];

async function collect(stream, pick) {
  let text = "";
  try {
    for await (const event of stream) text += pick(event) ?? "";
  } catch (error) {
    error.received = text;
    throw error;
  }
  return text;
}

const CALLS = {
  chat: async (c, text) =>
    (await c.chat.completions.create({ model: "gpt-test", messages: MESSAGES(text) })).choices[0]
      .message.content,
  chat_stream: async (c, text) =>
    collect(
      await c.chat.completions.create({ model: "gpt-test", messages: MESSAGES(text), stream: true }),
      (chunk) => chunk.choices[0]?.delta?.content,
    ),
  responses: async (c, text) =>
    (await c.responses.create({ model: "gpt-test", input: text, store: false })).output_text,
  responses_stream: async (c, text) =>
    collect(
      await c.responses.create({ model: "gpt-test", input: text, store: false, stream: true }),
      (event) => (event.type === "response.output_text.delta" ? event.delta : ""),
    ),
  embeddings: async (c, text) =>
    String((await c.embeddings.create({ model: "embed-test", input: text })).data[0].embedding.length),
  images: async (c, text) =>
    (await c.images.generate({ model: "gpt-image-test", prompt: text })).data[0].b64_json,
  speech: async (c, text) => {
    const answer = await c.audio.speech.create({ model: "tts-test", voice: "alloy", input: text });
    return String((await answer.arrayBuffer()).byteLength);
  },
  transcription: async (c) =>
    (
      await c.audio.transcriptions.create({
        model: "whisper-test",
        file: await toFile(Buffer.alloc(5000, 7), "speech.mp3"),
      })
    ).text,
  models: async (c) => String((await c.models.list()).data.length),
  moderations: async (c, text) =>
    String((await c.moderations.create({ model: "moderation-test", input: text })).results[0].flagged),
};

async function many({ call, count, concurrency }, client) {
  let next = 0;
  const failures = [];
  const lane = async () => {
    while (next < count) {
      const text = `number ${next++}`;
      const value = await CALLS[call](client, text).catch((error) => failures.push(String(error)));
      if (typeof value === "string" && !value.includes(text)) failures.push(`not ${text}: ${value}`);
    }
  };
  await Promise.all(Array.from({ length: concurrency }, lane));
  return { value: String(count - failures.length), failures: failures.slice(0, 5) };
}

async function answer(command) {
  const client = new OpenAI(command.client);
  try {
    if (command.many) return await many(command.many, client);
    return { value: await CALLS[command.call](client, command.text) };
  } catch (error) {
    const { name } = error.constructor;
    return { error: name, status: error.status ?? null, code: error.code ?? null,
             message: String(error.message), received: error.received ?? "" };
  }
}

for await (const line of readline.createInterface({ input: process.stdin })) {
  console.log(JSON.stringify(await answer(JSON.parse(line))));
}
