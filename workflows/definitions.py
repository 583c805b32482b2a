"""All sagas that there are: who serves sagas of any kind begins here."""

from workflows.order_saga import ORDER_SAGA_DEFINITION
from workflows.return_saga import RETURN_SAGA_DEFINITION

DEFINITIONS = (ORDER_SAGA_DEFINITION, RETURN_SAGA_DEFINITION)
