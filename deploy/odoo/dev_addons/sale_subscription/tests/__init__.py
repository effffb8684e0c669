from . import test_sale_subscription
