"""Attacks: other origins, no token, paths, huge uploads, bombs, markup."""

import struct

import pytest
from serving import AWKWARD

from study.review.guard import HEADERS, LARGEST_BODY, Knock, refusal
from study.review.id_runs import HEAD

HOSTS = frozenset({"127.0.0.1:80", "localhost:80"})


def knock(path="/t/api/run", host="localhost:80", **more):
    return Knock(path, host, **more)


@pytest.mark.parametrize(
    "allowed",
    [
        knock(),
        knock("/t"),
        knock(origin="http://localhost:80", site="same-origin"),
        knock(site="none"),
        knock(length=LARGEST_BODY),
    ],
)
def test_who_may_come_in(allowed):
    assert refusal(allowed, "t", HOSTS) is None


@pytest.mark.parametrize(
    ("refused", "status"),
    [
        (knock("/"), 403),
        (knock("/T/api/run"), 403),
        (knock("/tt/"), 403),
        (knock("/\udcff/"), 403),
        (knock(host="evil.example"), 421),
        (knock(host=""), 421),
        (knock(host="localhost:81"), 421),
        (knock(origin="http://evil.example"), 403),
        (knock(origin="null"), 403),
        (knock(origin="https://localhost:80"), 403),
        (knock(site="cross-site"), 403),
        (knock(site="same-site"), 403),
        (knock(length=LARGEST_BODY + 1), 413),
    ],
)
def test_who_may_not(refused, status):
    no = refusal(refused, "t", HOSTS)
    assert no.status == status
    assert "t" not in no.sentence.split()


def test_no_token_no_answer(served):
    for token in (None, "", "another", "a-toke"):
        status, _, body = served.ask("GET", "api/run", token=token)
        assert status == 403
        assert b"rows" not in body


def test_another_origin_gets_nothing_and_changes_nothing(served):
    before = served.desk.opened.record("a")
    for headers in ({"Origin": "http://evil.example"}, {"Sec_Fetch_Site": "cross-site"}):
        for method, path in (("GET", "api/run"), ("POST", "api/videos/a/choose")):
            body = b'{"candidate": "hold"}' if method == "POST" else None
            assert served.ask(method, path, body, **headers)[0] == 403
    assert served.ask("GET", "api/run", Host="evil.example")[0] == 421
    assert served.desk.opened.record("a") == before


def test_every_answer_keeps_other_pages_out(served):
    for path, token in (("", "a-token"), ("api/run", "a-token"), ("api/run", "wrong")):
        _, headers, _ = served.ask("GET", path, token=token)
        given = {name.lower(): value for name, value in headers.items()}
        assert all(given[name.lower()] == value for name, value in HEADERS.items())
        assert "access-control-allow-origin" not in given


@pytest.mark.parametrize(
    "path",
    [
        "static/../app.py",
        "static/..%2fapp.py",
        "static/%2e%2e/%2e%2e/app.py",
        "static//etc/passwd",
        "api/videos/../../etc/passwd",
        "api/videos/%2e%2e",
        "api/videos/..%2f..%2fconfig.yaml/frames/0",
        "api/videos/a/frames/-1",
        "api/videos/a/frames/600",
        "api/videos/a/masks/0?layers=999",
        "api/videos/a/masks/0?layers=../../x",
        "api/videos/a/masks/0?height=-9999",
        "config.yaml",
    ],
)
def test_no_path_leads_out_of_the_run(served, path):
    status, _, body = served.ask("GET", path)
    assert status in (400, 404)
    assert b"root:" not in body
    assert b"import" not in body
    assert b"members:" not in body


def put(served, body, objects="3", frame=3, before=""):
    path = f"api/videos/a/masks/{frame}?objects={objects}&before={before}"
    return served.ask("PUT", path, body)


def test_a_huge_upload_is_cut_off(served):
    path = "api/videos/a/masks/3?objects=3"
    status, _, _ = served.ask("PUT", path, b"", Content_Length=str(LARGEST_BODY + 1))
    assert status == 413
    chunks = (b"\0" * (1 << 20) for _ in range((LARGEST_BODY >> 20) + 1))
    try:
        status, _, _ = put(served, chunks)
    except (BrokenPipeError, ConnectionResetError):
        status = 413
    assert status == 413
    assert served.get("api/run")


def test_bombs_and_garbage_are_no_masks(served, png_bomb):
    whole = 48 * 64
    run = struct.Struct("<I")
    bad = {
        "a PNG that claims 900 million pixels": png_bomb,
        "nothing": b"",
        "another size": HEAD.pack(30000, 30000, 1) + run.pack((1 << 24) - 1 << 8),
        "more runs than sent": HEAD.pack(48, 64, 1 << 31),
        "too long a run": HEAD.pack(48, 64, 1) + run.pack((whole + 1) << 8),
        "too short a run": HEAD.pack(48, 64, 1) + run.pack((whole - 1) << 8),
        "an object that is not there": HEAD.pack(48, 64, 1) + run.pack(whole << 8 | 200),
    }
    for what, body in bad.items():
        status, _, answer = put(served, body)
        assert status == 400, what
        assert b"Traceback" not in answer
    assert not (served.desk.opened.run.root / "corrections").exists()


@pytest.mark.parametrize(
    "body",
    [b"[", b"[]", b"3", b"{}", b'{"candidate": {}}', b'{"candidate": "hold", "frames": [1]}',
     b'{"candidate": "hold", "object": "x"}', b'{"candidate": "hold", "frames": [4, 2]}',
     b"[" * 60_000, b'{"candidate": "' + b"x" * 70_000 + b'"}', b"\xff\xfe"],
)  # fmt: skip
def test_requests_that_are_no_decision(served, body):
    status, _, answer = served.ask("POST", "api/videos/a/choose", body)
    assert status == 400
    assert b"error" in answer
    assert not served.desk.opened.record("a").overridden


def test_markup_in_a_name_stays_text(served):
    row = next(row for row in served.get("api/run")["rows"] if row["video"] == AWKWARD)
    assert set(row["page"]) <= set(
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-"
    )
    assert served.get(f"api/videos/{row['page']}")["video"] == AWKWARD
    for path in ("", f"videos/{row['page']}"):
        status, headers, body = served.ask("GET", path)
        assert status == 200
        assert b"onclick" not in body
    assert "script-src 'self'" in headers["content-security-policy"]
