"""A web shop that sells seats over NATS: `web_shop_nats.py nats://127.0.0.1:4222 SHOW GUEST SEATS`.

It says what a guest wants, waits for what the box office says of it, and asks how many seats are free.
"""

import asyncio
import os
import sys

import nats
from cloudevents.core.bindings.http import HTTPMessage, from_binary_event, to_binary_event
from cloudevents.core.v1.event import CloudEvent
from nats.aio.msg import Msg
from nats.js.api import ConsumerConfig, DeliverPolicy

from shop import event

# What names on the bus begin with.
PREFIX = os.environ.get("PREFIX", "cqrs")


def as_message(event: CloudEvent) -> tuple[bytes, dict[str, str]]:
    """A CloudEvent as NATS has it: its headers are those of HTTP."""
    message = to_binary_event(event)
    return message.body, message.headers


def as_event(message: Msg) -> CloudEvent:
    return from_binary_event(HTTPMessage(headers=message.headers or {}, body=message.data))


async def main(url: str, show: str, guest: str, seats: int) -> None:
    connection = await nats.connect(url)
    jetstream = connection.jetstream()

    # A consumer of its own, which begins here and is gone a minute after the shop.
    begins_here = ConsumerConfig(deliver_policy=DeliverPolicy.NEW, inactive_threshold=60)
    told = await jetstream.pull_subscribe(
        f"{PREFIX}.message.*.theatre.>", stream=PREFIX, config=begins_here
    )

    wanted = event("shop.seats_wanted", {"show": show, "guest": guest, "seats": seats}, show)
    body, headers = as_message(wanted)
    # Twice, as a shop does that has got no answer: it counts once.
    for _ in range(2):
        await jetstream.publish(f"{PREFIX}.message.x.shop.seats_wanted", body, headers=headers)

    while True:
        [message] = await told.fetch(1, timeout=30)
        said = as_event(message)
        await message.ack()
        if said.get_data()["guest"] == guest:
            break
    print(said.get_type(), said.get_extension("partitionkey"), said.get_data())

    body, headers = as_message(event("theatre.free_seats", {"show": show}))
    answer = as_event(
        await connection.request(
            f"{PREFIX}.request.theatre.free_seats", body, timeout=10, headers=headers
        )
    )
    print(answer.get_type(), answer.get_extension("status"), answer.get_data())
    await connection.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])))
