from odoo.tests import tagged

from .common import FusionBillingCase

URL = "https://app.example/hooks"


@tagged("post_install", "-at_install")
class TestEndpoints(FusionBillingCase):
    def _secrets(self):
        records = {record["key"]: record["value"] for record in self.api.fc_catalog()["records"]}
        return records[f"endpoint/{self.service.id}"]["secrets"]

    def test_service_without_address_has_no_endpoint(self):
        self.assertEqual(self.api.fc_get_endpoint("test-maps"), {"status": "ok", "endpoint": None})

    def test_new_endpoint_comes_with_its_secret_once(self):
        made = self.api.fc_set_endpoint(service="test-maps", url=URL, event_types=["invoice.paid"])
        self.assertEqual(made["endpoint"], {"id": self.service.id, "url": URL, "event_types": ["invoice.paid"]})
        self.assertEqual(self._secrets()[0], made["secret"])
        moved = self.api.fc_set_endpoint(service="test-maps", url=f"{URL}/2")
        self.assertEqual((moved["secret"], moved["endpoint"]["event_types"]), (None, []))
        self.assertEqual(self._secrets()[0], made["secret"])
        self.assertNotIn("secret", self.api.fc_get_endpoint("test-maps"))

    def test_renewed_secret_signs_beside_the_former_one(self):
        first = self.api.fc_set_endpoint("test-maps", URL)["secret"]
        second = self.api.fc_renew_endpoint_secret("test-maps")["secret"]
        self.assertEqual(self._secrets(), [second, first])

    def test_deleted_endpoint_is_gone_and_its_successor_has_another_secret(self):
        first = self.api.fc_set_endpoint("test-maps", URL)["secret"]
        for _round in range(2):
            self.assertEqual(self.api.fc_delete_endpoint("test-maps"), {"status": "ok", "endpoint": None})
        self.assertEqual(self.api.fc_renew_endpoint_secret("test-maps")["field"], "service")
        self.assertNotEqual(self.api.fc_set_endpoint("test-maps", URL)["secret"], first)

    def test_what_is_wrong_is_said_and_changes_nothing(self):
        self.api.fc_set_endpoint("test-maps", URL)
        wrong = [
            ({"url": "ftp://app.example"}, None),
            ({"url": ""}, "url"),
            ({"url": "https://" + "x" * 300}, "url"),
            ({"url": URL, "event_types": ["invoice.paid", "no.such"]}, "event_types"),
        ]
        for arguments, field in wrong:
            with self.subTest(arguments):
                answer = self.api.fc_set_endpoint(service="test-maps", **arguments)
                self.assertEqual((answer["status"], answer.get("field")), ("error", field))
        self.assertEqual(self.api.fc_get_endpoint("test-maps")["endpoint"]["url"], URL)
        self.assertEqual(self.api.fc_get_endpoint("nobody")["field"], "service")
