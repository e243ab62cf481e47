"""The binary log of a MariaDB or a MySQL, archived so that any moment after a restore point comes back."""
