"""The broker: a pure router inside a thin poll loop."""

from headrace.broker.config import BrokerConfig, RouterConfig
from headrace.broker.service import BrokerService

__all__ = ["BrokerConfig", "BrokerService", "RouterConfig"]
