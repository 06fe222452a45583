import pytest

from driftline.errors import ConfigError
from driftline.state.address import parse_redis_url


@pytest.mark.parametrize(
    ("url", "name", "options"),
    [
        ("redis://localhost", "Redis at localhost:6379/0", {"host": "localhost", "port": 6379, "db": 0}),
        ("redis://h:1/7", "Redis at h:1/7", {"host": "h", "port": 1, "db": 7}),
        ("redis://h?db=7", "Redis at h:6379/7", {"host": "h", "port": 6379, "db": 7}),
        ("redis://:p%2Fq@h/1", "Redis at h:6379/1", {"host": "h", "port": 6379, "db": 1, "password": "p/q"}),
        ("redis://[::1]:5", "Redis at ::1:5/0", {"host": "::1", "port": 5, "db": 0}),
        (
            "rediss://u:p@h?ssl_ca_certs=/ca.pem",
            "Redis at h:6379/0",
            {"host": "h", "port": 6379, "db": 0, "username": "u", "password": "p", "ssl_ca_certs": "/ca.pem"},
        ),
        ("unix:///run/redis.sock?db=2", "Redis at /run/redis.sock/2", {"path": "/run/redis.sock", "db": 2}),
    ],
)
def test_an_address_is_read(url: str, name: str, options: dict[str, object]) -> None:
    address = parse_redis_url(url)
    assert (address.name, address.options) == (name, options)
    assert "p/q" not in repr(address)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "localhost:6379",
        "http://hunter2@h",
        "redis://",
        "redis:///0",
        "redis://h/hunter2",
        "redis://h/-1",
        "redis://h:99999",
        "redis://h/0?retry_on_timeout=true",
        "redis://h/0?hunter2",
        "redis://h/1?db=2",
        "redis://h?ssl_ca_certs=/ca.pem",
        "redis://:hunter2/x@h/0",
        "redis://:1hunter2#x@h/0",
        "redis://:12#hunter2@h/0",
        "redis://:12?hunter2@h/0",
        "redis://[h/0",
    ],
)
def test_an_address_that_cannot_be_used_is_refused_and_not_quoted(url: str) -> None:
    with pytest.raises(ConfigError, match=r"^redis\.url ") as refusal:
        parse_redis_url(url)
    assert "hunter2" not in str(refusal.value)
    assert refusal.value.__cause__ is None
    assert refusal.value.__context__ is None or refusal.value.__suppress_context__
