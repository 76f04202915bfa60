#!/usr/bin/env python3
"""Writes what goes with a static binary: the licence texts of all that is in it, and the list of that (SBOM).

Usage: notices.py VERSION EPOCH TARGET... < nothing; writes THIRD-PARTY and link.cdx.json into $OUT.
Reads `cargo metadata`, the crates' own files, and the checksums of Cargo.lock. What it writes depends on
the lock file only.
"""

import datetime
import json
import os
import pathlib
import re
import subprocess
import sys
import uuid

TEXTS = re.compile(r"^(LICEN[CS]E|COPYING|COPYRIGHT|NOTICE|UNLICENSE)", re.IGNORECASE)
# What every Rust program carries, beside the crates; the texts are those of the toolchain and of Debian.
STANDARD = "The Rust standard library (MIT OR Apache-2.0), with compiler-builtins and hashbrown among its parts"
MUSL = "musl libc (MIT)"


def main():
    version, epoch, targets = sys.argv[1], int(sys.argv[2]), sys.argv[3:]
    out = pathlib.Path(os.environ["OUT"])
    crates = {}
    for target in targets:
        crates.update(linked(target))
    crates = [crates[key] for key in sorted(crates)]
    (out / "THIRD-PARTY").write_text(third_party(crates))
    sbom = bill(crates, version, epoch)
    (out / "link.cdx.json").write_text(json.dumps(sbom, indent=1, sort_keys=True) + "\n")


def linked(target):
    """The crates that are in the binaries for a target: normal dependencies, from the root on."""
    asked = ["cargo", "metadata", "--locked", "--format-version=1", "--filter-platform", target]
    told = json.loads(subprocess.run(asked, check=True, stdout=subprocess.PIPE).stdout)
    packages = {package["id"]: package for package in told["packages"]}
    nodes = {node["id"]: node for node in told["resolve"]["nodes"]}
    root = told["resolve"]["root"]
    found, open_ = set(), [root]
    while open_:
        for dependency in nodes[open_.pop()]["deps"]:
            normal = any(kind["kind"] is None for kind in dependency["dep_kinds"])
            if normal and dependency["pkg"] not in found and dependency["pkg"] != root:
                found.add(dependency["pkg"])
                open_.append(dependency["pkg"])
    picked = (packages[id_] for id_ in found)
    return {(package["name"], package["version"]): package for package in picked}


def texts_of(folder):
    """Name and text of each licence file of a crate, in its folder or one below."""
    for path in sorted(folder.iterdir()):
        if path.is_file() and TEXTS.match(path.name):
            yield path.name, tidy(path)
        elif path.is_dir() and path.name.lower() in ("license", "licenses", "licences"):
            for below in sorted(path.iterdir()):
                if below.is_file():
                    yield f"{path.name}/{below.name}", tidy(below)


def tidy(path):
    lines = path.read_text(errors="replace").replace("\f", "").splitlines()
    return "\n".join(line.rstrip() for line in lines).strip("\n") + "\n"


def third_party(crates):
    """Each crate with its licence and its texts; a text that was there before is referred to."""
    parts = [
        "linkd and linkctl are static: these works are in them. Each is followed by the texts of its licence,\n"
        "or by a pointer to the place where the same text stands.\n"
    ]
    seen = {}
    for crate in crates:
        title = f"{crate['name']} {crate['version']}"
        texts = list(texts_of(pathlib.Path(crate["manifest_path"]).parent))
        licence = crate["license"] or crate["license_file"] or "see below"
        lines = [f"{title}: {licence}"]
        lines += [f"  by {author}" for author in crate["authors"]]
        lines += [f"  {crate['repository']}"] if crate["repository"] else []
        parts.append(heading("\n".join(lines)))
        parts += [referred(seen, title, name, text) for name, text in texts]
        if not texts:
            parts.append(f"It comes without a text of its licence; the texts of {licence} stand above or below.\n")
    parts.append(heading(STANDARD))
    parts += [referred(seen, "rust", path.name, tidy(path)) for path in toolchain_licences()]
    parts.append(heading(MUSL))
    parts.append(referred(seen, "musl", "copyright", tidy(pathlib.Path("/usr/share/doc/musl-dev/copyright"))))
    return "\n".join(parts)


def toolchain_licences():
    root = subprocess.run(["rustc", "--print", "sysroot"], check=True, stdout=subprocess.PIPE, text=True).stdout
    folder = pathlib.Path(root.strip()) / "share/doc/rust/licenses"
    wanted = [folder / "MIT.txt", folder / "Apache-2.0.txt"]
    return [path for path in wanted if path.exists()]


def heading(text):
    return "=" * 100 + f"\n{text}\n"


def referred(seen, title, name, text):
    key = re.sub(r"\s+", " ", text)
    if key in seen:
        return f"--- {name}: as {seen[key]}\n"
    seen[key] = f"{name} of {title}"
    return f"--- {name}\n\n{text}"


def checksums():
    """SHA-256 of each crate's archive, as Cargo.lock has it."""
    sums = {}
    for part in pathlib.Path("Cargo.lock").read_text().split("[[package]]")[1:]:
        field = dict(re.findall(r'^(name|version|checksum) = "(.*)"$', part, re.MULTILINE))
        if "checksum" in field:
            sums[field["name"], field["version"]] = field["checksum"]
    return sums


def bill(crates, version, epoch):
    sums = checksums()
    time = datetime.datetime.fromtimestamp(epoch, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    components = [component(crate, sums) for crate in crates]
    this = {"type": "application", "name": "link", "version": version, "bom-ref": f"link@{version}"}
    this["licenses"] = [{"license": {"id": "MIT"}}]
    number = uuid.uuid5(uuid.NAMESPACE_OID, json.dumps([this, components], sort_keys=True))
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "serialNumber": f"urn:uuid:{number}",
        "version": 1,
        "metadata": {"timestamp": time, "component": this},
        "components": components,
    }


def component(crate, sums):
    name, version = crate["name"], crate["version"]
    purl = f"pkg:cargo/{name}@{version}"
    told = {"type": "library", "name": name, "version": version, "bom-ref": purl, "purl": purl}
    if crate["license"]:
        told["licenses"] = [{"expression": crate["license"].replace("/", " OR ")}]
    if (name, version) in sums:
        told["hashes"] = [{"alg": "SHA-256", "content": sums[name, version]}]
    if crate["repository"]:
        told["externalReferences"] = [{"type": "vcs", "url": crate["repository"]}]
    return told


if __name__ == "__main__":
    main()
