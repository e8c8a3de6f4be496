"""The little server: this machine only, one folder only."""

import http.client
import threading

import pytest

from auscult.core.errors import ConfigError, StoreError
from auscult.report.serve import HOST, address_of, serve, server


@pytest.fixture(autouse=True)
def _no_network(socket_enabled):
    """These tests talk to themselves over loopback."""


@pytest.fixture
def run(tmp_path):
    report = tmp_path / "run" / "report"
    (report / "clips").mkdir(parents=True)
    (report / "index.html").write_text("<p>first page</p>")
    (report / "clips" / "a.mp3").write_bytes(bytes(range(100)))
    (tmp_path / "run" / "manifest.json").write_text("secret")
    return tmp_path / "run"


@pytest.fixture
def ask(run):
    running = server(run)
    thread = threading.Thread(target=running.serve_forever, args=(0.02,))
    thread.start()
    port = running.server_address[1]

    def request(path, headers=None, method="GET"):
        connection = http.client.HTTPConnection(HOST, port, timeout=10)
        connection.putrequest(method, path, skip_host="Host" in (headers or {}))
        for name, value in (headers or {}).items():
            connection.putheader(name, value)
        connection.endheaders()
        answer = connection.getresponse()
        body = answer.read()
        connection.close()
        return answer, body

    yield request
    running.shutdown()
    running.server_close()
    thread.join()


def test_it_listens_on_this_machine_only(run):
    with server(run) as running:
        assert running.server_address[0] == "127.0.0.1"
        assert address_of(running).startswith("http://127.0.0.1:")


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/index.html", "text/html; charset=utf-8"),
        ("/", "text/html; charset=utf-8"),
        ("/clips/a.mp3", "audio/mpeg"),
    ],
)
def test_files_come_with_their_type(path, kind, ask):
    answer, _ = ask(path)
    assert answer.status == 200
    assert answer.headers["Content-Type"] == kind


@pytest.mark.parametrize(
    "path",
    [
        "/../manifest.json",
        "/%2e%2e/manifest.json",
        "/clips/../../manifest.json",
        "//etc/passwd",
        "/nothing",
    ],
)
def test_nothing_outside_the_report_is_served(path, ask):
    answer, body = ask(path)
    assert answer.status == 404
    assert b"secret" not in body


def test_a_link_that_leads_outside_is_not_followed(ask, run):
    (run / "report" / "link.json").symlink_to(run / "manifest.json")
    assert ask("/link.json")[0].status == 404


def test_folders_are_not_listed(ask):
    answer, body = ask("/clips/")
    assert answer.status == 404
    assert b"a.mp3" not in body


def test_a_part_of_a_file_can_be_asked_for(ask):
    answer, body = ask("/clips/a.mp3", {"Range": "bytes=10-19"})
    assert answer.status == 206
    assert answer.headers["Content-Range"] == "bytes 10-19/100"
    assert body == bytes(range(10, 20))


def test_the_rest_of_a_file_can_be_asked_for(ask):
    assert ask("/clips/a.mp3", {"Range": "bytes=95-"})[1] == bytes(range(95, 100))


def test_a_part_beyond_the_end_is_refused(ask):
    assert ask("/clips/a.mp3", {"Range": "bytes=100-"})[0].status == 416


def test_a_foreign_name_for_this_machine_is_refused(ask):
    assert ask("/index.html", {"Host": "evil.example"})[0].status == 403


def test_writing_is_not_understood(ask):
    assert ask("/index.html", method="POST")[0].status == 501


def test_a_run_without_a_report_is_refused_with_the_way_to_make_one(tmp_path):
    with pytest.raises(StoreError, match="auscult report"):
        serve(tmp_path)


def test_a_port_that_is_taken_is_refused_with_a_sentence(run):
    with server(run) as running, pytest.raises(ConfigError, match="0 takes a free one"):
        server(run, running.server_address[1])
