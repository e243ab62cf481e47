"""`bkp doctor`: looks at everything a backup or a restore needs here; one file for each thing that is looked at."""
