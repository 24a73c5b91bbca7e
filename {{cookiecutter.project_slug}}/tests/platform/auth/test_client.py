import pytest

from app.core.http.client_info import ClientInfo


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:DB8:0:0:0:0:0:1", "2001:db8::1"),
        ("fe80::1%eth0", "fe80::1"),
        ("testclient", ""),
        ("192.0.2.1, 192.0.2.2", ""),
        ("1" * 10_000, ""),
        ("", ""),
        (None, ""),
    ],
)
def test_address_has_one_form_or_is_none(host: str | None, address: str) -> None:
    assert ClientInfo.of(host, "").address == address


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff::", "2001:db8:1:2::/64"),
        ("2001:db8:1:3::", "2001:db8:1:3::/64"),
        ("", ""),
    ],
)
def test_addresses_that_one_client_has_are_one_network(address: str, network: str) -> None:
    assert ClientInfo.of(address, "").network == network


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("curl/8.5.0", "curl/8.5.0"),
        ("a\nb\x00c\x1b[31m\u202e", "a?b?c?[31m?"),
        ("x" * 10_000, "x" * 255),
        ("", ""),
    ],
)
def test_user_agent_is_short_and_printable(sent: str, kept: str) -> None:
    assert ClientInfo.of(None, sent).user_agent == kept
