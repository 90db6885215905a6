"""What a run would take, before anything is trained, and how well that is known on this machine."""
