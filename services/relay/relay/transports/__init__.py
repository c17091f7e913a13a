"""Where messages can be carried to. A broker is one module here and one line in `relay.app`."""
