"""Disks as sources: of libvirt's domains, running or off, and image files of QEMU."""
