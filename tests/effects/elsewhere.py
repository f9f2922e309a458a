"""Keys whose effect no built model shows, each with the test that sees it."""

SEEN: dict[str, str] = {}
"""`module.Class.key` to `file::test`."""


def _seen(test: str, *names: str) -> None:
    SEEN.update(dict.fromkeys(names, test))


def _of(record: str, *keys: str) -> list[str]:
    return [f"{record}.{key}" for key in keys]


# the top
_seen("spec/test_merge.py::test_files_extend_files", "run.Run.extends")
_seen("cli/test_train.py::test_a_run_says_how_it_goes_on_stderr_and_what_came_of_it_on_stdout", "run.Run.name")
# data
_seen("data/test_tokenizers.py::test_a_file_with_padding_and_templates_gives_plain_ids", "tokenizer.TokenizerFile.path")
_seen("data/test_hub.py::test_skipping_and_shares", *_of("data.Hub", "name", "subset", "train", "valid", "test"))
# training
_seen("training/test_steps.py::test_accumulation_changes_rounding_only",
      "training.TokenBatch.accumulate", "training.SequenceBatch.accumulate")  # fmt: skip
_seen("training/test_checkpoint.py::test_the_mean_of_checkpoints_is_that_of_their_weights", "training.Evaluate.average")
_seen("training/test_steps.py::test_a_compiled_step_has_the_same_gradient", "training.Train.compile")
# keys of the body that need more than themselves
# other values of these than the one that has a meaning are refused, with the reason
_seen("spec/test_rules.py::test_task_and_model", "tasks.Seq2seq.stack", "inputs.Tokens.field")
_seen("spec/test_rules.py::test_stacks", "attention.CrossAttention.stack")
_seen("nn/test_differential.py::test_neighbours_and_halves_are_one_attention_whose_maps_stand_in_another_order",
      "attention.Differential.pairs")  # fmt: skip
_seen("nn/test_experts.py::test_outputs_are_the_weighed_sum_over_the_chosen", "feedforward.Router.active_groups")
_seen("parity/test_positions.py::test_rates_are_those_of_transformers",
      *_of("positions.rotary.Yarn", "beta_fast", "ramp"))  # fmt: skip
_seen("nn/test_recurrent.py::test_encoders_are_those_of_the_reference", "model.Model.direction")
_seen("nn/test_pointer.py::test_probabilities_are_those_of_the_reference", "outputs.PointerGenerator.bias")
_seen("nn/test_stacks.py::test_layers_share_what_the_spec_says_and_nothing_else", "stacks.Layer.same_as")
_seen("nn/test_attention.py::test_outputs_and_weights_are_those_of_the_reference",
      *_of("positions.contents.Bank", "extent", "d_bank"))  # fmt: skip
