"""What is counted, as an app sees it."""

from typing import Literal

from pydantic import BaseModel, ConfigDict


class CountedAnswer(BaseModel):
    """The total of one metric in the period [period_start, period_end)."""

    model_config = ConfigDict(from_attributes=True)

    metric: str
    period_start: str
    period_end: str
    quantity: str
    counters: int


class SubscriptionUsageAnswer(BaseModel):
    """What is counted so far, by metric, the newest periods first; empty where nothing was counted yet."""

    status: Literal["ok"] = "ok"
    external_id: str
    usage: list[CountedAnswer]
