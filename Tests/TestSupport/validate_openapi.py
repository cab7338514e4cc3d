#!/usr/bin/env python3
"""Validates JSON documents against response schemas of Plaid's OpenAPI file.

  validate_openapi.py SPEC    lines on standard input: SCHEMA-NAME, a tab, one JSON document without line breaks;
                              prints ok, or the first error with its place, for each

Needs python3-jsonschema and python3-yaml. OpenAPI 3.0's `nullable` becomes what JSON Schema means by it.
"""

import json
import sys

import jsonschema
import yaml


def translate(node):
    """JSON Schema from an OpenAPI 3.0 schema: nullable, and references that stand beside other members."""
    if isinstance(node, list):
        return [translate(each) for each in node]
    if not isinstance(node, dict):
        return node
    result = {key: translate(value) for key, value in node.items() if key not in ("nullable", "example", "discriminator")}
    if node.get("nullable") is True:
        if isinstance(result.get("enum"), list):
            result["enum"] = result["enum"] + [None]
        if isinstance(result.get("type"), str):
            result["type"] = [result["type"], "null"]
        # A nullable allOf: its parts know nothing of null.
        parts = [key for key in ("allOf", "anyOf", "oneOf", "$ref") if key in result]
        if parts:
            return {"anyOf": [{"type": "null"}, result]}
    return result


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    with open(sys.argv[1], encoding="utf-8") as file:
        loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
        document = yaml.load(file, Loader=loader)
    schemas = document["components"]["schemas"]
    components = {"schemas": {name: translate(schema) for name, schema in schemas.items()}}
    root = {"components": components}
    resolver = jsonschema.RefResolver.from_schema(root)
    for line in sys.stdin:
        name, _, text = line.rstrip("\n").partition("\t")
        if name not in schemas:
            sys.exit(f"no schema {name}")
        validator = jsonschema.Draft4Validator({"$ref": f"#/components/schemas/{name}"}, resolver=resolver)
        errors = sorted(validator.iter_errors(json.loads(text)), key=lambda error: len(error.absolute_path))
        if errors:
            path = "/".join(str(part) for part in errors[0].absolute_path)
            print(f"error at /{path}: {errors[0].message[:300]}")
        else:
            print("ok")
    print("-- done --")


main()
