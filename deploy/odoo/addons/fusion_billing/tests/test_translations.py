import re
from collections import Counter

import polib

from odoo.tests import TransactionCase, tagged
from odoo.tools import file_path
from odoo.tools.translate import TranslationModuleReader

PLACEHOLDER = re.compile(r"%(?:\(\w+\))?[sd]|</?\w+")


@tagged("post_install", "-at_install")
class TestTranslations(TransactionCase):
    """What the screens say is in the template, and all of it in French."""

    def _terms(self, name):
        return {entry.msgid: entry for entry in polib.pofile(file_path(f"fusion_billing/i18n/{name}"))}

    def test_template_has_every_term_of_the_sources_and_no_other(self):
        reader = TranslationModuleReader(self.env.cr, modules=["fusion_billing"])
        sources = {source for _module, _type, _name, _res_id, source, _value, _comments in reader}
        template = set(self._terms("fusion_billing.pot"))
        how = "odoo i18n export -d DATABASE -l pot fusion_billing"
        self.assertEqual(sources - template, set(), f"missing; make it anew: {how}")
        self.assertEqual(template - sources, set(), f"not used any more; make it anew: {how}")

    def test_french_is_complete(self):
        template, french = set(self._terms("fusion_billing.pot")), self._terms("fr.po")
        self.assertEqual(set(french), template)
        self.assertEqual([term for term, entry in french.items() if not entry.msgstr or entry.fuzzy], [])

    def test_french_keeps_what_is_filled_in(self):
        for term, entry in self._terms("fr.po").items():
            with self.subTest(term):
                self.assertEqual(*(Counter(PLACEHOLDER.findall(text)) for text in (term, entry.msgstr)))
