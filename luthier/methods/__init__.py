"""The tuning methods: one file each, named as `tuning_method` names it."""
