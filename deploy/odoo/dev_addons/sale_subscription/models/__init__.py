from . import account_move
from . import product_template
from . import sale_order
from . import sale_order_invoicing
from . import sale_order_close_reason
from . import sale_order_line
from . import sale_subscription_plan
