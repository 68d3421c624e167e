"""Facts → verdict: the sentence that every surface shows."""

from dataclasses import replace
from pathlib import Path

import pytest

from local_ai.status.health import EngineHealth, EngineState, Failure, Queue, RankHealth
from local_ai.status.judge import judge
from local_ai.status.report import Facts, Report, Supervisor, base_url
from local_ai.status.verdict import Health, Readiness
from local_ai.supervision.crashes import awaited_host
from local_ai.supervision.program import (
    ENGINE,
    FINAL_EXITS,
    GATEWAY,
    OMNI,
    SUPERVISORD,
    ProcessInfo,
    ProcessState,
)

NOW = 1000.0
READY = EngineHealth(EngineState.READY, 990.0, "m", 0, 0, "mlx-lm", None)


def process(
    name: str, state: ProcessState = ProcessState.RUNNING, started: float = 900.0, exit_status: int = 0
) -> ProcessInfo:
    return ProcessInfo(name, state, 11 if name == ENGINE else 12, started, exit_status, "")


FACTS = Facts(
    now=NOW,
    supervisor=Supervisor.ANSWERS,
    supervisor_pid=10,
    processes=(process(ENGINE), process(GATEWAY)),
    gateway_answers=True,
    engine=READY,
    crashes={},
    exit_reasons={},
    given_up=frozenset(),
    memory_bytes={ENGINE: 5, GATEWAY: None},
    host="127.0.0.1",
    port=8080,
    models=("m", "n"),
    default_model="m",
    logs_dir=Path("/logs"),
    version="1",
)


def with_engine(
    state: ProcessState, *, started: float = 900.0, exit_status: int = 0, **changes: object
) -> Report:
    processes = (process(ENGINE, state, started, exit_status), process(GATEWAY))
    return judge(replace(FACTS, processes=processes, **changes))  # type: ignore[arg-type]


def test_verdict_is_ready_when_both_programs_answer():
    report = judge(FACTS)

    assert report.verdict.sentence == "Ready: m answers at 127.0.0.1:8080"
    assert (report.exit_code, report.is_ready, report.engine_pid, report.uptime_s) == (0, True, 11, 100.0)


def test_verdict_keeps_its_word_apart_from_a_name_that_looks_like_a_sentence():
    verdict = judge(replace(FACTS, default_model="a: b (c)")).verdict.to_json()

    assert (verdict["word"], verdict["rest"]) == ("Ready", "a: b (c) answers at 127.0.0.1:8080")


def test_a_ready_engine_with_a_slow_blas_says_so_and_how_to_fix_it():
    slow = replace(READY, blas="MLX's reference BLAS", blas_fix="install another")

    report = judge(replace(FACTS, engine=slow))

    assert report.verdict.sentence == "Ready: m answers at 127.0.0.1:8080"
    assert report.programs[0].detail == (
        "prompts are read slowly with MLX's reference BLAS; to fix it: install another"
    )


@pytest.mark.parametrize("state", [ProcessState.FATAL, ProcessState.STOPPED, ProcessState.BACKOFF])
def test_a_program_for_speech_and_images_that_is_not_well_does_not_bear_on_the_verdict(state: ProcessState):
    report = judge(replace(FACTS, processes=(*FACTS.processes, process(OMNI, state))))

    assert report.verdict.sentence == "Ready: m answers at 127.0.0.1:8080"
    assert [row.name for row in report.programs] == [ENGINE, GATEWAY, OMNI]
    assert report.programs[2].readiness is not Readiness.READY


def test_a_program_for_speech_and_images_is_as_ready_as_it_says():
    busy = replace(READY, state=EngineState.BUSY, running=1)

    report = judge(replace(FACTS, processes=(*FACTS.processes, process(OMNI)), omni=busy))

    assert (report.programs[2].readiness, report.programs[2].detail) == (Readiness.BUSY, "1 answer running")


def test_ranks_are_told_with_the_program_that_launches_them_and_leave_the_sentence_alone():
    ranks = (RankHealth(0, "", "loading", 21, 4_000_000), RankHealth(1, "mini.local", "ready", 9, 5_000_000))
    loading = replace(READY, state=EngineState.LOADING, loading="m", ranks=ranks)

    report = judge(replace(FACTS, engine=loading))

    assert report.verdict.sentence == "Starting: the engine is loading m, 10 s"
    assert (
        report.programs[0].detail == "loading m, 10 s; rank 0 loading, 4 MB; rank 1 (mini.local) ready, 5 MB"
    )
    assert report.programs[0].memory_bytes == 4_000_005  # mini.local's is another machine's


def test_verdict_names_the_fix_when_there_is_no_model():
    verdict = judge(replace(FACTS, default_model=None)).verdict

    assert (
        verdict.sentence
        == "Ready: the server answers at 127.0.0.1:8080, but there is no model to answer with"
    )
    assert verdict.fix == "set model.path in config.toml to a model folder, then run"
    assert verdict.command == "local-ai server restart"


@pytest.mark.parametrize(
    ("running", "waiting", "sentence"),
    [
        (1, 2, "Busy: 1 answer running, 2 waiting"),
        (3, 0, "Busy: 3 answers running"),
    ],
)
def test_busy_is_not_dead(running: int, waiting: int, sentence: str):
    report = judge(
        replace(FACTS, engine=replace(READY, state=EngineState.BUSY, running=running, waiting=waiting))
    )

    assert (report.verdict.sentence, report.exit_code) == (sentence, 0)


@pytest.mark.parametrize(
    ("health", "sentence"),
    [
        (replace(READY, state=EngineState.IMPORTING, since=996.0), "Starting: the engine is importing, 4 s"),
        (
            replace(READY, state=EngineState.LOADING, since=970.0, loading="m"),
            "Starting: the engine is loading m, 30 s",
        ),
    ],
    ids=["importing", "loading"],
)
def test_verdict_is_starting_with_the_step_and_its_seconds(health: EngineHealth, sentence: str):
    report = judge(replace(FACTS, engine=health))

    assert (report.verdict.health, report.verdict.sentence) == (Health.STARTING, sentence)
    assert report.exit_code == 3


@pytest.mark.parametrize("state", [EngineState.READY, EngineState.BUSY, EngineState.LOADING])
def test_hours_of_sleep_change_no_verdict(state: EngineState):
    facts = replace(FACTS, engine=replace(READY, state=state, running=1))

    before, after = judge(facts), judge(replace(facts, now=NOW + 8 * 3600))

    assert after.verdict.health is before.verdict.health
    assert [row.readiness for row in after.programs] == [row.readiness for row in before.programs]


def test_silent_engine_is_starting_while_young_and_unhealthy_later():
    young = with_engine(ProcessState.STARTING, started=999.0, engine=None)
    slow = with_engine(ProcessState.RUNNING, started=955.0, engine=None)
    old = with_engine(ProcessState.RUNNING, started=900.0, engine=None)

    assert young.verdict.sentence == "Starting: the engine is not listening yet, 1 s"
    assert slow.verdict.sentence == "Starting: the engine is not listening yet, 45 s"
    assert old.verdict.sentence == "Failed: the engine cannot serve"
    assert old.verdict.why == "does not answer its probe"


def test_engine_of_a_cluster_that_waits_for_a_host_is_starting_however_long():
    awaited = awaited_host(
        ["2026-11-27 22:06:26,967 WARNING x: rank 1 (mini) cannot be reached, and is waited for: no"]
    )

    report = with_engine(ProcessState.RUNNING, started=100.0, engine=None, awaited_host=awaited)

    assert report.verdict.sentence == (
        "Starting: the engine is waiting for rank 1 (mini), which cannot be reached: no"
    )
    assert awaited_host(["rank 1 (mini) cannot be reached, and is waited for: no", "started rank 0"]) == ""


@pytest.mark.parametrize("name", [ENGINE, GATEWAY])
@pytest.mark.parametrize("started", [999.0, 900.0], ids=["young", "old"])
def test_program_that_a_stop_signal_holds_is_told_to_be_paused_and_how_to_continue_it(
    name: str, started: float
):
    processes = (process(ENGINE, started=started), process(GATEWAY, started=started))
    silent = {ENGINE: {"engine": None}, GATEWAY: {"gateway_answers": False}}[name]

    verdict = judge(replace(FACTS, processes=processes, paused=frozenset({name}), **silent)).verdict

    role, pid = {ENGINE: ("engine", 11), GATEWAY: ("gateway", 12)}[name]
    assert verdict.sentence == f"Paused: the {role} (pid {pid})"
    assert verdict.why == (
        "it is paused by a stop signal (SIGSTOP), and does nothing until it is told to continue"
    )
    assert verdict.whole_fix == f"let it continue: kill -CONT {pid}"


def test_supervisord_that_a_stop_signal_holds_is_told_to_be_paused():
    facts = replace(FACTS, supervisor=Supervisor.SILENT, processes=(), paused=frozenset({SUPERVISORD}))

    report = judge(facts)

    assert (report.verdict.sentence, report.exit_code) == ("Unknown: supervisord is paused (pid 10)", 4)
    assert report.verdict.whole_fix == "let it continue: kill -CONT 10"


@pytest.mark.parametrize(
    ("running", "sentence"),
    [
        (1, "Stopping: 1 running answer finishes first; new requests are refused"),
        (2, "Stopping: 2 running answers finish first; new requests are refused"),
        (0, "Stopping: no answer is running; new requests are refused"),
    ],
)
def test_server_that_lets_answers_finish_is_stopping(running: int, sentence: str):
    queue = Queue(running, 0, max_concurrency=16, max_queue=512, longest_wait_s=0, is_closed=True)

    report = judge(replace(FACTS, queue=queue))

    assert (report.verdict.sentence, report.exit_code) == (sentence, 3)


def test_silent_engine_that_has_begun_anew_is_starting():
    report = with_engine(ProcessState.RUNNING, started=900.0, engine=None, engine_began=NOW - 1)

    assert report.verdict.sentence == "Starting: the engine is not listening yet, 1 s"


def test_engine_that_cannot_load_its_model_says_why():
    report = judge(
        replace(
            FACTS,
            engine=replace(
                READY, state=EngineState.FAILED, failure=Failure("it failed", "no such weights", "get some")
            ),
        )
    )

    assert (report.verdict.sentence, report.verdict.why) == (
        "Failed: the engine cannot serve",
        "it failed: no such weights",
    )
    assert report.verdict.see == "/logs/mlx-omni-server.log"


def test_what_the_engine_knows_against_its_failure_is_the_fix():
    failure = Failure("the model 'm' cannot be loaded", "it is damaged", "download it again into /m")

    verdict = judge(replace(FACTS, engine=replace(READY, state=EngineState.FAILED, failure=failure))).verdict

    assert (verdict.why, verdict.fix) == (
        "the model 'm' cannot be loaded: it is damaged",
        "download it again into /m",
    )


def test_fatal_program_is_told_with_its_exit():
    report = with_engine(ProcessState.FATAL, engine=None, exit_reasons={ENGINE: "exit status 1"})

    assert (report.verdict.sentence, report.verdict.why) == ("Failed: the engine stopped", "exit status 1")
    assert report.exit_code == 3


def test_program_in_backoff_is_being_restarted():
    report = with_engine(ProcessState.BACKOFF, engine=None, exit_reasons={ENGINE: "exit status 1"})

    verdict = report.verdict
    assert verdict.sentence == "Starting: the engine is waiting to be restarted (exit status 1)"
    assert (verdict.word, verdict.text, verdict.aside) == (
        "Starting",
        "the engine is waiting to be restarted",
        "exit status 1",
    )


@pytest.mark.parametrize("exit_status", [-1, 1], ids=["killed", "exit status 1"])
def test_program_that_crashed_is_being_restarted(exit_status: int):
    report = with_engine(
        ProcessState.EXITED, exit_status=exit_status, engine=None, exit_reasons={ENGINE: "killed"}
    )

    assert report.verdict.sentence == "Starting: the engine is waiting to be restarted (killed)"


@pytest.mark.parametrize("exit_status", FINAL_EXITS)
def test_program_that_no_restart_would_mend_has_failed(exit_status: int):
    report = with_engine(
        ProcessState.EXITED, exit_status=exit_status, engine=None, exit_reasons={ENGINE: "exit status 3"}
    )

    assert (report.verdict.sentence, report.verdict.why) == ("Failed: the engine stopped", "exit status 3")


def test_program_stopped_with_supervisorctl_was_stopped_by_hand_not_crashed():
    verdict = with_engine(ProcessState.STOPPED, engine=None).verdict

    assert verdict.sentence == "Stopped by hand: the engine"
    assert verdict.whole_fix == "local-ai server start"


def test_program_that_kept_ending_is_explained_and_not_called_stopped_by_hand():
    verdict = with_engine(
        ProcessState.STOPPED,
        engine=None,
        given_up=frozenset({ENGINE}),
        exit_reasons={ENGINE: "the disk is full (exit status 1)"},
    ).verdict

    assert verdict.sentence == "Failed: the engine stopped"
    assert verdict.why == "it ended too often and is no longer restarted; the disk is full (exit status 1)"


def test_worst_program_decides():
    gateway_down = (process(ENGINE), process(GATEWAY, ProcessState.FATAL))

    verdict = judge(replace(FACTS, processes=gateway_down, gateway_answers=False)).verdict

    assert verdict.sentence == "Failed: the gateway stopped"


def test_absent_supervisor_is_stopped():
    report = judge(replace(FACTS, supervisor=Supervisor.ABSENT, supervisor_pid=None, processes=()))

    assert report.verdict.sentence == "Stopped: the server is not running"
    assert (report.exit_code, report.is_running, report.programs) == (3, False, ())


def test_silent_supervisor_is_unknown_and_has_an_exit_code_of_its_own():
    report = judge(replace(FACTS, supervisor=Supervisor.SILENT, processes=()))

    assert report.verdict.sentence == "Unknown: supervisord does not answer (pid 10)"
    assert (report.exit_code, report.verdict.command) == (4, "local-ai server stop --force")


def test_supervisor_that_ends_is_waited_for_before_force_is_spoken_of():
    report = judge(replace(FACTS, supervisor=Supervisor.ENDING, processes=()))

    assert report.verdict.sentence == "Stopping: supervisord is ending its programs (pid 10)"
    assert report.verdict.whole_fix == (
        "wait until it has ended, which takes 25 s at most; only if it still runs then: "
        "local-ai server stop --force"
    )
    assert report.exit_code == 4


def test_state_and_readiness_are_two_facts():
    row = judge(FACTS).programs[1]

    assert (row.state, row.readiness, row.log) == (
        ProcessState.RUNNING,
        Readiness.READY,
        Path("/logs/welcome-page.log"),
    )


def test_report_as_json_holds_plain_values_only():
    data = judge(FACTS).to_json()

    assert data["verdict"]["health"] == "healthy"
    assert data["programs"][0]["state"] == "RUNNING"
    assert data["urls"] == {
        "page": "http://127.0.0.1:8080",
        "openai": "http://127.0.0.1:8080/v1",
        "anthropic": "http://127.0.0.1:8080/anthropic",
    }


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("0.0.0.0", "http://127.0.0.1:1"),
        ("::", "http://[::1]:1"),
        ("::1", "http://[::1]:1"),
        ("h", "http://h:1"),
    ],
)
def test_base_url_can_be_opened_from_this_machine(host: str, url: str):
    assert base_url(host, 1) == url
