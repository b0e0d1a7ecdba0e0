"""What a file of Python imports when it runs, for the tests of dependencies and of rooms."""

import ast
from collections.abc import Iterator
from pathlib import Path


def imports_of(file: Path) -> Iterator[ast.Import | ast.ImportFrom]:
    """The import statements, wherever in the file, but for those under `if TYPE_CHECKING:`."""
    ahead: list[ast.AST] = [ast.parse(file.read_text(encoding="utf-8"))]
    while ahead:
        node = ahead.pop()
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield node
        elif isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            ahead += node.orelse
        else:
            ahead += ast.iter_child_nodes(node)
