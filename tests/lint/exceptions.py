"""What may break a rule, and why. An entry that no longer breaks its rule is an offence itself."""

# Modules of src/ without a test program of the same stem: what they do is start processes, read
# sockets, or join the modules that are tested on their own.
UNTESTED = {
    "cli/check_keys": "tests/e2e/test_check.py",
    "cli/check_live": "tests/e2e/test_check.py",
    "cli/check_place": "tests/e2e/test_check.py",
    "cli/cmd_check": "tests/e2e/test_check.py",
    "cli/cmd_status": "tests/e2e/test_status.py",
    "cli/cmd_top": "tests/e2e/test_top.py",
    "cli/fetch": "tests/e2e/test_status.py, test_check.py",
    "cli/gateway_client": "tests/e2e/test_status.py",
    "cli/screen": "tests/e2e/test_top.py",
    "gateway/history_route": "tests/e2e/test_history.py",
    "cli/cmd_config": "tests/unit/cli and tests/e2e/test_operation.py run the command",
    "cli/cmd_demo": "tests/e2e/test_demo.py",
    "cli/cmd_exec": "tests/e2e/test_exec.py, tests/sdk/test_programs.py",
    "cli/cmd_help": "tests/unit/cli runs the command",
    "cli/cmd_mock": "the process: tests/unit/mock/test_process.py",
    "cli/cmd_serve": "tests/e2e/test_operation.py",
    "cli/cmd_version": "tests/unit/cli runs the command",
    "cli/demo_process": "tests/e2e/test_demo.py",
    "cli/demo_traffic": "tests/e2e/test_demo.py",
    "cli/demo_view": "tests/e2e/test_demo.py",
    "cli/load": "tests/unit/cli and tests/e2e/test_operation.py run the commands that load",
    "cli/main": "tests/unit/cli and tests/e2e/test_operation.py: usage",
    "cli/serving": "tests/e2e/test_operation.py: start, reload, drain",
    "gateway/answer": "tests/e2e/test_verdicts.py, test_streams.py",
    "gateway/attempt": "tests/e2e/test_failover.py, test_streams.py, test_upstream.py",
    "gateway/exchange": "tests/e2e/test_failover.py, test_bodies.py",
    "gateway/gateway": "tests/e2e/test_operation.py: start, reload, drain",
    "gateway/own_routes": "tests/unit/gateway/test_own.c: the table; tests/e2e/test_own.py",
    "gateway/prober": "tests/e2e/test_prober.py",
    "gateway/router": "tests/e2e/test_http.py, test_guard.py",
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
