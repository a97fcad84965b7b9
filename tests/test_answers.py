"""The eleven answers: all there, computed from the machine that is asked, and true to what lies outside of them."""

import html
import json
import re
import shlex
from dataclasses import replace

import numpy as np
import pytest
import synthetic
from click.testing import CliRunner

from zpmodel.base import shipped
from zpmodel.base.errors import InputError
from zpmodel.base.estimate import UNTOLD, Estimate
from zpmodel.base.units import format_size
from zpmodel.calibration.calibrate import calibrate
from zpmodel.commands.main import app
from zpmodel.datasets import read_data_set
from zpmodel.memory.life.price import price
from zpmodel.report import answer_words
from zpmodel.report.charts import answers as charts
from zpmodel.study.answers.all import DEFAULT_MACHINE, answer, answer_all, asked_of
from zpmodel.study.answers.base import QUESTIONS, Asked, more
from zpmodel.study.answers.limits import SPEEDS
from zpmodel.study.answers.memory import FOLIOS
from zpmodel.study.compare import compare, hidden
from zpmodel.study.conversions import gains
from zpmodel.study.scenario import Scenario
from zpmodel.timing.events import EVENTS


@pytest.fixture(scope="module")
def measured():
    return calibrate(synthetic.data_set(1), resamples=60)


@pytest.fixture(scope="module")
def asked(measured):
    return asked_of(measured=measured)


@pytest.fixture(scope="module")
def answers(asked):
    return answer_all(asked)


def test_each_question_has_a_figure_with_its_interval_or_says_what_is_missing(answers):
    assert [each.number for each in answers] == list(QUESTIONS) == list(range(1, 12))
    for each in answers:
        found = json.loads(json.dumps(each.as_dict()))
        assert all(found[name] for name in ("question", "answer", "basis", "command", "fails_when", "unit"))
        assert found["low"] <= found["value"] <= found["high"], each.number
        assert len(found["figures"]) >= 2
        assert each.first.shown.split(" ")[0] in json.dumps(answer_words.figures(each).to_dict("records"))


def test_answers_are_the_models_of_the_machine_that_is_asked(answers, asked, measured):
    page, static = compare(Scenario(asked.machine), ("page", "static"))
    first = answers[0]
    assert first.first.estimate.value == pytest.approx(
        page.prediction.elapsed_s.value / static.prediction.elapsed_s.value
    )
    own = compare(Scenario(measured), ("page", "static"))[1]
    assert any(each.estimate.value == own.speedup.value for each in first.figures)
    lazy = answer(asked_of(iommu="lazy"), 1)
    assert lazy.first.estimate.value > first.first.estimate.value
    assert lazy.figures[1].estimate.value == pytest.approx(answers[9].first.estimate.value)


def test_the_published_gain_is_set_beside_the_prediction(answers, measured):
    published = next(each for each in answers[0].figures if each.what == "published throughput")
    assert published.estimate.value == 1.04
    assert answers[0].first.estimate.low < 1.04 < answers[0].first.estimate.high
    assert "inside the interval" in answers[0].sentence
    assert "says nothing of another disk" in answer(Asked(measured, "--calibration x"), 1).sentence


def test_a_faster_device_gains_more_in_throughput_and_as_much_cpu_time():
    slow, fast = (answer(asked_of(device=speed), 1) for speed in ("0.5 GB/s", "7 GB/s"))
    assert slow.first.estimate.value < fast.first.estimate.value
    assert slow.figures[1].estimate.value == pytest.approx(fast.figures[1].estimate.value)


def test_memory_is_arithmetic(answers):
    shares = {each.what: each.estimate.value for each in answers[4].figures}
    assert shares["2 MiB of 1 GiB"] == pytest.approx(100 * 2 / 1024)
    assert shares["512 MiB of 512 MiB"] == pytest.approx(100)


def test_the_documentation_says_the_same_sizes_of_ram():
    said = (shipped.data().parent / "docs/memory.md").read_text(encoding="utf-8")
    sizes = [format_size(price(folio, 1 << 30).smallest_ram_bytes) for folio in FOLIOS]
    assert f"2 MiB from {sizes[0]} on, 32 MiB from {sizes[1]}, 512 MiB from {sizes[2]}\n" in said


def test_an_hour_is_sixty_minutes(answers):
    minute, hour = answers[1].figures[:2]
    assert hour.estimate.value == pytest.approx(60 * minute.estimate.value)
    assert "No published workload" in answers[1].sentence


def test_a_device_with_write_zeroes_reads_no_page(asked):
    limits = replace(asked.machine.limits, write_zeroes_max_bytes=1 << 20)
    found = answer_all(Asked(asked.machine.with_limits(limits), "--machine x"))
    assert [each.number for each in found] == list(QUESTIONS)
    assert found[0].first.estimate == Estimate.exactly(0.0)
    assert "Write Zeroes" in found[0].sentence


@pytest.mark.parametrize("number", [7, 10])
def test_what_a_calibration_can_not_say_is_said_to_be_another_machine_s(asked, measured, number):
    said = f"on nvme-mailing-list, as {measured.name} can't be varied, "
    assert said in answer(Asked(measured, "--calibration x"), number).sentence
    assert "can't be varied" not in answer(asked, number).sentence


def test_a_calibration_that_saves_nothing_answers_too():
    few = synthetic.data_set(1)
    writes = few.writes[few.writes["memory"] == "malloc"].reset_index(drop=True)
    machine = calibrate(replace(few, writes=writes), resamples=40)
    assert len(answer_all(Asked(machine, "--calibration x"))) == 11


def test_unknown_questions_are_refused(asked):
    for number in (0, 12):
        with pytest.raises(InputError, match="1 to 11"):
            answer(asked, number)


def test_each_command_runs(answers):
    for line in {each.command for each in answers}:
        words = shlex.split(line)
        assert words[0] == "zpmodel"
        done = CliRunner().invoke(app, words[1:])
        assert done.exit_code == 0, (line, done.output)
        assert done.output


@pytest.mark.parametrize("parts", [{}, {"iommu": "strict"}, {"device": "2 GB/s", "iommu": "lazy"}])
def test_the_command_of_an_answer_names_each_part_once(parts):
    question = asked_of(**parts)
    for number in (1, 2, 7, 10):
        words = shlex.split(answer(question, number).command)
        options = [word for word in words if word.startswith("--")]
        assert len(options) == len({*options}), words
        given = {"device": SPEEDS[0]} if number == 7 else {"iommu": "lazy"} if number == 10 else {}
        for name, value in {**parts, **given}.items():
            assert words[words.index(f"--{name}") + 1] == value


def test_a_command_prints_the_answers_own_figure(answers):
    for number in (3, 10):
        words = [*shlex.split(f"answers {number} --machine nvme-mailing-list"), "--json"]
        found = json.loads(CliRunner().invoke(app, words).stdout)["answers"][0]
        assert found["value"] == pytest.approx(answers[number - 1].first.estimate.value)


def test_the_first_screen_says_gain_cost_limit_and_how_sure(asked, answers):
    text = answer_words.first_screen(asked, answers)
    for word in ("It costs", "When not", "To notice it", "How sure", "Your drive", "more throughput", "composed"):
        assert word in text
    # The published gain and what is predicted for it stand side by side.
    (beside,) = [line for line in text.split("\n") if line.startswith("- **Published:**")]
    assert "4 % more throughput" in beside
    assert answers[0].sentence.split(" more throughput")[0] in beside
    table = answer_words.overview(answers)
    assert all(f"answers.html#question-{number})" in table for number in QUESTIONS)
    assert all(f'id="question-{each.number}"' in answer_words.section(each) for each in answers)


@pytest.mark.parametrize("device", ["7 GB/s", "0.5 GB/s"])
def test_no_page_of_the_answers_has_in_bold_what_says_nothing(device, measured, answers):
    question = asked_of(device=device, measured=measured)
    texts = [answer_words.first_screen(question, answers), *map(answer_words.section, answers)]
    loud = [part for text in texts for part in html.unescape(text).split("**")[1::2]]
    assert loud
    for part in loud:
        for low, high in re.findall(r"\[([-\d.,]+), ([-\d.,]+)\]", part):
            assert 0 < float(high.replace(",", "")) <= UNTOLD * float(low.replace(",", "")), part


def test_charts_show_intervals(answers):
    for each in answers:
        chart = charts.figures(each)
        assert chart is None or "high" in json.dumps(chart.to_dict())


def test_ratios_and_shares_in_words():
    assert more(Estimate(1.02, 1.0, 1.08)) == "2 % [0, 8] more throughput"
    assert more(Estimate(2.5, 2.0, 3.0)) == "2.5 [2, 3] times the throughput"
    assert more(Estimate(0.9, 0.8, 0.95)) == "10 % [5, 20] less throughput"
    assert Estimate.exactly(0.25).percent() == "25 %"


@pytest.fixture(scope="module")
def without_cpu(measured):
    """As a set of rates alone leaves it."""
    cpu = replace(measured.cpu, total=measured.cpu.total * 0, total_draws=measured.cpu.total_draws * 0)
    return replace(measured, name="rates", cpu=cpu)


def test_cpu_time_that_nobody_measured_is_unknown_never_zero(without_cpu):
    page, on_demand, static = compare(Scenario(without_cpu))
    for found in (page, on_demand, static):
        assert not found.prediction.cpu_s.known
        assert str(found.prediction.cpu_s) == "unknown"
        assert found.prediction.elapsed_s.known
        assert found.speedup.known
    assert not static.cpu_saved_s.known
    assert not on_demand.cpu_saved_s.known
    for each in answer_all(Asked(without_cpu, "--calibration rates.json")):
        assert "nan" not in each.sentence.split(), each.sentence
        assert "0 ms" not in each.sentence, each.sentence
        shown = {figure.what: figure.shown for figure in each.figures}
        assert shown.get(f"CPU time saved for each GiB, {without_cpu.name}", "unknown") == "unknown"


def test_cpu_time_that_was_measured_is_not_said_to_be_nobodys(asked, answers):
    data = synthetic.data_set(1)
    alone = replace(data, writes=data.writes[data.writes["memory"] == "malloc"].reset_index(drop=True))
    question = replace(asked, measured=calibrate(alone, resamples=20))
    for text in (answer_words.first_screen(question, answers), answer(question, 1).sentence):
        assert "nobody measured" not in html.unescape(text).split("measured disk")[-1].split("\n")[0]
    assert "CPU time saved that they can't tell either" in html.unescape(answer_words.first_screen(question, answers))


def test_what_the_data_do_not_tell_is_not_nothing(measured):
    at = EVENTS.index("vector")
    cpu = measured.cpu
    draws = cpu.total_draws.copy()
    draws[:, at] = np.linspace(0, 4, len(draws)) * cpu.total[at]  # anything from nothing
    total = cpu.total.copy()
    total[at] = 0.0
    unsure = replace(measured, name="unsure", cpu=replace(cpu, total=total, total_draws=draws))
    third = answer(Asked(unsure, "--calibration x"), 3)
    assert "No size saves" not in third.sentence
    static = compare(Scenario(unsure), ("page", "static"))
    assert static[1].cpu_saved_s.high <= max(static[0].prediction.cpu_s.high, static[1].cpu_saved_s.value)


def test_no_ring_is_spoken_of_where_none_fills(asked):
    loop = calibrate(read_data_set(shipped.data("fio", "kvm-zen5-loop")), resamples=20)
    assert "ring" not in answer(replace(asked, measured=loop), 1).sentence
    assert "ring" in answer(asked, 1).sentence


def test_users_whose_cost_nobody_measured_are_not_called_worthless(without_cpu):
    found = {item.user: item for item in gains(without_cpu)}
    assert found["dm_kcopyd_zero"].verdict == "not known"
    assert "CPU time" in found["dm_kcopyd_zero"].missing
    said = answer_words.conversion_headline(list(found.values()), "rates")
    assert "Not to be said: `" in said
    assert "dm_kcopyd_zero" in said.split("Not to be said")[1]


def test_a_verdict_that_the_data_hide_is_not_a_number_in_bold(asked, without_cpu):
    reach = without_cpu.cpu.reach._replace(memories=("malloc",))
    hidden = replace(without_cpu, cpu=replace(without_cpu.cpu, reach=reach))
    first = html.unescape(answer_words.first_screen(replace(asked, measured=hidden), answer_all(asked)))
    assert "can't tell" in first
    assert "huge pages" in first
    assert "times the throughput" not in first.split("On the measured disk")[1].split("\n")[0]


def test_what_nobody_knows_of_overlap_is_named_with_both_ends(asked, answers, measured):
    question = Scenario(asked.machine)
    whole, none = hidden(question)
    static = compare(question, ("page", "static"))[1].speedup
    # Where the device is what bounds, it hides all it may, and nothing is left of the gain but a call's beginning.
    assert 1 <= whole.value < 1.001 < none.low
    assert whole.low <= static.low <= static.value <= static.high <= none.high
    assert f"{whole.as_ratio()} times if all, {none.as_ratio()} if none" in answers[0].sentence
    assert compare(question)[2].hedged == "gain, unless the device hides all of submission"
    assert hidden(Scenario(measured)) is None
    fast = asked_of(DEFAULT_MACHINE, device="100 GB/s").machine
    assert compare(Scenario(fast))[2].hedged == "gain", "submission bounds it: there is a gain however much is hidden"
