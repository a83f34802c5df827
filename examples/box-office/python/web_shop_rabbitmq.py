"""A web shop that sells seats over RabbitMQ: `web_shop_rabbitmq.py amqp://127.0.0.1:5672 SHOW GUEST SEATS`.

It says what a guest wants, waits for what the box office says of it, and asks how many seats are free.
"""

import os
import sys
import time

import pika
from cloudevents.core.bindings.amqp import AMQPMessage, from_binary_event, to_binary_event
from cloudevents.core.v1.event import CloudEvent

from shop import event

# What names on the bus begin with.
PREFIX = os.environ.get("PREFIX", "cqrs")


def as_message(event: CloudEvent, **others) -> tuple[bytes, pika.BasicProperties]:
    """A CloudEvent as RabbitMQ has it."""
    message = to_binary_event(event)
    properties = pika.BasicProperties(
        content_type=message.properties["content-type"],
        headers=message.application_properties,
        delivery_mode=pika.DeliveryMode.Persistent,
        **others,
    )
    return message.application_data, properties


def as_event(properties: pika.BasicProperties, body: bytes) -> CloudEvent:
    content_type = {"content-type": properties.content_type}
    return from_binary_event(AMQPMessage(content_type, properties.headers or {}, body))


def main(url: str, show: str, guest: str, seats: int) -> None:
    connection = pika.BlockingConnection(pika.URLParameters(url))
    channel = connection.channel()
    channel.confirm_delivery()

    # A queue of its own, for as long as the shop is connected.
    queue = channel.queue_declare("", exclusive=True).method.queue
    channel.queue_bind(queue, f"{PREFIX}.message", "theatre.#")

    wanted = event("shop.seats_wanted", {"show": show, "guest": guest, "seats": seats}, show)
    body, properties = as_message(wanted)
    # Twice, as a shop does that has got no answer: it counts once.
    for _ in range(2):
        channel.basic_publish(f"{PREFIX}.message", "shop.seats_wanted", body, properties)

    for delivery, properties, body in channel.consume(queue, inactivity_timeout=30):
        if delivery is None:
            sys.exit("the box office says nothing")
        said = as_event(properties, body)
        channel.basic_ack(delivery.delivery_tag)
        if said.get_data()["guest"] == guest:
            break
    channel.cancel()
    print(said.get_type(), said.get_extension("partitionkey"), said.get_data())

    answers = []
    # RabbitMQ hands answers to the channel that has asked, without a queue.
    replies = "amq.rabbitmq.reply-to"
    channel.basic_consume(replies, lambda *answer: answers.append(answer[2:]), auto_ack=True)
    asked = event("theatre.free_seats", {"show": show})
    body, properties = as_message(asked, reply_to=replies, correlation_id=asked.get_id())
    channel.basic_publish("", f"{PREFIX}.request.theatre.free_seats", body, properties)
    gives_up = time.monotonic() + 10
    while not answers:
        if time.monotonic() > gives_up:
            sys.exit("the box office does not answer")
        connection.process_data_events(time_limit=1)
    answer = as_event(*answers[0])
    print(answer.get_type(), answer.get_extension("status"), answer.get_data())
    connection.close()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]))
