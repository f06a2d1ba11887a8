"""What the program shows outwardly, computed from the code and compared with what is stored beside the tests."""
