"""Which variables are masked. The secrets here are none."""

from __future__ import annotations

import pytest
from hypothesis import given
from making import any_text, quick

from loopmon.masking import LONGEST, masked

MASK = "******"


@pytest.mark.parametrize(
    "name",
    [
        "API_KEY", "AWS_SECRET_ACCESS_KEY", "GITHUB_TOKEN", "token", "DB_PASSWORD", "PGPASSWORD", "MYSQL_PWD",
        "DB_PWD_2", "SSH_PASSPHRASE", "GOOGLE_CREDENTIALS", "BASIC_AUTH", "SESSION_COOKIE", "PRIVATE_PEM",
        "clientSecret", "JWT", "WEBHOOK_SIGNATURE",
    ],
)  # fmt: skip
def test_a_name_that_says_secret_masks_all_of_it(name: str) -> None:
    assert masked(name, "hunter2", MASK) == MASK
    assert masked(name, "https://x:hunter2@y/", MASK) == MASK


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PATH", "/usr/bin:/bin"),
        ("PWD", "/home/me"),
        ("OLDPWD", "/home/me"),
        ("SSH_AUTH_SOCK", "/run/user/1000/ssh"),
        ("XAUTHORITY", "/home/me/.Xauthority"),
        ("LANG", "C.UTF-8"),
        ("PORT", "3000"),
        ("DATABASE_URL", "postgres://127.0.0.1:5432/api"),
        ("DATABASE_URL", "postgres://me@127.0.0.1/api"),
        ("MAIL", "me@example.org"),
        ("API_KEY", ""),
        ("EMPTY", ""),
    ],
)
def test_what_is_no_secret_is_shown(name: str, value: str) -> None:
    assert masked(name, value, MASK) == value


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("postgres://me:hunter2@127.0.0.1:5432/api", f"postgres://me:{MASK}@127.0.0.1:5432/api"),
        ("redis://:hunter2@127.0.0.1", f"redis://:{MASK}@127.0.0.1"),
        ("amqp://me:hun@ter2@host/", f"amqp://me:{MASK}@host/"),
        ("mongodb+srv://me:hunter2@a,b/x", f"mongodb+srv://me:{MASK}@a,b/x"),
        ("a://b:hunter2@c d://e:hunter2@f", f"a://b:{MASK}@c d://e:{MASK}@f"),
    ],
)
def test_of_a_url_only_the_password_is_masked(value: str, shown: str) -> None:
    assert masked("DATABASE_URL", value, MASK) == shown


@pytest.mark.parametrize(
    "value",
    [
        "-----BEGIN RSA PRIVATE KEY-----\nMIIE",
        "-----BEGIN PRIVATE KEY-----",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.c2ln",
        "AKIA" + "A" * 16,
        "ghp_" + "a" * 36,
        "github_pat_" + "a" * 36,
        "glpat-" + "a" * 20,
        "xoxb-" + "1" * 20,
        "sk-" + "a" * 40,
        "sk_live_" + "a" * 24,
        "Bearer abcdefgh",
        "host=x user=y password=hunter2",
        "-Ddb.password=hunter2 -Xmx1g",
        '{"token": "hunter2"}',
        "http://127.0.0.1/?api_key=hunter2",
        "postgres://me:hunter2@h/?password=hunter2",
    ],
)
def test_content_that_looks_like_a_secret_is_masked(value: str) -> None:
    assert masked("OPTIONS", value, MASK) == MASK


@quick
@given(name=any_text, value=any_text)
def test_any_text_is_masked_or_left_as_it_is(name: str, value: str) -> None:
    assert masked(name, value, MASK) in {value, MASK} or "://" in value


@quick
@given(user=any_text.filter(lambda text: not set(text) & set("/?#:@") and not any(map(str.isspace, text))))
def test_a_password_in_a_url_is_never_shown(user: str) -> None:
    assert "hunter2" not in masked("U", f"http://{user}:hunter2@h/", MASK)


@pytest.mark.parametrize("part", ["a", "a://b:", "password ", "eyJaaaaaaaa.", "-----BEGIN ", "a@"])
def test_of_an_endless_value_only_the_beginning_is_looked_at(part: str) -> None:
    value = part * 200_000
    shown = masked("X", value, MASK)
    assert len(shown) < LONGEST + 50
    assert shown.endswith(f"(+{len(value) - LONGEST} characters)")
