"""describe.py OPENAPI OUT: the part of the description that the clients are made of: what programs call, as JSON.

Left out is what is for browsers and for providers: pages, forms, redirects, deliveries. The proxy passes anything on: it has a
function of its own in each client.
"""

import json
import sys

LEFT_OUT = {"Pages", "Webhooks"}
PROGRAMS = "application/json"


def main(source, out):
    with open(source) as file:
        description = json.load(file)
    for path, operations in list(description["paths"].items()):
        for method, operation in list(operations.items()):
            answers = operation["responses"]
            for status in [status for status in answers if status.startswith("3")]:
                del answers[status]
            succeeds = any(status.startswith("2") for status in answers)
            if LEFT_OUT & set(operation["tags"]) or not succeeds:
                del operations[method]
                continue
            only_json(operation.get("requestBody", {}))
        if not operations:
            del description["paths"][path]
    for response in description["components"]["responses"].values():
        only_json(response)
    with open(out, "w") as file:
        json.dump(description, file)


def only_json(body):
    if "content" in body:
        body["content"] = {kind: it for kind, it in body["content"].items() if kind == PROGRAMS}


main(*sys.argv[1:])
