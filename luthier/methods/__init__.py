"""The tuning methods: one file each, named as `tuning_method` names it.

A file declares what its method can do, so that no code outside asks which one it is.

Each defines

- `SECTION`: its section of `training_config` (None: it has none), and `Settings`, what may stand there;
- `SETTINGS_FROM`, where it is tuned by another method's section: the functions below then take that one's settings;
- `TRAINS_THE_BASE`: whether the model's own weights change, so that the result is a model folder, not an adapter;
- `STARTS_AS_THE_BASE`: whether the output at step 0 is that of the model before tuning;
- `GROWS_BY`, where it has one: the setting that says how much is trained;
- `learning_rate(settings, model)`: the rate where none is written, with reason and source;
- `virtual_tokens(settings)`: how many tokens stand before each row's own;
- `trainable_parameters(settings, model)`: how many numbers are trained, from shapes alone, so that the model may be one
  without memory (`UserError` where the method does not fit it);
- `resolve(settings, model, written, tokenizer)`: which settings of `training_config` to change, as (path, value,
  reason), and `UserError` for those that do not fit the model; `written(path)` says whether the user chose one;
- `attach(model, settings, seed, tokenizer)`: the model ready to train, as a `Tuned`;
- `base_of(tuned)`: the model before tuning, beside a model that is about to be trained, as a `Base` that stays what it
  is while that one moves; where the weights themselves are trained it is a copy of them;
- `files(tuned, settings, base)`: the files of the result, each with what writes it; of them `ONLY_TO_RESUME`, where
  defined, belong to checkpoints and not to the result;
- `load(tuned, folder)`: saved files back into what `attach` gave.

Where the result is an adapter

- `opens(folder, config)`: whether an adapter with this configuration is one of its own;
- `open_adapter(model, folder)`: the model with a saved adapter, ours or PEFT's, ready for inference.

Where it can be done

- `interpolate(tuned, share, base)`: takes the weights back towards base's, which `base()` loads anew, and
  `interpolates(settings)`: whether these settings let it;
- `merge(tuned)`: takes the adapter into the weights, so that a plain model is left;
- `load_base(source, dtype, settings)`: the model before tuning where that is not the plain one; `settings` are those of
  `SECTION`, and `saved_settings(folder)` gives them of an adapter;
- `missing()`: what has to be installed first, as a `Mistake`;
- `without_tokenizer(settings)`: settings of the same sizes that need no tokenizer, where others do;
- `weight_memory(settings, model, number_bytes)`: the bytes of the weights, and of the largest that is unpacked for a
  moment, where they are not kept as numbers of so many bytes; `settings` are those of `SECTION`.
"""
