from odoo.tests import tagged

from .common import FusionBillingCase


@tagged("post_install", "-at_install")
class TestCustomers(FusionBillingCase):
    def _upsert(self, **values):
        row = {"service": "test-maps", "external_id": "new", "name": "New", "email": "new@client.example"}
        [result] = self.api.fc_upsert_customers(rows=[{**row, **values}])
        return result

    def test_new_customer_gets_a_partner_in_the_company_s_province(self):
        partner = self.env["res.partner"].browse(self._upsert()["partner_id"])
        self.assertEqual((partner.name, partner.email), ("New", "new@client.example"))
        self.assertEqual(partner.state_id, self.company.state_id)
        self.assertEqual(partner.country_id, self.company.country_id)

    def test_again_is_the_same_partner(self):
        first = self._upsert()
        self.assertEqual(self._upsert(), first)

    def test_email_is_matched_without_case(self):
        partner = self.env["res.partner"].create({"name": "Known", "email": "Boss <Boss@Known.example>"})
        self.assertEqual(self._upsert(email="boss@KNOWN.example")["partner_id"], partner.id)

    def test_one_partner_over_all_services(self):
        self.env["fusion.billing.service"].create({"name": "Other", "code": "test-other"})
        first = self._upsert()
        self.assertEqual(
            self._upsert(service="test-other", email="NEW@client.example")["partner_id"], first["partner_id"]
        )

    def test_several_partners_with_the_email_are_a_person_s_decision(self):
        self.env["res.partner"].create([{"name": name, "email": "twice@x.example"} for name in "AB"])
        result = self._upsert(email="twice@x.example")
        self.assertEqual((result["status"], result["field"], result["partner_id"]), ("error", "email", None))
        self.assertIn("a person must link", result["error"])
        self._upsert(email="twice@x.example")
        [activity] = self.service.activity_ids
        self.assertIn("new", activity.summary)
        self.assertTrue(activity.user_id.has_group("fusion_billing.group_manager"))
        partner = self.env["res.partner"].search([("email", "=", "twice@x.example")], limit=1)
        self.env["fusion.billing.account.link"].create(
            {"service_id": self.service.id, "external_id": "new", "partner_id": partner.id}
        )
        self.assertEqual(self._upsert(email="twice@x.example")["partner_id"], partner.id)
        self.assertFalse(self.service.activity_ids, "linking the account does the to-do")

    def test_merged_partner_keeps_its_accounts_and_the_feed_hears_of_it(self):
        first, second = self._upsert(), self._upsert(external_id="other", email="other@client.example")
        partners = self.env["res.partner"].browse([first["partner_id"], second["partner_id"]])
        links = self.env["fusion.billing.account.link"].search([("partner_id", "in", partners.ids)])
        self.cr.execute("UPDATE fusion_billing_account_link SET write_date = '2020-01-01'")
        self.env.invalidate_all()
        self.env["base.partner.merge.automatic.wizard"]._merge(partners.ids, partners[0])
        self.assertEqual(links.partner_id, partners[0])
        self.assertEqual(len(links), 2)
        self.assertTrue(all(link.write_date.year > 2020 for link in links))
        self.assertEqual(self._upsert(external_id="other")["partner_id"], partners[0].id)

    def test_external_id_wins_over_a_changed_email(self):
        first = self._upsert()
        self.env["res.partner"].create({"name": "Somebody else", "email": "else@x.example"})
        self.assertEqual(self._upsert(email="else@x.example")["partner_id"], first["partner_id"])

    def test_customer_without_email_or_name(self):
        result = self._upsert(email=None, name=None)
        self.assertEqual(self.env["res.partner"].browse(result["partner_id"]).name, "new")

    def test_email_that_its_partner_gave_up_can_be_used_again(self):
        first = self._upsert()
        self.env["res.partner"].browse(first["partner_id"]).email = "moved@x.example"
        second = self._upsert(external_id="new2")
        self.assertEqual(second["status"], "ok")
        self.assertNotEqual(second["partner_id"], first["partner_id"])

    def test_bad_rows_name_their_field(self):
        self.assertEqual(self._upsert(email="no address")["field"], "email")
        self.assertEqual(self._upsert(external_id="")["field"], "external_id")
        self.assertEqual(self._upsert(service="nobody")["field"], "service")
        self.assertEqual(self._upsert(external_id="\ud800")["field"], "external_id")
        self.assertEqual(self._upsert(name="x" * 300)["field"], "name")
        [result] = self.api.fc_upsert_customers(rows=["no row"])
        self.assertEqual(result["status"], "error")
