"""NeoSC's and OpenA2A's routes of policies, and locks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from reconciler.server.openapi.operation import (
    BOOLEAN,
    COUNT,
    CURSOR,
    ETAGS,
    LIMIT,
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

_INTEGER: Final[Schema] = {"type": "integer", "minimum": -(2**53), "maximum": 2**53}
_JSON: Final[Schema] = {"type": "object", "additionalProperties": ref("Json")}
_ID: Final[Schema] = {"type": "string", "pattern": "^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$"}

_NEOSC: Final[Mapping[str, Schema]] = {
    "name": text(255, empty=False),
    "description": text(10_000),
    "type": choice("access", "network", "session"),
    "rules": items(text()),
    "enabled": BOOLEAN,
}
_CHECKS: Final = nullable(_JSON)
_GEO: Final = {
    "id": "pol-geo-restriction",
    "name": "Geo-Restriction Policy",
    "description": "Block access from specific countries",
    "type": "network",
    "rules": ["Block IPs from sanctioned countries", "Allow EU and US only", "Log all blocked attempts"],
}

_OPENA2A: Final[Mapping[str, Schema]] = {
    "name": text(255, empty=False),
    "policy_type": text(50, empty=False),
}
_OPTIONAL: Final[Mapping[str, Schema]] = {
    "description": text(10_000),
    "severity": choice("low", "medium", "high", "critical"),
    "conditions": _JSON,
    "actions": _JSON,
    "priority": _INTEGER,
    "applies_to": {"anyOf": [text(), items(text())]},
    "enforcement_action": choice("allow", "alert_only", "block_and_alert"),
    "on_missing": choice("default", "violate", "pass"),
    "timezone": text(64),
}
_WRITTEN: Final = {key: nullable(schema) for key, schema in _OPTIONAL.items()}
_ALLOWLIST: Final = {
    "name": "IP Allowlist Policy",
    "description": "Only allow agents from approved IP ranges",
    "policy_type": "ip_allowlist",
    "enabled": True,
    "severity": "critical",
    "conditions": {"allowed_ips": ["192.168.1.0/24", "10.0.0.0/8", "172.16.0.0/12"], "block_vpn": True},
    "actions": {"on_violation": "block_request", "notify_admins": True, "log_violation": True},
}
_TTL: Final[Schema] = {"type": "integer", "minimum": 1, "maximum": 86_400}

SCHEMAS: Final[Mapping[str, Schema]] = {
    "Json": {
        "description": "Any JSON of at most 32 levels; whole numbers within 2^53, no NUL in text.",
        "anyOf": [
            {"type": "null"},
            BOOLEAN,
            {"type": "number", "minimum": -(2**53), "maximum": 2**53},
            text(),
            items(ref("Json")),
            {"type": "object", "additionalProperties": ref("Json")},
        ],
    },
    "NeoscPolicy": record({"id": _ID, **_NEOSC, "created_at": TIME}, {"checks": _JSON, "etag": STRING}),
    "NeoscToggled": record({"message": STRING, "enabled": BOOLEAN}),
    "OpenA2APolicy": record(
        {"id": STRING, **_OPENA2A, "enabled": BOOLEAN, "created_at": TIME, "updated_at": TIME},
        {**_OPTIONAL, "etag": STRING},
    ),
    "OpenA2AAnswer": record({"policy": ref("OpenA2APolicy")}),
    "EnforcementSettings": record(
        {
            "enforcementMode": choice("strict", "monitoring"),
            "description": STRING,
            "explanation": STRING,
            "impact": STRING,
        }
    ),
    "Lock": record(
        {
            "lock": record(
                {
                    "name": STRING,
                    "token": {"type": "integer", "minimum": 1},
                    "holder": STRING,
                    "ttl": _TTL,
                    "acquired_at": TIME,
                    "held": BOOLEAN,
                    "expires_in": COUNT,
                }
            )
        }
    ),
}

NEOSC: Final[Mapping[str, Operation]] = {
    "GET /api/policies": Operation(
        "Every policy; the three defaults are made first when there is none.",
        items(ref("NeoscPolicy")),
        query=(LIMIT, CURSOR, ETAGS),
        listed=True,
    ),
    "PATCH /api/policies/{policy_id}": Operation(
        "Flip `enabled`, whatever it is and whatever is sent; `Prefer: set-enabled=true` sets it instead.",
        ref("NeoscToggled"),
        errors=(404,),
        conditions=True,
        tagged=True,
    ),
    "POST /api/policies": Operation(
        "Make a policy, under the id given or one made from its name.",
        ref("NeoscPolicy"),
        201,
        body=record(
            {"name": _NEOSC["name"], "type": _NEOSC["type"]},
            {
                "id": _ID,
                "checks": _CHECKS,
                **{key: _NEOSC[key] for key in ("description", "rules", "enabled")},
            },
        ),
        example=_GEO,
        errors=(409,),
        conditions=True,
        tagged=True,
    ),
    "PUT /api/policies/{policy_id}": Operation(
        "Change the fields given, keep the others; `checks: null` removes the checks.",
        ref("NeoscPolicy"),
        body=record({}, {**_NEOSC, "checks": _CHECKS}),
        example={"rules": ["Allow EU only"]},
        errors=(404,),
        conditions=True,
        tagged=True,
    ),
    "DELETE /api/policies/{policy_id}": Operation(
        "Remove a policy.", record({"message": STRING}), errors=(404,), conditions=True
    ),
}

OPENA2A: Final[Mapping[str, Operation]] = {
    "GET /v1/admin/security-policies": Operation(
        "Every policy in the order they were made.",
        record({"policies": items(ref("OpenA2APolicy")), "total": COUNT}, {"next": STRING}),
        query=(LIMIT, CURSOR, ETAGS),
        listed=True,
    ),
    "GET /v1/admin/security-policies/{policy_id}": Operation(
        "One policy.", ref("OpenA2AAnswer"), errors=(404,), tagged=True
    ),
    "POST /v1/admin/security-policies": Operation(
        "Make a policy under an id of the server's. A field that is null counts as left out.",
        ref("OpenA2AAnswer"),
        201,
        body=record(_OPENA2A, {"enabled": BOOLEAN, **_WRITTEN}),
        example=_ALLOWLIST,
        errors=(409,),
        conditions=True,
        tagged=True,
    ),
    "PUT /v1/admin/security-policies/{policy_id}": Operation(
        "Replace the fields given, keep those left out, remove those given as null.",
        ref("OpenA2AAnswer"),
        body=record({}, {**_OPENA2A, "enabled": BOOLEAN, **_WRITTEN}),
        example={"severity": "high"},
        errors=(404, 409),
        conditions=True,
        tagged=True,
    ),
    "PATCH /v1/admin/security-policies/{policy_id}/toggle": Operation(
        "Set `enabled`; sending it twice is sending it once.",
        record(
            {
                "policy": record({"id": STRING, "name": STRING, "enabled": BOOLEAN, "updated_at": TIME}),
                "message": STRING,
            }
        ),
        body=record({"enabled": BOOLEAN}),
        example={"enabled": False},
        errors=(404,),
        conditions=True,
        tagged=True,
    ),
    "DELETE /v1/admin/security-policies/{policy_id}": Operation(
        "Remove a policy.",
        record({"message": STRING, "policy_id": STRING}),
        errors=(404,),
        conditions=True,
    ),
    "GET /v1/admin/enforcement-settings": Operation(
        "The global mode: strict blocks, monitoring only tells.", ref("EnforcementSettings"), tagged=True
    ),
    "PUT /v1/admin/enforcement-settings": Operation(
        "Set the global mode.",
        ref("EnforcementSettings"),
        body=record({"enforcementMode": choice("strict", "monitoring")}),
        example={"enforcementMode": "strict"},
        conditions=True,
        tagged=True,
    ),
}

LOCKS: Final[Mapping[str, Operation]] = {
    "GET /v1/locks/{name}": Operation("Who holds a lock, or held it last.", ref("Lock"), errors=(404,)),
    "POST /v1/locks/{name}": Operation(
        "Take a lock that nobody holds, under the next token; 409 while somebody does.",
        ref("Lock"),
        201,
        body=record({}, {"holder": text(255, empty=False), "ttl": _TTL}),
        example={"holder": "ci run 17", "ttl": 300},
        errors=(409,),
        conditions=True,
    ),
    "PUT /v1/locks/{name}": Operation(
        "Begin the time of a lock anew; X-Fencing-Token shows that it is ours.",
        ref("Lock"),
        body=record({}, {"ttl": _TTL}),
        example={"ttl": 300},
        errors=(404,),
        conditions=True,
        fenced=True,
    ),
    "DELETE /v1/locks/{name}": Operation(
        "Give a lock back; X-Fencing-Token shows that it is ours.",
        record({"message": STRING, "name": STRING}),
        errors=(404,),
        conditions=True,
        fenced=True,
    ),
}
