"""An application that knows nothing of Sparekey."""

from openai import OpenAI

client = OpenAI()
question = [{"role": "user", "content": "is anybody there?"}]
answer = client.chat.completions.create(model="gpt-test", messages=question)
print(answer.choices[0].message.content)
for chunk in client.chat.completions.create(model="gpt-test", messages=question, stream=True):
    if chunk.choices and chunk.choices[0].delta.content:
        print(chunk.choices[0].delta.content, end="")
print()
