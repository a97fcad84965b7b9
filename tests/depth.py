"""What `make test` leaves to `make thorough`: more cases of the same, after the first ones. `.ci/run` runs both."""

import pytest

FIRST: dict[str, int | tuple[str, ...]] = {
    "test_bulk::test_arithmetic_counts_what_the_walk_counts": 1,
    "test_bulk::test_ten_thousand_rows": 0,
    "test_calibration::test_known_costs_lie_in_their_intervals_nine_times_of_ten": 0,
    "test_compiled::test_what_is_damaged_is_compiled_anew": 2,
    "test_docs::test_python_runs_as_shown": 1,
    "test_docs::test_the_tutorial_runs_from_its_beginning_to_its_end": 0,
    "test_doors::test_spoilt_input": 1,
    "test_fio_crafted::test_so_is_what_is_just_not_too_rich_to_be_parsed": 4,
    "test_fio_crafted::test_twenty_megabytes_are_refused_in_seconds": 4,
    "test_fio_fuzz::test_mutated_bytes": 1,
    "test_fio_fuzz::test_mutated_values": 1,
    "test_fio_fuzz::test_odd_options": 1,
    "test_fio_read_large::test_time_is_linear_in_the_number_of_appended_runs": 0,
    "test_fio_read_large::test_the_largest_file_that_is_read_takes_less_than_a_gibibyte": 0,
    "test_growing_costs::test_intervals_of_points_left_out_hold_nine_of_ten": 0,
    "test_jupyterlab::test_each_notebook_opens_runs_and_draws": ("compare", "sweep"),
    "test_live::test_every_kernel_that_is_offered_answers": 4,
    "test_measure_stopping::test_asked_to_stop_it_stops_fio_and_says_how_to_go_on": 1,
    "test_nvme_instructions::test_half_of_the_sizes_predict_the_others": 1,
    "test_nvme_instructions::test_with_its_slow_paths_counted_nearly_every_row_is_within_3_percent": 1,
    "test_pages_on_subsets::test_every_page_is_made": ("malloc only", "one replicate"),
    "test_reports::test_nothing_outlives_a_report_that_is_stopped": ("SIGINT", "SIGKILL"),
    "test_scatter_by_size::test_intervals_hold_nine_of_ten_of_either_size": 0,
    "test_signals::test_a_signal_that_is_swallowed_arrives_all_the_same": 5,
    "test_site_looks::test_axe_finds_nothing_serious": ("compare-light-400", "index-dark-1280"),
    "test_site_looks::test_no_chart_is_cut_at_any_width": ("400",),
    "test_site_pages::test_every_chart_is_drawn_without_a_network": ("1280",),
    "test_sliders::test_moving_a_slider_changes_the_answer": ("400",),
    "test_structure_fuzz::test_random_limits_agree_with_the_slow_version": 2,
    "test_subsets::test_every_table_and_every_sentence_is_made": (
        *("zero CPU readings", "malloc", "mmaphuge", "one run", "no CPU", "no queue"),
    ),
    "test_subsets::test_left_out_points_are_scored_where_there_are_enough": ("one run", "no CPU"),
    "test_sweep::test_dask_with_a_worker_that_is_killed_gives_the_same": 0,
    "test_sweep::test_what_a_terminal_sends_to_all_is_one_line": ("0.0-2", "2.0-2"),
    "test_taken_away::test_every_page_is_made_without": ("points/reference",),
    "test_time_per_instruction::test_bad_input_is_one_line": 2,
    "test_tracing_kernel::test_the_command_obeys_at_any_moment": 1,
}
"""Of each test, how many of its cases `make test` runs, or which; none where it is a repetition as a whole."""


def mark(items: list[pytest.Item]) -> None:
    """Mark all other cases ``thorough``."""
    seen = dict.fromkeys(FIRST, 0)
    for item in items:
        name = f"{item.path.stem}::{item.name.partition('[')[0]}"
        if name not in FIRST:
            continue
        first, seen[name] = FIRST[name], seen[name] + 1
        case = item.name.partition("[")[2].removesuffix("]")
        if seen[name] > first if isinstance(first, int) else case not in first:
            item.add_marker(pytest.mark.thorough)
