"""Programs that use El Carril from outside, each whole and tested."""
