"""What the end-to-end and SDK tests share: processes, the mock's controls, raw sockets."""
