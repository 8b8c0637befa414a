"""OCI images in a layout folder, and their way into a registry (image-spec, distribution-spec)."""

import hashlib
import http.client
import json
import os

from .tree import write_layer

CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
REF_NAME = "org.opencontainers.image.ref.name"


class Layout:
    """An OCI layout that images are added to; the same layer is written once."""

    def __init__(self, folder):
        self.folder = folder
        self.blobs = os.path.join(folder, "blobs", "sha256")
        self.manifests = []
        os.makedirs(self.blobs, exist_ok=True)

    def path(self, digest):
        return os.path.join(self.blobs, digest.removeprefix("sha256:"))

    def blob(self, data, media_type):
        digest = "sha256:" + hashlib.sha256(data).hexdigest()
        with open(self.path(digest), "wb") as file:
            file.write(data)
        return {"mediaType": media_type, "digest": digest, "size": len(data)}

    def layer(self, tree):
        """Writes a tree as a layer; gives (descriptor, diff ID, size unpacked)."""
        temporary = os.path.join(self.folder, "layer.partial")
        digest, size, diff_id, unpacked = write_layer(tree, temporary)
        os.replace(temporary, self.path(digest))
        return {"mediaType": LAYER, "digest": digest, "size": size}, diff_id, unpacked

    def image(self, name, layers, config):
        """Adds an image NAME:TAG of layers (lowest first); `config` is the part that containers run by."""
        document = {
            "architecture": "amd64", "os": "linux", "config": config,
            "rootfs": {"type": "layers", "diff_ids": [diff_id for _, diff_id, _ in layers]},
            "history": [{"created_by": "testdata/guest/build-parts"} for _ in layers],
        }
        manifest = {
            "schemaVersion": 2, "mediaType": MANIFEST,
            "config": self.blob(encode(document), CONFIG), "layers": [descriptor for descriptor, _, _ in layers],
        }
        descriptor = self.blob(encode(manifest), MANIFEST)
        descriptor["platform"] = {"architecture": "amd64", "os": "linux"}
        descriptor["annotations"] = {REF_NAME: name}
        self.manifests.append(descriptor)

    def finish(self):
        with open(os.path.join(self.folder, "oci-layout"), "wb") as file:
            file.write(encode({"imageLayoutVersion": "1.0.0"}))
        with open(os.path.join(self.folder, "index.json"), "wb") as file:
            file.write(encode({"schemaVersion": 2, "mediaType": INDEX, "manifests": self.manifests}))


def encode(document):
    return json.dumps(document, indent=1, sort_keys=True).encode()


def push(folder, address):
    """Pushes all images of a layout to the registry at host:port over http."""
    with open(os.path.join(folder, "index.json"), "rb") as file:
        index = json.load(file)
    registry = Registry(address)
    for descriptor in index["manifests"]:
        repository, tag = descriptor["annotations"][REF_NAME].rsplit(":", 1)
        manifest = open(blob_path(folder, descriptor["digest"]), "rb").read()
        document = json.loads(manifest)
        for blob in [*document["layers"], document["config"]]:
            registry.blob(repository, blob["digest"], blob_path(folder, blob["digest"]))
        registry.manifest(repository, tag, manifest)


def blob_path(folder, digest):
    return os.path.join(folder, "blobs", *digest.split(":"))


class Registry:
    """The few requests of the distribution-spec that a push takes."""

    def __init__(self, address):
        self.address = address

    def request(self, method, path, body=None, headers=None, expect=(200, 201, 202)):
        connection = http.client.HTTPConnection(self.address, timeout=120)
        try:
            connection.request(method, path, body, headers or {})
            answer = connection.getresponse()
            text = answer.read()
            if answer.status not in expect:
                raise SystemExit(f"build-parts: {method} {path}: {answer.status} {text[:200]!r}")
            return answer
        finally:
            connection.close()

    def blob(self, repository, digest, path):
        head = self.request("HEAD", f"/v2/{repository}/blobs/{digest}", expect=(200, 404))
        if head.status == 200:
            return
        upload = self.request("POST", f"/v2/{repository}/blobs/uploads/", headers={"Content-Length": "0"})
        location = upload.getheader("Location")
        location = location.split(self.address, 1)[-1]
        location += ("&" if "?" in location else "?") + "digest=" + digest
        with open(path, "rb") as body:
            size = {"Content-Length": str(os.path.getsize(path)), "Content-Type": "application/octet-stream"}
            self.request("PUT", location, body, size)

    def manifest(self, repository, tag, data):
        self.request("PUT", f"/v2/{repository}/manifests/{tag}", data, {"Content-Type": MANIFEST})
