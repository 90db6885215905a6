"""The forms that a run can be exported in. The file's name is the format's name.

A file here defines

- `refuse(finished)`: a `Mistake` where this run has no such form, with what to take instead, else None;
- `write(finished, folder)`: puts the export into an empty folder;
- `read(finished, folder, precision, device)`: the export as the tool that it is for loads it, in that number type, as a
  function from tokens to logits (`luthier.export.parity.Logits`);
- `precision(finished)`: the number type of the weights that it writes.
"""
