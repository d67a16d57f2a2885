"""What the test adds to the description: an object of an answer has no other fields than those that are described."""

import schemathesis

# Only an earlier answer, another parameter or the body makes a value of these a valid one.
DEPENDENT = ("account", "after", "keep_records", "stream", "until")


@schemathesis.hook
def before_load_schema(context, raw_schema):
    schemas = raw_schema["components"]["schemas"]
    for schema in schemas.values():
        join(schema, schemas)
    close(schemas)


@schemathesis.hook
def before_call(context, case, kwargs):
    if case.meta is None or case.meta.generation.mode.is_positive:
        for name in DEPENDENT:
            (case.query or {}).pop(name, None)


def join(schema, schemas):
    """Makes one object of those that one consists of, so that it can be closed."""
    for part in schema.pop("allOf", []):
        part = schemas[part["$ref"].rpartition("/")[2]] if "$ref" in part else part
        join(part, schemas)
        schema.setdefault("type", "object")
        schema.setdefault("properties", {}).update(part.get("properties", {}))
        schema["required"] = schema.get("required", []) + part.get("required", [])


def close(schema):
    if isinstance(schema, list):
        for item in schema:
            close(item)
    elif isinstance(schema, dict):
        if isinstance(schema.get("properties"), dict):
            schema.setdefault("additionalProperties", False)
        for item in schema.values():
            close(item)
