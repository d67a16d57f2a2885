"""Names of files and of Rust items in the documents: each must be there, so that a document can't drift from the code.

`folder/file.rs` is a file of the repository or the end of its path. `Type::name` and `module::name` are an item that a source file
defines: NAME beside its type, or in a file of its module. Whether the item is the one that the sentence means, no search can tell.
"""

import re
import subprocess

FILE = re.compile(r"`([\w.-]+(?:/[\w.-]+)*\.(?:rs|mjs|sh|toml|yaml))`")
ITEM = re.compile(r"`((?:\w+::)+\w+)(?:\(\))?`")
# Names of others: CloudFormation's types and functions, and items of other crates.
FOREIGN = ("AWS::", "Fn::", "tokio::")
DEFINITION = r"(?:fn|struct|enum|trait|type|const|static|mod|union|macro_rules!)\s+(?:mut\s+)?"


class Names:
    def __init__(self, root):
        command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
        listed = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True).stdout.split("\n")
        self.files = [name for name in listed if name and (root / name).exists()]
        self.sources = {name: (root / name).read_text(encoding="utf-8") for name in self.files if name.endswith(".rs")}

    def missing(self, document):
        for line, text in document.prose:
            for file in FILE.findall(text):
                if not any(f"/{name}".endswith(f"/{file}") for name in self.files):
                    yield f"{document.name}:{line}: there is no file {file}"
            for item in ITEM.findall(text):
                if not item.startswith(FOREIGN) and not self.has(*item.split("::")[-2:]):
                    yield f"{document.name}:{line}: the source has no {item}"

    def has(self, owner, name):
        if owner[0].isupper():
            # A method or a constant; a variant, which begins its line; a public field.
            of = re.compile(rf"\b(?:impl|struct|enum|trait|type)\b[^;{{]*\b{owner}\b")
            other = rf"{name}\b\s*[,({{=]" if name[0].isupper() else rf"pub(?:\([a-z]+\))?\s+{name}:"
            member = re.compile(rf"\b{DEFINITION}{name}\b|^\s+{other}", re.MULTILINE)
            return any(of.search(text) and member.search(text) for text in self.sources.values())
        defined = re.compile(rf"\b{DEFINITION}{name}\b")
        places = (text for file, text in self.sources.items() if owner in module(file))
        return any(defined.search(text) for text in places)


def module(file):
    """The names of the modules and of the crate that a source file belongs to."""
    return {part.removesuffix(".rs").replace("-", "_") for part in file.split("/")}
