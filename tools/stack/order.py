"""Everything a stack consists of and what it waits for, in one list."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

from tools.stack import postgres, rabbitmq, redis, replica, services
from tools.stack.description import describe
from tools.stack.layout import Layout
from tools.stack.process import Spec
from tools.stack.secrets import make_keys


@dataclass(frozen=True, slots=True)
class Errand:
    """Something done once on the way up, such as migrating the databases."""

    name: str
    run: Callable[[], Awaitable[None]]
    after: tuple[str, ...] = ()


Step = Spec | Errand


def steps(
    layout: Layout, *, infra_only: bool = False, throw_away: bool = False, traces: bool = False
) -> list[Step]:
    """All of a stack. Each step starts as soon as everything in its `after` is up."""
    infrastructure: list[Step] = [
        Errand(services.KEYS, partial(make_keys, layout)),
        Errand("description", partial(describe, layout)),
        Errand("cluster", partial(postgres.initialise, layout)),
        postgres.spec(layout),
        Errand(
            services.DATABASES,
            partial(postgres.prepare, layout, keep_pristine=throw_away),
            after=("postgres",),
        ),
        redis.spec(layout, redis.SESSIONS),
        redis.spec(layout, redis.CACHE),
        Errand("broker-configuration", partial(rabbitmq.initialise, layout)),
        rabbitmq.epmd(layout),
        rabbitmq.spec(layout),
        Errand(services.TOPOLOGY, partial(rabbitmq.declare, layout), after=("rabbitmq",)),
    ]
    if infra_only:
        return infrastructure
    ledger_keys = partial(services.make_ledger_keys, layout)
    more = services.tracing(layout) if traces else {}
    if throw_away:
        own = services.specs(layout)
    else:
        own = services.reporting_from(layout, services.specs(layout))
        infrastructure += [
            Errand("replica-copy", partial(replica.initialise, layout), after=(services.DATABASES,)),
            replica.spec(layout),
        ]
    return [
        *infrastructure,
        Errand(services.LEDGER_KEYS, ledger_keys, after=(services.DATABASES, services.KEYS)),
        *(replace(spec, environment={**spec.environment, **more}) for spec in own),
    ]


def extras(layout: Layout) -> list[Spec]:
    """What can be started by order besides a stack's own processes."""
    return [services.second_ledger(layout)]


def unknown_needs(wanted: Sequence[Step]) -> set[str]:
    """Names that a step waits for and that nobody brings."""
    return {name for step in wanted for name in step.after} - {step.name for step in wanted}
