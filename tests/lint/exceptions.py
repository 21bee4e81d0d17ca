"""What may break a rule, and why. An entry that no longer breaks its rule is an offence itself."""

# Modules of src/ without a test program of the same stem: what they do is start processes, read
# sockets, or join the modules that are tested on their own.
UNTESTED = {
    "cli/cmd_config": "tests/unit/cli and tests/e2e/test_operation.py run the command",
    "cli/cmd_demo": "tests/e2e/test_demo.py",
    "cli/cmd_exec": "tests/e2e/test_exec.py, tests/sdk/test_programs.py",
    "cli/cmd_help": "tests/unit/cli runs the command",
    "cli/cmd_mock": "the process: tests/unit/mock/test_process.py",
    "cli/cmd_serve": "tests/e2e/test_operation.py",
    "cli/cmd_test": "tests/e2e/test_test.py",
    "cli/cmd_version": "tests/unit/cli runs the command",
    "cli/demo_process": "tests/e2e/test_demo.py",
    "cli/demo_traffic": "tests/e2e/test_demo.py",
    "cli/demo_view": "tests/e2e/test_demo.py",
    "cli/load": "tests/unit/cli and tests/e2e/test_operation.py run the commands that load",
    "cli/main": "tests/unit/cli and tests/e2e/test_operation.py: usage",
    "cli/serving": "tests/e2e/test_operation.py: start, reload, drain",
    "gateway/alerts": "tests/e2e/test_alerts.py; what is alerted: test_alert_memory.c",
    "gateway/answer": "tests/e2e/test_verdicts.py, test_streams.py",
    "gateway/attempt": "tests/e2e/test_failover.py, test_streams.py, test_upstream.py",
    "gateway/event_stream": "tests/e2e/test_events.py",
    "gateway/exchange": "tests/e2e/test_failover.py, test_bodies.py",
    "gateway/gateway": "tests/e2e/test_operation.py: start, reload, drain",
    "gateway/keys_route": "tests/e2e/test_keys_route.py",
    "gateway/last_resort": "tests/e2e/test_last_resort.py",
    "gateway/meter": "tests/e2e/test_metrics.py: what is counted of each way a request can go",
    "gateway/own_routes": "tests/unit/gateway/test_own.c: the table; tests/e2e/test_own.py",
    "gateway/prober": "tests/e2e/test_prober.py",
    "gateway/router": "tests/e2e/test_http.py, test_guard.py",
    "gateway/scrape": "tests/e2e/test_metrics.py, with promtool",
    "gateway/tell": "tests/e2e/test_events.py, test_logs.py",
    "gateway/test_fallback": "tests/e2e/test_drills.py",
    "gateway/worker": "tests/e2e/test_operation.py: reload, drain; test_prober.py",
    "mock/control": "sockets: tests/unit/mock/test_process.py",
    "mock/exchange": "sockets: tests/unit/mock/test_process.py",
    "mock/mock": "sockets: tests/unit/mock/test_process.py",
    "mock/shape_data": "test_process.py decodes what it makes",
    "mock/shape_media": "test_process.py decodes what it makes",
    "mock/shape_responses": "tests/unit/mock/test_shapes.c",
    "mock/shape_text": "tests/unit/mock/test_shapes.c",
    "cli/process": "the process: tests/e2e/test_exec.py, test_operation.py",
    "net/conn_out": "tests/unit/net/test_conn.c",
    "net/server_reply": "tests/unit/net/test_server.c",
}

_ASSERT = "a broken invariant says which, and ends the process"

# (directory, symbol) of sans-IO code that may call out.
IMPURE = {
    **{("pool", name): _ASSERT for name in ("abort", "stderr", "fputc", "fputs", "fwrite",
                                            "vfprintf", "__vfprintf_chk", "__assert_fail")},
    **{(room, "__assert_fail"): _ASSERT for room in ("base", "openai")},
    ("base", "madvise"): "advice about memory just allocated (large.c): nothing is told or waited for",
}
