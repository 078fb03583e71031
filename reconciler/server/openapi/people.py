"""Routes of logins, users and tokens."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from reconciler.server.accounts.routes import EMAIL, MAX_LIFETIME
from reconciler.server.accounts.scopes import SCOPES as NAMES
from reconciler.server.credentials import MAX_PASSWORD, MIN_PASSWORD
from reconciler.server.openapi.operation import (
    BOOLEAN,
    COUNT,
    STRING,
    TIME,
    Operation,
    Schema,
    choice,
    items,
    nullable,
    record,
    ref,
    text,
)

_ROLE: Final = choice("admin", "user")
_PASSWORD: Final[Schema] = {**text(MAX_PASSWORD), "minLength": MIN_PASSWORD}
_EMAIL: Final[Schema] = {"type": "string", "maxLength": 255, "pattern": f"^{EMAIL.pattern}$"}
_CHANGES: Final[Mapping[str, Schema]] = {"name": text(255, empty=False), "role": _ROLE, "password": _PASSWORD}

SCHEMAS: Final[Mapping[str, Schema]] = {
    "User": record(
        {
            **dict.fromkeys(("id", "email", "name", "organization"), STRING),
            "role": _ROLE,
            "mfa_enabled": BOOLEAN,
            "has_password": BOOLEAN,
            "created_at": TIME,
        }
    ),
    "Token": record(
        {
            **dict.fromkeys(("id", "name", "user_id", "email"), STRING),
            "role": _ROLE,
            "scopes": items(choice(*NAMES)),
            "created_at": TIME,
            "expires_at": nullable({"type": "number"}),
        },
        {"token": STRING},
    ),
    "Login": record(
        {
            "access_token": STRING,
            "token_type": choice("bearer"),
            "user": record(
                {
                    **dict.fromkeys(("id", "email", "name", "organization"), STRING),
                    "role": _ROLE,
                    "mfa_enabled": BOOLEAN,
                }
            ),
        }
    ),
}

ACCOUNTS: Final[Mapping[str, Operation]] = {
    "POST /api/auth/login": Operation(
        "A token for one day, for an account with a password; with a second factor also a code.",
        ref("Login"),
        body=record({"email": text(255), "password": text(MAX_PASSWORD)}, {"mfa_code": nullable(text(64))}),
        example={"email": "admin@localhost", "password": "a long password"},
        errors=(401, 429),
        secured=False,
    ),
    "GET /v1/admin/users": Operation(
        "The accounts of the organization.", record({"users": items(ref("User")), "total": COUNT}), listed=True
    ),
    "POST /v1/admin/users": Operation(
        "Make an account. Without a password it cannot log in, only have tokens.",
        record({"user": ref("User")}),
        201,
        body=record(
            {"email": _EMAIL, "role": _ROLE},
            {"name": nullable(_CHANGES["name"]), "password": nullable(_PASSWORD)},
        ),
        example={"email": "person@example.com", "role": "user"},
        errors=(409,),
    ),
    "PATCH /v1/admin/users/{user_id}": Operation(
        "Change name, role or password; a new role or password ends the account's sessions.",
        record({"user": ref("User")}),
        body=record({}, _CHANGES),
        example={"role": "admin"},
        errors=(404, 409),
    ),
    "DELETE /v1/admin/users/{user_id}": Operation(
        "Remove an account with its tokens and sessions.",
        record({"message": STRING, "user_id": STRING}),
        errors=(404, 409),
    ),
    "DELETE /v1/admin/users/{user_id}/mfa": Operation(
        "Remove the second factor of somebody who lost it.", record({"user": ref("User")}), errors=(404,)
    ),
    "GET /v1/admin/tokens": Operation(
        "The tokens of the organization, without what would let anybody use them.",
        record({"tokens": items(ref("Token")), "total": COUNT}),
        listed=True,
    ),
    "POST /v1/admin/tokens": Operation(
        "Make a token; `token` is shown here and never again.",
        ref("Token"),
        201,
        body=record(
            {"name": text(255, empty=False)},
            {
                "email": nullable(text(255)),
                "role": nullable(_ROLE),
                "scopes": nullable({**items(choice(*NAMES)), "minItems": 1}),
                "expires_in": nullable({"type": "integer", "minimum": 1, "maximum": MAX_LIFETIME}),
            },
        ),
        example={"name": "ci", "scopes": ["read"]},
        errors=(404,),
    ),
    "DELETE /v1/admin/tokens/{token_id}": Operation(
        "Take a token back; the next request that shows it is 401.",
        record({"message": STRING, "token_id": STRING}),
        errors=(404,),
    ),
}
