"""The networks: what is trained, how it is fed, and the files it is kept and served as."""
