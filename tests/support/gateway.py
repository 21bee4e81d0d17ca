"""The gateway (sparekey serve) and the simplest of its clients."""

import re
import ssl
import urllib.parse

import httpx

from .mock import secret
from .process import PATIENCE_SECONDS, Failed, Process, leak_in

CHAT = "/v1/chat/completions"
MODEL = "gpt-test"


def key_variables(names):
    """OPENAI_API_KEY and its fallbacks; [None]: none of them."""
    names = [name for name in names if name]
    variables = {f"OPENAI_API_KEY_FALLBACK_{i}": secret(n) for i, n in enumerate(names[1:], 1)}
    return {**({"OPENAI_API_KEY": secret(names[0])} if names else {}), **variables}


def chat_body(text="hello", **more):
    return {"model": MODEL, "messages": [{"role": "user", "content": text}], **more}


def secrets_of(environment):
    """Keys, tokens, and the part of a webhook that is a password."""
    found = [v for k, v in environment.items() if k.startswith("OPENAI_API_KEY")]
    found += [token.strip() for token in environment.get("SPAREKEY_CLIENT_TOKENS", "").split(",")]
    found += [environment.get("SPAREKEY_ADMIN_TOKEN", "")]
    found += environment.get("SPAREKEY_ALERT_WEBHOOK", "").split("/", 3)[3:]
    return [one for one in found if one]


class Gateway(Process):
    """`keys`: short names, the primary first. `settings`: the environment besides."""

    def __init__(self, directory, upstream, keys=("a",), name="gateway", arguments=(),
                 terminal=False, **settings):
        environment = {
            **key_variables(keys),
            "SPAREKEY_LISTEN": "127.0.0.1:0",
            "SPAREKEY_UPSTREAM_URL": upstream,
            "SPAREKEY_LOG_LEVEL": "debug",
            "OPENAI_HEALTH_CHECK_INTERVAL": "0",
            "SPAREKEY_MAX_WAIT": "0",  # tests of waiting turn it on
            **settings,
        }
        super().__init__(name, ["serve", *arguments], directory, environment, terminal)
        self.secrets = secrets_of(environment)
        line = self.first_line()
        told = re.search(r"ready at (http\S+)/v1$", line)
        if not told:
            raise Failed(f"{name}: not a ready line: {line!r}")
        self.origin = told[1]
        parts = urllib.parse.urlsplit(self.origin)
        self.address = (parts.hostname, parts.port)
        # Six attempts with their backoffs may take 20 s by themselves. No bound on idle connections:
        # httpcore closes those beyond it under the feet of other threads.
        certificate = environment.get("SPAREKEY_TLS_CERT")
        trust = ssl.create_default_context(cafile=certificate) if certificate else True
        self.client = httpx.Client(base_url=self.origin, trust_env=False, verify=trust,
                                   timeout=3 * PATIENCE_SECONDS,
                                   limits=httpx.Limits(max_keepalive_connections=None),
                                   headers={"authorization": "Bearer of-the-client"})

    def request(self, method, path, **options):
        """Asks, and sees to it that the answer holds no key."""
        answer = self.client.request(method, path, **options)
        self.check_answer(str(answer.headers).encode() + answer.content)
        return answer

    def check_answer(self, data):
        if found := leak_in(data, self.secrets):
            raise Failed(f"an answer tells of a secret: {found}")

    def get(self, path, **options):
        return self.request("GET", path, **options)

    def chat(self, text="hello", headers=None, **more):
        return self.request("POST", CHAT, json=chat_body(text, **more), headers=headers)

    def health(self):
        return self.get("/api/openai/health").json()

    def kill(self):
        self.client.close()
        super().kill()


def trail_of(answer):
    trail = answer.headers.get("x-sparekey-trail", "")
    return trail.split(",") if trail else []


def text_of(answer):
    assert answer.status_code == 200, f"{answer.status_code} {answer.text[:500]}"
    return answer.json()["choices"][0]["message"]["content"]
