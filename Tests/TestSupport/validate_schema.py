#!/usr/bin/env python3
"""Validates JSON documents against JSON Schema (draft 2020-12), and lists an AsyncAPI document's topics.

  validate_schema.py check SCHEMA          the schema itself, and each of its examples
  validate_schema.py instances SCHEMA      one document a line on standard input; prints ok or the first error of each
  validate_schema.py headers ASYNCAPI NAME one object a line on standard input, against components.schemas.NAME
  validate_schema.py topics ASYNCAPI       one line a topic: name, partitions, replicas, settings, all references resolved
  validate_schema.py capabilities          the libraries that are here

Each ends with a line that says so, printed on success only. Needs python3-jsonschema; headers and topics also python3-yaml.
"""

import json
import pathlib
import sys


def validator(schema):
    from jsonschema import Draft202012Validator

    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


def first_error(check, instance):
    errors = sorted(check.iter_errors(instance), key=lambda error: [str(part) for part in error.absolute_path])
    if not errors:
        return "ok"
    path = "/".join(str(part) for part in errors[0].absolute_path)
    return f"error at /{path}: {errors[0].validator}"


def judge_lines(check):
    for line in sys.stdin:
        print(first_error(check, json.loads(line)))


def check_schema(path):
    schema = json.loads(pathlib.Path(path).read_text(encoding="utf-8"))
    check = validator(schema)
    examples = schema.get("examples", [])
    if not examples:
        sys.exit(f"{path}: no examples")
    for number, example in enumerate(examples):
        verdict = first_error(check, example)
        if verdict != "ok":
            sys.exit(f"{path}: example {number}: {verdict}")
    print(f"ok {len(examples)}")


def load_yaml(path):
    import yaml

    return yaml.safe_load(pathlib.Path(path).read_text(encoding="utf-8"))


def resolve(document, value):
    while isinstance(value, dict) and set(value) == {"$ref"}:
        value = lookup(document, value["$ref"])
    return value


def lookup(document, reference):
    if not reference.startswith("#/"):
        sys.exit(f"not a local reference: {reference}")
    found = document
    for part in reference[2:].split("/"):
        found = found[part]
    return found


def check_references(document, folder, value):
    """Every reference leads somewhere: inside the document, or to a schema file beside it."""
    if isinstance(value, dict):
        reference = value.get("$ref")
        if isinstance(reference, str):
            if reference.startswith("#/"):
                lookup(document, reference)
            else:
                json.loads((folder / reference).read_text(encoding="utf-8"))
        for member in value.values():
            check_references(document, folder, member)
    elif isinstance(value, list):
        for member in value:
            check_references(document, folder, member)


def list_topics(path):
    document = load_yaml(path)
    if document["asyncapi"] != "3.0.0":
        sys.exit("not AsyncAPI 3.0.0")
    check_references(document, pathlib.Path(path).parent, document)
    for name, channel in document["channels"].items():
        addresses = [channel["address"]]
        for parameter, described in channel.get("parameters", {}).items():
            values = resolve(document, described)["enum"]
            addresses = [a.replace("{%s}" % parameter, value) for a in addresses for value in values]
        for message in channel["messages"].values():
            message = resolve(document, message)
            if not {"headers", "payload", "bindings"} <= set(message):
                sys.exit(f"{name}: a message lacks headers, payload or key")
            if "key" not in resolve(document, message["bindings"])["kafka"]:
                sys.exit(f"{name}: a message lacks its key")
        kafka = resolve(document, channel["bindings"])["kafka"]
        settings = {
            key: ",".join(value) if isinstance(value, list) else str(value)
            for key, value in kafka["topicConfiguration"].items()
        }
        pairs = " ".join(f"{key}={value}" for key, value in sorted(settings.items()))
        for address in addresses:
            print(f"{address} {kafka['partitions']} {kafka['replicas']} {pairs}")


def judge_headers(path, name):
    document = load_yaml(path)
    judge_lines(validator({"$ref": f"#/components/schemas/{name}", "components": document["components"]}))


def capabilities():
    for module in ("jsonschema", "yaml"):
        try:
            __import__(module)
            print(module)
        except ImportError:
            pass


def main():
    match sys.argv[1:]:
        case ["check", path]:
            check_schema(path)
        case ["instances", path]:
            judge_lines(validator(json.loads(pathlib.Path(path).read_text(encoding="utf-8"))))
        case ["headers", path, name]:
            judge_headers(path, name)
        case ["topics", path]:
            list_topics(path)
        case ["capabilities"]:
            capabilities()
        case _:
            sys.exit(__doc__)
    print("-- done --")


main()
