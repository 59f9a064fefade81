"""What goes through everything that is stored, slowly, beside the requests; and can be cut off anywhere."""
