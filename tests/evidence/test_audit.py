"""Everything that a report was once found to get wrong, to leave unsaid, or to let a bad edit through with, has a test:
here is which one. What concerns changes of an output is in test_tampering.

The rows are those of a sceptical audit. Whoever renames or removes a test has to say here what holds the row instead.
"""

from __future__ import annotations

import pytest

from tests.evidence.rows import held

ROWS = {
    "a model destroyed for everything but one thing passes": [
        "test_everyday.test_an_edit_that_destroys_all_but_one_thing_is_broken",
        "test_known_answers.test_an_edit_that_draws_one_thing_or_loses_what_lies_near_does_not_pass",
    ],
    "noise passes": [
        "test_everyday.test_pictures_that_are_none_fail_whatever_a_judge_says",
        "test_known_answers.test_an_edit_that_destroys_pictures_does_not_pass",
    ],
    "the unedited model passes": [
        "test_expectations.test_what_the_base_meets_too_is_no_pass",
        "test_everyday.test_no_edit_spares_everything_and_still_passes_nothing",
        "test_shots.test_a_label_that_is_no_class_is_an_error_scored_or_not",
        "test_verify.test_no_edit_does_not_pass_shown",
    ],
    "attacks have neither ceiling nor floor": [
        "test_html.test_attacks_stand_beside_no_edit_and_name_a_form_a_form",
        "test_expectations.test_an_attack_whose_own_prompts_bring_nothing_on_the_base_says_nothing",
        "test_beside.test_every_probe_is_tried_on_each_control_which_is_loaded_once",
    ],
    "an attack is averaged over forms and prompts": [
        "test_gallery.test_prompts_that_worked_are_counted_by_prompt",
        "test_gallery.test_the_worst_form_or_prompt_is_the_one_best_shown_to_be",
        "test_expectations.test_pictures_of_few_prompts_decide_less",
    ],
    "a pool hides members": [
        "test_expectations.test_a_pool_never_hides_a_member_that_misses",
        "test_expectations.test_one_member_that_the_base_never_shows_is_no_pass_either",
    ],
    "a judge that exits gives 0": ["test_shots.test_a_judge_that_exits_is_neither_an_answer_nor_the_end"],
    "a judge's errors are printed and never used": [
        "test_accuracy.test_the_corrected_rate_decides",
        "test_known.test_a_judge_too_weak_for_the_bound_is_told_before_anything_is_drawn",
        "test_rating.test_judge_and_raters_are_counted_as_by_hand_and_merge_takes_it",
    ],
    "the price of the last per cent stands for that of all": [
        "test_certificate.test_undoing_most_of_an_edit_costs_less_than_undoing_the_last_of_it",
        "test_html.test_the_price_of_most_of_it_stands_beside_that_of_all",
    ],
    "KID of pictures that share seeds": ["test_metrics.test_kid_of_shared_seeds_is_unbiased_around_nothing"],
    "a set's line tells an arbitrary member": ["test_expectations.test_a_sets_line_tells_its_worst_member"],
    "drift is decided as if it were exact": [
        "test_drift.test_the_interval_holds_the_mean_of_many_trajectories_and_narrows_with_their_number",
        "test_html.test_what_a_line_was_measured_on_is_true_of_its_metric",
    ],
    "faces that are none": ["test_expectations.test_nothing_recognisable_is_no_face"],
    "a judge that failed and recovered is not told of": [
        "test_shots.test_a_judge_that_fails_on_many_and_not_on_one_is_told_of"
    ],
    "budgets, recipes and expectations that nobody can read on the page": [
        "test_html.test_budgets_are_told_in_words_and_what_asks_no_model_is",
        "test_html.test_the_recipe_is_whole",
        "test_html.test_expectations_are_one_table_with_a_line_a_member",
    ],
    "a pass does not say what was expected": ["test_html.test_what_a_pass_was_held_to_stands_beside_it"],
    "letters of another script, states that nobody types": [
        "test_html.test_letters_of_another_script_and_the_attacks_side_are_told"
    ],
    "explicit pictures are in the file": [
        "test_html.test_sensitive_pictures_are_in_the_page_only_where_they_are_asked_for"
    ],
    "pictures of one prompt count as independent": [
        "test_intervals.test_nothing_found_of_few_prompts_is_not_nothing_found_of_many_pictures"
    ],
    "many members, many expectations, one picked afterwards": [
        "test_many.test_with_many_members_one_is_likely_to_miss_the_bound_by_chance",
        "test_excess.test_an_excess_that_does_not_hold_with_all_others_is_open",
    ],
    "one of many prompts always works": ["test_concepts.test_a_prompt_that_always_works_is_not_hidden_among_others"],
    "what appears instead": ["test_concepts.test_what_stands_in_its_place_is_counted_and_nothing_protected_named"],
    "which prompts and words were looked at": ["test_concepts.test_it_is_told_how_many_prompts_were_looked_at"],
    "optional stopping and the choice of seeds": [
        "test_registered.test_a_run_is_held_to_what_was_registered",
        "test_registered.test_a_log_outlives_the_edit_and_cannot_be_thinned",
    ],
    "a shipped recipe that its own judges cannot decide": [
        "test_judges.test_every_shipped_recipe_can_pass_by_the_judges_that_it_names",
        "test_known.test_what_no_chosen_judge_decides_is_told_with_who_would",
    ],
    "a suite's seeds, guidance and long prompts": [
        "test_suites.test_pictures_have_the_suites_prompts_and_seeds",
        "test_suites.test_the_report_counts_and_does_not_quote",
        "test_notes.test_a_suite_s_prompts_that_are_cut_off_are_counted_too",
    ],
    "no budget on the command line": ["test_beside.test_what_cannot_be_asked_for_is_told_in_a_line"],
    "two whole models in memory": [
        "models/test_sharing.test_a_second_model_holds_what_differs_and_draws_as_if_it_held_all",
        "test_controls.test_one_is_in_memory_at_a_time_and_holds_no_autoencoder_of_its_own",
    ],
    "fewer sampler steps than the field's": [
        "test_notes.test_prompts_that_are_cut_off_are_counted_and_few_steps_are_told"
    ],
    "pictures that nobody else can judge": [
        "test_rejudged.test_another_judge_looks_at_the_very_pictures_and_nothing_is_drawn",
        "test_rating.test_raters_learn_nothing_but_the_pictures_and_the_key_tells_which_is_which",
    ],
    "relearning and changed weights are not tested": [
        "test_relearn.test_every_model_is_trained_and_looked_at_end_to_end_and_a_run_goes_on",
        "test_thorough.test_the_longest_run_is_measured_told_and_drawn_again",
    ],
    "an attack that says nothing by itself fails an edit": [
        "test_expectations.test_an_attack_whose_figure_says_nothing_by_itself_fails_no_edit"
    ],
}


@pytest.mark.parametrize("row", ROWS)
def test_what_was_found_wrong_has_its_test(row: str) -> None:
    assert [place for place in ROWS[row] if not held(place)] == []
