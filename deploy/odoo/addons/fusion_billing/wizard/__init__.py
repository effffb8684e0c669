from . import fusion_billing_api_key
from . import fusion_billing_charge_version
