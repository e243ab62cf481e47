"""From judged records to one transaction: gather, write, evaluate, commit, acknowledge."""
