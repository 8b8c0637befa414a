"""Prints what pyvmomi, VMware's own client, sees of a vCenter or ESXi, as JSON.

One JSON object on stdin: address, port, user, password, ca (PEM file).
"""

import json
import ssl
import sys
import time

from pyVim.connect import Disconnect, SmartConnect
from pyVmomi import vim


def inventory_path(entity):
    names = []
    while entity.parent is not None:
        names.insert(0, entity.name)
        entity = entity.parent
    return "/".join(names)


def every(content, kind):
    view = content.viewManager.CreateContainerView(content.rootFolder, [kind], True)
    found = list(view.view)
    view.Destroy()
    return found


def wait(task):
    while task.info.state not in ("success", "error"):
        time.sleep(0.01)
    if task.info.state == "error":
        raise task.info.error
    return task.info.result


def files(datastore):
    spec = vim.host.DatastoreBrowser.SearchSpec()
    spec.matchPattern = ["*"]
    spec.details = vim.host.DatastoreBrowser.FileInfo.Details(
        fileSize=True, fileType=True, modification=False, fileOwner=False
    )
    root = "[%s]" % datastore.name
    found = []
    for folder in wait(datastore.browser.SearchDatastoreSubFolders_Task(root, spec)):
        inside = folder.folderPath[len(root) :].strip("/ ")
        for file in folder.file:
            path = "/".join(part for part in (inside, file.path) if part)
            is_folder = isinstance(file, vim.host.DatastoreBrowser.FolderInfo)
            found.append({"path": path, "size": None if is_folder else file.fileSize or 0})
    return sorted(found, key=lambda one: one["path"])


def datacenter(entity):
    while not isinstance(entity, vim.Datacenter):
        entity = entity.parent
    return entity


def machine(vm):
    config = vm.config
    cds, disks, networks = [], [], []
    for device in config.hardware.device:
        if isinstance(device, vim.vm.device.VirtualCdrom):
            cds.append(
                {
                    "file": getattr(device.backing, "fileName", None),
                    "start_connected": device.connectable.startConnected,
                }
            )
        elif isinstance(device, vim.vm.device.VirtualDisk):
            disks.append(
                {
                    "file": device.backing.fileName,
                    "bytes": device.capacityInKB * 1024,
                    "thin": bool(getattr(device.backing, "thinProvisioned", None)),
                }
            )
        elif isinstance(device, vim.vm.device.VirtualEthernetCard):
            name = getattr(device.backing, "deviceName", None)
            if name is None:
                key = device.backing.port.portgroupKey
                name = next(net.name for net in vm.network if getattr(net, "key", None) == key)
            networks.append(name)
    return {
        "name": vm.name,
        "path": inventory_path(vm),
        "running": vm.runtime.powerState == "poweredOn",
        "template": config.template,
        "uuid": config.uuid,
        "firmware": config.firmware,
        "memory_mb": config.hardware.memoryMB,
        "cpus": config.hardware.numCPU,
        "guest_id": config.guestId,
        "pool": inventory_path(vm.resourcePool) if vm.resourcePool else None,
        "cds": cds,
        "disks": disks,
        "networks": networks,
    }


def main():
    given = json.load(sys.stdin)
    context = ssl.create_default_context(cafile=given["ca"])
    service = SmartConnect(
        host=given["address"],
        port=given["port"],
        user=given["user"],
        pwd=given["password"],
        sslContext=context,
    )
    content = service.RetrieveContent()
    datastores = [
        {"datacenter": inventory_path(datacenter(one)), "name": one.name, "files": files(one)}
        for one in every(content, vim.Datastore)
    ]
    machines = [machine(one) for one in every(content, vim.VirtualMachine)]
    folders = [inventory_path(one) for one in every(content, vim.Folder)]
    Disconnect(service)
    json.dump(
        {
            "datastores": sorted(datastores, key=lambda one: (one["datacenter"], one["name"])),
            "machines": sorted(machines, key=lambda one: one["path"]),
            "folders": sorted(folders),
        },
        sys.stdout,
        indent=1,
    )


main()
