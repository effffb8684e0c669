from . import base_partner_merge_automatic_wizard
from . import fusion_billing_api_key
from . import fusion_billing_charge_version
