"""The proxies under test and the static upstream: how each is configured, started and stopped."""

import os
import pathlib
import select
import shutil
import socket
import string
import subprocess
import time

from . import processes

READY_PATIENCE_S = 10
BEARER = "sk-proj-benchbenchbenchbenchbenchbenchbenchBNCH"
ANSWER_BYTES = 900

# nginx closes a connection after 1,000 requests unless told otherwise, on both sides of a proxy;
# here no connection may end within a run. A root master would give its workers another user's
# rights, who could not write the run's directory.
NGINX_FRAME = """
worker_processes 1;
daemon off;
$user
pid $dir/nginx.pid;
error_log $dir/error.log warn;
worker_rlimit_nofile 20000;
events { worker_connections 19000; }
http {
    access_log off;
    client_body_temp_path $dir/body;
    proxy_temp_path $dir/proxy;
    fastcgi_temp_path $dir/fastcgi;
    scgi_temp_path $dir/scgi;
    uwsgi_temp_path $dir/uwsgi;
    keepalive_requests 1000000000;
    keepalive_timeout 600s;
$body
}
"""

NGINX_PROXY = """
    upstream openai {
        server 127.0.0.1:$upstream;
        keepalive 64;
        keepalive_requests 1000000000;
    }
    server {
        listen 127.0.0.1:$port backlog=4096;
        location / {
            proxy_pass http://openai;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_read_timeout 600s;
            $buffering
        }
    }
"""

NGINX_STATIC = """
    server {
        listen 127.0.0.1:$port backlog=4096;
        location = /v1/traces {
            client_max_body_size 4m;
            return 200;
        }
        location = /v1/chat/completions {
            default_type application/json;
            add_header access-control-expose-headers X-Request-ID;
            add_header openai-organization bench-org;
            add_header openai-processing-ms 412;
            add_header openai-project proj_bench;
            add_header openai-version 2020-10-01;
            add_header x-ratelimit-limit-requests 10000;
            add_header x-ratelimit-limit-tokens 30000000;
            add_header x-ratelimit-remaining-requests 9999;
            add_header x-ratelimit-remaining-tokens 29999912;
            add_header x-ratelimit-reset-requests 6ms;
            add_header x-ratelimit-reset-tokens 0s;
            add_header x-request-id req_6f1d0c8b7a5e4d3c2b1a0f9e8d7c6b5a;
            add_header strict-transport-security "max-age=31536000; includeSubDomains; preload";
            add_header cf-cache-status DYNAMIC;
            add_header set-cookie "__cf_bm=benchbenchbenchbenchbenchbench; path=/; HttpOnly; Secure";
            add_header x-content-type-options nosniff;
            add_header cf-ray 8f0123456789abcd-FRA;
            add_header alt-svc 'h3=":443"; ma=86400';
            return 200 '$answer';
        }
    }
"""

HAPROXY = """
global
    nbthread 1
    maxconn 9500
    ulimit-n 20000
defaults
    mode http
    http-reuse always
    option http-no-delay
    timeout connect 5s
    timeout client 600s
    timeout server 600s
    timeout http-keep-alive 600s
frontend front
    bind 127.0.0.1:$port backlog 4096
    default_backend openai
backend openai
    server upstream 127.0.0.1:$upstream
"""


class StartError(Exception):
    pass


def answer():
    """A chat completion of exactly ANSWER_BYTES, as `return` of nginx can say it: no ' and no $."""
    start = (
        '{"id":"chatcmpl-Bench0123456789","object":"chat.completion","created":1790000000,'
        '"model":"gpt-5.4-mini-2026-03-17","choices":[{"index":0,"message":{"role":"assistant",'
        '"content":"'
    )
    end = (
        '","refusal":null,"annotations":[]},"logprobs":null,"finish_reason":"stop"}],'
        '"usage":{"prompt_tokens":61,"completion_tokens":97,"total_tokens":158,'
        '"prompt_tokens_details":{"cached_tokens":0,"audio_tokens":0},'
        '"completion_tokens_details":{"reasoning_tokens":0,"audio_tokens":0,'
        '"accepted_prediction_tokens":0,"rejected_prediction_tokens":0}},'
        '"service_tier":"default","system_fingerprint":"fp_bench"}'
    )
    sentence = "A connection kept alive saves the handshakes of the next request. "
    room = ANSWER_BYTES - len(start) - len(end)
    return start + (sentence * (room // len(sentence) + 1))[:room] + end


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for_port(name, process, port, log):
    """Neither nginx nor HAProxy says when it is ready: ask until it accepts."""
    deadline = time.monotonic() + READY_PATIENCE_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise StartError(f"{name} ended with {process.returncode}: {log()}")
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.01)
    raise StartError(f"{name} does not accept connections: {log()}")


class Server:
    """A running server: `name`, `port`, `process`, and the path of its log when that is known."""

    def __init__(self, name, port, process, log_path=None):
        self.name, self.port, self.process, self.log_path = name, port, process, log_path

    def pin(self, cpus):
        processes.pin(self.process.pid, cpus)

    def cpu_ns(self):
        return processes.cpu_ns(self.process.pid)

    def resident_bytes(self):
        return processes.resident_bytes(self.process.pid)

    def stop(self):
        processes.stop(self.process)


def fill(template, **values):
    return string.Template(template).substitute(values)


def start_from_file(name, directory, config, argv, port, cpus):
    directory.mkdir(parents=True)
    path = directory / "conf"
    path.write_text(config)
    log_path = directory / "log"
    with open(log_path, "wb") as log:
        process = processes.spawn(
            [*argv, str(path)], cpus, stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )
    wait_for_port(name, process, port, lambda: log_path.read_text()[-500:])
    return Server(name, port, process)


def find(program):
    """Debian puts servers where a user's PATH does not look."""
    path = shutil.which(program, path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")
    if not path:
        raise StartError(f"{program} is not installed: tools/install-deps bench")
    return path


def start_nginx(name, directory, body, cpus, **values):
    port = free_port()
    body = fill(body, port=port, **values)
    user = "user root;" if os.getuid() == 0 else ""
    config = fill(NGINX_FRAME, user=user, dir=directory, body=body)
    argv = [find("nginx"), "-e", str(directory / "error.log"), "-p", str(directory), "-c"]
    return start_from_file(name, directory, config, argv, port, cpus)


def start_static_upstream(directory, cpus):
    return start_nginx("static upstream", directory, NGINX_STATIC, cpus, answer=answer())


def start_nginx_proxy(directory, upstream, cpus, streaming):
    buffering = "proxy_buffering off;" if streaming else ""
    return start_nginx("nginx", directory, NGINX_PROXY, cpus, upstream=upstream, buffering=buffering)


def start_haproxy(directory, upstream, cpus, streaming):
    del streaming  # it never buffers a body
    port = free_port()
    config = fill(HAPROXY, port=port, upstream=upstream)
    return start_from_file(
        "haproxy", directory, config, [find("haproxy"), "-q", "-db", "-f"], port, cpus
    )


def sparekey_environment(upstream, port, keys_file):
    """The gateway with its defaults: everything it does for a request stays switched on."""
    keys = {"SPAREKEY_KEYS_FILE": str(keys_file)} if keys_file else {"OPENAI_API_KEY": BEARER}
    return {
        "PATH": "/usr/bin:/bin",
        **keys,
        "SPAREKEY_UPSTREAM_URL": f"http://127.0.0.1:{upstream}/v1",
        "SPAREKEY_LISTEN": f"127.0.0.1:{port}",
        "SPAREKEY_WORKERS": "1",
    }


def wait_for_ready_line(process, log):
    """`serve` says on stdout when it is ready: one line, and no guessing."""
    readable, _, _ = select.select([process.stdout], [], [], READY_PATIENCE_S)
    line = process.stdout.readline().decode() if readable else ""
    if line.startswith("sparekey: ready at "):
        return
    if line:
        raise StartError(f"sparekey serve said {line!r} instead of its ready line")
    if readable:
        raise StartError(f"sparekey serve ended with {process.wait()}: {log()}")
    raise StartError(f"sparekey serve was not ready within {READY_PATIENCE_S} s")


def wait_for_log(server, text):
    """Logs are files here, which wake nobody up."""
    deadline = time.monotonic() + READY_PATIENCE_S
    while text not in server.log_path.read_text():
        if time.monotonic() > deadline or server.process.poll() is not None:
            raise StartError(f"{server.name} has not logged {text}: {server.log_path.read_text()[-500:]}")
        time.sleep(0.001)


def sparekey_binary():
    root = pathlib.Path(__file__).resolve().parents[2]
    return root / os.environ.get("BUILD", "build") / "sparekey"


def start_sparekey(directory, upstream, cpus, streaming, under=(), keys_file=None,
                   environment=None, stderr=None):
    """`under`: a command that runs it, such as a profiler. `keys_file`: in place of the one key.
    `stderr`: where the log goes, in place of a file in `directory`."""
    del streaming
    directory.mkdir(parents=True)
    port = free_port()
    log_path = directory / "log"
    with open(log_path, "wb") as log:
        process = processes.spawn(
            [*under, str(sparekey_binary()), "serve"], cpus, cwd=directory,
            env={**sparekey_environment(upstream, port, keys_file), **(environment or {})},
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=stderr or log,
        )
    wait_for_ready_line(process, lambda: log_path.read_text()[-500:])
    return Server("sparekey", port, process, log_path)


PROXIES = {"sparekey": start_sparekey, "nginx": start_nginx_proxy, "haproxy": start_haproxy}
