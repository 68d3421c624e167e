"""Everything that the gateway answers itself."""
