"""The official SDKs behind one face: call(name, text) gives a plain value or raises SdkError."""

import dataclasses
import json
import pathlib
import subprocess

import anyio
import openai

HERE = pathlib.Path(__file__).resolve().parent
SECONDS = 120


@dataclasses.dataclass
class SdkError(Exception):
    """What the SDK raised: its class and what it tells of the answer."""

    name: str
    status: int
    code: str
    message: str
    received: str = "" # of a stream, before it broke


def messages(text):
    return [{"role": "user", "content": text}]


def chunk_text(chunk):
    return (chunk.choices[0].delta.content or "") if chunk.choices else ""


def event_text(event):
    return event.delta if event.type == "response.output_text.delta" else ""


# name: (the method, its arguments, what of the result is looked at); a stream has the last one
# applied to each event.
CALLS = {
    "chat": ("chat.completions.create", {"model": "gpt-test", "messages": messages},
             lambda r: r.choices[0].message.content),
    "chat_stream": ("chat.completions.create",
                    {"model": "gpt-test", "messages": messages, "stream": True}, chunk_text),
    "responses": ("responses.create", {"model": "gpt-test", "input": str, "store": False},
                  lambda r: r.output_text),
    "responses_stream": ("responses.create", {"model": "gpt-test", "input": str, "store": False,
                                              "stream": True}, event_text),
    "embeddings": ("embeddings.create", {"model": "embed-test", "input": str},
                   lambda r: str(len(r.data[0].embedding))),
    "images": ("images.generate", {"model": "gpt-image-test", "prompt": str},
               lambda r: r.data[0].b64_json),
    "speech": ("audio.speech.create", {"model": "tts-test", "voice": "alloy", "input": str},
               lambda r: str(len(r.content))),
    "transcription": ("audio.transcriptions.create",
                      {"model": "whisper-test",
                       "file": lambda _: ("speech.mp3", b"\7" * 5000, "audio/mpeg")},
                      lambda r: r.text),
    "models": ("models.list", {}, lambda r: str(len(r.data))),
    "moderations": ("moderations.create", {"model": "moderation-test", "input": str},
                    lambda r: str(r.results[0].flagged).lower()),
}
STREAMS = ("chat_stream", "responses_stream")


def find(client, method):
    for name in method.split("."):
        client = getattr(client, name)
    return client


def arguments(template, text):
    return {name: value(text) if callable(value) else value for name, value in template.items()}


def translate(error, received):
    return SdkError(type(error).__name__, getattr(error, "status_code", None),
                    getattr(error, "code", None), str(error), received)


class PythonSync:
    """openai.OpenAI"""

    def __init__(self, base_url, **options):
        self.client = openai.OpenAI(base_url=base_url, api_key="of-the-client", **options)

    def call(self, name, text="hello"):
        method, template, pick = CALLS[name]
        received = ""
        try:
            result = find(self.client, method)(**arguments(template, text))
            if name not in STREAMS:
                return pick(result)
            for event in result:
                received += pick(event)
            return received
        except Exception as error: # whatever it raises is what is looked at
            raise translate(error, received) from error

    def close(self):
        self.client.close()


class PythonAsync:
    """openai.AsyncOpenAI"""

    def __init__(self, base_url, **options):
        self.options = {"base_url": base_url, "api_key": "of-the-client", **options}

    async def _call(self, client, name, text):
        method, template, pick = CALLS[name]
        received = ""
        try:
            result = await find(client, method)(**arguments(template, text))
            if name not in STREAMS:
                return pick(result)
            async for event in result:
                received += pick(event)
            return received
        except Exception as error:
            raise translate(error, received) from error

    def call(self, name, text="hello"):
        async def one():
            async with openai.AsyncOpenAI(**self.options) as client:
                return await self._call(client, name, text)
        return anyio.run(one)

    def many(self, name, count, concurrency):
        """How many of `count` calls, so many at a time, gave what they had to."""
        served, numbers = 0, iter(range(count))

        async def lane(client):
            nonlocal served
            for number in numbers:
                text = f"number {number}"
                value = await self._call(client, name, text)
                served += text in value

        async def all_lanes():
            async with openai.AsyncOpenAI(**self.options) as client:
                async with anyio.create_task_group() as group:
                    for _ in range(concurrency):
                        group.start_soon(lane, client)
        anyio.run(all_lanes)
        return served

    def close(self):
        pass


class Driver:
    """The process behind the SDK for Node.js: one for all tests of a run."""

    def __init__(self):
        self.child = subprocess.Popen(["node", HERE / "driver.mjs"], stdin=subprocess.PIPE,
                                      stdout=subprocess.PIPE, text=True)

    def ask(self, command):
        self.child.stdin.write(json.dumps(command) + "\n")
        self.child.stdin.flush()
        line = self.child.stdout.readline()
        assert line, "the driver has ended"
        return json.loads(line)

    def close(self):
        self.child.stdin.close()
        self.child.wait(SECONDS)
        self.child.stdout.close()


class Node:
    """openai of npm"""

    def __init__(self, base_url, driver, max_retries=2):
        self.driver = driver
        self.client = {"baseURL": base_url, "apiKey": "of-the-client", "maxRetries": max_retries}

    def call(self, name, text="hello"):
        told = self.driver.ask({"client": self.client, "call": name, "text": text})
        if "error" in told:
            raise SdkError(told["error"], told["status"], told["code"], told["message"],
                           told["received"])
        return told["value"]

    def many(self, name, count, concurrency):
        told = self.driver.ask({"client": self.client, "many": {
            "call": name, "count": count, "concurrency": concurrency}})
        assert not told["failures"], told["failures"]
        return int(told["value"])

    def close(self):
        pass
