"""Every example of docs/client.md does what the page says."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import Any

from tests.client.scene import Scene, within

PAGE = Path(__file__).parents[2] / "docs" / "client.md"
SNIPPET = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
NEEDS_MORE = {"log_in"}
"""Examples that name a router elsewhere; they are only compiled."""


async def test_the_examples_run(scene: Scene) -> None:
    text = PAGE.read_text(encoding="utf-8").replace("127.0.0.1:8080", f"127.0.0.1:{scene.port}")
    namespace: dict[str, Any] = {"__name__": "example"}
    examples: list[str] = []
    for snippet in SNIPPET.finditer(text):
        known = set(namespace)
        line = text.count("\n", 0, snippet.start(1))
        exec(compile("\n" * line + snippet[1], str(PAGE), "exec"), namespace)
        examples += [name for name in namespace if name not in known and inspect.iscoroutinefunction(namespace[name])]

    for name in examples:
        if name in NEEDS_MORE:
            continue
        arguments = {}
        for parameter in inspect.signature(namespace[name]).parameters:
            if parameter == "url":
                arguments[parameter] = f"ws://127.0.0.1:{scene.port}/ws"
            else:
                arguments[parameter] = await scene.connect()
        await within(namespace[name](**arguments))
        await scene.disconnect()

    assert len(examples) > 12
