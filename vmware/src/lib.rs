//! A small vSphere client (see `vmware/README.md`).
