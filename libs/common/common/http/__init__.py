"""HTTP as data: routes that read, call and reply; everything else happens around them, once."""
