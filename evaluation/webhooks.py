"""Posting to an address that somebody typed, without lending them this machine's place in its network.

The name is resolved once, every address it has is checked, and the connection goes to the checked address: a second
answer of the DNS is never asked for. No redirect is followed, no proxy of the environment is used, and the whole exchange
has one deadline, which also ends those who answer a byte at a time. The standard library's client takes a connected socket,
which is what this needs; nothing here knows Django.
"""

import hashlib
import hmac
import http.client
import ipaddress
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

CONNECT_SECONDS, DEADLINE_SECONDS = 5.0, 15.0
# Of an answer: enough to see what went wrong.
LONGEST_ANSWER = 2_000
LARGEST_BODY = 256 * 1024
NAT64, GLOBAL_UNICAST = ipaddress.ip_network("64:ff9b::/96"), ipaddress.ip_network("2000::/3")
MOST_ADDRESSES = 4
Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class Refused(Exception):
    """The address may not be asked, now or later."""


class Unreachable(Exception):
    """It could not be asked; later it may be."""


@dataclass(frozen=True)
class Answer:
    status: int
    text: str

    @property
    def is_success(self) -> bool:
        return 200 <= self.status < 300

    def __str__(self) -> str:
        return f"{self.status} {self.text}".strip()


def signature(secret: str, timestamp: int, body: bytes) -> str:
    """The header Touchstone-Signature: HMAC-SHA256 over the timestamp, a full stop and the body."""
    return "v1=" + hmac.new(secret.encode(), f"{timestamp}.".encode() + body, hashlib.sha256).hexdigest()


def check_url(url: str, *, allow_private: bool) -> SplitResult:
    """The address in its parts. Raises Refused for what is no address of a webhook, or plainly a private one."""
    try:
        parts = urlsplit(url)
        port, host = parts.port, parts.hostname or ""
        host.encode("idna")
    except ValueError:
        raise Refused("It is not an address that can be read, such as https://example.org/hook.") from None
    if parts.scheme not in ("http", "https") or not host:
        raise Refused("It must begin with https:// or http:// and name a host.")
    if parts.username is not None or parts.password is not None:
        raise Refused("It must hold no user name or password; the signature says who sends.")
    if port == 0 or not (parts.path + parts.query).isascii() or not url.isprintable() or " " in url:
        raise Refused("It is not an address that can be read, such as https://example.org/hook.")
    literal = _literal(host)
    if literal is not None and not allow_private:
        _check_public(literal, host)
    return parts


def _literal(host: str) -> Address | None:
    """Where the host is an address and no name, also in the odd spellings that C libraries take, such as 0x7f000001."""
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        pass
    try:
        return ipaddress.IPv4Address(socket.inet_aton(host))
    except (OSError, ValueError):
        return None


def _check_public(address: Address, host: str) -> None:
    if not is_public(address):
        raise Refused(
            f"{host} is at {address}, which is no public address. TOUCHSTONE_WEBHOOK_PRIVATE=1 on the server allows those."
        )


def is_public(address: Address) -> bool:
    """Whether it is one of the open internet: not private, loopback, link-local, multicast or reserved, nor holds such a one."""
    if isinstance(address, ipaddress.IPv6Address):
        embedded = _embedded(address)
        if embedded is not None:
            return is_public(embedded)
        return address in GLOBAL_UNICAST and address.is_global
    return address.is_global and not address.is_multicast and not address.is_reserved


def _embedded(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    """The IPv4 address that an IPv6 one leads to: mapped, 6to4, Teredo, NAT64, or the old compatible form."""
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address.sixtofour is not None:
        return address.sixtofour
    if address.teredo is not None:
        return address.teredo[1]
    low = int(address) & 0xFFFFFFFF
    if address in NAT64 or (int(address) >> 32 == 0 and low > 1):
        return ipaddress.IPv4Address(low)
    return None


def resolve(host: str, port: int, *, allow_private: bool) -> list[str]:
    """All addresses of the name. One that is not public spoils them all. Raises Refused, or Unreachable."""
    try:
        found = socket.getaddrinfo(host.encode("idna").decode(), port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise Unreachable(f"{host} could not be resolved: {error}") from None
    addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
    if not allow_private:
        for address in addresses:
            _check_public(ipaddress.ip_address(address), host)
    return addresses


def post(
    url: str,
    body: bytes,
    headers: dict[str, str],
    *,
    allow_private: bool = False,
    deadline: float = DEADLINE_SECONDS,
    trust: ssl.SSLContext | None = None,
) -> Answer:
    """POST a body. Raises Refused or Unreachable. `trust` is whose certificates count; None: the system's."""
    parts = check_url(url, allow_private=allow_private)
    assert parts.hostname is not None
    if len(body) > LARGEST_BODY:
        raise Refused(f"The message has {len(body):,} bytes; {LARGEST_BODY:,} are sent at most.")
    is_secure = parts.scheme == "https"
    port = parts.port or (443 if is_secure else 80)
    raw = _connected(resolve(parts.hostname, port, allow_private=allow_private), port)
    with _ended_after(deadline, raw) as late:
        try:
            context = trust or ssl.create_default_context()
            sock = context.wrap_socket(raw, server_hostname=parts.hostname) if is_secure else raw
            return _exchange(parts, port, sock, body, headers)
        except (OSError, http.client.HTTPException, ValueError) as error:
            reason = f"no whole answer within {deadline:g} seconds" if late.is_set() else f"{type(error).__name__}: {error}"
            raise Unreachable(reason[:LONGEST_ANSWER]) from None


def _connected(addresses: list[str], port: int) -> socket.socket:
    failure: OSError | None = None
    for address in addresses[:MOST_ADDRESSES]:
        try:
            return socket.create_connection((address, port), CONNECT_SECONDS)
        except OSError as error:
            failure = error
    raise Unreachable(f"no connection: {failure}")


@contextmanager
def _ended_after(seconds: float, raw: socket.socket) -> Iterator[threading.Event]:
    """Shuts the connection when the time is over, whatever is being waited for then; the event says that it was."""
    late = threading.Event()
    # Shutting goes to the connection itself, whichever object reads from it: TLS takes the socket over.
    handle = raw.dup()

    def shut() -> None:
        late.set()
        try:
            handle.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass

    timer = threading.Timer(seconds, shut)
    timer.daemon = True
    timer.start()
    try:
        yield late
    finally:
        timer.cancel()
        handle.close()
        raw.close()


def _exchange(parts: SplitResult, port: int, sock: socket.socket, body: bytes, headers: dict[str, str]) -> Answer:
    assert parts.hostname is not None
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.hostname.encode("idna").decode(), port)
    connection.sock = sock
    try:
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        connection.request("POST", path, body, headers)
        response = connection.getresponse()
        return Answer(response.status, response.read(LONGEST_ANSWER).decode("utf-8", "replace").replace("\0", "\ufffd").strip())
    finally:
        connection.close()
        sock.close()
