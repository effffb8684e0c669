"""Each screen of the addon in a real browser: it opens, shows what it should, and none of its scripts fails.

`pytest tests/integration/test_odoo_screens.py --screens docs/images` makes the pictures of docs/odoo.md anew.
"""

import secrets
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.integration.shop_window import Shop, furnish
from tests.stack.browser import Page, browsing, find_chromium
from tests.stack.odoo import OdooServer

pytestmark = [pytest.mark.odoo, pytest.mark.timeout(600)]

FIRST_PAGE_WITHIN_S = 300.0  # Odoo compiles all its scripts and styles for the first page
WITHIN_S = 60.0
USAGE = "action-fusion_billing.fusion_billing_usage_action"


@pytest.fixture(scope="module")
def shop(odoo: OdooServer) -> Shop:
    """Return a database with something in it."""
    return furnish(odoo)


@pytest.fixture(scope="module")
def page(odoo: OdooServer, shop: Shop, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """Return a browser in which an administrator is logged in and the first page was shown."""
    chromium = find_chromium()
    if chromium is None:
        pytest.skip("there is no Chromium on this machine: apt-get install chromium")
    assert shop
    with browsing(chromium, tmp_path_factory.mktemp("chromium")) as page:
        page.resize(1280, 720)
        log_in(page, odoo, odoo.admin.login, odoo.admin.password)
        page.open(f"{odoo.url}/odoo/{USAGE}", rows(24), FIRST_PAGE_WITHIN_S)
        yield page


@pytest.fixture
def pictures(pytestconfig: pytest.Config, tmp_path: Path) -> Path:
    """Return where screenshots go."""
    return Path(pytestconfig.getoption("--screens") or tmp_path)


def log_in(page: Page, odoo: OdooServer, login: str, password: str) -> None:
    """Make the page somebody's."""
    who = {"db": odoo.database, "login": login, "password": password}
    with httpx.Client(base_url=odoo.url, timeout=WITHIN_S) as client:
        answer = client.post("/web/session/authenticate", json={"jsonrpc": "2.0", "method": "call", "params": who})
        assert answer.json()["result"]["uid"], answer.text
        page.set_cookie(odoo.url, "session_id", client.cookies["session_id"])


def rows(count: int) -> str:
    """Return the condition that a list shows at least so many records."""
    return f"document.querySelectorAll('.o_list_view .o_data_row').length >= {count}"


def shows(selector: str, text: str) -> str:
    """Return the condition that an element with this text is there."""
    return f"[...document.querySelectorAll({selector!r})].some(one => one.textContent.includes({text!r}))"


def settled(page: Page) -> None:
    """Nothing is wrong with the page that is shown."""
    assert page.errors == []
    assert not page.evaluate("document.querySelector('.o_error_dialog, .o_notification_bar.bg-danger')")


def click(page: Page, selector: str) -> None:
    """Press what the selector finds."""
    assert page.evaluate(f"(one => one ? (one.click(), true) : false)(document.querySelector({selector!r}))"), selector


def test_usage_as_list_pivot_and_graph(page: Page, odoo: OdooServer, pictures: Path) -> None:
    """What was counted, and what became of it."""
    page.open(f"{odoo.url}/odoo/{USAGE}", rows(24), WITHIN_S)
    assert page.evaluate(shows(".o_data_row .badge", "Credit Pending"))
    page.screenshot(pictures / "odoo-usage.png")
    click(page, ".o_switch_view.o_pivot")
    page.wait_for("document.querySelector('.o_pivot td.o_pivot_cell_value')", WITHIN_S)
    page.screenshot(pictures / "odoo-usage-pivot.png")
    click(page, ".o_switch_view.o_graph")
    page.wait_for("document.querySelector('.o_graph_renderer canvas')", WITHIN_S)
    settled(page)


def test_a_line_changed_by_hand(page: Page, odoo: OdooServer, shop: Shop, pictures: Path) -> None:
    """The usage says what happened and offers both ways out."""
    url = f"{odoo.url}/odoo/{USAGE}/{shop.changed_usage}"
    page.open(url, shows(".o_form_view .alert", "was changed by hand"), WITHIN_S)
    for label in ("Accept the Change", "Undo the Change"):
        assert page.evaluate(shows(".o_form_statusbar button", label))
    page.screenshot(pictures / "odoo-changed-by-hand.png")
    settled(page)


def test_an_invoice_leads_to_the_usage_behind_it(page: Page, odoo: OdooServer, shop: Shop, pictures: Path) -> None:
    """By a button for all lines, and by a gauge at the end of each."""
    url = f"{odoo.url}/odoo/action-account.action_move_out_invoice_type/{shop.invoice}"
    page.open(url, shows(".o_field_widget[name=invoice_line_ids]", "over quota"), WITHIN_S)
    page.screenshot(pictures / "odoo-invoice.png")
    settled(page)
    click(page, "[name=invoice_line_ids] .o_data_row button[name=action_x_fc_open_usage]")
    page.wait_for(shows(".o_form_view .o_field_widget[name=service_id]", "NexaMaps"), WITHIN_S)
    settled(page)


@pytest.mark.parametrize(
    ("action", "name"), [("sale.action_orders", "order"), ("base.action_partner_form", "customer")]
)
def test_an_order_and_a_customer_lead_to_their_usage(
    page: Page, odoo: OdooServer, shop: Shop, action: str, name: str
) -> None:
    """By a button that counts it."""
    button = "button[name=action_x_fc_open_usage]"
    page.open(f"{odoo.url}/odoo/action-{action}/{getattr(shop, name)}", shows(button, "Usage"), WITHIN_S)
    click(page, button)
    page.wait_for(rows(6), WITHIN_S)
    settled(page)


def test_charge_and_service(page: Page, odoo: OdooServer, shop: Shop, pictures: Path) -> None:
    """A charge that was invoiced says that its terms are fixed; a new key or secret is shown in a dialog, once."""
    url = f"{odoo.url}/odoo/action-fusion_billing.fusion_billing_charge_action/{shop.charge}"
    page.open(url, shows(".o_form_view button", "New Version"), WITHIN_S)
    page.screenshot(pictures / "odoo-charge.png")
    settled(page)
    url = f"{odoo.url}/odoo/action-fusion_billing.fusion_billing_service_action/{shop.service}"
    page.open(url, shows(".o_form_view button", "Make API Key"), WITHIN_S)
    page.screenshot(pictures / "odoo-service.png")
    click(page, "button[name=action_open_api_key_wizard]:not(.d-none)")
    page.wait_for(shows(".modal .o_field_widget[name=key]", "fus_live_"), WITHIN_S)
    click(page, ".modal .btn-close")
    page.wait_for("!document.querySelector('.modal')", WITHIN_S)
    click(page, "button[name=action_open_webhook_secret_wizard]")
    page.wait_for("document.querySelector('.modal .modal-footer .btn-primary')", WITHIN_S)
    click(page, ".modal .modal-footer .btn-primary")
    page.wait_for(shows(".modal .o_field_widget[name=key]", "whsec_"), WITHIN_S)
    settled(page)
    click(page, ".modal .btn-close")
    page.wait_for("!document.querySelector('.modal')", WITHIN_S)
    assert not page.evaluate(shows(".o_form_view", "whsec_"))


def test_a_dead_delivery_is_made_again(page: Page, odoo: OdooServer, pictures: Path) -> None:
    """From the list, with what the app last answered."""
    action = "action-fusion_billing.fusion_billing_webhook_action"
    page.open(f"{odoo.url}/odoo/{action}", shows(".o_data_row .badge", "Dead"), WITHIN_S)
    page.screenshot(pictures / "odoo-deliveries.png")
    [dead] = odoo.call("fusion.billing.webhook", "search", [["state", "=", "dead"]])
    page.open(f"{odoo.url}/odoo/{action}/{dead}", shows(".o_form_statusbar button", "Deliver Again"), WITHIN_S)
    click(page, "button[name=action_replay]")
    page.wait_for("document.querySelector('.o_field_widget[name=replay_requested_at]')", WITHIN_S)
    settled(page)


def test_every_menu_opens(page: Page, odoo: OdooServer) -> None:
    """Whatever it shows, it shows it without an error."""
    root = odoo.admin.id_of("fusion_billing.menu_root")
    menus = odoo.call("ir.ui.menu", "search_read", [["id", "child_of", root]], ["name", "action"])
    actions = {menu["name"]: menu["action"].partition(",")[2] for menu in menus if menu["action"]}
    assert len(actions) >= 9
    for name, action in actions.items():
        page.open(f"{odoo.url}/odoo/action-{action}", "document.querySelector('.o_view_controller')", WITHIN_S)
        assert page.evaluate(shows(".o_breadcrumb", "")), name
        settled(page)


def test_the_customer_s_own_page(page: Page, odoo: OdooServer, shop: Shop, pictures: Path) -> None:
    """A customer sees the usage of the running period, and nobody else's."""
    login, password = f"customer-{secrets.token_hex(4)}", secrets.token_urlsafe(12)
    groups = [[6, 0, [odoo.admin.id_of("base.group_portal")]]]
    user = {"name": "Customer", "login": login, "password": password, "group_ids": groups, "partner_id": shop.customer}
    odoo.call("res.users", "create", user)
    log_in(page, odoo, login, password)
    try:
        page.open(f"{odoo.url}/my/usage", shows("td", "API calls over quota"), FIRST_PAGE_WITHIN_S)
        text = page.evaluate("document.body.innerText")
        assert "7,936,000" in text
        assert "6,627,000" not in text, "another customer's"
        page.screenshot(pictures / "odoo-portal.png")
        settled(page)
    finally:
        log_in(page, odoo, odoo.admin.login, odoo.admin.password)
