"""Keys whose effect no built model shows, each with the test that sees it."""

SEEN: dict[str, str] = {}
"""`module.Class.key` to `file::test`."""


def _seen(test: str, *names: str) -> None:
    SEEN.update(dict.fromkeys(names, test))


def _of(record: str, *keys: str) -> list[str]:
    return [f"{record}.{key}" for key in keys]


# the top
_seen("spec/test_run.py::test_eight_lines_are_a_translation_model",
      *_of("run.Run", "task", "model", "train", "evaluate"))  # fmt: skip
_seen("test_api.py::test_weights_are_those_of_the_seed_and_the_caller_s_random_numbers_stay", "run.Run.seed")
_seen("spec/test_merge.py::test_files_extend_files", "run.Run.extends")
_seen(
    "spec/test_run.py::test_the_tokenizer_of_a_field", "run.Run.tokenizer", "data.Field_.tokenizer", "data.Files.fields"
)
_seen("training/test_loop.py::test_without_data_there_is_nothing_to_train_on", "run.Run.data")
_seen("cli/test_train.py::test_a_run_says_how_it_goes_on_stderr_and_what_came_of_it_on_stdout", "run.Run.name")
_seen("spec/test_faults.py::test_every_fault_of_a_spec_is_in_one_report", "run.Run.language")
# data
_seen("data/test_tokenizers.py::test_sizes_are_bounded", "tokenizer.Bpe.vocabulary")
_seen("data/test_tokenizers.py::test_lowercase", "tokenizer.Bpe.lowercase")
_seen("data/test_tokenizers.py::test_a_file_with_padding_and_templates_gives_plain_ids", "tokenizer.TokenizerFile.path")
_seen("data/test_packing.py::test_rows_are_full_and_hold_each_document_once", "data.Files.packing")
_seen("data/test_batches.py::test_bad_rows_are_left_out_counted_and_said", "data.Files.on_bad_row")
_seen("data/test_batches.py::test_long_rows_are_left_out_counted_and_said", "data.Files.on_long")
_seen("data/test_sources.py::test_lists_and_globs_lay_files_end_to_end", *_of("data.Files", "train", "valid", "test"))
_seen("data/test_sources.py::test_columns_by_number", "data.Field_.column")
_seen("data/test_sources.py::test_shares_are_disjoint_and_lose_nothing", "data.Share.share")
_seen("data/test_hub.py::test_skipping_and_shares", *_of("data.Hub", "name", "subset", "train", "valid", "test"))
_seen("data/test_generators.py::test_rows_depend_on_seed_split_and_index_alone",
      *_of("data.Generated", "name", "train", "valid", "test"))  # fmt: skip
_seen("data/test_dates.py::test_one_target_alone", "data.Generated.targets")
_seen("data/test_noise.py::test_shares_are_as_published", "tasks.MaskedLanguageModel.rate")
_seen("data/test_denoising.py::test_infill_leaves_one_mask_a_span", "tasks.Denoising.corruption",
      *_of("tasks.Infill", "rate", "mean_span"))  # fmt: skip
_seen("data/test_denoising.py::test_sentences_are_read_in_another_order", "tasks.Infill.permute")
_seen("data/test_pairs.py::test_the_label_says_whether_the_second_part_follows", "tasks.SentencePair.negatives")
_seen("data/test_carried.py::test_all_is_predicted_where_the_loss_is_on_all", "tasks.LanguageModel.loss_on")
_seen("evaluation/test_evaluate.py::test_span_f1_needs_the_scheme", "tasks.Tagging.scheme")
_seen("data/test_segments.py::test_the_vector_of_its_part_is_added_to_each_token", "inputs.Tokens.segments")
# training
_seen("training/test_loop.py::test_a_run_folder_holds_all_that_the_run_is", "training.Train.duration",
      "training.Train.checkpoints")  # fmt: skip
_seen("data/test_batches.py::test_a_batch_keeps_source_and_target_together_and_the_budget", "training.Train.batch",
      "training.TokenBatch.size", "training.SequenceBatch.size")  # fmt: skip
_seen("training/test_steps.py::test_accumulation_changes_rounding_only",
      "training.TokenBatch.accumulate", "training.SequenceBatch.accumulate")  # fmt: skip
_seen("training/test_steps.py::test_the_rate_is_that_of_the_call", "training.Train.learning_rate")
_seen("training/test_steps.py::test_the_norm_is_clipped_and_reported_as_it_was", "training.Train.clip")
_seen("training/test_steps.py::test_low_precision_stays_near_float32", "training.Train.precision")
_seen("training/test_optimisers.py::test_every_optimizer_goes_down_hill", "training.Train.optimizer")
_seen("training/test_schedules.py::test_cosine_is_half_a_cosine_from_peak_to_floor", "training.Train.schedule",
      "training.Cosine.floor")  # fmt: skip
_seen("training/test_schedules.py::test_linear_falls_by_equal_parts", "training.LinearDecay.floor")
_seen("training/test_schedules.py::test_warmup_is_a_line_that_reaches_the_peak_and_leaves_no_step_idle",
      "training.Cosine.warmup")  # fmt: skip
_seen("training/test_schedules.py::test_steps_halve_the_rate_after_each_epoch_from_the_start_on",
      *_of("training.StepDecay", "start", "every", "factor"))  # fmt: skip
_seen("training/test_schedules.py::test_one_cycle_starts_low_peaks_once_and_ends_near_zero",
      *_of("training.OneCycle", "rise", "start"))  # fmt: skip
_seen(
    "training/test_checkpoint.py::test_served_weights_are_the_running_means_where_there_are_some", "training.Train.ema"
)
_seen("training/test_checkpoint.py::test_the_mean_of_checkpoints_is_that_of_their_weights", "training.Evaluate.average")
_seen("training/test_session.py::test_the_last_and_the_best_stay_and_are_pointed_at",
      *_of("training.Checkpoints", "every", "keep_last", "keep_best"))  # fmt: skip
_seen("training/test_session.py::test_early_stopping_ends_the_run_and_says_the_same_after_resume",
      "training.Train.early_stopping", *_of("training.EarlyStopping", "metric", "patience"))  # fmt: skip
_seen("training/test_optimisers.py::test_decay_falls_on_matrices_only", "training.AdamW.weight_decay")
_seen(
    "training/test_optimisers.py::test_adamw_is_adam_with_decoupled_decay", *_of("training.AdamW", "betas", "epsilon")
)
_seen("training/test_optimisers.py::test_adam_has_the_decay_in_its_gradient", *_of("training.Adam", "betas", "epsilon"))
_seen("training/test_optimisers.py::test_sgd_with_momentum", "training.Sgd.momentum")
_seen("training/test_optimisers.py::test_adagrad_divides_by_the_root_of_the_sum_of_squares",
      *_of("training.Adagrad", "accumulator", "epsilon"))  # fmt: skip
_seen("training/test_optimisers.py::test_adadelta_follows_algorithm_1", *_of("training.Adadelta", "rho", "epsilon"))
# writing and scoring
_seen("evaluation/test_evaluate.py::test_only_what_is_asked_for_is_computed", "training.Evaluate.metrics")
_seen("training/test_session.py::test_a_run_learns_and_reports_every_step_of_a_short_one", "training.Evaluate.every")
_seen("cli/test_evaluate.py::test_a_beam_of_one_is_greedy_and_max_length_is_kept", "training.Evaluate.decoding",
      "training.Greedy.max_length")  # fmt: skip
_seen("decoding/test_beam.py::test_a_beam_that_holds_all_texts_finds_the_best_of_all",
      *_of("training.Beam", "size", "length_penalty", "n_best", "min_length", "max_length"))  # fmt: skip
_seen("decoding/test_sampling.py::test_draws_follow_the_exact_distribution",
      *_of("training.Sample", "temperature", "top_k"))  # fmt: skip
_seen("decoding/test_sampling.py::test_top_p_keeps_the_smallest_set_that_reaches_it", "training.Sample.top_p")
_seen("cli/test_predict.py::test_max_length_ends_the_text", "training.Sample.max_length")
# keys of the body that need more than themselves
_seen("data/test_pairs.py::test_both_tasks_read_one_text_and_add_their_mean_losses", "tasks.Seq2seq.weight")
_seen("spec/test_run.py::test_eight_lines_are_a_translation_model", "tasks.Seq2seq.stack", "inputs.Tokens.field",
      "attention.CrossAttention.stack")  # fmt: skip
_seen("nn/test_outputs.py::test_narrowing_clusters_are_those_of_torch", "outputs.Adaptive.cutoffs")
_seen("nn/test_pointer.py::test_probabilities_are_those_of_the_reference", "outputs.PointerGenerator.bias")
_seen("nn/test_stacks.py::test_layers_share_what_the_spec_says_and_nothing_else", "stacks.Layer.same_as")
_seen("nn/test_stacks.py::test_readers_of_a_name_attend_to_the_very_keys_and_values_of_the_nearest_earlier_layer",
      "stacks.Layer.name", "attention.MultiHead.kv_from")  # fmt: skip
_seen("nn/test_stacks.py::test_a_branch_named_twice_runs_twice_with_weights_of_its_own",
      *_of("stacks.Override", "attention", "cross_attention", "feedforward", "norm"))  # fmt: skip
_seen("nn/test_differential.py::test_neighbours_and_halves_are_one_attention_whose_maps_stand_in_another_order",
      "attention.Differential.pairs")  # fmt: skip
_seen("nn/test_experts.py::test_outputs_are_the_weighed_sum_over_the_chosen", "feedforward.Router.active_groups")
_seen("nn/test_experts.py::test_in_training_an_expert_serves_no_more_than_its_capacity", "feedforward.Experts.capacity")
_seen("nn/test_experts.py::test_the_offset_follows_the_choices_of_the_real_places_of_a_step", "feedforward.Bias.rate")
_seen("nn/test_positions.py::test_t5_buckets_change_where_exact_powers_say", "positions.biases.T5.max_distance")
_seen("parity/test_positions.py::test_longrope_changes_its_rates_where_transformers_does",
      *_of("positions.rotary.Longrope", "short", "long"))  # fmt: skip
_seen("parity/test_positions.py::test_rates_are_those_of_transformers",
      *_of("positions.rotary.Yarn", "beta_fast", "ramp"))  # fmt: skip
_seen("parity/test_positions.py::test_rates_that_grow_with_the_text_are_those_of_transformers",
      "positions.rotary.DynamicNtk.factor")  # fmt: skip
_seen("nn/test_recurrent.py::test_decoders_are_those_of_the_reference", "recurrent.Recurrent.residual")
_seen("nn/test_recurrent.py::test_encoders_are_those_of_the_reference", "model.Model.direction")
_seen("training/test_forcing.py::test_the_probability_grows_along_a_line", "tasks.Seq2seq.teacher_forcing",
      *_of("tasks.Scheduled", "scheduled", "over"))  # fmt: skip
_seen("nn/test_attention.py::test_outputs_and_weights_are_those_of_the_reference",
      *_of("positions.contents.Bank", "extent", "d_bank"))  # fmt: skip
_seen("nn/test_feedforward.py::test_every_kind_is_that_of_the_reference", "feedforward.Swiglu.clamp")
_seen("nn/test_segments.py::test_segments_with_a_memory_are_the_whole_text_under_a_mask",
      "stacks.Transformer.segment_memory")  # fmt: skip
_seen("training/test_starting.py::test_it_starts_with_the_weights_and_the_ids_of_the_run",
      "training.Train.start", *_of("tuning.Start", "from"))  # fmt: skip
_seen("training/test_starting.py::test_adapters_and_a_new_head_learn_and_a_resumed_run_needs_the_first_no_more",
      "training.Train.lora", *_of("tuning.Lora", "rank", "alpha", "targets"))  # fmt: skip
_seen("training/test_starting.py::test_a_merged_model_gives_what_the_adapted_one_does", "tuning.Lora.dropout")
_seen("nn/test_clipping.py::test_every_attention_of_a_model_is_clipped_after_a_step", "attention.MultiHead.qk_clip")
_seen("training/test_film.py::test_planted_heads_are_named_after_some_looks",
      "training.Train.watch", "training.Watch.every")  # fmt: skip
_seen("training/test_steps.py::test_a_compiled_step_has_the_same_gradient", "training.Train.compile")
_seen("training/test_memory.py::test_losses_by_segment_are_those_of_whole_texts_under_the_mask",
      "model.Model.segment_memory")  # fmt: skip
