"""The published vectors, against our verifier, the documented Node and Go versions, and the library."""

import json
import re
import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from standardwebhooks import Webhook

from deploy.local.settings import REPOSITORY
from producers.sdk.webhooks import WebhookRefused, verify
from sinks.webhooks.signing import Attempt, fusion_signature, standard_signature

FILE = REPOSITORY / "producers" / "sdk" / "webhook_vectors.json"
DOCUMENT: dict[str, Any] = json.loads(FILE.read_text())
VECTORS: list[dict[str, Any]] = DOCUMENT["vectors"]
NOW = datetime.fromtimestamp(DOCUMENT["now"], UTC)
RUNS_WITHIN_S = 240

NODE_MAIN = """
import { readFileSync } from "node:fs";
import { verify } from "./verify.mjs";
const file = JSON.parse(readFileSync(process.argv[2]));
const found = file.vectors.map((v) => verify(v.body, v.headers, v.secrets, file.now) !== null);
console.log(JSON.stringify(found));
"""
GO_HEAD = """package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"
)

type vector struct {
	Secrets []string
	Headers map[string]string
	Body    string
}

func main() {
	content, err := os.ReadFile(os.Args[1])
	if err != nil {
		panic(err)
	}
	var file struct {
		Now     int64
		Vectors []vector
	}
	if err := json.Unmarshal(content, &file); err != nil {
		panic(err)
	}
	found := []bool{}
	for _, v := range file.Vectors {
		header := func(name string) string { return v.Headers[name] }
		found = append(found, verify([]byte(v.Body), header, v.Secrets, file.Now))
	}
	out, _ := json.Marshal(found)
	fmt.Println(string(out))
}

"""


def documented(language: str) -> str:
    """Return the version in docs/webhooks.md, exactly as an app's developer copies it."""
    text = (REPOSITORY / "docs" / "webhooks.md").read_text()
    found = re.search(rf"```{language}\n(.*?)```", text, re.DOTALL)
    assert found
    return found[1]


def program(name: str) -> str:
    """Return the path of a program, or skip."""
    path = shutil.which(name)
    if path is None:
        pytest.skip(f"{name} is not installed")
    return path


def outcomes(*words: str | Path, cwd: Path) -> list[bool]:
    """Return what a program says about each vector."""
    argv = [str(word) for word in words]
    output = subprocess.run(argv, cwd=cwd, capture_output=True, text=True, check=False, timeout=RUNS_WITHIN_S)
    assert output.returncode == 0, output.stderr
    found: list[bool] = json.loads(output.stdout)
    return found


def expected() -> list[bool]:
    """Return what is right."""
    return [vector["valid"] for vector in VECTORS]


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["name"])
def test_our_verifier_agrees(vector: dict[str, Any]) -> None:
    """The file in the SDK."""
    try:
        verify(vector["body"].encode(), vector["headers"], vector["secrets"], NOW)
        is_valid = True
    except WebhookRefused:
        is_valid = False
    assert is_valid is vector["valid"]


def test_our_signer_gives_the_first_vectors() -> None:
    """Both schemes."""
    for vector in VECTORS[:2]:
        attempt = Attempt("evt_1", "invoice.payment_failed", vector["body"].encode(), 1, DOCUMENT["now"])
        assert standard_signature(attempt, vector["secrets"][0]) == vector["headers"]["webhook-signature"]
    for vector in DOCUMENT["fusion"]:
        assert fusion_signature(vector["body"].encode(), vector["secret"]) == vector["signature"]


def test_the_documented_python_lines_take_a_genuine_delivery_and_no_other() -> None:
    """Executed as they stand in the docs, with what an app has at that place; the independent library signs."""
    secret = next(one for vector in VECTORS for one in vector["secrets"] if one.startswith("whsec_"))
    now = datetime.now(UTC)
    body = '{"id":"evt_1","type":"invoice.paid"}'
    headers = {
        "Webhook-Id": "evt_1",
        "Webhook-Timestamp": str(int(now.timestamp())),
        "Webhook-Signature": Webhook(secret).sign("evt_1", now, body),
    }
    place: dict[str, Any] = {"body": body.encode(), "request": SimpleNamespace(headers=headers), "secret": secret}
    lines = compile(documented("python"), "docs/webhooks.md", "exec")
    exec(lines, place)  # noqa: S102 -- our own documentation
    assert place["event"]["id"] == "evt_1"
    place["body"] += b" "
    with pytest.raises(WebhookRefused):
        exec(lines, place)  # noqa: S102


def test_the_documented_node_version_agrees(tmp_path: Path) -> None:
    """Run as it stands in the docs."""
    node = program("node")
    (tmp_path / "verify.mjs").write_text(documented("js"))
    (tmp_path / "main.mjs").write_text(NODE_MAIN)
    assert outcomes(node, "main.mjs", FILE, cwd=tmp_path) == expected()


def test_the_documented_go_version_agrees(tmp_path: Path) -> None:
    """Compiled as it stands in the docs."""
    go = program("go")
    (tmp_path / "main.go").write_text(GO_HEAD + documented("go"))
    assert outcomes(go, "run", "main.go", FILE, cwd=tmp_path) == expected()
