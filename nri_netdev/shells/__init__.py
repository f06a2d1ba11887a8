"""The edges of the program: kernel, engine, store, and what others observe. Nothing is decided here."""
