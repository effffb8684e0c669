"""When an endpoint is failing, disabled, or active again."""

from datetime import timedelta

from schemas.catalog import Endpoint
from schemas.events import EndpointState, EndpointStatus
from sinks.webhooks.standing import Standings
from sinks.webhooks.state import Answer
from tests.unit.sinks.webhooks.deliveries import NOW

ENDPOINT = Endpoint(id=1, service="maps", url="https://a.example/hook?key=t0ken", sealed_secrets=("x",))
MOVED = ENDPOINT.model_copy(update={"url": "https://b.example/hook"})
FAILED, GOOD, GONE = Answer(500), Answer(200), Answer(410)


def noted(standings: Standings, *answers: Answer, hours: float = 0) -> EndpointStatus | None:
    """Take in answers, and the statuses they bring; return the last one."""
    status = None
    for answer in answers:
        status = standings.after(ENDPOINT, answer, NOW + timedelta(hours=hours))
        if status is not None:
            standings.apply(status)
    return status


def test_the_fourth_failure_in_a_row_is_told_once_and_so_is_the_recovery() -> None:
    """Neither the third nor the fifth; a success between begins anew."""
    standings = Standings()
    assert noted(standings, FAILED, FAILED, FAILED, GOOD, FAILED, FAILED, FAILED) is None
    failing = noted(standings, FAILED)
    assert failing is not None
    assert failing.state is EndpointState.FAILING
    assert noted(standings, FAILED) is None
    back = noted(standings, GOOD)
    assert back is not None
    assert back.state is EndpointState.ACTIVE
    assert noted(standings, GOOD) is None


def test_410_disables_at_once_until_there_is_another_url() -> None:
    """The URL itself, which may carry a token, is not in the status."""
    standings = Standings()
    status = noted(standings, GONE)
    assert status is not None
    assert status.state is EndpointState.DISABLED
    assert "t0ken" not in status.model_dump_json()
    assert standings.is_disabled(ENDPOINT)
    assert not standings.is_disabled(MOVED)
    assert standings.after(ENDPOINT, GOOD, NOW) is None  # it was on its way already
    back = standings.after(MOVED, GOOD, NOW)
    assert back is not None
    assert back.state is EndpointState.ACTIVE


def test_five_days_of_only_failures_disable_also_across_a_restart() -> None:
    """The status carries when they began."""
    first = Standings()
    failing = noted(first, FAILED, FAILED, FAILED, FAILED)
    assert failing is not None
    restarted = Standings()
    restarted.apply(failing)
    assert noted(restarted, FAILED, hours=5 * 24 - 1) is None
    disabled = noted(restarted, FAILED, hours=5 * 24)
    assert disabled is not None
    assert disabled.state is EndpointState.DISABLED


def test_what_an_operator_disabled_stays_so_under_any_url() -> None:
    """Until the operator enables it again."""
    standings = Standings()
    standings.apply(EndpointStatus(endpoint_id=1, state=EndpointState.DISABLED, since=NOW))
    assert standings.is_disabled(ENDPOINT)
    assert standings.is_disabled(MOVED)
    assert standings.after(ENDPOINT, GOOD, NOW) is None
    standings.apply(EndpointStatus(endpoint_id=1, state=EndpointState.ACTIVE, since=NOW))
    assert not standings.is_disabled(ENDPOINT)
    standings.forget(1)
    assert not standings.is_disabled(ENDPOINT)
