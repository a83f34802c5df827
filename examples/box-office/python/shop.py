"""What a web shop says, as CloudEvents: with the same attributes over each broker."""

from datetime import datetime, timezone
from uuid import uuid4

from cloudevents.core.v1.event import CloudEvent


def event(name: str, data: object, about: str | None = None) -> CloudEvent:
    attributes = {
        "specversion": "1.0",
        "id": str(uuid4()),
        "source": "/web-shop",
        "type": name,
        "time": datetime.now(timezone.utc),
        "datacontenttype": "application/json",
    }
    if about is not None:
        # What is said about one thing is handled in the order in which it is said.
        attributes |= {"subject": about, "partitionkey": about}
    return CloudEvent(attributes=attributes, data=data)
