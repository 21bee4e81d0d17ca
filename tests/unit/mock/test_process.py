"""The mock as a process, over real sockets: every fault as a client meets it, the control port,
the journal. Usage: test_process.py PATH_TO_SPAREKEY"""

import base64
import http.client
import json
import os
import signal
import socket
import ssl
import struct
import subprocess
import sys
import tempfile
import threading
import time
import unittest
import wave
import io
import zlib

SPAREKEY = os.path.abspath(sys.argv.pop(1))
CHAT = "/v1/chat/completions"
RESPONSES = "/v1/responses"
PLAIN = {"model": "m", "messages": [{"role": "user", "content": "hello big world"}]}
STREAM = {**PLAIN, "stream": True}
RESPONSE = {"model": "m", "stream": True, "input": "hello big world"}
PATIENCE_S = 30


class Mock:
    def __init__(self, *arguments):
        self.process = subprocess.Popen(
            [SPAREKEY, "mock", "--seed", "7", *arguments],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(self.process.stderr.read())
        self.ready = json.loads(line)
        self.port = int(self.ready["url"].rsplit(":", 1)[1].split("/")[0])
        self.control_port = int(self.ready["control"].rsplit(":", 1)[1])

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        _, errors = self.process.communicate(timeout=PATIENCE_S)
        return self.process.returncode, errors

    def control(self, method, path, body=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.control_port, timeout=PATIENCE_S)
        connection.request(method, path, None if body is None else json.dumps(body))
        answer = connection.getresponse()
        value = json.loads(answer.read())
        connection.close()
        return answer.status, value

    def fault(self, name, **more):
        status, value = self.control("POST", "/faults", {"fault": name, "count": 1, **more})
        assert status == 200, value

    def wait(self, **query):
        query.setdefault("timeout_ms", PATIENCE_S * 1000)
        text = "&".join(f"{name}={value}" for name, value in query.items())
        return self.control("GET", "/journal/wait?" + text)[1]

    def open(self, body=PLAIN, path=CHAT, key="sk-a", content_type="application/json"):
        """Sends one request on a connection of its own."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        s = socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE_S)
        s.sendall((f"POST {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\n"
                   f"Content-Type: {content_type}\r\nContent-Length: {len(data)}\r\n"
                   "Connection: close\r\n\r\n").encode() + data)
        return s

    def raw(self, *arguments, **more):
        """The bytes of the answer and how the connection ended."""
        return drain(self.open(*arguments, **more))

    def call(self, path, body, key="sk-a", content_type="application/json"):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_S)
        data = body if isinstance(body, bytes) else json.dumps(body)
        connection.request("POST", path, data,
                           {"Authorization": "Bearer " + key, "Content-Type": content_type})
        answer = connection.getresponse()
        data = answer.read()
        connection.close()
        return answer, data


def drain(s):
    out = b""
    try:
        while data := s.recv(65536):
            out += data
        return out, "eof"
    except ConnectionResetError:
        return out, "reset"
    finally:
        s.close()


def split(answer):
    head, _, body = answer.partition(b"\r\n\r\n")
    fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:])
    return head, fields, body


class MockCase(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.mock = Mock()

    @classmethod
    def tearDownClass(cls):
        code, errors = cls.mock.stop()
        assert (code, errors) == (0, ""), (code, errors)


class Faults(MockCase):
    def meet(self, name, body=PLAIN, path=CHAT, **more):
        self.mock.fault(name, **more)
        return self.mock.raw(body, path)

    def test_no_fault(self):
        answer, end = self.mock.raw()
        head, fields, body = split(answer)
        self.assertEqual(end, "eof")
        self.assertTrue(head.startswith(b"HTTP/1.1 200 OK"))
        self.assertIn(b"echo: hello big world", body)
        for name in (b"x-request-id", b"openai-organization", b"openai-project",
                     b"openai-processing-ms", b"openai-version"):
            self.assertIn(name, fields)

    def test_before_and_in_the_head(self):
        self.assertEqual(self.meet("reset_before_head"), (b"", "reset"))
        self.assertEqual(self.meet("close_before_head"), (b"", "eof"))
        answer, end = self.meet("reset_in_head")
        self.assertEqual((answer, end), (b"HTTP/1.1 200 OK\r\nContent-Ty", "reset"))
        answer, end = self.meet("garbage")
        self.assertNotIn(b"HTTP/1", answer)
        self.assertEqual(end, "eof")

    def test_behind_the_head(self):
        answer, end = self.meet("reset_after_head")
        self.assertTrue(answer.endswith(b"\r\n\r\n"))
        self.assertEqual(end, "reset")
        for name, how in (("reset_mid_body", "reset"), ("cut_mid_body", "eof")):
            answer, end = self.meet(name)
            _, fields, body = split(answer)
            self.assertEqual(len(body), int(fields[b"content-length"]) // 2)
            self.assertEqual(end, how)

    def test_bodies_that_lie(self):
        _, fields, body = split(self.meet("wrong_content_length")[0])
        self.assertEqual(int(fields[b"content-length"]), len(body) // 2)
        _, fields, body = split(self.meet("empty_body")[0])
        self.assertEqual((fields[b"content-length"], body), (b"0", b""))
        _, fields, body = split(self.meet("truncated_json")[0])
        self.assertEqual(int(fields[b"content-length"]), len(body))
        self.assertRaises(ValueError, json.loads, body)

    def test_streams_cut(self):
        for name, how in (("cut_stream", "eof"), ("reset_stream", "reset")):
            answer, end = self.meet(name, STREAM, after=3)
            self.assertEqual((answer.count(b"data: "), end), (3, how))
            self.assertFalse(answer.endswith(b"0\r\n\r\n"))

    def test_streams_that_end_too_well(self):
        for name, stop in (("missing_terminal", False), ("missing_done", True)):
            answer, _ = self.meet(name, STREAM)
            self.assertTrue(answer.endswith(b"0\r\n\r\n"))
            self.assertNotIn(b"[DONE]", answer)
            self.assertEqual(b'"finish_reason":"stop"' in answer, stop)
        self.assertNotIn(b"response.completed", self.meet("missing_terminal", RESPONSE, RESPONSES)[0])

    def test_errors_in_streams(self):
        answer, _ = self.meet("stream_error_before_content", STREAM, code="rate_limit_exceeded")
        self.assertIn(b'"code":"rate_limit_exceeded"', answer)
        self.assertNotIn(b"echo", answer)
        answer, _ = self.meet("stream_error_after_content", STREAM)
        self.assertIn(b"echo", answer)
        self.assertNotIn(b"hello", answer)
        answer, _ = self.meet("stream_error_before_content", RESPONSE, RESPONSES)
        self.assertIn(b'"type":"error","code":"server_error"', answer)
        self.assertNotIn(b"output_item", answer)
        answer, _ = self.meet("stream_error_after_content", RESPONSE, RESPONSES, nested=True)
        self.assertIn(b'"error":{"type":"server_error"', answer)
        self.assertIn(b"event: response.failed", answer)
        answer, _ = self.meet("failed_response", {"model": "m", "input": "x"}, RESPONSES)
        self.assertIn(b"HTTP/1.1 200 OK", answer)
        self.assertIn(b'"status":"failed"', answer)

    def test_answers_of_the_edge(self):
        for status in (403, 502, 520, 524):
            answer, _ = self.meet(f"html:{status}")
            head, fields, body = split(answer)
            self.assertTrue(head.startswith(b"HTTP/1.1 %d" % status))
            self.assertTrue(body.startswith(b"<!DOCTYPE html>"))
            self.assertNotIn(b"x-request-id", fields)
        self.assertEqual(json.loads(split(self.meet("integer_code")[0])[2])["error"]["code"], 502)
        self.assertTrue(self.meet("status:418")[0].startswith(b"HTTP/1.1 418"))

    def test_every_row_of_the_error_table(self):
        rows = self.mock.control("GET", "/state")[1]["error_rows"]
        self.assertGreater(len(rows), 60)
        for row in rows:
            answer, end = self.meet("error:" + row)
            if row[:3].isdigit():
                self.assertTrue(answer.startswith(b"HTTP/1.1 " + row[:3].encode()), row)
            self.assertEqual(end, "eof")
        _, fields, _ = split(self.meet("error:429_requests", retry_after_ms=2500)[0])
        self.assertEqual((fields[b"retry-after"], fields[b"retry-after-ms"]), (b"3", b"2500"))

    def test_delay(self):
        begin = time.monotonic()
        self.meet("delay", delay_ms=300)
        self.assertGreaterEqual(time.monotonic() - begin, 0.3)


class Control(MockCase):
    def test_stalled_answers_go_on_when_released(self):
        for name, body, seen in (("stall_before_head", PLAIN, 0), ("stall_mid_body", PLAIN, 0),
                                 ("stall_mid_body", STREAM, 2)):
            key = f"sk-{name}-{seen}"
            self.mock.fault(name, key=key)
            s = self.mock.open(body, key=key)
            self.assertTrue(self.mock.wait(state="stalled", key=key)["reached"])
            self.assertEqual(self.mock.control("POST", "/release", {"key": key})[1],
                             {"released": 1})
            answer, end = drain(s)
            self.assertIn(b"world", answer)
            self.assertEqual(end, "eof")
            entry = self.mock.control("GET", "/journal?key=" + key)[1][0]
            self.assertEqual((entry["outcome"], entry["fault"]), ("complete", name))

    def test_a_client_that_leaves(self):
        self.mock.fault("stall_mid_body", key="sk-left")
        s = self.mock.open(STREAM, key="sk-left")
        self.assertTrue(self.mock.wait(state="stalled", key="sk-left")["reached"])
        s.close()
        self.assertTrue(self.mock.wait(state="done", key="sk-left")["reached"])
        entry = self.mock.control("GET", "/journal?key=sk-left")[1][0]
        self.assertEqual((entry["outcome"], entry["status"]), ("client_left", 200))
        self.assertEqual(self.mock.control("GET", "/counters")[1]["keys"]["sk-left"],
                         {"requests": 1, "client_left": 1, "faulted": 1, "statuses": {"200": 1}})

    def test_a_wait_ends_in_time_and_when_reached(self):
        self.assertFalse(self.mock.wait(key="sk-nobody", timeout_ms=50)["reached"])
        found = []
        waiter = threading.Thread(target=lambda: found.append(self.mock.wait(key="sk-w", count=2,
                                                                            state="done")))
        waiter.start()
        for _ in range(2):
            self.mock.raw(key="sk-w")
        waiter.join(PATIENCE_S)
        self.assertTrue(found[0]["reached"])

    def test_the_listener_closes_and_opens(self):
        def refused():
            try:
                socket.create_connection(("127.0.0.1", self.mock.port)).close()
                return False
            except ConnectionRefusedError:
                return True

        self.assertEqual(self.mock.control("POST", "/listener", {"open": False})[1], {"open": False})
        self.assertTrue(refused())
        self.assertEqual(self.mock.control("POST", "/listener", {"open": True})[1], {"open": True})
        self.assertIn(b"200 OK", self.mock.raw()[0])
        self.mock.control("POST", "/listener", {"open": False, "for_ms": 100})
        deadline = time.monotonic() + PATIENCE_S
        while refused():
            self.assertLess(time.monotonic(), deadline)
        self.assertIn(b"200 OK", self.mock.raw()[0])

    def test_connections_and_attempts_are_told_apart(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.mock.port, timeout=PATIENCE_S)
        for _ in range(3):
            connection.request("POST", CHAT, json.dumps({**PLAIN, "model": "same"}),
                               {"Authorization": "Bearer sk-keep"})
            connection.getresponse().read()
        connection.close()
        self.mock.raw({**PLAIN, "model": "same"}, key="sk-other")
        entries = self.mock.control("GET", "/journal?model=same")[1]
        self.assertEqual(len({entry["connection"] for entry in entries[:3]}), 1)
        self.assertNotEqual(entries[3]["connection"], entries[0]["connection"])
        self.assertEqual([entry["attempt"] for entry in entries[:3]], [1, 2, 3])

    def test_settings_and_what_is_wrong_with_them(self):
        status, value = self.mock.control("PUT", "/keys/sk-set", {"organization": "org-z", "rpm": 1})
        self.assertEqual((status, value["organization"], value["rpm"]), (200, "org-z", 1))
        answer, _ = self.mock.call(CHAT, PLAIN, key="sk-set")
        self.assertEqual(answer.getheader("x-ratelimit-remaining-requests"), "0")
        self.assertEqual(answer.getheader("openai-organization"), "org-z")
        answer, _ = self.mock.call(CHAT, PLAIN, key="sk-set")
        self.assertEqual(answer.status, 429)
        self.assertGreater(int(answer.getheader("retry-after")), 50)
        for path, body, name in (("/keys/x", {"rpmm": 1}, "rpmm"), ("/keys/x", {"rpm": -1}, "rpm"),
                                 ("/faults", {"fault": "nope"}, "fault"), ("/models", {}, "models")):
            status, value = self.mock.control("POST" if path == "/faults" else "PUT", path, body)
            self.assertEqual((status, value["name"]), (400, name))
        self.assertEqual(self.mock.control("GET", "/nothing")[0], 404)
        self.assertEqual(self.mock.control("GET", "/reset")[0], 405)


class Shapes(MockCase):
    def test_embeddings_in_both_encodings(self):
        body = {"model": "e", "input": ["a", "b"], "dimensions": 4}
        plain = json.loads(self.mock.call("/v1/embeddings", body)[1])["data"]
        coded = json.loads(self.mock.call("/v1/embeddings",
                                          {**body, "encoding_format": "base64"})[1])["data"]
        self.assertEqual([list(struct.unpack("<4f", base64.b64decode(item["embedding"])))
                          for item in coded], [item["embedding"] for item in plain])
        self.assertNotEqual(plain[0]["embedding"], plain[1]["embedding"])

    def test_pictures_are_pictures(self):
        data = json.loads(self.mock.call("/v1/images/generations",
                                         {"model": "i", "prompt": "kite", "n": 2})[1])["data"]
        pictures = [base64.b64decode(item["b64_json"]) for item in data]
        self.assertNotEqual(pictures[0], pictures[1])
        for picture in pictures:
            at, pixels = 8, b""
            while at < len(picture):
                size, kind = struct.unpack(">I4s", picture[at:at + 8])
                crc, = struct.unpack(">I", picture[at + 8 + size:at + 12 + size])
                self.assertEqual(zlib.crc32(picture[at + 4:at + 8 + size]), crc)
                if kind == b"IDAT":
                    pixels = zlib.decompress(picture[at + 8:at + 8 + size])
                at += 12 + size
            self.assertEqual(len(pixels), 4 * (1 + 3 * 4))
        stream = self.mock.call("/v1/images/generations",
                                {"model": "i", "prompt": "a", "stream": True, "partial_images": 2})[1]
        self.assertEqual(stream.count(b"event: image_generation.partial_image\n"), 2)
        self.assertEqual(stream.count(b"event: image_generation.completed\n"), 1)

    def test_sound(self):
        body = {"model": "t", "input": "say", "voice": "x"}
        answer, data = self.mock.call("/v1/audio/speech", {**body, "response_format": "wav"})
        self.assertEqual(answer.getheader("content-type"), "audio/wav")
        self.assertEqual(wave.open(io.BytesIO(data)).getnframes(), 2400)
        answer, data = self.mock.call("/v1/audio/speech", body)
        self.assertEqual((answer.getheader("content-type"), data[:2]), ("audio/mpeg", b"\xff\xfb"))
        data = self.mock.call("/v1/audio/speech", {**body, "stream_format": "sse"})[1]
        self.assertTrue(data.rstrip().splitlines()[-1].startswith(b'data: {"type":"speech.audio.done"'))
        form = (b'--bb\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n12345'
                b'\r\n--bb\r\nContent-Disposition: form-data; name="model"\r\n\r\nw-1\r\n--bb--\r\n')
        data = self.mock.call("/v1/audio/transcriptions", form,
                              content_type="multipart/form-data; boundary=bb")[1]
        self.assertEqual(json.loads(data)["text"], "heard: a.wav (5 bytes)")

    def test_refusals(self):
        self.assertIn(b"unknown_url", self.mock.call("/v1/nothing", {})[1])
        self.assertEqual(self.mock.call(CHAT, b"{nope")[0].status, 400)
        connection = http.client.HTTPConnection("127.0.0.1", self.mock.port, timeout=PATIENCE_S)
        connection.request("POST", CHAT, "{}")
        answer = connection.getresponse()
        self.assertEqual(answer.status, 401)
        self.assertIn(b"didn't provide an API key", answer.read())
        connection.close()

    def test_large_answers_meet_back_pressure(self):
        self.mock.control("PUT", "/keys/sk-big", {"answer_bytes": 200000})
        s = self.mock.open(STREAM, key="sk-big")
        answer, end = drain(s)
        self.assertGreater(len(answer), 2000000)
        self.assertTrue(answer.endswith(b"data: [DONE]\n\n\r\n0\r\n\r\n"))
        s = self.mock.open(STREAM, key="sk-big")
        s.recv(1)
        s.close()
        self.assertTrue(self.mock.wait(key="sk-big", state="done", count=2)["reached"])


class Process(unittest.TestCase):
    def run_mock(self, *arguments):
        return subprocess.run([SPAREKEY, "mock", *arguments], capture_output=True, text=True,
                              timeout=PATIENCE_S)

    def test_bad_scripts_and_arguments(self):
        with tempfile.NamedTemporaryFile("w", suffix=".yaml") as script:
            script.write("keys:\n  - key: sk-a\n    rpm: many\n")
            script.flush()
            done = self.run_mock("--script", script.name)
            self.assertEqual((done.returncode, done.stdout), (2, ""))
            self.assertEqual(done.stderr.count("\n"), 1)
            self.assertIn(f"{script.name}:3: rpm: expected a whole number", done.stderr)
        for arguments in (["--script", "/nonexistent"], ["--listen", "nowhere"], ["--listen"],
                          ["--listen", "127.0.0.1:70000"], ["--what"], ["--seed", "x"], ["--tls"],
                          ["--tls-cert", "/x"], ["--ca-out", "/x"],
                          ["--tls", "--ca-out", "/nonexistent/ca.pem"],
                          ["--tls-cert", "/nonexistent", "--tls-key", "/nonexistent"]):
            done = self.run_mock(*arguments)
            self.assertEqual((done.returncode, done.stdout, done.stderr.count("\n")), (2, "", 1),
                             (arguments, done))

    def test_an_address_in_use(self):
        mock = Mock()
        for option in ("--listen", "--control"):
            done = self.run_mock(option, f"127.0.0.1:{mock.port}")
            self.assertEqual(done.returncode, 2)
            self.assertIn(f"127.0.0.1:{mock.port}: already in use", done.stderr)
        self.assertEqual(mock.stop(), (0, ""))

    def test_tls_with_its_own_ca(self):
        with tempfile.TemporaryDirectory() as directory:
            ca = os.path.join(directory, "ca.pem")
            mock = Mock("--tls", "--ca-out", ca)
            self.assertTrue(mock.ready["url"].startswith("https://127.0.0.1:"))
            context = ssl.create_default_context(cafile=ca)
            for host in ("localhost", "127.0.0.1"):
                raw = socket.create_connection(("127.0.0.1", mock.port), timeout=PATIENCE_S)
                with context.wrap_socket(raw, server_hostname=host) as s:
                    s.sendall(b"GET /v1/models HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer sk-a\r\n"
                              b"Connection: close\r\n\r\n")
                    self.assertIn(b"HTTP/1.1 200 OK", drain(s)[0])
            self.assertEqual(mock.stop(), (0, ""))

    def test_an_end_in_the_middle_of_things(self):
        mock = Mock()
        mock.fault("stall_mid_body")
        s = mock.open(STREAM)
        self.assertTrue(mock.wait(state="stalled")["reached"])
        self.assertEqual(mock.stop(), (0, ""))
        s.close()


if __name__ == "__main__":
    unittest.main(verbosity=1)
