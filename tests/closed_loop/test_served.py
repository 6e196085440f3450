"""The API of the loop: its key ends with it, and one that does not end is told."""

import os
import sys
from pathlib import Path

import pytest

from recsys_platform.closed_loop import api
from recsys_platform.closed_loop.api import served_over_http
from recsys_platform.common.errors import RecsysError
from recsys_platform.config.settings import load_settings
from recsys_platform.serving.gateway.server import key_store_of

STUBBORN = """#!{python} -S
import http.server, signal, sys

class Ready(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()

signal.signal(signal.SIGTERM, signal.SIG_IGN)
http.server.HTTPServer(("127.0.0.1", int(sys.argv[-1])), Ready).serve_forever()
"""


def test_an_api_that_does_not_end_is_killed_and_told_and_its_key_is_revoked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "recsys"
    program.write_text(STUBBORN.format(python=sys.executable))
    os.chmod(program, 0o700)
    monkeypatch.setattr(api, "RECSYS", program)
    monkeypatch.setattr(api, "STOP_SECONDS", 0.1)
    settings = load_settings({"RECSYS_HOME": str(tmp_path)})
    ended = "did not end within 0.1 s and was killed: .*loop.log has what it printed"
    with pytest.raises(RecsysError, match=ended), served_over_http(settings, tmp_path / "loop.log"):
        assert [each.revoked_at for each in key_store_of(settings).keys().values()] == [None]
    assert all(each.revoked_at for each in key_store_of(settings).keys().values())
