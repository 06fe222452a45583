import re

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
    ("url", "name", "hosts", "options", "sentinel_options"),
    [
        (
            "redis+sentinel://h:1,[::1],g/main",
            "Redis service main/0 of the sentinels at h:1, ::1:26379, g:26379",
            (("h", 1), ("::1", 26379), ("g", 26379)),
            {"db": 0},
            {},
        ),
        (
            "rediss+sentinel://u:p%40@h/main?db=2&sentinel_username=s&sentinel_password=q%26&ssl_ca_certs=/ca.pem",
            "Redis service main/2 of the sentinels at h:26379",
            (("h", 26379),),
            {"db": 2, "username": "u", "password": "p@", "ssl_ca_certs": "/ca.pem"},
            {"username": "s", "password": "q&", "ssl_ca_certs": "/ca.pem"},
        ),
        (
            "redis+sentinel://h/main/3",
            "Redis service main/3 of the sentinels at h:26379",
            (("h", 26379),),
            {"db": 3},
            {},
        ),
        ("redis+cluster://:p@h:1,g", "Redis Cluster at h:1, g:6379", (("h", 1), ("g", 6379)), {"password": "p"}, {}),
        ("redis+cluster://h/0", "Redis Cluster at h:6379", (("h", 6379),), {}, {}),
    ],
)
def test_an_address_of_several_hosts_is_read(
    url: str, name: str, hosts: object, options: object, sentinel_options: object
) -> None:
    address = parse_redis_url(url)
    assert (address.name, address.hosts, address.options) == (name, hosts, options)
    assert address.sentinel_options == sentinel_options
    assert address.tls is url.startswith("rediss")


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("redis://h,g/0", "several hosts, which only redis+sentinel"),
        ("redis+sentinel://h,g", "names no service"),
        ("redis+cluster://h/3", "names a database"),
        ("redis+sentinel://h/main?sentinel_pasword=hunter2", "takes sentinel_username, sentinel_password"),
        ("redis+cluster://h?sentinel_password=hunter2", "an unknown option"),
        ("redis+sentinel://h,,g/main", "cannot be read"),
        ("redis+cluster://h:0", "port 0"),
        ("sentinel://h/main", "an unknown scheme"),
    ],
)
def test_a_fault_says_what_is_wrong_and_teaches_the_forms(url: str, says: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(says)) as refusal:
        parse_redis_url(url)
    for form in ("redis://user:", "unix://", "redis+sentinel://user:", "redis+cluster://user:", "rediss"):
        assert form in str(refusal.value)
    assert "hunter2" not in str(refusal.value)


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
