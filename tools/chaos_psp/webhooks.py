"""The provider's webhooks: signed by Standard Webhooks, repeated until they are taken, and hurt as its faults say."""

import asyncio
import hashlib
import json
from dataclasses import dataclass
from datetime import UTC, datetime

import aiohttp
from standardwebhooks.webhooks import Webhook

from tools.chaos_psp.book import Thing
from tools.chaos_psp.faults import Faults

TRIES = 300
"""How often a webhook is tried: for five minutes. What gets lost is drawn, and not a matter of who was down when."""
TRIES_BEFORE_ANSWER = 2
LONGEST_WAIT_SECONDS = 1.0
DELAY_SECONDS = 0.8
TAKEN = range(200, 300)


@dataclass
class Sender:
    """Sends webhooks to one address, in the background."""

    url: str | None
    webhook: Webhook | None
    faults: Faults
    session: aiohttp.ClientSession | None = None
    delivered: int = 0

    def __post_init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()
        self._events = 0

    @property
    def waiting(self) -> int:
        """How many are not delivered yet."""
        return len(self._tasks)

    async def tell(self, thing: Thing) -> None:
        """Tell of a change. What comes before the answer is delivered before this returns."""
        if self.url is None or self.webhook is None:
            return
        self._events += 1
        what = (thing.label, thing.act, thing.status)
        if self.faults.strikes("webhook_lost", *what):
            return
        id = "msg_" + hashlib.sha256(f"{thing.id}|{self._events}".encode()).hexdigest()[:24]
        body = json.dumps({"type": f"{thing.act}.updated", "data": {"id": thing.id, "status": thing.status}})
        if self.faults.strikes("webhook_badly_signed", *what):
            forged = json.dumps(
                {"type": "capture.updated", "data": {"id": "op_forged", "status": "succeeded"}}
            )
            self._later(f"{id}_forged", forged, 0.0, forged=True)
        if self.faults.strikes("webhook_before_answer", *what):
            if not await self._deliver(id, body, forged=False, tries=TRIES_BEFORE_ANSWER):
                self._later(id, body, LONGEST_WAIT_SECONDS)
            return
        late = self.faults.one_of(("webhook_delayed", "webhook_reordered"), *what)
        delay = DELAY_SECONDS * (0.2 + self.faults.draw("delay", *what)) if late else 0.0
        self._later(id, body, delay)
        if self.faults.strikes("webhook_duplicated", *what):
            self._later(id, body, delay + 0.1)
        if self.faults.strikes("webhook_duplicated_new_id", *what):
            self._later(f"{id}_2", body, delay + 0.2)

    def _later(self, id: str, body: str, delay: float, *, forged: bool = False) -> None:
        async def send() -> None:
            await asyncio.sleep(delay)
            await self._deliver(id, body, forged=forged)

        task = asyncio.create_task(send())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _deliver(self, id: str, body: str, *, forged: bool, tries: int = TRIES) -> bool:
        """Try until it is taken; whether it was. What is forged is tried once."""
        for attempt in range(tries):
            if await self._send(id, body, forged=forged) or forged:
                return True
            await asyncio.sleep(min(LONGEST_WAIT_SECONDS, 0.2 * 2 ** min(attempt, 8)))
        return False

    async def _send(self, id: str, body: str, *, forged: bool) -> bool:
        if self.webhook is None or self.url is None or self.session is None:
            return True
        now = datetime.now(UTC)
        signature = self.webhook.sign(id, now, body)
        headers = {
            "Content-Type": "application/json",
            "webhook-id": id,
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": "v1,Zm9yZ2Vk" if forged else signature,
        }
        try:
            async with self.session.post(self.url, data=body.encode(), headers=headers) as answer:
                self.delivered += answer.status in TAKEN
                return answer.status in TAKEN
        except (aiohttp.ClientError, TimeoutError):
            return False

    async def close(self) -> None:
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self.session is not None:
            await self.session.close()
