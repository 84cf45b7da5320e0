"""Who is behind a connection: claims and tenant, the same for HTTP and WebSocket."""

from arcly_channels.identity.middleware import (
    ClaimsMiddleware,
    HttpIdentityMiddleware,
    IdentityMiddlewareStack,
    TenantMiddleware,
)
from arcly_channels.identity.origin import SameHostOriginValidator
from arcly_channels.identity.strategies import (
    claim,
    header,
    header_then_subdomain,
    subdomain,
)
from arcly_channels.identity.tenancy import Tenant, TenantRegistry, get_tenants

__all__ = [
    "ClaimsMiddleware",
    "HttpIdentityMiddleware",
    "IdentityMiddlewareStack",
    "SameHostOriginValidator",
    "Tenant",
    "TenantMiddleware",
    "TenantRegistry",
    "claim",
    "get_tenants",
    "header",
    "header_then_subdomain",
    "subdomain",
]
