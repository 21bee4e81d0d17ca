// An application that knows nothing of Sparekey.

import OpenAI from "openai";

const client = new OpenAI();
const messages = [{ role: "user", content: "is anybody there?" }];
const answer = await client.chat.completions.create({ model: "gpt-test", messages });
console.log(answer.choices[0].message.content);
const stream = await client.chat.completions.create({ model: "gpt-test", messages, stream: true });
for await (const chunk of stream) {
  process.stdout.write(chunk.choices[0]?.delta?.content ?? "");
}
console.log();
