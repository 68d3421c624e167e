"""A chat template costs itself only."""

from __future__ import annotations

import asyncio
import pickle
import resource
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import psutil
import pytest
from tests.waits import scaled

from local_ai.engine.isolation.pool import ProcessPool, ProcessStopped
from local_ai.engine.templating.process import TemplateProcesses, TemplateRefused, TemplateStopped
from local_ai.engine.text.interruptible import InterruptibleThreads

ENDLESS = "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}"
DOUBLED = (
    "{% set n = namespace(x=VALUE) %}{% for i in range(99) %}{% set n.x = n.x OPERATOR n.x %}{% endfor %}"
)


@pytest.fixture(scope="module")
def processes() -> Iterator[TemplateProcesses]:
    processes = TemplateProcesses()
    yield processes
    processes.end()


@pytest.mark.parametrize(
    "template",
    [
        "{{ 'a' * 10**10 }}",
        "{{ [1] * 10**10 }}",
        "{{ '%10000000000s' % x }}",
        "{{ x|center(10**10) }}",
        "{{ x.ljust(10**10) }}",
        "{{ '{:>9999999999}'.format(x) }}",
        "{{ [x]|tojson(indent=10**10) }}",
        "{{ x|indent(10**10, true) }}",
        DOUBLED.replace("VALUE", "'aa'").replace("OPERATOR", "~"),
        DOUBLED.replace("VALUE", "'aa'").replace("OPERATOR", "+"),
        DOUBLED.replace("VALUE", "[1]").replace("OPERATOR", "+"),
        "{% set x = 'a' * 10**7 %}{% for i in range(99) %}{{ x }}{% endfor %}",
    ],
)
def test_a_template_that_takes_much_memory_is_stopped(processes: TemplateProcesses, template: str):
    with pytest.raises(TemplateStopped, match="it takes more than 256 MB of memory"):
        processes.render(template, {"x": "x"})

    assert processes.render("{{ x }}", {"x": "still here"}) == "still here"


def test_a_long_conversation_may_take_more(processes: TemplateProcesses):
    long = "🙂" * 10_000_000

    assert processes.render("{{ x ~ x }}", {"x": long}) == long * 2


def test_a_template_is_told_why_it_is_refused_and_may_hold_halves_of_characters(processes: TemplateProcesses):
    assert processes.render("{{ x }}\ud800", {"x": "\udfff"}) == "\udfff\ud800"
    with pytest.raises(TemplateRefused, match=r"^roles must alternate$"):
        processes.render("{{ raise_exception('roles must alternate') }}", {})
    with pytest.raises(TemplateRefused, match="recursion"):
        processes.render("{{ " + "(" * 3000 + "1" + ")" * 3000 + " }}", {})


def test_a_template_that_does_not_end_is_ended_with_its_process():
    processes, before = TemplateProcesses(), children()

    async def loop() -> None:
        await InterruptibleThreads().run(lambda: processes.render(ENDLESS, {}), within_s=0.5)

    with pytest.raises(TimeoutError):
        asyncio.run(loop())

    _, alive = psutil.wait_procs([each for each in children() if each not in before], timeout=scaled(5))
    assert alive == []


def test_prompts_that_come_at_once_share_one_process_unless_it_is_at_work_for_long():
    patient = ProcessPool("local_ai.engine.templating", patience_s=scaled(60))
    patient.get_ready()
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    with ThreadPoolExecutor(8) as threads:
        answers = [*threads.map(partial(_ask, patient), map(str, range(32)))]

    assert answers == [b"p" + str(n).encode() for n in range(32)]
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime == before  # no other was started and ended
    patient.end()

    others = children()
    pool = ProcessPool("local_ai.engine.templating", most_at_once=2, patience_s=0.01)
    with ThreadPoolExecutor(1) as threads:
        endless = threads.submit(_ask, pool, ENDLESS)
        answer = _ask(pool, "beside it")
        is_alone = endless.done()
        for process in children():
            if process not in others:
                process.kill()

        assert (answer, is_alone) == (b"pbeside it", False)
        assert isinstance(endless.exception(), ProcessStopped)
    pool.end()


def _ask(pool: ProcessPool, template: str) -> bytes:
    return pool.ask(pickle.dumps((template, {})), most_memory=10**9)


def test_a_process_that_was_killed_says_so_and_the_next_prompt_has_another(processes: TemplateProcesses):
    processes.render("", {})
    for process in children():
        process.kill()

    with pytest.raises(TemplateStopped, match="its process ended, by SIGKILL"):
        processes.render("", {})

    assert processes.render("{{ x }}", {"x": "again"}) == "again"


def test_a_stop_of_the_process_group_leaves_it_to_write_what_it_began(processes: TemplateProcesses):
    processes.render("", {})
    for process in children():
        process.terminate()

    assert processes.render("{{ x }}", {"x": "goes on"}) == "goes on"


def children() -> list[psutil.Process]:
    found = psutil.Process().children()
    return [process for process in found if "local_ai.engine.templating" in process.cmdline()]


def test_a_stop_that_comes_before_a_process_runs_its_first_line_leaves_it_to_write(
    monkeypatch: pytest.MonkeyPatch,
):
    """It was ended by it, and the template blamed: a 400 for a request that another engine would answer."""
    compile_template = "transformers.utils.chat_template_utils._compile_jinja_template"
    monkeypatch.setattr(compile_template, None)  # transformers has its own again after the test
    processes = TemplateProcesses()
    before = set(psutil.Process().children())
    processes.get_ready()
    (young,) = set(psutil.Process().children()) - before

    young.terminate()

    assert processes.render("{{ a }}", {"a": "x"}) == "x"
    assert young.is_running()
    processes.end()
