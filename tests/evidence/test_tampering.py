"""Every way to change an OUT that was once found to be noticed, or not to be, has a test: here is which one.

The rows are those of a sceptical audit. Whoever renames or removes a test has to say here what holds the row instead.
"""

from __future__ import annotations

import pytest

from tests.evidence.rows import held

ROWS = {
    "a byte of any tensor, VAE, text encoder, LoRA, tokenizer, scheduler": [
        "test_integrity.test_every_file_of_an_output_is_compared",
        "test_attestation.test_a_byte_of_any_file_is_found_and_named",
    ],
    "a file added to OUT": [
        "test_integrity.test_what_nobody_wrote_is_named",
        "test_attestation.test_what_was_added_is_named",
    ],
    "the lock's fingerprint, and a base that was changed": [
        "test_verify.test_the_base_has_to_be_the_one_that_was_edited"
    ],
    "the recipe edited after apply, a bound made easier, a note put beside it": [
        "test_integrity.test_a_recipe_or_plan_that_was_not_applied_is_refused",
        "test_integrity.test_a_whole_other_recipe_under_consistent_digests_is_another_plan",
    ],
    "a manifest that was computed anew": [
        "test_integrity.test_what_the_manifest_says_of_the_base_is_the_bases",
        "test_attestation.test_whoever_computes_every_digest_anew_still_has_no_key",
    ],
    "an adapter that nobody measured": ["test_integrity.test_an_adapter_that_is_another_edit_is_found"],
    "a unit cut short or edited, a picture that was swapped or is none": [
        "test_integrity.test_a_record_or_picture_that_was_changed_is_named",
        "test_verify.test_a_picture_that_was_damaged_is_named",
    ],
    "a unit edited with its digest computed anew": [
        "test_attestation.test_a_byte_of_any_file_is_found_and_named",
        "test_reproduce.test_what_was_drawn_is_drawn_again_bit_for_bit_and_what_was_not_is_named",
    ],
    "report.json, report.html or the card edited": [
        "test_integrity.test_the_same_records_give_the_same_bytes_and_a_changed_report_is_kept_and_named",
        "test_attestation.test_a_report_that_its_records_do_not_give_is_not_signed",
    ],
    "apply --force over an unwelcome verdict": [
        "test_integrity.test_an_output_that_is_replaced_keeps_its_verdicts_and_units",
        "test_registered.test_a_log_outlives_the_edit_and_cannot_be_thinned",
    ],
    "other options until the verdict is liked": ["test_registered.test_a_run_is_held_to_what_was_registered"],
    "verdicts compared over other judges, bases or questions": [
        "test_against.test_judges_are_the_same_by_all_that_decides_their_answers",
        "test_against.test_another_base_is_refused_and_other_questions_are_named",
    ],
    "a judge that was told something else": ["test_integrity.test_a_judge_is_what_it_was_told_and_its_code"],
    "a judge that raises, answers nonsense, or exits": [
        "test_verify.test_a_judge_that_fails_never_gives_a_pass",
        "test_verify.test_a_judge_or_an_attack_that_exits_ends_in_2_with_a_line",
    ],
    "a run that is interrupted": ["test_verify.test_an_interrupted_run_goes_on_and_draws_nothing_twice"],
    "a full disk, a report that cannot be written": [
        "test_integrity.test_a_full_disk_is_one_line_and_leaves_what_there_was",
        "test_integrity.test_faults_of_the_report_folder_are_one_line",
    ],
    "two verifications in one OUT": ["test_integrity.test_two_runs_with_different_options_at_once"],
    "a hit's command that draws another model": [
        "test_verify.test_a_hit_is_drawn_again_by_its_command_and_by_its_unit"
    ],
    "verify and merge that give two reports": [
        "test_merge.test_two_shards_merged_equal_one_run",
        "test_merge.test_whoever_composes_it_the_report_is_the_same_bytes",
    ],
    "who ran it, and when": [
        "test_registered.test_a_run_begins_once_and_at_the_earliest_of_its_shards",
        "test_attestation.test_the_wrong_key_and_a_changed_statement",
    ],
    "on what it was run": ["test_reproduce.test_what_is_not_as_then_is_told"],
}


@pytest.mark.parametrize("row", ROWS)
def test_every_way_to_change_an_output_has_its_test(row: str) -> None:
    assert [place for place in ROWS[row] if not held(place)] == []
