"""What may break a rule, and why. An entry that no longer breaks its rule is an offence itself."""

# Modules of src/ without a test program of the same stem.
UNTESTED = {
    "cli/cmd_mock": "the process: tests/unit/mock/test_process.py",
    "net/conn_out": "tests/unit/net/test_conn.c",
    "net/listener": "tests/unit/net/test_server.c",
    "net/server_reply": "tests/unit/net/test_server.c",
    "mock/control": "sockets: tests/unit/mock/test_process.py",
    "mock/exchange": "sockets: tests/unit/mock/test_process.py",
    "mock/mock": "sockets: tests/unit/mock/test_process.py",
    "mock/shape_data": "test_process.py decodes what it makes",
    "mock/shape_media": "test_process.py decodes what it makes",
    "mock/shape_responses": "tests/unit/mock/test_shapes.c",
    "mock/shape_text": "tests/unit/mock/test_shapes.c",
}

# (directory, symbol) of sans-IO code that may call out.
IMPURE = {
    ("pool", "abort"): "a broken invariant ends the process (pool/check.c)",
    ("pool", "stderr"): "which one, before it does",
    ("pool", "__vfprintf_chk"): "likewise",
    ("pool", "vfprintf"): "likewise",
    ("pool", "fwrite"): "likewise",
    ("pool", "fputs"): "likewise",
    ("pool", "fputc"): "likewise",
    ("base", "abort"): "an assert",
    ("base", "__assert_fail"): "an assert",
    ("openai", "__assert_fail"): "an assert",
    ("pool", "__assert_fail"): "an assert",
}
