"""Files and folders as sources: what is read of them, what is not, and how a large tree is cut into parts."""
