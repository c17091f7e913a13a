"""RabbitMQ without surprises: every wait ends, every message's fate is decided, nothing heals by luck."""

from common.amqp.consumer import Consumer, Handler
from common.amqp.delivery import Delivery, Envelope, Poison, RetryPolicy
from common.amqp.link import Link, connect
from common.amqp.publisher import Message, Publisher
from common.broker import BrokerUnavailable, Nacked, NotTaken, Unconfirmed, Unroutable

__all__ = [
    "BrokerUnavailable",
    "Consumer",
    "Delivery",
    "Envelope",
    "Handler",
    "Link",
    "Message",
    "Nacked",
    "NotTaken",
    "Poison",
    "Publisher",
    "RetryPolicy",
    "Unconfirmed",
    "Unroutable",
    "connect",
]
