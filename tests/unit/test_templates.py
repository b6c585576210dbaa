"""Templates may read what they are given, and no more."""

from time import process_time
from typing import Any

import pytest

from services.notifier.templates import TemplateError, Templates, template_data
from tests.notifying import live, recipient


def render(text: str, **traits: Any) -> str:
    campaign = live(subject="s", text=text)
    data = template_data(campaign, recipient(traits=traits), "http://shop.example/u/1")
    return Templates(campaign.campaign).render(data).text


def test_a_message_is_filled_in_from_the_persons_traits() -> None:
    campaign = live(
        subject="{{ traits.firstName }},\n  your {{ campaign.name | downcase }}",
        text="Dear {{ traits.firstName | default: 'customer' }}: {{ unsubscribe_url }}",
        html="<p>{{ traits.firstName }}</p>",
    )
    person = recipient(traits={"firstName": "<b>Ada</b>"})
    rendered = Templates(campaign.campaign).render(template_data(campaign, person, "http://u/1"))
    assert rendered.subject == "<b>Ada</b>, your cart left behind"
    assert rendered.text == "Dear <b>Ada</b>: http://u/1"
    assert rendered.html == "<p>&lt;b&gt;Ada&lt;/b&gt;</p>"


def test_what_is_unknown_is_empty() -> None:
    assert render("Dear {{ traits.nobody.knows | default: 'customer' }}") == "Dear customer"


@pytest.mark.parametrize(
    "text",
    [
        "{{ traits.__class__ }}",
        "{{ traits.__class__.__mro__[1].__subclasses__ }}",
        "{{ traits.items }}",
        "{{ traits['__init__']['__globals__'] }}",
        "{{ profile.keys }}",
        "{{ campaign.name.upper }}",
    ],
)
def test_python_attributes_cannot_be_reached(text: str) -> None:
    assert render(text, firstName="Ada") == ""


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{% include 'secrets' %}", "unexpected tag"),
        ("{% render 'secrets' %}", "unexpected tag"),
        ("{{ traits.firstName | safe }}", "unknown filter 'safe'"),
        ("{{ traits.firstName | nonsense }}", "unknown filter 'nonsense'"),
        ("{% if traits.a %}", "endif"),
        ("{{ 'a' ", "text:"),
        ("x" * 250_001, "longer than"),
        ("{% if a %}" * 40 + "{% endif %}" * 40, "nesting"),
    ],
)
def test_a_template_that_cannot_work_is_refused_when_it_is_parsed(text: str, why: str) -> None:
    with pytest.raises(TemplateError, match=why):
        Templates(live(text=text).campaign)


@pytest.mark.parametrize(
    "text",
    [
        "{% for i in (1..100000000) %}{{ i }}{% endfor %}",
        "{% for a in (1..5000) %}{% for b in (1..5000) %}{% endfor %}{% endfor %}",
        "{% assign s = 'aaaaaaaaaa' %}" + "{% assign s = s | append: s %}" * 40,
        "{{ 'aaaaaaaaaa' " + "| replace: 'a', 'aaaaaaaaaa'" * 20 + " }}",
        "{% assign n = 9 %}" + "{% assign n = n | times: n %}" * 40 + "{{ n }}",
        "{% assign l = '" + "a" * 1000 + "' | split: '' %}{{ l | join: '" + "b" * 1000 + "' }}",
        "{% for i in (1..9000) %}" + "x" * 1_000 + "{% endfor %}",
        "{{ 1 | divided_by: 0 }}",
    ],
)
def test_loops_strings_numbers_and_output_are_limited(text: str) -> None:
    began = process_time()
    with pytest.raises(TemplateError):
        render(text)
    assert process_time() - began < 1.0


def test_traits_of_the_wrong_type_are_an_error_of_the_template_and_nothing_worse() -> None:
    for value in ([1, {"a": 2}], {"a": [None]}, True, None, 1e308, "\x00", 10**30):
        for use in ("upcase", "plus: 1", "sort", "date: '%Y'", "join", "first", "map: 'a'", "sum"):
            try:
                assert isinstance(render("{{ traits.x | " + use + " }}", x=value), str)
            except TemplateError as error:
                assert str(error).startswith("text: ")  # noqa: PT017
