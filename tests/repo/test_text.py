"""What stands in the repository's texts, and what must not."""

from __future__ import annotations

import re

from tests.repo.checkout import ROOT, SOURCE, commands_of, kept_texts

# Written in parts, so that this file does not hold what it looks for.
INDEX_HOSTS = tuple(
    ".".join(parts)
    for parts in (
        ("pypi", "org"),
        ("pythonhosted", "org"),
        ("npmjs", "org"),
        ("npmjs", "com"),
        ("crates", "io"),
        ("rubygems", "org"),
        ("proxy", "golang", "org"),
        ("repo", "maven", "apache", "org"),
        ("deb", "debian", "org"),
        ("archive", "ubuntu", "com"),
    )
)
ABSOLUTE_HOME = re.compile(r"(?<![\w.}])/(?:work|root|home|Users)/\w")
HEADING = re.compile(r"^(#+) ", re.MULTILINE)


def without_code(markdown: str) -> str:
    """The text outside fenced blocks, where a `#` is a heading and not a comment."""
    return re.sub(r"^```.*?^```", "", markdown, flags=re.MULTILINE | re.DOTALL)


def test_no_host_of_a_package_index_is_named() -> None:
    """Whoever builds this may use any index or mirror; the lock file must not choose for them."""
    named = [
        (name, host) for name, text in kept_texts().items() for host in INDEX_HOSTS if host in text
    ]
    assert not named


def test_no_path_of_somebodys_machine_is_written_down() -> None:
    assert not [name for name, text in kept_texts().items() if ABSOLUTE_HOME.search(text)]


def test_the_two_readmes_are_equals() -> None:
    """The same headings in the same depths, and the same commands in the same order."""
    english, portuguese = kept_texts()["README.md"], kept_texts()["README.pt-BR.md"]
    assert HEADING.findall(without_code(english)) == HEADING.findall(without_code(portuguese))
    assert commands_of(english) == commands_of(portuguese)
    assert commands_of(english)[:2] == ["make demo", "make test"]


def test_the_two_references_of_the_overlay_file_are_equals() -> None:
    english, portuguese = (
        kept_texts()["docs/overlay-file.md"],
        kept_texts()["docs/overlay-file.pt-BR.md"],
    )
    assert HEADING.findall(without_code(english)) == HEADING.findall(without_code(portuguese))


def test_architecture_is_short_and_names_every_package() -> None:
    text = kept_texts()["ARCHITECTURE.md"]
    assert len(text.splitlines()) <= 200
    packages = {path.parent.name for path in SOURCE.glob("*/__init__.py")}
    assert packages
    assert not {name for name in packages if f"{name}/" not in text}


def test_links_between_documents_lead_somewhere() -> None:
    links = [
        (ROOT / name, target)
        for name, text in kept_texts().items()
        if name.endswith(".md")
        for target in re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", text)
    ]
    assert links
    assert not [(file, to) for file, to in links if not file.parent.joinpath(to).exists()]
