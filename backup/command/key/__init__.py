"""`bkp key`: makes keys, brings them to each other, puts them on paper and back, lets them go."""
