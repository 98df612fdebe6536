"""What the operator declares: the overlay, its regions and nodes; overlay.yaml in and out.

Pure. `yaml_source` alone imports PyYAML, and nothing else here imports it: nodes get the
canonical JSON form, which needs the standard library only.
"""
