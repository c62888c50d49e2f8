"""A client of onsale that buys one seat, with nothing but Python 3.10's standard library.

Run it:  python3 client.py http://127.0.0.1:8080 1 1    (where, user, concert)
"""

from __future__ import annotations

import http.client
import json
import random
import sys
import time
import uuid
from typing import Any, Callable
from urllib.parse import urlencode, urlsplit

PATIENCE_SECONDS = 10.0
ATTEMPTS = 8

Rank = dict[str, Any]


class Refused(Exception):
    """A refusal. Branch on `code`; the message is for people."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.status = status
        self.code = code


def back_off(attempt: int) -> float:
    """Doubles from 0.2 s, and is never the same for two clients."""
    return min(0.2 * 2.0**attempt, 5.0) * random.uniform(0.5, 1.5)


class Shop:
    def __init__(self, base: str) -> None:
        self.address = urlsplit(base)

    def connect(self, timeout: float) -> http.client.HTTPConnection:
        kind = http.client.HTTPSConnection if self.address.scheme == "https" else http.client.HTTPConnection
        return kind(self.address.netloc, timeout=timeout)

    def call(
        self,
        method: str,
        path: str,
        *,
        user: int | None = None,
        token: str | None = None,
        key: str | None = None,
        fields: dict[str, Any] | None = None,
        form: dict[str, Any] | None = None,
    ) -> Any:
        """One call, tried again while that can help: after a lost connection, 429, 503, and where another request is in the
        way. That is safe as every call here either changes nothing, says the same when it is repeated, or has a key."""
        headers = {"userId": None if user is None else str(user), "token": token, "Idempotency-Key": key}
        sent = {name: value for name, value in headers.items() if value is not None}
        body = None
        if fields is not None:
            sent["Content-Type"], body = "application/json", json.dumps(fields)
        elif form is not None:
            sent["Content-Type"], body = "application/x-www-form-urlencoded", urlencode(form)
        for attempt in range(ATTEMPTS):
            last = attempt + 1 == ATTEMPTS
            connection = self.connect(PATIENCE_SECONDS)
            try:
                connection.request(method, path, body, sent)
                response = connection.getresponse()
                envelope = json.loads(response.read())
            except (OSError, http.client.HTTPException, ValueError):
                # Nobody knows whether it was carried out: the same again, under the same key, finds out.
                if last:
                    raise
                time.sleep(back_off(attempt))
                continue
            finally:
                connection.close()
            if envelope["result"] == "SUCCESS":
                return envelope["data"]
            seconds = response.headers.get("Retry-After")
            # Where trying again can help, the server says when.
            if seconds is None or last:
                raise Refused(response.status, envelope["error"]["code"], envelope["error"]["message"])
            time.sleep(int(seconds) * random.uniform(1.0, 1.5))
        raise AssertionError("every last attempt returns or raises")

    def enter(self, user: int, concert: int) -> str:
        """A place in the queue of a concert; the same one if there is one."""
        token: str = self.call("POST", "/api/v1/queues/token", user=user, form={"concertId": concert})["token"]
        return token

    def poll(self, token: str, tell: Callable[[Rank], None]) -> str:
        """Waits for the token's turn by asking at the pace that the server sets."""
        while True:
            rank: Rank = self.call("GET", "/api/v1/queues/token/rank", token=token)
            tell(rank)
            if rank["status"] not in ("WAITING", "SOLD_OUT"):
                return str(rank["status"])
            time.sleep(rank["pollAfterMillis"] / 1000)

    def watch(self, token: str, tell: Callable[[Rank], None]) -> str:
        """Likewise by server-sent events; after a lost connection it comes again when the server said."""
        retry = 2.0
        while True:
            # The server is never silent for longer than 15 s.
            connection = self.connect(20.0)
            try:
                connection.request("GET", "/api/v1/queues/token/events", headers={"token": token})
                response = connection.getresponse()
                if response.status != 200:
                    # A refusal is no stream; polling says what it is, or is let through later.
                    return self.poll(token, tell)
                for line in response:
                    name, _, value = line.decode().rstrip("\n").partition(": ")
                    if name == "retry":
                        retry = int(value) / 1000
                    if name == "data":
                        rank: Rank = json.loads(value)
                        tell(rank)
                        if rank["status"] not in ("WAITING", "SOLD_OUT"):
                            return str(rank["status"])
            except (OSError, http.client.HTTPException):
                pass  # Gone; the state comes first on the next connection, so nothing is missed.
            finally:
                connection.close()
            time.sleep(retry * random.uniform(0.5, 1.5))

    def hold(self, token: str, concert: int) -> int:
        """Any free seat of the first evening that has one. Others want them too, so it takes what it can get."""
        for schedule in self.call("GET", f"/api/v1/concerts/{concert}/schedules", token=token)["schedules"]:
            evening = schedule["concertScheduleId"]
            while seats := self.call("GET", f"/api/v1/concerts/schedules/{evening}/seats", token=token)["seats"]:
                fields = {"concertScheduleId": evening, "concertSeatId": random.choice(seats)["concertSeatId"]}
                try:
                    held = self.call("POST", "/api/v1/reservations/concert", token=token, fields=fields)
                    return int(held["reservationId"])
                except Refused as refused:
                    # Somebody was quicker: look again, and choose another.
                    if refused.code != "SEAT_TAKEN":
                        raise
        raise RuntimeError("sold out")

    def pay(self, user: int, token: str, reservation: int) -> int:
        """Pays for a reservation, once, whatever happens on the way."""
        price = self.call("GET", f"/api/v1/reservations/{reservation}", token=token)["price"]
        balance = self.call("GET", "/api/v1/user-wallets/balance", user=user)["balance"]
        if balance < price:
            # A key is one intention's: this charge's. In a real program it is written down before it is sent.
            key = str(uuid.uuid4())
            self.call("PATCH", "/api/v1/user-wallets/balance", user=user, key=key, fields={"amount": price - balance})
        fields = {"concertReservationId": reservation}
        paid = self.call("POST", "/api/v1/payment/concert", token=token, key=str(uuid.uuid4()), fields=fields)
        return int(paid["paymentHistoryId"])

    def buy(self, user: int, concert: int, tell: Callable[[Rank], None]) -> int:
        while True:
            token = self.enter(user, concert)
            if self.poll(token, tell) != "ACTIVE":
                continue
            try:
                return self.pay(user, token, self.hold(token, concert))
            except Refused as refused:
                # The turn was over too soon: back to the end of the queue.
                if refused.code not in ("TOKEN_EXPIRED", "TOKEN_NOT_ACTIVE", "RESERVATION_EXPIRED"):
                    raise


if __name__ == "__main__":
    _, base, user, concert = sys.argv
    payment = Shop(base).buy(int(user), int(concert), lambda rank: print(rank["status"], rank["ahead"], file=sys.stderr))
    print(json.dumps({"paymentHistoryId": payment}))
