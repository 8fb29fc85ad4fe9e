"""The process that seals: every few seconds it numbers new accesses and signs what has grown. One leads, more wait."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg
import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge

from infra.evidence.heads_keeper import HeadsIncomplete, HeadsKeeper, MadeHeads
from infra.evidence.notes import Signer
from infra.evidence.signer import LogSigner, Signed, SigningRefused
from infra.evidence.tiles import LogName
from infra.evidence.topic import CheckpointTopic, TopicSilent
from infra.leading import Leading, is_leader

log = structlog.get_logger(__name__)

Connection = psycopg.Connection[Any]
_LEADER = 7305550314
_REFUSALS = (SigningRefused, TopicSilent, OSError)


class Measurements:
    """What an operator watches; `refused` above 0 is an alarm."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.size = _gauge(registry, "checkpoint_size", "Leaves under the newest checkpoint")
        self.signed_at = _gauge(registry, "checkpoint_timestamp_seconds", "When the log was last found in order")
        self.refused = _gauge(registry, "checkpoint_refused", "1 while signing is refused")
        self.unpublished = _gauge(registry, "checkpoint_unpublished", "1 while the topic lacks the newest checkpoint")
        self.sealed = Counter("accesses_sealed", "Accesses that were given their leaf", registry=registry)


@dataclass
class Sealing:
    """`connect` gives a fresh autocommit connection of role sealer. Without a `topic`, nothing is published."""

    connect: Callable[[], Connection]
    signers: Sequence[LogSigner]
    topic: CheckpointTopic | None
    measurements: Measurements
    seconds: float
    heads: HeadsKeeper | None = None

    def run(self, stopping: Callable[[], bool]) -> None:
        """Until `stopping`. What fails is tried again; what is refused is refused until someone has looked."""
        Leading(_LEADER, "sealing_reconnects", self.seconds).run(self._connect_anew, self._attempt, stopping)

    def _connect_anew(self) -> Connection:
        """What was refused before, whoever leads from now on says again."""
        for each in self.signers:
            self.measurements.refused.labels(each.log).set(0)
        return self.connect()

    def is_leader(self, connection: Connection) -> bool:
        """Whether this session leads, now that it has asked."""
        return is_leader(connection, _LEADER)

    def round(self, connection: Connection) -> list[Signed]:
        """Seals, signs and publishes once. What one log refuses is raised after the other was tried: SigningRefused,
        TopicSilent, OSError."""
        row = connection.execute("select log.seal_accesses()").fetchone()
        self.measurements.sealed.inc(row[0] if row else 0)
        done, refusal = [], None
        for each in self.signers:
            try:
                signed = each.sign(connection)
            except _REFUSALS as error:
                self.measurements.refused.labels(each.log).set(1)
                refusal = error
                continue
            self.measurements.refused.labels(each.log).set(0)
            self.measurements.signed_at.labels(each.log).set_to_current_time()
            if signed is not None:
                self._tell(each, signed)
                done.append(signed)
                refusal = self._make_heads(connection, each, signed) or refusal
        if refusal is not None:
            raise refusal
        return done

    def _make_heads(self, connection: Connection, signer: LogSigner, signed: Signed) -> SigningRefused | None:
        """What was refused, if anything was."""
        if self.heads is None or signed.log is not LogName.EVENTS:
            return None
        named = Signer(signed.checkpoint.origin, signer.private)
        try:
            made = self.heads.when_due(connection, named, signed.checkpoint)
        except HeadsIncomplete as error:
            return SigningRefused("heads-incomplete", str(error))
        if made is not None and self.heads.to_publish(made):
            self._publish_heads(f"{named.name}/heads", made)
        return None

    def _publish_heads(self, origin: str, made: MadeHeads) -> None:
        log.info("heads_signed", size=made.size)
        if self.topic is not None:
            try:
                self.topic.publish(origin, made.note)
            except TopicSilent as error:
                log.warning("heads_unpublished", size=made.size, error=error)

    def _attempt(self, connection: Connection) -> None:
        try:
            self.round(connection)
        except SigningRefused as refusal:
            log.critical("checkpoint_refused", reason=refusal.reason)
        except (TopicSilent, OSError) as error:
            log.critical("checkpoint_refused", reason="outside-unreadable", error=error)

    def _tell(self, signer: LogSigner, signed: Signed) -> None:
        origin, size, _ = signed.checkpoint
        self.measurements.size.labels(signer.log).set(size)
        if signed.is_new:
            log.info("checkpoint_signed", kind=signer.log.value, size=size)
        if self.topic is None or (not signed.is_new and self.topic.holds(origin, signed.note)):
            return
        try:
            self.topic.publish(origin, signed.note)
            self.measurements.unpublished.labels(signer.log).set(0)
        except TopicSilent as error:
            self.measurements.unpublished.labels(signer.log).set(1)
            log.warning("checkpoint_unpublished", kind=signer.log.value, size=size, error=error)


def _gauge(registry: CollectorRegistry, name: str, meaning: str) -> Gauge:
    return Gauge(name, meaning, ["log"], registry=registry)
