"""The events that were put on buses, compared with the schema of events."""

import json
from collections import Counter

from jsonschema import Draft202012Validator, FormatChecker

from hooks import close


def check(schema, lines):
    """Prints how many events there are of each type, and returns what is wrong with them."""
    Draft202012Validator.check_schema(schema)
    own = {it["properties"]["detail-type"]["const"] for it in schema["$defs"].values() if "detail-type" in it.get("properties", {})}
    # The events of Intertie itself hold what is described and nothing else.
    for name, definition in schema["$defs"].items():
        if name == "Detail" or name.endswith("Data"):
            close(definition)
    close(schema["$defs"]["Account"])
    schema["$defs"]["Detail"]["properties"]["data"]["additionalProperties"] = True
    validator = Draft202012Validator(schema, format_checker=FormatChecker())
    seen, wrong = Counter(), []
    for line in lines:
        event = json.loads(line)
        seen[event["detail-type"] if event["source"] == "intertie" else event["source"]] += 1
        if event["detail-type"] != event["detail"]["type"]:
            wrong.append(f"detail-type and detail.type differ: {line}")
        for error in validator.iter_errors(event):
            wrong.append(f"{error.json_path}: {error.message[:300]}: {line}")
    print("events:", dict(sorted(seen.items())))
    return wrong, own - seen.keys()
