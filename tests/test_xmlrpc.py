"""XML-RPC as supervisord speaks it, beside the standard library's."""

import xmlrpc.client

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local_ai.xmlrpc import Fault, NotXmlRpc, read_answer, write_call

text = st.text(st.characters(min_codepoint=32, exclude_categories=["Cs", "Cn"]) | st.just("\n"))
scalars = st.booleans() | st.integers(-(2**31), 2**31 - 1) | text
values = st.recursive(scalars, lambda inner: st.lists(inner) | st.dictionaries(text, inner), max_leaves=10)


@given(values)
def test_an_answer_is_read_as_the_standard_library_wrote_it(value):
    written = xmlrpc.client.dumps((value,), methodresponse=True, allow_none=True)

    assert read_answer(written.encode()) == value


@given(st.lists(values, max_size=3))
def test_a_call_is_read_by_the_standard_library(arguments):
    read, method = xmlrpc.client.loads(write_call("a.method", arguments))

    assert (list(read), method) == (arguments, "a.method")


def test_doubles_and_nothing_are_read_too():
    written = xmlrpc.client.dumps(([1.5, None],), methodresponse=True, allow_none=True)

    assert read_answer(written.encode()) == [1.5, None]


def test_a_value_without_type_is_text():
    answer = b"<methodResponse><params><param><value>yes</value></param></params></methodResponse>"

    assert read_answer(answer) == "yes"


def test_a_fault_is_raised_with_its_code():
    written = xmlrpc.client.dumps(xmlrpc.client.Fault(6, "SHUTDOWN_STATE"))

    with pytest.raises(Fault, match="SHUTDOWN_STATE") as caught:
        read_answer(written.encode())

    assert caught.value.code == 6


@pytest.mark.parametrize("answer", [b"", b"no", b"<methodResponse/>", b"<value><int>x</int></value>"])
def test_anything_else_is_no_answer(answer: bytes):
    with pytest.raises(NotXmlRpc):
        read_answer(answer)
