"""The places at which the meter is killed, in the order in which a record, a snapshot and a start pass them."""

APPLY = ("apply.decoded", "apply.counted", "apply.noted", "fetch.applied")
PUBLISH = (
    "publish.derived",
    "transaction.begun",
    "transaction.sent",
    "transaction.noted",
    "transaction.committed",
    "publish.settled",
    "publish.cleared",
)
SNAPSHOT = (
    "snapshot.copied",
    "snapshot.begun",
    "snapshot.filled",
    "snapshot.synced",
    "snapshot.renamed",
    "snapshot.pruned",
)
START = ("open.loaded", "claim.started", "claim.read", "claim.made")
STOP = ("close.flushed", "close.paused")
REPLAY = ("replay.applied",)
"""Passed only when records are missing from what Faust brings."""

POINTS = APPLY + PUBLISH + SNAPSHOT + START + STOP + REPLAY

REFUSABLE = (*(point for point in PUBLISH if point.startswith("transaction.")), "snapshot.begun", "snapshot.synced")
"""Where the broker or the disk may refuse, and the meter must go on by itself."""
