"""Tests of release/package and release/archive: python3 release/test_package.py"""

import hashlib
import json
import os
import re
import subprocess
import sys
import tarfile
import tempfile
import unittest
import zipfile
from pathlib import Path

ROOT = Path(__file__).parent.parent
TEMPLATE = (ROOT / "template.yaml").read_text(encoding="utf-8")
FUNCTIONS = sorted(re.findall(r"CodeUri: functions/([\w-]+)/", TEMPLATE))
MACHINES = {"arm64": b"\xb7\x00", "x86_64": b"\x3e\x00"}


class Package(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.build("arm64")

    def build(self, architecture, functions=FUNCTIONS):
        for function in functions:
            file = self.folder / "lambda" / function / "bootstrap"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(b"\x7fELF\x02\x01\x01".ljust(18, b"\0") + MACHINES[architecture] + function.encode() * 1000)

    def package(self, out, *options):
        command = [sys.executable, ROOT / "release" / "package", self.folder / "lambda", self.folder / out, *options]
        return subprocess.run(command, capture_output=True, text=True)

    def refused(self, *options):
        run = self.package("refused", *options)
        self.assertEqual(run.returncode, 1, run.stderr)
        self.assertFalse((self.folder / "refused").exists(), "written all the same")
        return run.stderr

    def test_the_same_input_gives_the_same_bytes(self):
        first = self.package("first")
        for number, function in enumerate(FUNCTIONS):
            file = self.folder / "lambda" / function / "bootstrap"
            os.utime(file, (1_000_000_000 + number, 1_000_000_000 + number))
            file.chmod(0o600)
        second = self.package("second")
        self.assertEqual((first.returncode, first.stderr), (0, ""))
        self.assertEqual(first.stdout, second.stdout)
        names = sorted(file.name for file in (self.folder / "first").iterdir())
        self.assertEqual(names, sorted([f"{function}.zip" for function in FUNCTIONS] + ["template.yaml"]))
        for name, line in zip(names, first.stdout.splitlines(), strict=True):
            content = (self.folder / "first" / name).read_bytes()
            self.assertEqual(content, (self.folder / "second" / name).read_bytes(), name)
            self.assertEqual(line.split(), [name, f"{len(content):,}", hashlib.sha256(content).hexdigest()])

    def test_an_archive_holds_one_executable_bootstrap(self):
        self.package("out")
        for function in FUNCTIONS:
            with zipfile.ZipFile(self.folder / "out" / f"{function}.zip") as archive:
                [entry] = archive.infolist()
                self.assertEqual((entry.filename, entry.external_attr >> 16), ("bootstrap", 0o100755))
                self.assertEqual(entry.date_time, (1980, 1, 1, 0, 0, 0), "no time of packaging, or the bytes would differ by it")
                self.assertEqual(archive.read(entry), (self.folder / "lambda" / function / "bootstrap").read_bytes())

    def test_the_template_differs_in_code_and_architecture_only(self):
        self.build("x86_64")
        self.assertEqual(self.package("out", "--architecture", "x86_64").returncode, 0)
        packaged = (self.folder / "out" / "template.yaml").read_text(encoding="utf-8").splitlines()
        original = TEMPLATE.splitlines()
        added = [line.strip() for line in packaged if line not in original]
        removed = [line.strip() for line in original if line not in packaged]
        codes = [f"CodeUri: {function}.zip" for function in FUNCTIONS]
        self.assertEqual(sorted(added), sorted(["Default: x86_64", "AllowedValues: [x86_64]", *codes]))
        self.assertEqual(len([line for line in removed if line.startswith("Metadata: {BuildMethod")]), len(FUNCTIONS))
        self.assertEqual(len(removed), 2 * len(FUNCTIONS) + 2, removed)

    def test_a_missing_bootstrap_is_named(self):
        (self.folder / "lambda" / "api-proxy" / "bootstrap").unlink()
        self.assertIn("api-proxy/bootstrap: No such file", self.refused())

    def test_a_bootstrap_for_another_architecture_is_named(self):
        self.build("x86_64", ["sync-worker"])
        self.assertIn("sync-worker/bootstrap: built for x86_64, not for arm64", self.refused())
        (self.folder / "lambda" / "sync-worker" / "bootstrap").write_text("#!/bin/sh\n")
        self.assertIn("sync-worker/bootstrap: not a 64-bit ELF file", self.refused())

    def test_a_function_that_is_only_in_the_template_is_named(self):
        for code, reason in [
            ("CodeUri: functions/further/", "FurtherFunction: "),
            ("InlineCode: ''", "FurtherFunction: the template names no folder"),
        ]:
            template = self.folder / "template.yaml"
            metadata = "Metadata: {BuildMethod: rust-cargolambda, BuildProperties: {Binary: further}}"
            function = f"  FurtherFunction:\n    Type: AWS::Serverless::Function\n    {metadata}\n    Properties:\n      {code}\n"
            template.write_text(TEMPLATE.replace("\nResources:\n", f"\nResources:\n{function}"), encoding="utf-8")
            self.assertIn(reason, self.refused("--template", str(template)))

    def test_an_archive_of_a_release_has_all_that_its_deploy_needs(self):
        (self.folder / "lambda" / "api-proxy" / "sbom.cdx.json").write_text("{}")
        for out in ["first", "second"]:
            command = [ROOT / "release" / "archive", "arm64", self.folder / "lambda", self.folder / out]
            subprocess.run(command, check=True, capture_output=True)
        [archive, checksum] = sorted((self.folder / "first").iterdir())
        self.assertRegex(archive.name, r"^intertie-\d+\.\d+\.\d+-arm64\.tar\.gz$")
        self.assertEqual(archive.read_bytes(), (self.folder / "second" / archive.name).read_bytes())
        digest = hashlib.sha256(archive.read_bytes()).hexdigest()
        self.assertEqual(checksum.read_text().split(), [digest, archive.name])
        with tarfile.open(archive) as content:
            [folder, *files] = content.getnames()
            documents = {name: content.extractfile(name).read().decode() for name in files if name.endswith(".md")}
        self.assertEqual(f"{folder}.tar.gz", archive.name)
        archives = [f"{function}.zip" for function in FUNCTIONS]
        others = ["LICENSE", "api-proxy.cdx.json", "docs/deploy.md", "examples/cdk/app.js", "examples/cdk/package-lock.json",
                  "release/deployer-policy.json", "samconfig.toml", "template.yaml"]
        self.assertEqual({f"{folder}/{name}" for name in archives + others} - set(files), set())
        links = [(document, link) for document, text in documents.items() for link in re.findall(r"\]\((?!\w+:)([^)\s]+)\)", text)]
        self.assertIn((f"{folder}/docs/deploy.md", "../release/deployer-policy.json"), links)
        for document, link in links:
            file, _, heading = link.partition("#")
            target = os.path.normpath(os.path.join(os.path.dirname(document), file)) if file else document
            self.assertIn(target, files, f"{document} links to {link}")
            if heading:
                self.assertIn(heading, headings(documents[target]), f"{document} links to {link}")

    def test_a_deployer_may_use_each_service_of_the_template(self):
        policy = json.loads((ROOT / "release" / "deployer-policy.json").read_text(encoding="utf-8"))
        allowed = {action.split(":")[0] for statement in policy["Statement"] for action in statement["Action"]}
        services = {service.lower() for service in re.findall(r"^    Type: AWS::(\w+)::", TEMPLATE, re.MULTILINE)}
        # SAM makes functions, an API, and with GradualDeployment deployments; archives are in S3.
        services = services - {"serverless", "apigatewayv2"} | {"apigateway", "codedeploy", "lambda", "s3"}
        self.assertEqual(services - allowed, set())


def headings(text):
    """The anchors of a document, as GitHub makes them."""
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in re.findall(r"^#+ (.+)$", text, re.MULTILINE)}


if __name__ == "__main__":
    unittest.main()
