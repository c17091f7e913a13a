"""Every service that consumes has the dead-letter commands, and its own broker user may do all they need."""

from __future__ import annotations

import asyncio
import os
import sys
from uuid import UUID, uuid4

import pytest
from common.amqp import Link, Message, Publisher
from common.amqp.deadletters import DeadLetters
from common.amqp.names import dead_queue
from common.testing import stack
from contracts import topology

from tools.stack.layout import ROOT

READERS = sorted({queue.reader for queue in topology.QUEUES if queue.reader in topology.SERVICES})


async def command(service: str, *words: str) -> tuple[int, str]:
    """Run it as an operator does, with the service's own login and nothing else."""
    environment = {**os.environ, "AMQP_URL": stack().rabbitmq.url(service)}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", service, "deadletters", *words, cwd=ROOT, env=environment,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    told, _ = await process.communicate()
    return process.returncode or 0, told.decode()


async def bury(link: Link, queue: str, id: UUID) -> None:
    publisher = Publisher(link)
    await publisher.publish(Message(id, topology.DEAD, dead_queue(queue), b"{}", {"x-reason": "a test's"}))
    await publisher.close()


async def remove(link: Link, queue: str, id: UUID) -> None:
    """Take it out again: from the queue if nobody consumes, else from the dead letters it returns to."""
    channel = await link.channel(confirms=False)
    async with asyncio.timeout(20):
        while True:
            found = await channel.declare_queue(queue, passive=True)
            place = (
                found
                if not found.declaration_result.consumer_count
                else await channel.get_queue(dead_queue(queue))
            )
            message = await place.get(fail=False)
            if message is not None and message.message_id == str(id):
                await message.ack()
                return
            await asyncio.sleep(0.1)


@pytest.mark.parametrize("service", READERS)
async def test_a_service_lists_and_replays_its_dead_letters(service: str) -> None:
    queue, id = topology.queues_of(service)[0], uuid4()
    link = Link(stack().rabbitmq.url("topology"), name="deadletters-test")
    await bury(link, queue, id)
    status, told = await command(service, "list")
    assert status == 0, told
    assert str(id) in told
    assert "a test's" in told
    status, told = await command(service, "replay", str(id))
    assert (status, told) == (0, f"{id} given back\n")
    await remove(link, queue, id)
    assert str(id) not in {letter.id for letter in await DeadLetters(link, queue).listed(1_000)}
    await link.close()
