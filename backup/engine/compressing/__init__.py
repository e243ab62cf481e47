"""What duplicity starts in gpg's place when it saves."""
