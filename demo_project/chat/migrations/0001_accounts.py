"""Makes the demo's accounts, whose password is known to everybody: the page shows it."""

from __future__ import annotations

from typing import Any, ClassVar

from django.db import migrations

PASSWORD = "demo"  # noqa: S105  # No secret.

# The tenants that an account is a member of, by the groups of their names.
ACCOUNTS = {"wile": ["acme", "public"], "hank": ["globex", "public"], "admin": ["public"]}


def make_accounts(apps: Any, schema_editor: Any) -> None:
    users = apps.get_model("auth", "User").objects
    groups = apps.get_model("auth", "Group").objects
    for name, tenants in ACCOUNTS.items():
        flags = dict.fromkeys(("is_staff", "is_superuser"), name == "admin")
        user = users.create_user(name, password=PASSWORD, **flags)
        user.groups.set([groups.get_or_create(name=tenant)[0] for tenant in tenants])


def remove_accounts(apps: Any, schema_editor: Any) -> None:
    apps.get_model("auth", "User").objects.filter(username__in=ACCOUNTS).delete()


class Migration(migrations.Migration):
    dependencies: ClassVar = [("auth", "0012_alter_user_first_name_max_length")]
    operations: ClassVar = [migrations.RunPython(make_accounts, remove_accounts)]
